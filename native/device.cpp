// Opening, closing, submitting.
#include "device.h"

#include "error.h"
#include "transfer.h"

#include <cstdlib>
#include <limits>

namespace vkpn {
namespace {

uint64_t numberFromEnvironment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

}  // namespace

std::shared_ptr<Device> Device::open(std::shared_ptr<Instance> instance, size_t index) {
  const auto devices = instance->physicalDevices();
  if (index >= devices.size()) {
    throw Error("NO_SUCH_DEVICE",
                "there is no device " + std::to_string(index) + ": " + std::to_string(devices.size()) + " found");
  }
  std::shared_ptr<Device> device(new Device(std::move(instance), devices[index]));
  device->create();
  return device;
}

Device::Device(std::shared_ptr<Instance> instance, VkPhysicalDevice device)
    : instance_(std::move(instance)),
      physical_(std::make_unique<PhysicalDevice>(*instance_, device)),
      loseAt_(numberFromEnvironment("VKPN_LOSE_DEVICE")) {}

void Device::create() {
  const float priority = 1.0F;
  VkDeviceQueueCreateInfo queue{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  queue.queueFamilyIndex = physical_->queueFamily;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  const auto& extensions = physical_->features->extensions();
  VkDeviceCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
  info.pNext = physical_->features->chain();
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  VkDevice made = VK_NULL_HANDLE;
  check(vkCreateDevice(physical_->handle, &info, nullptr, &made),
        std::string("vkCreateDevice on ") + physical_->properties.deviceName);
  volkLoadDeviceTable(&vk, made);
  device_ = {made, [destroy = vk.vkDestroyDevice](VkDevice d) { destroy(d, nullptr); }};
  vk.vkGetDeviceQueue(made, physical_->queueFamily, 0, &queue_);
  memory_ = std::make_unique<Memory>(*this);
  pipelineCache_ = std::make_unique<PipelineCache>(*this);
  transfer_ = std::make_unique<Transfer>(*this);
}

Device::~Device() { close(); }

void Device::close() {
  if (!device_) return;
  waitIdle();
  std::set<Resource*> resources;
  {
    const std::lock_guard<std::mutex> lock(resourcesMutex_);
    resources.swap(resources_);
  }
  for (Resource* resource : resources) resource->release();
  transfer_.reset();
  pipelineCache_.reset();
  memory_.reset();
  device_.reset();
}

void Device::requireUsable() const {
  if (!device_) throw Error("CLOSED", "the device was closed");
  if (lost_) throw Error("DEVICE_LOST", "the device was lost before; it has to be opened anew");
}

void Device::check(VkResult result, const std::string& what) {
  if (result == VK_ERROR_DEVICE_LOST) lost_ = true;
  vkpn::check(result, what);
}

void Device::submit(VkCommandBuffer commands, VkFence fence, const std::string& what) {
  VkSubmitInfo info{VK_STRUCTURE_TYPE_SUBMIT_INFO};
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  const std::lock_guard<std::mutex> lock(queueMutex_);
  check(vk.vkQueueSubmit(queue_, 1, &info, fence), "vkQueueSubmit of " + what);
}

void Device::countRepetitions(uint32_t repeats) {
  repetitions_ += repeats;
  if (loseAt_ != 0 && repetitions_ >= loseAt_) check(VK_ERROR_DEVICE_LOST, "vkQueueSubmit, as VKPN_LOSE_DEVICE asks,");
}

void Device::wait(VkFence fence, const std::string& what) {
  // No time limit: a CPU driver compiles shaders for minutes within the first submit, and a hung GPU ends in DEVICE_LOST.
  check(vk.vkWaitForFences(handle(), 1, &fence, VK_TRUE, std::numeric_limits<uint64_t>::max()), "vkWaitForFences on " + what);
}

void Device::waitIdle() {
  const std::lock_guard<std::mutex> lock(queueMutex_);
  vk.vkDeviceWaitIdle(device_.get());  // a failure means that the device is lost, and then nothing runs either
}

Handle<VkFence> Device::makeFence() {
  const VkFenceCreateInfo info{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  VkFence fence = VK_NULL_HANDLE;
  check(vk.vkCreateFence(handle(), &info, nullptr, &fence), "vkCreateFence");
  return {fence, [this](VkFence f) { vk.vkDestroyFence(handle(), f, nullptr); }};
}

Handle<VkCommandPool> Device::makeCommandPool() {
  VkCommandPoolCreateInfo info{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  info.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  info.queueFamilyIndex = physical_->queueFamily;
  VkCommandPool pool = VK_NULL_HANDLE;
  check(vk.vkCreateCommandPool(handle(), &info, nullptr, &pool), "vkCreateCommandPool");
  return {pool, [this](VkCommandPool p) { vk.vkDestroyCommandPool(handle(), p, nullptr); }};
}

VkCommandBuffer Device::allocateCommands(VkCommandPool pool) {
  VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  info.commandPool = pool;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  check(vk.vkAllocateCommandBuffers(handle(), &info, &commands), "vkAllocateCommandBuffers");
  return commands;
}

void Device::name(VkObjectType type, uint64_t object, const std::string& text) {
  if (!instance_->debugUtils()) return;
  VkDebugUtilsObjectNameInfoEXT info{VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT};
  info.objectType = type;
  info.objectHandle = object;
  info.pObjectName = text.c_str();
  check(vkSetDebugUtilsObjectNameEXT(handle(), &info), "vkSetDebugUtilsObjectNameEXT");
}

void Device::add(Resource* resource) {
  const std::lock_guard<std::mutex> lock(resourcesMutex_);
  resources_.insert(resource);
}

void Device::remove(Resource* resource) {
  const std::lock_guard<std::mutex> lock(resourcesMutex_);
  resources_.erase(resource);
}

}  // namespace vkpn
