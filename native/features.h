// Which optional features and extensions a device has: one chain of structures that serves the query and the creation.
#pragma once
#include "vulkan.h"

#include <set>
#include <string>
#include <vector>

namespace vkpn {

/** What is present is enabled: query once, hand the same chain to vkCreateDevice. Not copyable, the chain points into it. */
class Features {
public:
  /** apiVersion: min(instance, device). */
  Features(VkPhysicalDevice device, uint32_t apiVersion);
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;

  /** Whether the device's driver lists the extension. */
  bool has(const char* extension) const { return listed_.count(extension) != 0; }
  /** Extensions to enable with the chain. */
  const std::vector<const char*>& extensions() const { return enabled_; }
  const void* chain() const { return &core; }

  VkPhysicalDeviceFeatures2 core{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDevice16BitStorageFeatures storage16{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
  VkPhysicalDevice8BitStorageFeatures storage8{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES};
  VkPhysicalDeviceShaderFloat16Int8Features float16{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
  VkPhysicalDeviceVulkanMemoryModelFeatures memoryModel{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
  VkPhysicalDeviceScalarBlockLayoutFeatures scalarLayout{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SCALAR_BLOCK_LAYOUT_FEATURES};
  VkPhysicalDeviceShaderSubgroupExtendedTypesFeatures subgroupTypes{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SUBGROUP_EXTENDED_TYPES_FEATURES};
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroupSize{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
  VkPhysicalDeviceMaintenance4Features maintenance4{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES};
  VkPhysicalDeviceWorkgroupMemoryExplicitLayoutFeaturesKHR workgroupLayout{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_WORKGROUP_MEMORY_EXPLICIT_LAYOUT_FEATURES_KHR};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR khrMatrix{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
  VkPhysicalDeviceCooperativeMatrixFeaturesNV nvMatrix{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
  VkPhysicalDeviceCooperativeMatrix2FeaturesNV nvMatrix2{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV};
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};

private:
  template <class T>
  void use(T& features, const char* extension, uint32_t coreSince);
  void enable(const char* extension, uint32_t coreSince);
  void dropUnwanted();

  uint32_t apiVersion_;
  std::set<std::string> listed_;
  std::vector<const char*> enabled_;
  void** tail_ = &core.pNext;
};

}  // namespace vkpn
