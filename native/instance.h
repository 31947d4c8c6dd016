// Finds the Vulkan loader at run time and owns the process's one VkInstance.
#pragma once
#include "handle.h"
#include "vulkan.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vkpn {

class Instance {
public:
  /** The process's instance; made on the first call, freed with its last owner. Throws NO_LOADER, VULKAN. */
  static std::shared_ptr<Instance> get();

  Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  VkInstance handle() const { return instance_.get(); }
  /** min(the loader's version, 1.4). */
  uint32_t apiVersion() const { return apiVersion_; }
  /** Whether validation was asked for, and so labels and names are worth giving. */
  bool debugUtils() const { return static_cast<bool>(messenger_); }
  /** Devices of Vulkan 1.1 or later, in the loader's order. */
  std::vector<VkPhysicalDevice> physicalDevices() const;
  /** Warnings and errors of the validation layer since the last call. */
  std::vector<std::string> takeMessages();

private:
  static VkBool32 VKAPI_PTR onMessage(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
                                      const VkDebugUtilsMessengerCallbackDataEXT* data, void* self);

  uint32_t apiVersion_ = 0;
  std::mutex mutex_;
  std::vector<std::string> messages_;
  Handle<VkInstance> instance_;
  Handle<VkDebugUtilsMessengerEXT> messenger_;
};

}  // namespace vkpn
