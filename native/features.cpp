// The feature chain: structures only for extensions that the driver lists or its version includes.
#include "features.h"

#include "error.h"

#include <cstdlib>
#include <limits>

namespace vkpn {
namespace {
constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();  // in no core version that we ask for

std::set<std::string> listExtensions(VkPhysicalDevice device) {
  uint32_t count = 0;
  check(vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr), "vkEnumerateDeviceExtensionProperties");
  std::vector<VkExtensionProperties> list(count);
  check(vkEnumerateDeviceExtensionProperties(device, nullptr, &count, list.data()), "vkEnumerateDeviceExtensionProperties");
  std::set<std::string> names;
  for (const auto& e : list) names.insert(e.extensionName);
  return names;
}
}  // namespace

void Features::enable(const char* extension, uint32_t coreSince) {
  if (has(extension) && apiVersion_ < coreSince) enabled_.push_back(extension);
}

template <class T>
void Features::use(T& features, const char* extension, uint32_t coreSince) {
  if (!has(extension) && apiVersion_ < coreSince) return;
  enable(extension, coreSince);
  *tail_ = &features;
  tail_ = &features.pNext;
}

Features::Features(VkPhysicalDevice device, uint32_t apiVersion) : apiVersion_(apiVersion), listed_(listExtensions(device)) {
  use(storage16, VK_KHR_16BIT_STORAGE_EXTENSION_NAME, VK_API_VERSION_1_1);
  use(storage8, VK_KHR_8BIT_STORAGE_EXTENSION_NAME, VK_API_VERSION_1_2);
  use(float16, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, VK_API_VERSION_1_2);
  use(memoryModel, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME, VK_API_VERSION_1_2);
  use(scalarLayout, VK_EXT_SCALAR_BLOCK_LAYOUT_EXTENSION_NAME, VK_API_VERSION_1_2);
  use(subgroupTypes, VK_KHR_SHADER_SUBGROUP_EXTENDED_TYPES_EXTENSION_NAME, VK_API_VERSION_1_2);
  use(subgroupSize, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, VK_API_VERSION_1_3);
  use(maintenance4, VK_KHR_MAINTENANCE_4_EXTENSION_NAME, VK_API_VERSION_1_3);
  use(workgroupLayout, VK_KHR_WORKGROUP_MEMORY_EXPLICIT_LAYOUT_EXTENSION_NAME, kNever);
  use(khrMatrix, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, kNever);
  use(nvMatrix, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME, kNever);
  // The second NV extension builds on the KHR one.
  if (has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME)) use(nvMatrix2, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME, kNever);
  if (std::getenv("VKPN_PIPELINE_STATISTICS") != nullptr)
    use(executables, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME, kNever);
  enable(VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME, VK_API_VERSION_1_2);
  if (has(VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME)) enable(VK_KHR_SPIRV_1_4_EXTENSION_NAME, VK_API_VERSION_1_2);
  enable(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, kNever);
  vkGetPhysicalDeviceFeatures2(device, &core);
  dropUnwanted();
}

void Features::dropUnwanted() {
  // Of the core features only what a compute shader may use; bounds checks (robustness) cost time and hide overruns.
  VkPhysicalDeviceFeatures wanted{};
  wanted.shaderFloat64 = core.features.shaderFloat64;
  wanted.shaderInt64 = core.features.shaderInt64;
  wanted.shaderInt16 = core.features.shaderInt16;
  core.features = wanted;
  khrMatrix.cooperativeMatrixRobustBufferAccess = VK_FALSE;
  nvMatrix.cooperativeMatrixRobustBufferAccess = VK_FALSE;
}

}  // namespace vkpn
