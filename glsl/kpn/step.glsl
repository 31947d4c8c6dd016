// What `step` does, of one workgroup of 256: the gradient's norm, clipping, the learning rate of this frame, the scale of f16 gradients, and
// whether this frame updates (SPEC 3). Advances the frame. The includer declares state, hyper, norms, history, master, moment1 and moment2,
// and defines DEDW(k), of a pair of weights.
//
// An update that would leave a weight or moment that is not finite anywhere is no update. Whether it would is mostly known from
// numbers of the whole (`surelyHolds`); where they don't tell, all weights are gone through.
#ifndef VKPN_STEP
#define VKPN_STEP

#include "common/reduce.glsl"
#include "kpn/update.glsl"

const float SCALE_MAX = 65536.0, SCALE_MIN = 1.0 / 65536.0;
const uint SCALE_PATIENCE = 2000; // updates without overflow before the scale doubles

shared State next; // as this frame leaves it, if the update holds
shared Hyper now;
shared bool sure;

float learningRate(uint frame) {
  float t = min(float(frame) / float(max(now.frames, 1u)), 1.0);
  float rate = now.alpha;
  if (now.decay == 1) rate *= 0.5 + 0.5 * cos(3.14159265 * t);
  if (now.decay == 2) rate *= exp2(-6.6438562 * t); // to a hundredth
  if (frame < now.warmup) rate *= float(frame + 1) / float(now.warmup);
  return rate;
}

// Whether every weight and moment comes out finite, by these bounds (m, v the moments, d = RATIO_FLOOR, all before the update):
// - From |m| <= ratio (sqrt(v) + d) follows the same after it, with ratio beta1/sqrt(beta2) + (1-beta1)/sqrt(1-beta2): each of
//   the two terms of m by that of v. The margin of 2^-16 is for f32's rounding, and for v below f32's range.
// - So the step of any weight is at most rate * ratio * max(sqrt(1-beta2^n), d / eps).
// - |g| of a weight is at most that of all, clipped, and what L2 adds; v is at most the largest g^2 that there ever was.
bool surelyHolds(float norm, State old) {
  next.ratio = (now.beta1 / sqrt(now.beta2) * old.ratio + now.oneMinusBeta1 / sqrt(now.oneMinusBeta2)) * (1.0 + 1.0 / 65536.0);
  float g = 1.001 * min(norm, now.gradclip) + 2.002 * now.l2 * WEIGHT_LARGE;
  next.second = max(old.second, g * g);
  float m = next.ratio * (sqrt(next.second) + RATIO_FLOOR);
  float by = next.rate * next.ratio * max(sqrt(next.debias2), RATIO_FLOOR / now.eps);
  vec4 bounds = vec4(by / 0.9 / WEIGHT_LARGE, next.second / 1e37, m / 1e37, next.rate * m / 1e37);
  return old.large == 0 && finite(bounds) && all(lessThan(bounds, vec4(1.0)));
}

// Whether the gradient is far longer than those before, which it joins (docs/cfg.md). No gradient moves what is usual by more than the
// limit, so that one outlier leaves it as it is, and a lasting change is usual after some tens of frames.
bool outlies(float norm, State old) {
  if (now.outlier == 0.0 || norm == 0.0) return false;
  float limit = now.outlier * max(sqrt(old.normVariance), OUTLIER_SPREAD);
  float off = log(norm) - old.normMean;
  bool known = old.norms >= OUTLIER_AFTER;
  float d = known ? clamp(off, -limit, limit) : off;
  float part = 1.0 / float(min(old.norms + 1, OUTLIER_AFTER));
  next.norms = min(old.norms + 1, OUTLIER_AFTER);
  next.normMean = old.normMean + part * d;
  next.normVariance = (1.0 - part) * (old.normVariance + part * d * d);
  return known && off > limit;
}

