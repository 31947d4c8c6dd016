// A range of device memory that kernels read and write.
#pragma once
#include "device.h"

#include <memory>
#include <string>

namespace vkpn {

class Buffer final : public Resource {
public:
  Buffer(std::shared_ptr<Device> device, std::string name, VkDeviceSize bytes, bool host, bool uniform);
  ~Buffer() override;
  void release() override;

  const std::string& name() const { return name_; }
  VkDeviceSize bytes() const { return bytes_; }
  VkBuffer handle() const { return allocation_.buffer; }

  /** The range must lie within the buffer (ts/gpu checks it); each waits until it is done. Writing throws BUSY during a run that
   * uses it. */
  void write(VkDeviceSize offset, const void* data, VkDeviceSize bytes);
  void fill(VkDeviceSize offset, uint32_t value, VkDeviceSize bytes);
  void read(VkDeviceSize offset, void* data, VkDeviceSize bytes);

  /** How many runs and reads under way use it; touched by the JavaScript thread only. */
  int users = 0;

private:
  void requireIdle(const char* what) const;
  std::shared_ptr<Device> device_;
  std::string name_;
  VkDeviceSize bytes_;
  Allocation allocation_;
};

}  // namespace vkpn
