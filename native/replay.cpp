// The submit loop. Repetitions a submit double from one until a submit takes between half of submitMs and submitMs.
#include "replay.h"

#include <algorithm>

namespace vkpn {
namespace {

// Two submits keep a device busy when each lasts; very short ones need more to hide the cost of submitting.
constexpr uint32_t kMostInFlight = 8;
constexpr size_t kSamples = 4096;  // time stamps kept an op

uint32_t powerOfTwoUpTo(uint64_t n) {
  uint32_t p = 1;
  while (p < (1U << 30) && uint64_t{p} * 2 <= n) p *= 2;
  return p;
}

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Replay::Replay(Program& program, const RunOptions& options, const std::atomic<bool>& interrupted)
    : program_(program), device_(*program.device_), options_(options), interrupted_(interrupted) {}

Replay::~Replay() {
  if (!flights_.empty()) device_.waitIdle();  // an error left submits behind: their fences must outlive them
}

RunResult Replay::run() {
  const auto start = lastFinish_ = Clock::now();
  if (options_.timestamps) {
    // Stamps between ops cost time themselves, so whole repetitions are timed without them.
    samples_.resize(program_.stampsPerRepeat(Stamps::ops));
    replay(options_.repeats / 2, Stamps::repeats);
    replay(options_.repeats - options_.repeats / 2, Stamps::ops);
    result_.opNs = medians();
    if (result_.repeatNs.empty()) result_.repeatNs = opTotals_;
  } else {
    replay(options_.repeats, Stamps::none);
  }
  result_.seconds = seconds(Clock::now() - start);
  return result_;
}

void Replay::replay(uint64_t repeats, Stamps stamps) {
  const uint64_t most = std::min<uint64_t>(options_.maxPerSubmit, program_.mostRepeats(stamps));
  while (true) {
    while (repeats > 0 && !interrupted_ && room(stamps)) {
      const uint64_t paced = program_.paces_[static_cast<size_t>(stamps)].repeatsPerSubmit;
      const uint32_t n = powerOfTwoUpTo(std::min({paced, most, repeats}));
      submit(n, stamps);
      repeats -= n;
    }
    if (flights_.empty()) return;
    finishOldest(stamps);
  }
}

bool Replay::room(Stamps stamps) const {
  const double perRepeat = program_.paces_[static_cast<size_t>(stamps)].secondsPerRepeat;
  if (flights_.empty()) return true;
  if (perRepeat == 0) return false;  // the first one is measured before more follow
  if (flights_.size() == 1) return true;
  if (flights_.size() == kMostInFlight || stamps != Stamps::none) return false;
  double ahead = 0;
  for (const Flight& flight : flights_) ahead += perRepeat * flight.repeats;
  return ahead < options_.submitMs * 1e-3 / 4;
}

void Replay::submit(uint32_t repeats, Stamps stamps) {
  uint32_t slot = 0;
  const auto busy = [&](uint32_t s) {
    return std::any_of(flights_.begin(), flights_.end(), [s](const Flight& f) { return f.slot == s; });
  };
  while (busy(slot)) ++slot;
  if (slot == fences_.size()) fences_.push_back(device_.makeFence());
  Program::Recording& recording = program_.recording(repeats, stamps, slot);
  const VkFence fence = fences_[slot].get();
  device_.check(device_.vk.vkResetFences(device_.handle(), 1, &fence), "vkResetFences");
  device_.countRepetitions(repeats);
  device_.submit(recording.commands, fence, program_.name());
  flights_.push_back({&recording, repeats, slot, Clock::now()});
}

void Replay::finishOldest(Stamps stamps) {
  const Flight flight = flights_.front();
  device_.wait(fences_[flight.slot].get(), program_.name());
  const auto now = Clock::now();
  adapt(flight.repeats, seconds(now - std::max(lastFinish_, flight.submitted)), stamps);
  lastFinish_ = now;
  flights_.pop_front();
  result_.done += flight.repeats;
  if (stamps != Stamps::none) collect(flight, stamps);
}

void Replay::adapt(uint32_t repeats, double taken, Stamps stamps) {
  auto& pace = program_.paces_[static_cast<size_t>(stamps)];
  pace.secondsPerRepeat = taken / repeats;
  if (repeats != pace.repeatsPerSubmit) return;  // a remainder, or a submit recorded for an older pace
  const double target = options_.submitMs * 1e-3;
  if (taken * 2 < target && repeats * 2 <= program_.mostRepeats(stamps)) pace.repeatsPerSubmit *= 2;
  if (taken > target && repeats > 1) pace.repeatsPerSubmit /= 2;
}

void Replay::collect(const Flight& flight, Stamps stamps) {
  const Program::Recording& recording = *flight.recording;
  std::vector<uint64_t> ticks(recording.queryCount);
  device_.check(device_.vk.vkGetQueryPoolResults(device_.handle(), recording.queries.get(), 0, recording.queryCount,
                                                 ticks.size() * sizeof(uint64_t), ticks.data(), sizeof(uint64_t),
                                                 VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                "vkGetQueryPoolResults");
  const uint32_t bits = device_.physical().timestampValidBits;
  const uint64_t mask = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;  // the counter may wrap
  const double period = device_.physical().properties.limits.timestampPeriod;
  std::vector<double> ns;
  for (size_t i = 1; i < ticks.size(); ++i) ns.push_back(static_cast<double>((ticks[i] - ticks[i - 1]) & mask) * period);
  if (stamps == Stamps::repeats) {
    result_.repeatNs.insert(result_.repeatNs.end(), ns.begin(), ns.end());
  } else {
    keep(ns);
  }
}

void Replay::keep(const std::vector<double>& opNs) {
  const size_t ops = samples_.size();
  for (size_t first = 0; ops > 0 && first < opNs.size(); first += ops, ++sampled_) {
    double total = 0;
    for (size_t i = 0; i < ops; ++i) {
      auto& kept = samples_[i];
      if (kept.size() < kSamples) {
        kept.push_back(opNs[first + i]);
      } else {
        kept[sampled_ % kSamples] = opNs[first + i];
      }
      total += opNs[first + i];
    }
    opTotals_.push_back(total);
  }
}

std::vector<double> Replay::medians() const {
  std::vector<double> all;
  size_t stamped = 0;
  for (const Op& op : program_.ops_) all.push_back(op.kind == Op::Kind::barrier ? 0 : median(samples_[stamped++]));
  return all;
}

}  // namespace vkpn
