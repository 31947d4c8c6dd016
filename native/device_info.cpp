// A device's description as a JavaScript object; the names are those of ts/gpu/types.ts.
#include "device_info.h"

#include <string>

namespace vkpn {
namespace {

const char* typeName(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return "cpu";
    default:
      return "other";
  }
}

const char* componentName(VkComponentTypeKHR type) {
  constexpr const char* kNames[] = {"f16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"};
  const auto i = static_cast<uint32_t>(type);
  return i < std::size(kNames) ? kNames[i] : "other";
}

const char* scopeName(VkScopeKHR scope) {
  switch (scope) {
    case VK_SCOPE_DEVICE_KHR:
      return "device";
    case VK_SCOPE_WORKGROUP_KHR:
      return "workgroup";
    case VK_SCOPE_QUEUE_FAMILY_KHR:
      return "queuefamily";
    default:
      return "subgroup";
  }
}

std::string hex(const uint8_t* bytes, size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) text += {kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]};
  return text;
}

std::string version(uint32_t v) {
  return std::to_string(VK_API_VERSION_MAJOR(v)) + "." + std::to_string(VK_API_VERSION_MINOR(v)) + "." +
         std::to_string(VK_API_VERSION_PATCH(v));
}

Napi::Array shapes(Napi::Env env, const std::vector<MatrixShape>& list) {
  Napi::Array array = Napi::Array::New(env, list.size());
  for (uint32_t i = 0; i < list.size(); ++i) {
    const MatrixShape& s = list[i];
    Napi::Object o = Napi::Object::New(env);
    o.Set("m", s.m);
    o.Set("n", s.n);
    o.Set("k", s.k);
    o.Set("a", componentName(s.a));
    o.Set("b", componentName(s.b));
    o.Set("c", componentName(s.c));
    o.Set("result", componentName(s.result));
    o.Set("scope", scopeName(s.scope));
    if (s.invocations != 0) o.Set("workgroupInvocations", s.invocations);
    array.Set(i, o);
  }
  return array;
}

Napi::Array triple(Napi::Env env, const uint32_t (&v)[3]) {
  Napi::Array array = Napi::Array::New(env, 3);
  for (uint32_t i = 0; i < 3; ++i) array.Set(i, v[i]);
  return array;
}

Napi::Object limits(Napi::Env env, const PhysicalDevice& device) {
  const VkPhysicalDeviceLimits& l = device.properties.limits;
  Napi::Object o = Napi::Object::New(env);
  o.Set("maxStorageBufferRange", l.maxStorageBufferRange);
  o.Set("maxUniformBufferRange", l.maxUniformBufferRange);
  o.Set("maxPushConstantsSize", l.maxPushConstantsSize);
  o.Set("maxComputeSharedMemorySize", l.maxComputeSharedMemorySize);
  o.Set("maxComputeWorkGroupInvocations", l.maxComputeWorkGroupInvocations);
  o.Set("maxComputeWorkGroupSize", triple(env, l.maxComputeWorkGroupSize));
  o.Set("maxComputeWorkGroupCount", triple(env, l.maxComputeWorkGroupCount));
  o.Set("minStorageBufferOffsetAlignment", static_cast<double>(l.minStorageBufferOffsetAlignment));
  o.Set("minUniformBufferOffsetAlignment", static_cast<double>(l.minUniformBufferOffsetAlignment));
  o.Set("timestampPeriodNs", l.timestampPeriod);
  o.Set("timestampValidBits", device.timestampValidBits);
  return o;
}

Napi::Object features(Napi::Env env, const PhysicalDevice& device) {
  const Features& f = *device.features;
  Napi::Object o = Napi::Object::New(env);
  o.Set("shaderFloat16", f.float16.shaderFloat16 == VK_TRUE);
  o.Set("storageBuffer16BitAccess", f.storage16.storageBuffer16BitAccess == VK_TRUE);
  o.Set("vulkanMemoryModel", f.memoryModel.vulkanMemoryModel == VK_TRUE);
  o.Set("khrCooperativeMatrix", f.khrMatrix.cooperativeMatrix == VK_TRUE);
  o.Set("nvCooperativeMatrix", f.nvMatrix.cooperativeMatrix == VK_TRUE);
  const auto& nv2 = f.nvMatrix2;
  const bool any =
      nv2.cooperativeMatrixFlexibleDimensions || nv2.cooperativeMatrixConversions || nv2.cooperativeMatrixWorkgroupScope;
  o.Set("nvCooperativeMatrix2", env.Null());
  if (any) {
    Napi::Object second = Napi::Object::New(env);
    second.Set("flexibleDimensions", nv2.cooperativeMatrixFlexibleDimensions == VK_TRUE);
    second.Set("conversions", nv2.cooperativeMatrixConversions == VK_TRUE);
    second.Set("workgroupScope", nv2.cooperativeMatrixWorkgroupScope == VK_TRUE);
    o.Set("nvCooperativeMatrix2", second);
  }
  return o;
}

Napi::Object subgroup(Napi::Env env, const PhysicalDevice& device) {
  const auto& f = device.features->subgroupSize;
  Napi::Object o = Napi::Object::New(env);
  o.Set("size", device.subgroup.subgroupSize);
  o.Set("min", device.subgroupSizes.minSubgroupSize);
  o.Set("max", device.subgroupSizes.maxSubgroupSize);
  o.Set("sizeControl",
        f.subgroupSizeControl == VK_TRUE && (device.subgroupSizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0);
  o.Set("fullSubgroups", f.computeFullSubgroups == VK_TRUE);
  o.Set("shuffle", (device.subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0 &&
                       (device.subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0);
  return o;
}

}  // namespace

Napi::Object deviceInfo(Napi::Env env, const PhysicalDevice& device, uint32_t index) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("index", index);
  o.Set("name", device.properties.deviceName);
  o.Set("type", typeName(device.properties.deviceType));
  o.Set("vendorId", device.properties.vendorID);
  o.Set("deviceId", device.properties.deviceID);
  o.Set("deviceUuid", hex(device.id.deviceUUID, VK_UUID_SIZE));
  o.Set("driverUuid", hex(device.id.driverUUID, VK_UUID_SIZE));
  o.Set("driverName", device.driver.driverName);
  o.Set("driverInfo", device.driver.driverInfo);
  o.Set("driverVersion", device.properties.driverVersion);
  o.Set("apiVersion", version(device.properties.apiVersion));
  o.Set("memoryBytes", static_cast<double>(device.memoryBytes));
  o.Set("memoryBudget", static_cast<double>(device.memoryBudget));
  o.Set("subgroup", subgroup(env, device));
  o.Set("limits", limits(env, device));
  o.Set("features", features(env, device));
  Napi::Object matrixShapes = Napi::Object::New(env);
  matrixShapes.Set("khr", shapes(env, device.khrShapes));
  matrixShapes.Set("nv", shapes(env, device.nvShapes));
  matrixShapes.Set("nv2", shapes(env, device.nv2Shapes));
  o.Set("matrixShapes", matrixShapes);
  return o;
}

}  // namespace vkpn
