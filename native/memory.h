// Device memory through VulkanMemoryAllocator.
#pragma once
#include "vma.h"

#include <string>

namespace vkpn {

class Device;

/** Where a buffer lives. */
enum class Home {
  device,  ///< device memory; mapped where that costs nothing (CPU drivers, shared memory)
  host,    ///< host memory, cached and mapped, which the device reads over the bus
};

/** A buffer with its memory. */
struct Allocation {
  VkBuffer buffer = VK_NULL_HANDLE;
  VmaAllocation memory = VK_NULL_HANDLE;
  void* mapped = nullptr;  ///< null where the host cannot reach it
  bool cached = false;     ///< the host reads it at full speed
};

class Memory {
public:
  explicit Memory(Device& device);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /** Throws OUT_OF_MEMORY naming `name`, the bytes needed and available. */
  Allocation allocate(const std::string& name, VkDeviceSize bytes, VkBufferUsageFlags usage, Home home);
  void free(Allocation& allocation);
  /** Makes host writes visible to the device; and device writes to the host. */
  void flush(const Allocation& allocation, VkDeviceSize offset, VkDeviceSize bytes);
  void invalidate(const Allocation& allocation, VkDeviceSize offset, VkDeviceSize bytes);

  struct Use {
    VkDeviceSize budget, usage;
  };
  /** Of the device-local heaps: what this process may use in all, and uses. */
  Use use() const;

private:
  [[noreturn]] void outOfMemory(const std::string& name, VkDeviceSize bytes) const;
  Device& device_;
  VmaAllocator allocator_ = VK_NULL_HANDLE;
  bool shared_;  ///< device memory is host memory
};

}  // namespace vkpn
