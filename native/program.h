// A list of dispatches, copies, fills and barriers: recorded once, replayed many times a submit.
#pragma once
#include "buffer.h"
#include "kernel.h"

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace vkpn {

/** A part of a buffer. */
struct View {
  std::shared_ptr<Buffer> buffer;
  VkDeviceSize offset = 0;
  VkDeviceSize bytes = 0;
};

struct Op {
  enum class Kind : uint32_t { dispatch, barrier, copy, fill };
  Kind kind = Kind::barrier;
  std::string label;
  std::shared_ptr<Kernel> kernel;  ///< dispatch
  std::vector<View> views;         ///< dispatch: its bindings; copy: source, destination; fill: destination
  std::vector<uint8_t> push;
  std::array<uint32_t, 3> groups{1, 1, 1};
  uint32_t value = 0;  ///< fill
  VkDescriptorSet set = VK_NULL_HANDLE;
  uint32_t lead = 0;     ///< barriers by which it comes earlier in a repetition that follows another
  uint32_t segment = 0;  ///< barriers before it
};

struct RunOptions {
  uint64_t repeats = 1;
  bool timestamps = false;
  double submitMs = 100;
  uint64_t maxPerSubmit = UINT64_MAX;
};

struct RunResult {
  uint64_t done = 0;
  double seconds = 0;
  std::vector<double> opNs;      ///< medians, an op each; empty without timestamps
  std::vector<double> repeatNs;  ///< a repetition each
};

class Program final : public Resource {
public:
  /** The ops must have been checked (ts/gpu does): ranges within buffers, alignments, counts. */
  Program(std::shared_ptr<Device> device, std::string name, std::vector<Op> ops);
  ~Program() override;
  void release() override;

  /** Replays; returns when the device is done. One call at a time; from any thread. Stops early once `interrupted` is set. */
  RunResult run(const RunOptions& options, const std::atomic<bool>& interrupted);
  /** Every buffer it uses, each once. */
  const std::vector<std::shared_ptr<Buffer>>& buffers() const { return buffers_; }
  Device& device() const { return *device_; }
  const std::string& name() const { return name_; }

private:
  friend class Replay;
  /** What is stamped: nothing, each repetition's ends, or every op. */
  enum class Stamps { none, repeats, ops };
  /** A command buffer of so many repetitions; with stamps it has its own queries. */
  struct Recording {
    VkCommandBuffer commands = VK_NULL_HANDLE;
    Handle<VkQueryPool> queries;
    uint32_t queryCount = 0;
  };

  /** How long one repetition took, and how many a submit may hold; measured by earlier runs. */
  struct Pace {
    uint32_t repeatsPerSubmit = 1;
    double secondsPerRepeat = 0;
  };

  void allocateSets();
  void writeSet(const Op& op);
  void collectBuffers();
  /** Counts segments: what stands between barriers. */
  void divide();
  Recording record(uint32_t repeats, Stamps stamps);
  /** What is recorded of a segment: its own ops, and of the next repetition those that lead to it. `first`, `last`: of all. */
  std::vector<const Op*> together(uint32_t segment, bool first, bool last) const;
  void recordTransfer(VkCommandBuffer commands, const Op& op) const;
  void recordDispatch(VkCommandBuffer commands, const Op& op, const Op* last) const;
  void recordBarrier(VkCommandBuffer commands, bool last) const;
  uint32_t stampsPerRepeat(Stamps stamps) const;
  /** The most repetitions that are recorded into one command buffer. */
  uint32_t mostRepeats(Stamps stamps) const;
  /** The command buffer of so many repetitions, recorded on first use. A stamped one is for one slot in flight. */
  Recording& recording(uint32_t repeats, Stamps stamps, uint32_t slot);

  std::shared_ptr<Device> device_;
  std::string name_;
  std::vector<Op> ops_;
  uint32_t segments_ = 1;
  std::vector<std::shared_ptr<Buffer>> buffers_;
  bool transfers_ = false, uniforms_ = false;
  Handle<VkDescriptorPool> descriptorPool_;
  Handle<VkCommandPool> commandPool_;
  std::map<std::array<uint32_t, 3>, Recording> recordings_;  ///< by repetitions, stamps, slot
  std::array<Pace, 3> paces_;                                ///< by stamps
};

}  // namespace vkpn
