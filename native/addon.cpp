// The addon's functions, as ts/gpu/native.ts declares them. Arguments were checked there; here only handles are.
#include "buffer.h"
#include "device.h"
#include "device_info.h"
#include "handles.h"
#include "js.h"
#include "kernel.h"
#include "program.h"
#include "workers.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vkpn {

namespace {

/** Keeps the Vulkan instance between calls; and so drivers loaded, which is what takes time. */
struct AddonData {
  std::shared_ptr<Instance> instance;
};

std::shared_ptr<Instance> instanceOf(Napi::Env env) {
  auto* data = env.GetInstanceData<AddonData>();
  if (!data->instance) data->instance = Instance::get();
  return data->instance;
}

std::string text(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }
uint64_t count(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }
uint32_t word(const Napi::Value& value) { return value.As<Napi::Number>().Uint32Value(); }
bool flag(const Napi::Value& value) { return value.As<Napi::Boolean>().Value(); }
std::vector<uint8_t> bytes(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.Data() + array.ByteLength()};
}
std::vector<uint32_t> words(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

Napi::Value listDevices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto instance = instanceOf(env);
  const auto devices = instance->physicalDevices();
  Napi::Array list = Napi::Array::New(env, devices.size());
  for (uint32_t i = 0; i < devices.size(); ++i) list.Set(i, deviceInfo(env, PhysicalDevice(*instance, devices[i]), i));
  return list;
}

Napi::Value openDevice(const Napi::CallbackInfo& info) {
  return toHandle(info.Env(), Device::open(instanceOf(info.Env()), word(info[0])));
}

/** listDevices on a thread. */
Napi::Value findDevices(const Napi::CallbackInfo& info) { return startList(info.Env()); }

/** openDevice on a thread. */
Napi::Value startDevice(const Napi::CallbackInfo& info) { return startOpen(info.Env(), word(info[0])); }

Napi::Value closeDevice(const Napi::CallbackInfo& info) {
  fromHandle<Device>(info[0])->close();
  return info.Env().Undefined();
}

Napi::Value interrupt(const Napi::CallbackInfo& info) {
  const auto device = fromHandle<Device>(info[0]);
  if (device->interrupted) *device->interrupted = true;
  return info.Env().Undefined();
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const auto device = fromHandle<Device>(info[0]);
  device->requireUsable();
  const Memory::Use use = device->memory().use();
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("budget", static_cast<double>(use.budget));
  o.Set("usage", static_cast<double>(use.usage));
  return o;
}

Napi::Value validationMessages(const Napi::CallbackInfo& info) {
  const auto messages = fromHandle<Device>(info[0])->instance().takeMessages();
  Napi::Array list = Napi::Array::New(info.Env(), messages.size());
  for (uint32_t i = 0; i < messages.size(); ++i) list.Set(i, messages[i]);
  return list;
}

Napi::Value pipelineCacheData(const Napi::CallbackInfo& info) {
  const auto device = fromHandle<Device>(info[0]);
  device->requireUsable();
  const auto data = device->pipelineCache().data();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), data.data(), data.size());
}

Napi::Value mergePipelineCache(const Napi::CallbackInfo& info) {
  const auto device = fromHandle<Device>(info[0]);
  device->requireUsable();
  return Napi::Boolean::New(info.Env(), device->pipelineCache().merge(bytes(info[1])));
}

Napi::Value createBuffer(const Napi::CallbackInfo& info) {
  return toHandle(info.Env(), std::make_shared<Buffer>(fromHandle<Device>(info[0]), text(info[1]), count(info[2]), flag(info[3]),
                                                       flag(info[4])));
}

Napi::Value writeBuffer(const Napi::CallbackInfo& info) {
  const auto data = info[1].As<Napi::Uint8Array>();
  fromHandle<Buffer>(info[0])->write(count(info[2]), data.Data(), data.ByteLength());
  return info.Env().Undefined();
}

Napi::Value fillBuffer(const Napi::CallbackInfo& info) {
  fromHandle<Buffer>(info[0])->fill(count(info[2]), word(info[1]), count(info[3]));
  return info.Env().Undefined();
}

Napi::Value readBuffer(const Napi::CallbackInfo& info) {
  return startRead(info.Env(), fromHandle<Buffer>(info[0]), count(info[1]), count(info[2]));
}

Napi::Value destroyBuffer(const Napi::CallbackInfo& info) {
  ownerOf<Buffer>(info[0]).reset();
  return info.Env().Undefined();
}

