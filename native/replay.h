// One run of a program: how many repetitions a submit, how many submits in flight, what the time stamps say.
#pragma once
#include "program.h"

#include <chrono>
#include <deque>
#include <vector>

namespace vkpn {

class Replay {
public:
  Replay(Program& program, const RunOptions& options, const std::atomic<bool>& interrupted);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  RunResult run();

private:
  using Clock = std::chrono::steady_clock;
  using Stamps = Program::Stamps;
  /** A submit that the device has not finished. */
  struct Flight {
    Program::Recording* recording;
    uint32_t repeats;
    uint32_t slot;
    Clock::time_point submitted;
  };

  void replay(uint64_t repeats, Stamps stamps);
  bool room(Stamps stamps) const;
  void submit(uint32_t repeats, Stamps stamps);
  void finishOldest(Stamps stamps);
  void adapt(uint32_t repeats, double seconds, Stamps stamps);
  void collect(const Flight& flight, Stamps stamps);
  void keep(const std::vector<double>& opNs);
  std::vector<double> medians() const;

  Program& program_;
  Device& device_;
  RunOptions options_;
  const std::atomic<bool>& interrupted_;
  RunResult result_;
  std::deque<Flight> flights_;
  std::vector<Handle<VkFence>> fences_;  ///< a slot each
  Clock::time_point lastFinish_{};
  std::vector<std::vector<double>> samples_;  ///< ns, by op
  std::vector<double> opTotals_;              ///< ns of the repetitions whose ops were stamped
  size_t sampled_ = 0;
};

}  // namespace vkpn
