// A compute pipeline with its layout: SPIR-V, specialisation constants, bindings of set 0, push constants.
#pragma once
#include "device.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace vkpn {

struct KernelDesc {
  std::string name;
  std::vector<uint32_t> spirv;
  std::vector<VkDescriptorType> bindings;  ///< by binding number
  uint32_t pushBytes = 0;
  std::vector<uint32_t> specIds, specValues;
  uint32_t subgroupSize = 0;  ///< 0: the driver's choice
  bool fullSubgroups = false;
};

class Kernel final : public Resource {
public:
  Kernel(std::shared_ptr<Device> device, const KernelDesc& desc);
  ~Kernel() override;
  void release() override;

  const std::string& name() const { return name_; }
  const std::vector<VkDescriptorType>& bindings() const { return bindings_; }
  VkDescriptorSetLayout setLayout() const { return setLayout_.get(); }
  VkPipelineLayout layout() const { return layout_.get(); }
  VkPipeline pipeline() const { return pipeline_.get(); }

private:
  void makeLayouts(const KernelDesc& desc);
  void makePipeline(const KernelDesc& desc);
  /** What the driver says of the machine code (registers, memory), a line on standard error. */
  void printStatistics(VkPipeline pipeline) const;
  uint32_t requiredSubgroupSize(const KernelDesc& desc) const;
  std::shared_ptr<Device> device_;
  std::string name_;
  std::vector<VkDescriptorType> bindings_;
  Handle<VkDescriptorSetLayout> setLayout_;
  Handle<VkPipelineLayout> layout_;
  Handle<VkPipeline> pipeline_;
};

}  // namespace vkpn
