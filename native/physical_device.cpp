// Queries of properties, queues, memory and matrix shapes.
#include "physical_device.h"

#include "error.h"

#include <algorithm>

namespace vkpn {
namespace {

/** Enumerates `T`s (with their sType) by the usual two calls; none where the loader doesn't know the function. */
template <class T, class Function>
std::vector<T> enumerate(VkPhysicalDevice device, Function function, VkStructureType type, const char* what) {
  if (function == nullptr) return {};
  uint32_t count = 0;
  check(function(device, &count, nullptr), what);
  T empty{};
  empty.sType = type;
  std::vector<T> list(count, empty);
  check(function(device, &count, list.data()), what);
  list.resize(count);
  return list;
}

}  // namespace

PhysicalDevice::PhysicalDevice(const Instance& instance, VkPhysicalDevice device) : handle(device) {
  vkGetPhysicalDeviceProperties(device, &properties);
  apiVersion = std::min(instance.apiVersion(), properties.apiVersion);
  features = std::make_unique<Features>(device, apiVersion);
  queryProperties();
  queryQueueFamily();
  queryMemory();
  queryShapes();
}

void PhysicalDevice::queryProperties() {
  VkPhysicalDeviceProperties2 all{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  void** tail = &all.pNext;
  const auto ask = [&](auto& part) {
    *tail = &part;
    tail = &part.pNext;
  };
  ask(id);
  ask(subgroup);
  ask(maintenance3);
  if (apiVersion >= VK_API_VERSION_1_2 || features->has(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) ask(driver);
  if (apiVersion >= VK_API_VERSION_1_3 || features->has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) ask(subgroupSizes);
  if (apiVersion >= VK_API_VERSION_1_3 || features->has(VK_KHR_MAINTENANCE_4_EXTENSION_NAME)) ask(maintenance4);
  vkGetPhysicalDeviceProperties2(handle, &all);
  if (subgroupSizes.minSubgroupSize == 0) subgroupSizes.minSubgroupSize = subgroupSizes.maxSubgroupSize = subgroup.subgroupSize;
}

VkDeviceSize PhysicalDevice::maxBufferBytes() const {
  const VkDeviceSize allocation = maintenance3.maxMemoryAllocationSize;
  return maintenance4.maxBufferSize == 0 ? allocation : std::min(allocation, maintenance4.maxBufferSize);
}

void PhysicalDevice::queryQueueFamily() {
  uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families.data());
  for (uint32_t i = 0; i < count; ++i) {
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) continue;
    queueFamily = i;
    timestampValidBits = families[i].timestampValidBits;
    return;
  }
  throw Error("UNSUPPORTED", std::string(properties.deviceName) + " has no compute queue");
}

void PhysicalDevice::queryMemory() {
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  const bool hasBudget = features->has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (hasBudget) memory.pNext = &budget;
  vkGetPhysicalDeviceMemoryProperties2(handle, &memory);
  memoryBytes = memoryBudget = 0;
  for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0) continue;
    memoryBytes += heap.size;
    memoryBudget += hasBudget ? budget.heapBudget[i] - std::min(budget.heapUsage[i], budget.heapBudget[i]) : heap.size;
  }
}

void PhysicalDevice::queryShapes() {
  if (features->khrMatrix.cooperativeMatrix) {
    for (const auto& s : enumerate<VkCooperativeMatrixPropertiesKHR>(handle, vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR,
                                                                     VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR,
                                                                     "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR")) {
      khrShapes.push_back({s.MSize, s.NSize, s.KSize, s.AType, s.BType, s.CType, s.ResultType, s.scope, 0});
    }
  }
  if (features->nvMatrix.cooperativeMatrix) {
    for (const auto& s : enumerate<VkCooperativeMatrixPropertiesNV>(handle, vkGetPhysicalDeviceCooperativeMatrixPropertiesNV,
                                                                    VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV,
                                                                    "vkGetPhysicalDeviceCooperativeMatrixPropertiesNV")) {
      nvShapes.push_back({s.MSize, s.NSize, s.KSize, s.AType, s.BType, s.CType, s.DType, s.scope, 0});
    }
  }
  if (features->nvMatrix2.cooperativeMatrixFlexibleDimensions) {
    for (const auto& s : enumerate<VkCooperativeMatrixFlexibleDimensionsPropertiesNV>(
             handle, vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV,
             VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV,
             "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV")) {
      nv2Shapes.push_back({s.MGranularity, s.NGranularity, s.KGranularity, s.AType, s.BType, s.CType, s.ResultType, s.scope,
                           s.workgroupInvocations});
    }
  }
}

}  // namespace vkpn
