// Staging, in pieces of bounded size.
#include "transfer.h"

#include "device.h"

#include <algorithm>
#include <cstring>

namespace vkpn {
namespace {
constexpr VkDeviceSize kPiece = VkDeviceSize{32} << 20;  // staging memory is pinned: large copies go in pieces
}

Transfer::Transfer(Device& device)
    : device_(device),
      pool_(device.makeCommandPool()),
      fence_(device.makeFence()),
      commands_(device.allocateCommands(pool_.get())) {}

Transfer::~Transfer() { device_.memory().free(staging_); }

/** Grows the staging buffer to at least `bytes`, or a piece; returns how much one copy may take. */
VkDeviceSize Transfer::reserve(VkDeviceSize bytes) {
  bytes = std::min(bytes, kPiece);
  if (bytes > stagingBytes_) {
    device_.memory().free(staging_);
    stagingBytes_ = 0;
    VkDeviceSize size = 64 << 10;
    while (size < bytes) size *= 2;
    staging_ = device_.memory().allocate("staging", size, VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                         Home::host);
    stagingBytes_ = size;
  }
  return stagingBytes_;
}

/** Records between barriers against everything before and after, submits, waits. */
template <class Record>
void Transfer::run(const char* what, Record record) {
  auto& vk = device_.vk;
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
  const auto stand = [&] {
    vk.vkCmdPipelineBarrier(commands_, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                            VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0,
                            nullptr);
  };
  device_.check(vk.vkBeginCommandBuffer(commands_, &begin), "vkBeginCommandBuffer");
  stand();
  record(commands_);
  stand();
  device_.check(vk.vkEndCommandBuffer(commands_), "vkEndCommandBuffer");
  const VkFence fence = fence_.get();
  device_.check(vk.vkResetFences(device_.handle(), 1, &fence), "vkResetFences");
  device_.submit(commands_, fence, what);
  device_.wait(fence, what);
}

void Transfer::write(VkBuffer buffer, VkDeviceSize offset, const void* data, VkDeviceSize bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const VkDeviceSize piece = reserve(bytes);
  for (VkDeviceSize at = 0; at < bytes; at += piece) {
    const VkDeviceSize n = std::min(piece, bytes - at);
    std::memcpy(staging_.mapped, static_cast<const char*>(data) + at, n);
    device_.memory().flush(staging_, 0, n);
    run("a write", [&](VkCommandBuffer c) {
      const VkBufferCopy copy{0, offset + at, n};
      device_.vk.vkCmdCopyBuffer(c, staging_.buffer, buffer, 1, &copy);
    });
  }
}

void Transfer::read(VkBuffer buffer, VkDeviceSize offset, void* data, VkDeviceSize bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const VkDeviceSize piece = reserve(bytes);
  for (VkDeviceSize at = 0; at < bytes; at += piece) {
    const VkDeviceSize n = std::min(piece, bytes - at);
    run("a read", [&](VkCommandBuffer c) {
      const VkBufferCopy copy{offset + at, 0, n};
      device_.vk.vkCmdCopyBuffer(c, buffer, staging_.buffer, 1, &copy);
    });
    device_.memory().invalidate(staging_, 0, n);
    std::memcpy(static_cast<char*>(data) + at, staging_.mapped, n);
  }
}

void Transfer::fill(VkBuffer buffer, VkDeviceSize offset, uint32_t value, VkDeviceSize bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  run("a fill", [&](VkCommandBuffer c) { device_.vk.vkCmdFillBuffer(c, buffer, offset, bytes, value); });
}

}  // namespace vkpn
