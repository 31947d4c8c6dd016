// Buffers: mapped where the host can reach them, through staging where not.
#include "buffer.h"

#include "error.h"
#include "transfer.h"

#include <algorithm>
#include <cstring>

namespace vkpn {

Buffer::Buffer(std::shared_ptr<Device> device, std::string name, VkDeviceSize bytes, bool host, bool uniform)
    : device_(std::move(device)), name_(std::move(name)), bytes_(bytes) {
  device_->requireUsable();
  VkBufferUsageFlags usage =
      VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (uniform) usage |= VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT;
  allocation_ = device_->memory().allocate(name_, bytes, usage, host ? Home::host : Home::device);
  device_->add(this);
}

Buffer::~Buffer() {
  device_->remove(this);
  release();
}

void Buffer::release() {
  if (allocation_.buffer != VK_NULL_HANDLE) device_->memory().free(allocation_);
}

void Buffer::requireIdle(const char* what) const {
  device_->requireUsable();
  if (users > 0) throw Error("BUSY", std::string("cannot ") + what + " buffer " + name_ + " while a run or a read uses it");
}

void Buffer::write(VkDeviceSize offset, const void* data, VkDeviceSize bytes) {
  requireIdle("write");
  if (bytes == 0) return;
  if (allocation_.mapped == nullptr) return device_->transfer().write(allocation_.buffer, offset, data, bytes);
  std::memcpy(static_cast<char*>(allocation_.mapped) + offset, data, bytes);
  device_->memory().flush(allocation_, offset, bytes);
}

void Buffer::fill(VkDeviceSize offset, uint32_t value, VkDeviceSize bytes) {
  requireIdle("fill");
  if (bytes == 0) return;
  if (allocation_.mapped == nullptr) return device_->transfer().fill(allocation_.buffer, offset, value, bytes);
  auto* first = reinterpret_cast<uint32_t*>(static_cast<char*>(allocation_.mapped) + offset);
  std::fill(first, first + bytes / sizeof(uint32_t), value);
  device_->memory().flush(allocation_, offset, bytes);
}

void Buffer::read(VkDeviceSize offset, void* data, VkDeviceSize bytes) {
  device_->requireUsable();
  if (bytes == 0) return;
  // Memory that is mapped but not cached is read through staging: the CPU would crawl.
  if (!allocation_.cached) return device_->transfer().read(allocation_.buffer, offset, data, bytes);
  device_->memory().invalidate(allocation_, offset, bytes);
  std::memcpy(data, static_cast<const char*>(allocation_.mapped) + offset, bytes);
}

}  // namespace vkpn
