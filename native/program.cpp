// Descriptor sets and command buffers of a program. How many repetitions go into a submit is replay.cpp's matter.
#include "program.h"

#include "error.h"
#include "replay.h"

#include <algorithm>

namespace vkpn {

Program::Program(std::shared_ptr<Device> device, std::string name, std::vector<Op> ops)
    : device_(std::move(device)), name_(std::move(name)), ops_(std::move(ops)) {
  device_->requireUsable();
  collectBuffers();
  divide();
  commandPool_ = device_->makeCommandPool();
  allocateSets();
  device_->add(this);
}

Program::~Program() {
  device_->remove(this);
  release();
}

void Program::release() {
  recordings_.clear();
  commandPool_.reset();
  descriptorPool_.reset();
}

void Program::collectBuffers() {
  for (const Op& op : ops_) {
    for (const View& view : op.views) {
      if (std::find(buffers_.begin(), buffers_.end(), view.buffer) == buffers_.end()) buffers_.push_back(view.buffer);
    }
  }
}

void Program::divide() {
  for (Op& op : ops_) {
    if (op.kind == Op::Kind::barrier) ++segments_;
    op.segment = segments_ - 1;
  }
}

void Program::allocateSets() {
  std::map<VkDescriptorType, uint32_t> counts;
  uint32_t sets = 0;
  for (const Op& op : ops_) {
    transfers_ = transfers_ || op.kind == Op::Kind::copy || op.kind == Op::Kind::fill;
    if (op.kind != Op::Kind::dispatch || op.views.empty()) continue;
    ++sets;
    for (VkDescriptorType type : op.kernel->bindings()) ++counts[type];
  }
  uniforms_ = counts.count(VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER) != 0;
  if (sets == 0) return;
  std::vector<VkDescriptorPoolSize> sizes;
  sizes.reserve(counts.size());
  for (const auto& [type, count] : counts) sizes.push_back({type, count});
  VkDescriptorPoolCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
  info.maxSets = sets;
  info.poolSizeCount = static_cast<uint32_t>(sizes.size());
  info.pPoolSizes = sizes.data();
  VkDescriptorPool pool = VK_NULL_HANDLE;
  device_->check(device_->vk.vkCreateDescriptorPool(device_->handle(), &info, nullptr, &pool),
                 "vkCreateDescriptorPool of " + name_);
  descriptorPool_ = {pool, [d = device_.get()](VkDescriptorPool p) { d->vk.vkDestroyDescriptorPool(d->handle(), p, nullptr); }};
  for (Op& op : ops_) {
    if (op.kind != Op::Kind::dispatch || op.views.empty()) continue;
    const VkDescriptorSetLayout layout = op.kernel->setLayout();
    VkDescriptorSetAllocateInfo allocate{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
    allocate.descriptorPool = pool;
    allocate.descriptorSetCount = 1;
    allocate.pSetLayouts = &layout;
    device_->check(device_->vk.vkAllocateDescriptorSets(device_->handle(), &allocate, &op.set),
                   "vkAllocateDescriptorSets of " + name_);
    writeSet(op);
  }
}

void Program::writeSet(const Op& op) {
  std::vector<VkDescriptorBufferInfo> infos;
  for (const View& view : op.views) infos.push_back({view.buffer->handle(), view.offset, view.bytes});
  std::vector<VkWriteDescriptorSet> writes;
  for (uint32_t i = 0; i < infos.size(); ++i) {
    VkWriteDescriptorSet write{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
    write.dstSet = op.set;
    write.dstBinding = i;
    write.descriptorCount = 1;
    write.descriptorType = op.kernel->bindings()[i];
    write.pBufferInfo = &infos[i];
    writes.push_back(write);
  }
  device_->vk.vkUpdateDescriptorSets(device_->handle(), static_cast<uint32_t>(writes.size()), writes.data(), 0, nullptr);
}

uint32_t Program::stampsPerRepeat(Stamps stamps) const {
  if (stamps != Stamps::ops) return stamps == Stamps::repeats ? 1 : 0;
  return static_cast<uint32_t>(
      std::count_if(ops_.begin(), ops_.end(), [](const Op& op) { return op.kind != Op::Kind::barrier; }));
}

uint32_t Program::mostRepeats(Stamps stamps) const {
  const uint32_t ops = std::max<uint32_t>(1, static_cast<uint32_t>(ops_.size()));
  if (stamps == Stamps::none) return std::clamp<uint32_t>((1U << 18) / ops, 1, 8192);  // tens of megabytes of commands
  constexpr uint32_t kQueries = 4096;
  return std::clamp<uint32_t>(kQueries / std::max<uint32_t>(1, stampsPerRepeat(stamps)), 1, 256);
}

Program::Recording& Program::recording(uint32_t repeats, Stamps stamps, uint32_t slot) {
  if (stamps == Stamps::none) slot = 0;  // may be in flight several times at once
  const std::array<uint32_t, 3> key{repeats, static_cast<uint32_t>(stamps), slot};
  const auto found = recordings_.find(key);
  if (found != recordings_.end()) return found->second;
  return recordings_.emplace(key, record(repeats, stamps)).first->second;
}

Program::Recording Program::record(uint32_t repeats, Stamps stamps) {
  auto& vk = device_->vk;
  Recording made;
  made.commands = device_->allocateCommands(commandPool_.get());
  if (stamps != Stamps::none) {
    made.queryCount = 1 + repeats * stampsPerRepeat(stamps);
    VkQueryPoolCreateInfo info{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = made.queryCount;
    VkQueryPool pool = VK_NULL_HANDLE;
    device_->check(vk.vkCreateQueryPool(device_->handle(), &info, nullptr, &pool), "vkCreateQueryPool of " + name_);
    made.queries = {pool, [d = device_.get()](VkQueryPool p) { d->vk.vkDestroyQueryPool(d->handle(), p, nullptr); }};
  }
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  if (stamps == Stamps::none) begin.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
  device_->check(vk.vkBeginCommandBuffer(made.commands, &begin), "vkBeginCommandBuffer of " + name_);
  uint32_t query = 0;
  const auto stamp = [&] {
    vk.vkCmdWriteTimestamp(made.commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, made.queries.get(), query++);
  };
  if (stamps != Stamps::none) {
    vk.vkCmdResetQueryPool(made.commands, made.queries.get(), 0, made.queryCount);
    stamp();
  }
  const Op* last = nullptr;
  bool open = false;  // something was recorded since the last barrier
  const auto bar = [&](bool end) {
    recordBarrier(made.commands, end);
    open = false;
  };
  const bool alone = stamps == Stamps::ops;  // an op's time is its own
  for (uint32_t r = 0; r < repeats; ++r) {
    const bool end = r + 1 == repeats;
    for (uint32_t segment = 0; segment < segments_; ++segment) {
      const std::vector<const Op*> ops = together(segment, alone || r == 0, alone || end);
      if (open && !ops.empty()) bar(false);
      for (const Op* op : ops) {
        if (op->kind == Op::Kind::dispatch) {
          recordDispatch(made.commands, *op, last);
          last = op;
        } else {
          recordTransfer(made.commands, *op);
        }
        open = true;
        if (stamps == Stamps::ops) stamp();
      }
    }
    // Each command buffer ends with a barrier, and each repetition whose end is stamped.
    if (end || (open && stamps != Stamps::none)) bar(end);
    if (stamps == Stamps::repeats) stamp();
  }
  device_->check(vk.vkEndCommandBuffer(made.commands), "vkEndCommandBuffer of " + name_);
  return made;
}

std::vector<const Op*> Program::together(uint32_t segment, bool first, bool last) const {
  std::vector<const Op*> own;
  std::vector<const Op*> following;
  for (const Op& op : ops_) {
    if (op.kind == Op::Kind::barrier) continue;
    const bool ahead = op.lead > op.segment;  // in the repetition before
    if (first ? op.segment == segment : !ahead && op.segment - op.lead == segment) own.push_back(&op);
    if (!last && ahead && op.segment + segments_ - op.lead == segment) following.push_back(&op);
  }
  own.insert(own.end(), following.begin(), following.end());
  return own;
}

void Program::recordDispatch(VkCommandBuffer commands, const Op& op, const Op* last) const {
  auto& vk = device_->vk;
  const bool labelled = device_->instance().debugUtils();
  if (labelled) {
    VkDebugUtilsLabelEXT label{VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT};
    label.pLabelName = op.label.c_str();
    vkCmdBeginDebugUtilsLabelEXT(commands, &label);
  }
  // `last` is the dispatch recorded before: what it bound stays bound.
  if (last == nullptr || last->kernel != op.kernel) {
    vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, op.kernel->pipeline());
  }
  if (last != &op) {
    const VkPipelineLayout layout = op.kernel->layout();
    if (op.set != VK_NULL_HANDLE) {
      vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &op.set, 0, nullptr);
    }
    if (!op.push.empty()) {
      vk.vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, static_cast<uint32_t>(op.push.size()),
                            op.push.data());
    }
  }
  vk.vkCmdDispatch(commands, op.groups[0], op.groups[1], op.groups[2]);
  if (labelled) vkCmdEndDebugUtilsLabelEXT(commands);
}

void Program::recordTransfer(VkCommandBuffer commands, const Op& op) const {
  auto& vk = device_->vk;
  if (op.kind == Op::Kind::copy) {
    const VkBufferCopy copy{op.views[0].offset, op.views[1].offset, op.views[0].bytes};
    vk.vkCmdCopyBuffer(commands, op.views[0].buffer->handle(), op.views[1].buffer->handle(), 1, &copy);
  } else {
    vk.vkCmdFillBuffer(commands, op.views[0].buffer->handle(), op.views[0].offset, op.views[0].bytes, op.value);
  }
}

/** Between ops only the stages that this program uses; the last one of a command buffer serves whatever comes next. */
void Program::recordBarrier(VkCommandBuffer commands, bool last) const {
  VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
  if (transfers_) {
    stages |= VK_PIPELINE_STAGE_TRANSFER_BIT;
    barrier.srcAccessMask |= VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask |= VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  }
  if (uniforms_) barrier.dstAccessMask |= VK_ACCESS_UNIFORM_READ_BIT;
  VkPipelineStageFlags after = stages;
  if (last) {
    after = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT;
    barrier.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
  }
  device_->vk.vkCmdPipelineBarrier(commands, stages, after, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

RunResult Program::run(const RunOptions& options, const std::atomic<bool>& interrupted) {
  device_->requireUsable();
  if (options.timestamps && device_->physical().timestampValidBits == 0) {
    throw Error("UNSUPPORTED", std::string(device_->physical().properties.deviceName) + " has no timestamps");
  }
  return Replay(*this, options, interrupted).run();
}

}  // namespace vkpn
