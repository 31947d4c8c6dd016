// DeviceInfo of ts/gpu/types.ts.
#pragma once
#include "physical_device.h"

#include <napi.h>

namespace vkpn {

Napi::Object deviceInfo(Napi::Env env, const PhysicalDevice& device, uint32_t index);

}  // namespace vkpn
