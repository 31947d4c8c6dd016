// The driver's cache of compiled pipelines. Keeping it in a file, and not trusting that file, is ts/gpu/cache.ts's work.
#pragma once
#include "handle.h"
#include "vulkan.h"

#include <cstdint>
#include <vector>

namespace vkpn {

class Device;

class PipelineCache {
public:
  explicit PipelineCache(Device& device);
  VkPipelineCache handle() const { return cache_.get(); }
  /** Adds what an earlier process stored. False where the data is another device's or driver's. */
  bool merge(const std::vector<uint8_t>& stored);
  std::vector<uint8_t> data() const;

private:
  Handle<VkPipelineCache> make(const std::vector<uint8_t>& initial) const;
  bool belongsHere(const std::vector<uint8_t>& stored) const;
  Device& device_;
  Handle<VkPipelineCache> cache_;
};

}  // namespace vkpn
