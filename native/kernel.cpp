// Building a pipeline.
#include "kernel.h"

#include "error.h"

#include <cstdio>

namespace vkpn {

Kernel::Kernel(std::shared_ptr<Device> device, const KernelDesc& desc)
    : device_(std::move(device)), name_(desc.name), bindings_(desc.bindings) {
  device_->requireUsable();
  makeLayouts(desc);
  makePipeline(desc);
  device_->add(this);
}

Kernel::~Kernel() {
  device_->remove(this);
  release();
}

void Kernel::release() {
  pipeline_.reset();
  layout_.reset();
  setLayout_.reset();
}

void Kernel::makeLayouts(const KernelDesc& desc) {
  auto& vk = device_->vk;
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (uint32_t i = 0; i < desc.bindings.size(); ++i) {
    bindings.push_back({i, desc.bindings[i], 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
  }
  VkDescriptorSetLayoutCreateInfo setInfo{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
  setInfo.bindingCount = static_cast<uint32_t>(bindings.size());
  setInfo.pBindings = bindings.data();
  VkDescriptorSetLayout setLayout = VK_NULL_HANDLE;
  device_->check(vk.vkCreateDescriptorSetLayout(device_->handle(), &setInfo, nullptr, &setLayout),
                 "vkCreateDescriptorSetLayout of " + name_);
  Device* d = device_.get();
  setLayout_ = {setLayout, [d](VkDescriptorSetLayout l) { d->vk.vkDestroyDescriptorSetLayout(d->handle(), l, nullptr); }};

  const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, desc.pushBytes};
  VkPipelineLayoutCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  info.setLayoutCount = 1;
  info.pSetLayouts = &setLayout;
  info.pushConstantRangeCount = desc.pushBytes > 0 ? 1 : 0;
  info.pPushConstantRanges = &push;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  device_->check(vk.vkCreatePipelineLayout(device_->handle(), &info, nullptr, &layout), "vkCreatePipelineLayout of " + name_);
  layout_ = {layout, [d](VkPipelineLayout l) { d->vk.vkDestroyPipelineLayout(d->handle(), l, nullptr); }};
}

/** The size to require of the driver, 0 for none. Throws UNSUPPORTED where the device cannot give what the kernel asks for. */
uint32_t Kernel::requiredSubgroupSize(const KernelDesc& desc) const {
  const PhysicalDevice& physical = device_->physical();
  const uint32_t size = desc.subgroupSize;
  if (size == 0) return 0;
  const auto& sizes = physical.subgroupSizes;
  const bool control = physical.features->subgroupSize.subgroupSizeControl == VK_TRUE &&
                       (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  if (control && size >= sizes.minSubgroupSize && size <= sizes.maxSubgroupSize) return size;
  if (size == physical.subgroup.subgroupSize && sizes.minSubgroupSize == sizes.maxSubgroupSize) return 0;  // it has no other
  throw Error("UNSUPPORTED",
              "kernel " + name_ + " needs subgroups of " + std::to_string(size) + "; " + physical.properties.deviceName +
                  (control ? " has " + std::to_string(sizes.minSubgroupSize) + " to " + std::to_string(sizes.maxSubgroupSize)
                           : " cannot choose their size"));
}

void Kernel::makePipeline(const KernelDesc& desc) {
  auto& vk = device_->vk;
  VkShaderModuleCreateInfo moduleInfo{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  moduleInfo.codeSize = desc.spirv.size() * sizeof(uint32_t);
  moduleInfo.pCode = desc.spirv.data();
  VkShaderModule module = VK_NULL_HANDLE;
  device_->check(vk.vkCreateShaderModule(device_->handle(), &moduleInfo, nullptr, &module), "vkCreateShaderModule of " + name_);
  Device* d = device_.get();
  const Handle<VkShaderModule> owned{module, [d](VkShaderModule m) { d->vk.vkDestroyShaderModule(d->handle(), m, nullptr); }};

  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < desc.specIds.size(); ++i) {
    entries.push_back({desc.specIds[i], static_cast<uint32_t>(i * sizeof(uint32_t)), sizeof(uint32_t)});
  }
  const VkSpecializationInfo spec{static_cast<uint32_t>(entries.size()), entries.data(),
                                  desc.specValues.size() * sizeof(uint32_t), desc.specValues.data()};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo required{
      VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO};
  required.requiredSubgroupSize = requiredSubgroupSize(desc);
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  if (required.requiredSubgroupSize != 0) info.stage.pNext = &required;
  if (desc.fullSubgroups && device_->physical().features->subgroupSize.computeFullSubgroups == VK_TRUE) {
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  }
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &spec;
  info.layout = layout_.get();
  const bool statistics = device_->physical().features->executables.pipelineExecutableInfo == VK_TRUE;
  if (statistics) info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
  VkPipeline pipeline = VK_NULL_HANDLE;
  device_->check(vk.vkCreateComputePipelines(device_->handle(), device_->pipelineCache().handle(), 1, &info, nullptr, &pipeline),
                 "vkCreateComputePipelines of " + name_);
  pipeline_ = {pipeline, [d](VkPipeline p) { d->vk.vkDestroyPipeline(d->handle(), p, nullptr); }};
  device_->name(VK_OBJECT_TYPE_PIPELINE, reinterpret_cast<uint64_t>(pipeline), name_);
  if (statistics) printStatistics(pipeline);
}

void Kernel::printStatistics(VkPipeline pipeline) const {
  auto& vk = device_->vk;
  const VkPipelineExecutableInfoKHR of{VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, nullptr, pipeline, 0};
  uint32_t count = 0;
  device_->check(vk.vkGetPipelineExecutableStatisticsKHR(device_->handle(), &of, &count, nullptr),
                 "vkGetPipelineExecutableStatisticsKHR");
  std::vector<VkPipelineExecutableStatisticKHR> list(count, {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR});
  device_->check(vk.vkGetPipelineExecutableStatisticsKHR(device_->handle(), &of, &count, list.data()),
                 "vkGetPipelineExecutableStatisticsKHR");
  std::string line = name_ + ":";
  for (const auto& s : list) {
    line += std::string(&s == list.data() ? " " : ", ") + s.name + " ";
    if (s.format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR)
      line += std::to_string(s.value.f64);
    else if (s.format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR)
      line += s.value.b32 == VK_TRUE ? "yes" : "no";
    else
      line += std::to_string(s.value.u64);
  }
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace vkpn
