// The Vulkan loader (libvulkan.so.1, or the file VKPN_VULKAN_LIBRARY names) and the VkInstance.
#include "instance.h"

#include "error.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace vkpn {
namespace {

PFN_vkGetInstanceProcAddr loadLibrary(const char* path) {
  // Never closed: drivers leave threads and exit handlers behind that would then point nowhere.
#ifdef _WIN32
  HMODULE library = LoadLibraryA(path);
  if (library == nullptr) throw Error("NO_LOADER", std::string("VKPN_VULKAN_LIBRARY cannot be loaded: ") + path);
  auto* symbol = reinterpret_cast<void*>(GetProcAddress(library, "vkGetInstanceProcAddr"));
#else
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error("NO_LOADER", std::string("VKPN_VULKAN_LIBRARY cannot be loaded: ") + dlerror());
  void* symbol = dlsym(library, "vkGetInstanceProcAddr");
#endif
  if (symbol == nullptr) throw Error("NO_LOADER", std::string(path) + " is no Vulkan loader: it has no vkGetInstanceProcAddr");
  return reinterpret_cast<PFN_vkGetInstanceProcAddr>(symbol);
}

void loadVulkan() {
  const char* path = std::getenv("VKPN_VULKAN_LIBRARY");
  if (path != nullptr && *path != '\0') {
    volkInitializeCustom(loadLibrary(path));
    if (volkGetInstanceVersion() == 0) throw Error("NO_LOADER", std::string(path) + " is no Vulkan loader");
  } else if (volkInitialize() != VK_SUCCESS) {
    throw Error("NO_LOADER", "the Vulkan loader (libvulkan.so.1) is not installed");
  }
}

bool envNames(const char* variable, const char* word) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::strstr(value, word) != nullptr;
}

bool hasInstanceExtension(const char* name) {
  uint32_t count = 0;
  check(vkEnumerateInstanceExtensionProperties(nullptr, &count, nullptr), "vkEnumerateInstanceExtensionProperties");
  std::vector<VkExtensionProperties> list(count);
  check(vkEnumerateInstanceExtensionProperties(nullptr, &count, list.data()), "vkEnumerateInstanceExtensionProperties");
  return std::any_of(list.begin(), list.end(), [&](const auto& e) { return std::strcmp(e.extensionName, name) == 0; });
}

}  // namespace

std::shared_ptr<Instance> Instance::get() {
  static std::mutex mutex;
  static std::weak_ptr<Instance> shared;
  const std::lock_guard<std::mutex> lock(mutex);
  auto instance = shared.lock();
  if (!instance) {
    instance = std::make_shared<Instance>();
    shared = instance;
  }
  return instance;
}

Instance::Instance() {
  loadVulkan();
  apiVersion_ = std::min<uint32_t>(volkGetInstanceVersion(), VK_API_VERSION_1_4);
  if (apiVersion_ < VK_API_VERSION_1_1) {
    throw Error("NO_LOADER", "the Vulkan loader is of version 1.0; 1.1 or later is needed");
  }
  const bool validation = envNames("VK_INSTANCE_LAYERS", "validation") || envNames("VK_LOADER_LAYERS_ENABLE", "validation");
  std::vector<const char*> extensions;
  const bool messenger = validation && hasInstanceExtension(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
  if (messenger) extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);

  VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
  application.pApplicationName = "vkpn";
  application.pEngineName = "vkpn";
  application.apiVersion = apiVersion_;
  VkDebugUtilsMessengerCreateInfoEXT debug{VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
  debug.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  debug.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
  debug.pfnUserCallback = onMessage;
  debug.pUserData = this;
  VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &application;
  info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  if (messenger) info.pNext = &debug;
  VkInstance created = VK_NULL_HANDLE;
  const VkResult result = vkCreateInstance(&info, nullptr, &created);
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
    throw Error("NO_DEVICE", "the Vulkan loader found no driver (vkCreateInstance: VK_ERROR_INCOMPATIBLE_DRIVER)");
  }
  check(result, "vkCreateInstance");
  volkLoadInstanceOnly(created);
  instance_ = {created, [](VkInstance i) { vkDestroyInstance(i, nullptr); }};
  if (messenger) {
    VkDebugUtilsMessengerEXT made = VK_NULL_HANDLE;
    check(vkCreateDebugUtilsMessengerEXT(created, &debug, nullptr, &made), "vkCreateDebugUtilsMessengerEXT");
    messenger_ = {made, [created](VkDebugUtilsMessengerEXT m) { vkDestroyDebugUtilsMessengerEXT(created, m, nullptr); }};
  }
}

std::vector<VkPhysicalDevice> Instance::physicalDevices() const {
  uint32_t count = 0;
  const VkResult result = vkEnumeratePhysicalDevices(instance_.get(), &count, nullptr);
  if (result == VK_ERROR_INITIALIZATION_FAILED) return {};  // what the loader answers when no driver has a device
  check(result, "vkEnumeratePhysicalDevices");
  std::vector<VkPhysicalDevice> all(count);
  check(vkEnumeratePhysicalDevices(instance_.get(), &count, all.data()), "vkEnumeratePhysicalDevices");
  all.resize(count);
  std::vector<VkPhysicalDevice> usable;
  for (VkPhysicalDevice device : all) {
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device, &properties);
    if (properties.apiVersion >= VK_API_VERSION_1_1) usable.push_back(device);
  }
  return usable;
}

std::vector<std::string> Instance::takeMessages() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> taken;
  taken.swap(messages_);
  return taken;
}

VkBool32 VKAPI_PTR Instance::onMessage(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT,
                                       const VkDebugUtilsMessengerCallbackDataEXT* data, void* self) {
  auto* instance = static_cast<Instance*>(self);
  const char* level = severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT ? "error: " : "warning: ";
  const std::lock_guard<std::mutex> lock(instance->mutex_);
  constexpr size_t kMost = 1000;  // a broken shader repeats itself every dispatch
  if (instance->messages_.size() < kMost) instance->messages_.push_back(level + std::string(data->pMessage));
  return VK_FALSE;
}

}  // namespace vkpn
