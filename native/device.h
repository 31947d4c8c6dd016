// An open device: queue, function table, memory, pipeline cache. Everything else belongs to one.
#pragma once
#include "handle.h"
#include "instance.h"
#include "memory.h"
#include "physical_device.h"
#include "pipeline_cache.h"
#include "vulkan.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace vkpn {

class Transfer;

/** Something that lives on a device; `release` frees its Vulkan objects and may be called any number of times. */
class Resource {
public:
  virtual ~Resource() = default;
  virtual void release() = 0;
};

class Device : public std::enable_shared_from_this<Device> {
public:
  /** Opens the index-th device of `instance`, with everything enabled that it has. Throws NO_SUCH_DEVICE, VULKAN. */
  static std::shared_ptr<Device> open(std::shared_ptr<Instance> instance, size_t index);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /** Waits for the device and frees it and everything on it. Later use throws CLOSED. */
  void close();
  /** Throws CLOSED or, once the device is lost, DEVICE_LOST. */
  void requireUsable() const;
  /** As vkpn::check, and remembers a lost device. */
  void check(VkResult result, const std::string& what);

  VkDevice handle() const { return device_.get(); }
  const PhysicalDevice& physical() const { return *physical_; }
  Instance& instance() const { return *instance_; }
  Memory& memory() { return *memory_; }
  Transfer& transfer() { return *transfer_; }
  PipelineCache& pipelineCache() { return *pipelineCache_; }

  /** Submits to the one queue; safe from any thread. */
  void submit(VkCommandBuffer commands, VkFence fence, const std::string& what);
  /** Call before so many repetitions of a program are submitted: VKPN_LOSE_DEVICE=N loses the device in the N-th, as a driver
   * does. */
  void countRepetitions(uint32_t repeats);
  void wait(VkFence fence, const std::string& what);
  /** Waits for everything submitted; never throws. */
  void waitIdle();
  Handle<VkFence> makeFence();
  Handle<VkCommandPool> makeCommandPool();
  VkCommandBuffer allocateCommands(VkCommandPool pool);
  /** Gives an object a name in validation messages and debuggers. */
  void name(VkObjectType type, uint64_t object, const std::string& text);

  void add(Resource* resource);
  void remove(Resource* resource);

  VolkDeviceTable vk{};
  /** Set it to end the current run early; the JavaScript thread's. */
  std::shared_ptr<std::atomic<bool>> interrupted;

private:
  Device(std::shared_ptr<Instance> instance, VkPhysicalDevice device);
  void create();

  std::shared_ptr<Instance> instance_;
  std::unique_ptr<PhysicalDevice> physical_;
  Handle<VkDevice> device_;
  VkQueue queue_ = VK_NULL_HANDLE;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<PipelineCache> pipelineCache_;
  std::unique_ptr<Transfer> transfer_;
  std::mutex queueMutex_;
  std::mutex resourcesMutex_;
  std::set<Resource*> resources_;
  std::atomic<bool> lost_{false};
  const uint64_t loseAt_;  ///< 0: never
  uint64_t repetitions_ = 0;
};

}  // namespace vkpn