// What follows for this frame from the sums. One invocation.
void decide(float square, vec2 loss) {
  const State old = next;
  float norm = sqrt(square);
  bool ok = finite(norm);
  float pixels = float(geo.level[0].y * geo.level[0].z * geo.tiles) - loss.y;
  float mean = pixels > 0.0 ? loss.x / pixels : 0.0;
  float logLoss = log(max(mean, 1e-30));
  uint frame = old.frame;
  next.loss = mean;
  next.smoothed = frame == 0 ? logLoss : mix(old.smoothed, logLoss, max(0.01, 1.0 / float(frame + 1)));
  if (frame < now.history) history[frame] = mean;
  next.frame = frame + 1;
  next.badNow = uint(loss.y);
  next.badPixels += min(uint(loss.y), 0xffffffffu - old.badPixels);
  next.norm = norm;
  next.update = ok ? 1 : 0;
  sure = true;
  if (!ok) {
    next.skipped += 1;
    next.scale = max(0.5 * old.scale, SCALE_MIN);
    next.good = 0;
    return;
  }
  next.good += 1;
  if (next.good >= SCALE_PATIENCE) {
    next.scale = min(2.0 * old.scale, SCALE_MAX);
    next.good = 0;
  }
  if (outlies(norm, old)) {
    next.update = 0;
    next.skipped += 1;
    next.outliers += 1;
    return;
  }
  next.updates += 1;
  next.debias1 = old.debias1 * now.beta1 + now.oneMinusBeta1;
  next.debias2 = old.debias2 * now.beta2 + now.oneMinusBeta2;
  next.rate = learningRate(frame) / next.debias1;
  next.correction2 = 1.0 / next.debias2;
  next.factor = norm > now.gradclip ? now.gradclip / norm : 1.0;
  sure = surelyHolds(norm, old);
}

// Goes through all weights: whether the update holds, and what `surelyHolds` starts from the next time. The whole workgroup.
void look() {
  vec2 bad = vec2(0), most = vec2(0); // not finite, large; ratio, second
  for (uint k = gl_LocalInvocationID.x; k < USED_WEIGHTS / 2; k += 256) {
    Update u = updated(now, next.factor, next.rate, next.correction2, master[k], DEDW(k), moment1[k], moment2[k]);
    if (!holds(u)) bad.x += 1.0;
    if (any(greaterThan(abs(u.weight), vec2(WEIGHT_LARGE)))) bad.y += 1.0;
    vec2 ratio = abs(u.moment1) / (sqrt(u.moment2) + RATIO_FLOOR);
    most = max(most, vec2(max(ratio.x, ratio.y), max(u.moment2.x, u.moment2.y)));
  }
  bad = reduceSum(vec3(bad, 0.0)).xy;
  most = reduceMax(vec3(most, 0.0)).xy;
  if (gl_LocalInvocationID.x != 0) return;
  if (bad.x > 0.0) {
    // Weights, moments and their number stay.
    next.update = 0;
    next.skipped += 1;
    next.overflows += 1;
    next.updates = state.updates;
    next.debias1 = state.debias1;
    next.debias2 = state.debias2;
    next.scale = state.scale;
    next.good = state.good;
    next.ratio = state.ratio;
    next.second = state.second;
  } else {
    next.ratio = most.x * (1.0 + 1.0 / 65536.0);
    next.second = most.y;
    next.large = bad.y > 0.0 ? 1 : 0;
  }
}

// `norms` of the weights' workgroups, then of the loss's.
void takeStep(uint weightGroups, uint lossGroups) {
  uint i = gl_LocalInvocationID.x;
  if (i == 0) { // memory takes its time: all is asked for at once
    next = state;
    now = hyper;
  }
  vec3 total = vec3(0); // |g|^2; loss, bad pixels
  for (uint k = i; k < weightGroups; k += 256) total.x += norms[k].x;
  for (uint k = i; k < lossGroups; k += 256) total.yz += norms[weightGroups + k];
  total = reduceSum(total);
  if (i == 0) decide(total.x, total.yz);
  barrier();
  if (!sure) look();
  if (i == 0) {
    next.arrived = 0;
    state = next;
  }
}

#endif
