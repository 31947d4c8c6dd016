// AsyncWorkers that settle a promise, with the error's code where they fail.
#include "workers.h"

#include "device_info.h"
#include "handles.h"
#include "js.h"

namespace vkpn {
namespace {

class Worker : public Napi::AsyncWorker {
public:
  explicit Worker(Napi::Env env) : AsyncWorker(env, "vkpn"), deferred_(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

protected:
  virtual void work() = 0;
  /** On the JavaScript thread, before the promise is settled. */
  virtual void finish() {}
  virtual Napi::Value result(Napi::Env env) = 0;

private:
  void Execute() override {
    try {
      work();
    } catch (const Error& e) {
      code_ = e.code;
      SetError(e.what());
    }  // anything else AsyncWorker catches itself
  }
  void OnOK() override {
    finish();
    deferred_.Resolve(result(Env()));
  }
  void OnError(const Napi::Error& error) override {
    finish();
    error.Set("code", Napi::String::New(Env(), code_));
    deferred_.Reject(error.Value());
  }
  Napi::Promise::Deferred deferred_;
  std::string code_ = "VULKAN";
};

class ListWorker : public Worker {
public:
  explicit ListWorker(Napi::Env env) : Worker(env) {}

private:
  void work() override {
    // Never freed: this thread lives to the end of the process, and what drivers have it do then must still be loaded.
    static const auto* const kept = new std::shared_ptr<Instance>(Instance::get());
    for (VkPhysicalDevice device : (*kept)->physicalDevices()) devices_.emplace_back(**kept, device);
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Array list = Napi::Array::New(env, devices_.size());
    for (uint32_t i = 0; i < devices_.size(); ++i) list.Set(i, deviceInfo(env, devices_[i], i));
    return list;
  }
  std::vector<PhysicalDevice> devices_;
};

class OpenWorker : public Worker {
public:
  OpenWorker(Napi::Env env, uint32_t index) : Worker(env), index_(index) {}

private:
  void work() override { device_ = Device::open(Instance::get(), index_); }
  Napi::Value result(Napi::Env env) override { return toHandle(env, std::move(device_)); }
  uint32_t index_;
  std::shared_ptr<Device> device_;
};

class KernelWorker : public Worker {
public:
  KernelWorker(Napi::Env env, std::shared_ptr<Device> device, KernelDesc desc)
      : Worker(env), device_(std::move(device)), desc_(std::move(desc)) {}

private:
  void work() override { kernel_ = std::make_shared<Kernel>(device_, desc_); }
  Napi::Value result(Napi::Env env) override { return toHandle(env, std::move(kernel_)); }
  std::shared_ptr<Device> device_;
  KernelDesc desc_;
  std::shared_ptr<Kernel> kernel_;
};

class RunWorker : public Worker {
public:
  RunWorker(Napi::Env env, std::shared_ptr<Program> program, const RunOptions& options,
            std::shared_ptr<std::atomic<bool>> interrupted)
      : Worker(env), program_(std::move(program)), options_(options), interrupted_(std::move(interrupted)) {
    for (const auto& buffer : program_->buffers()) ++buffer->users;
  }

private:
  void work() override { result_ = program_->run(options_, *interrupted_); }
  void finish() override {
    for (const auto& buffer : program_->buffers()) --buffer->users;
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object o = Napi::Object::New(env);
    o.Set("done", static_cast<double>(result_.done));
    o.Set("seconds", result_.seconds);
    if (options_.timestamps) {
      o.Set("opNs", numbers(env, result_.opNs));
      o.Set("repeatNs", numbers(env, result_.repeatNs));
    }
    return o;
  }
  static Napi::Array numbers(Napi::Env env, const std::vector<double>& values) {
    Napi::Array array = Napi::Array::New(env, values.size());
    for (uint32_t i = 0; i < values.size(); ++i) array.Set(i, values[i]);
    return array;
  }
  std::shared_ptr<Program> program_;
  RunOptions options_;
  std::shared_ptr<std::atomic<bool>> interrupted_;
  RunResult result_;
};

class ReadWorker : public Worker {
public:
  ReadWorker(Napi::Env env, std::shared_ptr<Buffer> buffer, VkDeviceSize offset, size_t bytes)
      : Worker(env), buffer_(std::move(buffer)), offset_(offset), bytes_(bytes) {
    auto array = Napi::Uint8Array::New(env, bytes);
    ++buffer_->users;
    data_ = array.Data();
    array_ = Napi::Persistent(array);
  }

private:
  void work() override { buffer_->read(offset_, data_, bytes_); }
  void finish() override { --buffer_->users; }
  Napi::Value result(Napi::Env) override { return array_.Value(); }
  std::shared_ptr<Buffer> buffer_;
  VkDeviceSize offset_;
  size_t bytes_;
  uint8_t* data_;  ///< of array_, which keeps it alive
  Napi::Reference<Napi::Uint8Array> array_;
};

}  // namespace

Napi::Promise startList(Napi::Env env) {
  auto* worker = new ListWorker(env);  // deletes itself when done
  worker->Queue();
  return worker->promise();
}

Napi::Promise startOpen(Napi::Env env, uint32_t index) {
  auto* worker = new OpenWorker(env, index);  // deletes itself when done
  worker->Queue();
  return worker->promise();
}

Napi::Promise startKernel(Napi::Env env, std::shared_ptr<Device> device, KernelDesc desc) {
  device->requireUsable();
  auto* worker = new KernelWorker(env, std::move(device), std::move(desc));  // deletes itself when done
  worker->Queue();
  return worker->promise();
}

Napi::Promise startRun(Napi::Env env, std::shared_ptr<Program> program, const RunOptions& options,
                       std::shared_ptr<std::atomic<bool>> interrupted) {
  program->device().requireUsable();
  auto* worker = new RunWorker(env, std::move(program), options, std::move(interrupted));  // deletes itself when done
  worker->Queue();
  return worker->promise();
}

Napi::Promise startRead(Napi::Env env, std::shared_ptr<Buffer> buffer, VkDeviceSize offset, size_t bytes) {
  auto* worker = new ReadWorker(env, std::move(buffer), offset, bytes);  // deletes itself when done
  worker->Queue();
  return worker->promise();
}

}  // namespace vkpn
