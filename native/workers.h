// What runs off the JavaScript thread: finding and opening devices, building a kernel, replaying a program, reading a buffer.
// Each owns what it uses.
#pragma once
#include "program.h"

#include <napi.h>

#include <atomic>
#include <memory>

namespace vkpn {

/** Starts to load the drivers, which stay loaded, and ask for their devices; the promise resolves to an array of DeviceInfo. */
Napi::Promise startList(Napi::Env env);

/** Starts to open the index-th device; the promise resolves to its handle. */
Napi::Promise startOpen(Napi::Env env, uint32_t index);

/** Starts to build a kernel; the promise resolves to its handle. The device stays open until then. Throws CLOSED. */
Napi::Promise startKernel(Napi::Env env, std::shared_ptr<Device> device, KernelDesc desc);

/** Starts a run; the promise resolves to RunResult. Its buffers count as in use until then. Throws CLOSED. */
Napi::Promise startRun(Napi::Env env, std::shared_ptr<Program> program, const RunOptions& options,
                       std::shared_ptr<std::atomic<bool>> interrupted);

/** Starts a read; the promise resolves to a Uint8Array. */
Napi::Promise startRead(Napi::Env env, std::shared_ptr<Buffer> buffer, VkDeviceSize offset, size_t bytes);

}  // namespace vkpn
