// Copies between host and device memory, for buffers that the host cannot map.
#pragma once
#include "handle.h"
#include "memory.h"
#include "vulkan.h"

#include <mutex>

namespace vkpn {

class Device;

/** One staging buffer and one command buffer, used by one thread at a time; each call waits until its copy is done. */
class Transfer {
public:
  explicit Transfer(Device& device);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void write(VkBuffer buffer, VkDeviceSize offset, const void* data, VkDeviceSize bytes);
  void read(VkBuffer buffer, VkDeviceSize offset, void* data, VkDeviceSize bytes);
  void fill(VkBuffer buffer, VkDeviceSize offset, uint32_t value, VkDeviceSize bytes);

private:
  template <class Record>
  void run(const char* what, Record record);
  VkDeviceSize reserve(VkDeviceSize bytes);

  Device& device_;
  std::mutex mutex_;
  Handle<VkCommandPool> pool_;
  Handle<VkFence> fence_;
  VkCommandBuffer commands_;
  Allocation staging_;
  VkDeviceSize stagingBytes_ = 0;
};

}  // namespace vkpn
