// VkPipelineCache: made, merged, read out.
#include "pipeline_cache.h"

#include "device.h"

#include <cstring>

namespace vkpn {

PipelineCache::PipelineCache(Device& device) : device_(device), cache_(make({})) {}

Handle<VkPipelineCache> PipelineCache::make(const std::vector<uint8_t>& initial) const {
  VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  info.initialDataSize = initial.size();
  info.pInitialData = initial.data();
  VkPipelineCache cache = VK_NULL_HANDLE;
  device_.check(device_.vk.vkCreatePipelineCache(device_.handle(), &info, nullptr, &cache), "vkCreatePipelineCache");
  return {cache, [&d = device_](VkPipelineCache c) { d.vk.vkDestroyPipelineCache(d.handle(), c, nullptr); }};
}

bool PipelineCache::belongsHere(const std::vector<uint8_t>& stored) const {
  VkPipelineCacheHeaderVersionOne header;
  if (stored.size() < sizeof header) return false;
  std::memcpy(&header, stored.data(), sizeof header);
  const VkPhysicalDeviceProperties& p = device_.physical().properties;
  return header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE && header.vendorID == p.vendorID &&
         header.deviceID == p.deviceID && std::memcmp(header.pipelineCacheUUID, p.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

bool PipelineCache::merge(const std::vector<uint8_t>& stored) {
  if (!belongsHere(stored)) return false;
  const Handle<VkPipelineCache> other = make(stored);
  const VkPipelineCache source = other.get();
  device_.check(device_.vk.vkMergePipelineCaches(device_.handle(), cache_.get(), 1, &source), "vkMergePipelineCaches");
  return true;
}

std::vector<uint8_t> PipelineCache::data() const {
  size_t bytes = 0;
  device_.check(device_.vk.vkGetPipelineCacheData(device_.handle(), cache_.get(), &bytes, nullptr), "vkGetPipelineCacheData");
  std::vector<uint8_t> data(bytes);
  device_.check(device_.vk.vkGetPipelineCacheData(device_.handle(), cache_.get(), &bytes, data.data()), "vkGetPipelineCacheData");
  data.resize(bytes);
  return data;
}

}  // namespace vkpn
