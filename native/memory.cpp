// The allocator's set-up, the choice of memory type, and the sentence for when there is none left.
#include "memory.h"

#include "device.h"
#include "error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace vkpn {
namespace {

std::string megabytes(VkDeviceSize bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

/** VKPN_NO_MAP=1 goes through staging as a discrete GPU does, so that this can be tested on any driver. */
bool sharesMemory(VkPhysicalDeviceType type) {
  const char* noMap = std::getenv("VKPN_NO_MAP");
  if (noMap != nullptr && std::strcmp(noMap, "1") == 0) return false;
  return type == VK_PHYSICAL_DEVICE_TYPE_CPU || type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
}

/** VKPN_MEMORY_LIMIT=MB makes every heap look that small, so that running out can be tested on any device. */
VkDeviceSize heapLimit() {
  const char* text = std::getenv("VKPN_MEMORY_LIMIT");
  const unsigned long long megabytes = text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  return megabytes == 0 ? VK_WHOLE_SIZE : megabytes * 1'000'000;
}

}  // namespace

Memory::Memory(Device& device) : device_(device), shared_(sharesMemory(device.physical().properties.deviceType)) {
  const PhysicalDevice& physical = device.physical();
  VmaVulkanFunctions functions{};
  functions.vkGetInstanceProcAddr = vkGetInstanceProcAddr;
  functions.vkGetDeviceProcAddr = vkGetDeviceProcAddr;
  VmaAllocatorCreateInfo info{};
  info.instance = device.instance().handle();
  info.physicalDevice = physical.handle;
  info.device = device.handle();
  info.vulkanApiVersion = physical.apiVersion;
  info.pVulkanFunctions = &functions;
  VkDeviceSize limits[VK_MAX_MEMORY_HEAPS];
  std::fill(std::begin(limits), std::end(limits), heapLimit());
  info.pHeapSizeLimit = limits;
  if (physical.features->has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME)) info.flags |= VMA_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT;
  check(vmaCreateAllocator(&info, &allocator_), "vmaCreateAllocator");
}

Memory::~Memory() { vmaDestroyAllocator(allocator_); }

Allocation Memory::allocate(const std::string& name, VkDeviceSize bytes, VkBufferUsageFlags usage, Home home) {
  if (bytes > device_.physical().maxBufferBytes()) outOfMemory(name, bytes);
  VkBufferCreateInfo buffer{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  buffer.size = bytes;
  buffer.usage = usage;
  VmaAllocationCreateInfo info{};
  info.flags = VMA_ALLOCATION_CREATE_WITHIN_BUDGET_BIT;
  if (home == Home::host || shared_)
    info.flags |= VMA_ALLOCATION_CREATE_MAPPED_BIT | VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT;
  if (home == Home::device && shared_) info.flags |= VMA_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT;
  info.usage = home == Home::host ? VMA_MEMORY_USAGE_AUTO_PREFER_HOST : VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE;

  Allocation made;
  VmaAllocationInfo where{};
  const VkResult result = vmaCreateBuffer(allocator_, &buffer, &info, &made.buffer, &made.memory, &where);
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) outOfMemory(name, bytes);
  device_.check(result, "vmaCreateBuffer of " + name);
  VkMemoryPropertyFlags flags = 0;
  vmaGetAllocationMemoryProperties(allocator_, made.memory, &flags);
  made.mapped = where.pMappedData;
  made.cached = made.mapped != nullptr && (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
  device_.name(VK_OBJECT_TYPE_BUFFER, reinterpret_cast<uint64_t>(made.buffer), name);
  return made;
}

void Memory::free(Allocation& allocation) {
  vmaDestroyBuffer(allocator_, allocation.buffer, allocation.memory);
  allocation = {};
}

void Memory::flush(const Allocation& allocation, VkDeviceSize offset, VkDeviceSize bytes) {
  device_.check(vmaFlushAllocation(allocator_, allocation.memory, offset, bytes), "vmaFlushAllocation");
}

void Memory::invalidate(const Allocation& allocation, VkDeviceSize offset, VkDeviceSize bytes) {
  device_.check(vmaInvalidateAllocation(allocator_, allocation.memory, offset, bytes), "vmaInvalidateAllocation");
}

Memory::Use Memory::use() const {
  VmaBudget heaps[VK_MAX_MEMORY_HEAPS];
  vmaGetHeapBudgets(allocator_, heaps);
  const VkPhysicalDeviceMemoryProperties* properties = nullptr;
  vmaGetMemoryProperties(allocator_, &properties);
  Use sum{0, 0};
  for (uint32_t i = 0; i < properties->memoryHeapCount; ++i) {
    if ((properties->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0) continue;
    sum.budget += heaps[i].budget;
    sum.usage += heaps[i].usage;
  }
  return sum;
}

void Memory::outOfMemory(const std::string& name, VkDeviceSize bytes) const {
  const Use now = use();
  const VkDeviceSize left = now.budget - std::min(now.budget, now.usage);
  throw Error("OUT_OF_MEMORY", "buffer " + name + " needs " + megabytes(bytes) + "; of the device's memory " + megabytes(left) +
                                   " are left, and one buffer may have " + megabytes(device_.physical().maxBufferBytes()));
}

}  // namespace vkpn
