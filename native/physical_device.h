// What can be known about a device before it is opened.
#pragma once
#include "features.h"
#include "instance.h"
#include "vulkan.h"

#include <memory>
#include <string>
#include <vector>

namespace vkpn {

/** One supported product of a cooperative-matrix extension; invocations 0 where the extension has no such number. */
struct MatrixShape {
  uint32_t m, n, k;
  VkComponentTypeKHR a, b, c, result;
  VkScopeKHR scope;
  uint32_t invocations;
};

/** A physical device with everything DeviceInfo tells of it. */
struct PhysicalDevice {
  PhysicalDevice(const Instance& instance, VkPhysicalDevice device);

  VkPhysicalDevice handle;
  uint32_t apiVersion;  ///< min(instance, device)
  VkPhysicalDeviceProperties properties;
  VkPhysicalDeviceIDProperties id{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceSubgroupSizeControlProperties subgroupSizes{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
  VkPhysicalDeviceMaintenance3Properties maintenance3{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceMaintenance4Properties maintenance4{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
  std::unique_ptr<Features> features;
  uint32_t queueFamily;  ///< the one programs run on
  uint32_t timestampValidBits;
  VkDeviceSize memoryBytes;   ///< of the device-local heaps
  VkDeviceSize memoryBudget;  ///< of those, what this process may use
  std::vector<MatrixShape> khrShapes, nvShapes, nv2Shapes;

  /** The largest single buffer. */
  VkDeviceSize maxBufferBytes() const;

private:
  void queryProperties();
  void queryQueueFamily();
  void queryMemory();
  void queryShapes();
};

}  // namespace vkpn