KernelDesc toKernelDesc(const Napi::Object& o) {
  KernelDesc desc;
  desc.name = text(o.Get("name"));
  const auto code = bytes(o.Get("spirv"));
  desc.spirv.resize(code.size() / sizeof(uint32_t));
  std::memcpy(desc.spirv.data(), code.data(), desc.spirv.size() * sizeof(uint32_t));
  for (uint32_t uniform : words(o.Get("uniform"))) {
    desc.bindings.push_back(uniform != 0 ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
  }
  desc.pushBytes = word(o.Get("pushBytes"));
  desc.specIds = words(o.Get("specIds"));
  desc.specValues = words(o.Get("specValues"));
  desc.subgroupSize = word(o.Get("subgroupSize"));
  desc.fullSubgroups = flag(o.Get("fullSubgroups"));
  return desc;
}

Napi::Value createKernel(const Napi::CallbackInfo& info) {
  return toHandle(info.Env(), std::make_shared<Kernel>(fromHandle<Device>(info[0]), toKernelDesc(info[1].As<Napi::Object>())));
}

/** The same on a thread. */
Napi::Value buildKernel(const Napi::CallbackInfo& info) {
  return startKernel(info.Env(), fromHandle<Device>(info[0]), toKernelDesc(info[1].As<Napi::Object>()));
}

Op toOp(const Napi::Object& o) {
  Op op;
  op.kind = static_cast<Op::Kind>(word(o.Get("kind")));
  if (op.kind == Op::Kind::barrier) return op;
  const auto views = o.Get("views").As<Napi::Array>();
  for (uint32_t i = 0; i < views.Length(); ++i) {
    const auto view = views.Get(i).As<Napi::Object>();
    op.views.push_back({fromHandle<Buffer>(view.Get("buffer")), count(view.Get("offset")), count(view.Get("bytes"))});
  }
  if (op.kind == Op::Kind::fill) {
    op.value = word(o.Get("value"));
  } else {
    op.lead = word(o.Get("lead"));
  }
  if (op.kind == Op::Kind::dispatch) {
    op.kernel = fromHandle<Kernel>(o.Get("kernel"));
    op.label = text(o.Get("label"));
    op.push = bytes(o.Get("push"));
    const auto groups = o.Get("groups").As<Napi::Array>();
    for (uint32_t i = 0; i < 3; ++i) op.groups[i] = word(groups.Get(i));
  }
  return op;
}

Napi::Value createProgram(const Napi::CallbackInfo& info) {
  const auto list = info[2].As<Napi::Array>();
  std::vector<Op> ops;
  for (uint32_t i = 0; i < list.Length(); ++i) ops.push_back(toOp(list.Get(i).As<Napi::Object>()));
  return toHandle(info.Env(), std::make_shared<Program>(fromHandle<Device>(info[0]), text(info[1]), std::move(ops)));
}

Napi::Value runProgram(const Napi::CallbackInfo& info) {
  auto program = fromHandle<Program>(info[0]);
  RunOptions options;
  options.repeats = count(info[1]);
  options.timestamps = flag(info[2]);
  options.submitMs = info[3].As<Napi::Number>().DoubleValue();
  options.maxPerSubmit = count(info[4]);
  auto interrupted = program->device().interrupted = std::make_shared<std::atomic<bool>>(false);
  return startRun(info.Env(), std::move(program), options, std::move(interrupted));
}

Napi::Value destroyProgram(const Napi::CallbackInfo& info) {
  ownerOf<Program>(info[0]).reset();
  return info.Env().Undefined();
}

/** Ends the process as it stands: no destructor of a driver runs, nor of anything else. */
Napi::Value leave(const Napi::CallbackInfo& info) {
  std::fflush(nullptr);
  std::_Exit(info[0].As<Napi::Number>().Int32Value());
}

/** Exports `body` under `name`, its errors translated. */
template <Napi::Value (*body)(const Napi::CallbackInfo&)>
void expose(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(
                        exports.Env(),
                        [](const Napi::CallbackInfo& info) { return guard(info.Env(), [&] { return body(info); }); }, name));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonData);
  expose<listDevices>(exports, "listDevices");
  expose<openDevice>(exports, "openDevice");
  expose<findDevices>(exports, "findDevices");
  expose<startDevice>(exports, "startDevice");
  expose<closeDevice>(exports, "closeDevice");
  expose<interrupt>(exports, "interrupt");
  expose<memory>(exports, "memory");
  expose<validationMessages>(exports, "validationMessages");
  expose<pipelineCacheData>(exports, "pipelineCacheData");
  expose<mergePipelineCache>(exports, "mergePipelineCache");
  expose<createBuffer>(exports, "createBuffer");
  expose<writeBuffer>(exports, "writeBuffer");
  expose<fillBuffer>(exports, "fillBuffer");
  expose<readBuffer>(exports, "readBuffer");
  expose<destroyBuffer>(exports, "destroyBuffer");
  expose<createKernel>(exports, "createKernel");
  expose<buildKernel>(exports, "buildKernel");
  expose<createProgram>(exports, "createProgram");
  expose<runProgram>(exports, "runProgram");
  expose<destroyProgram>(exports, "destroyProgram");
  expose<leave>(exports, "leave");
  return exports;
}

}  // namespace
}  // namespace vkpn

static Napi::Object initVkpn(Napi::Env env, Napi::Object exports) { return vkpn::init(env, exports); }
NODE_API_MODULE(vkpn, initVkpn)
