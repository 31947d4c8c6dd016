// step: the gradient's norm, clipping, the learning rate of this frame, the scale of f16 gradients, and whether this
// frame updates (SPEC 3); one workgroup. Advances the frame.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/reduce.glsl"
#include "kpn/geometry.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 1) buffer StateBuffer { State state; };
layout(set = 0, binding = 2) readonly buffer HyperBuffer { Hyper hyper; };
layout(set = 0, binding = 3) readonly buffer Norms { vec2 norms[]; };
layout(set = 0, binding = 4) buffer History { float history[]; };  // (frame): loss, mean a pixel
layout(push_constant) uniform Push { uint weightGroups, lossGroups; } push;

const float SCALE_MAX = 65536.0, SCALE_MIN = 1.0 / 65536.0;
const uint SCALE_PATIENCE = 2000; // updates without overflow before the scale doubles

float learningRate(uint frame) {
  float t = min(float(frame) / float(max(hyper.frames, 1u)), 1.0);
  float rate = hyper.alpha;
  if (hyper.decay == 1) rate *= 0.5 + 0.5 * cos(3.14159265 * t);
  if (hyper.decay == 2) rate *= exp2(-6.6438562 * t); // to a hundredth
  if (frame < hyper.warmup) rate *= float(frame + 1) / float(hyper.warmup);
  return rate;
}

void main() {
  uint i = gl_LocalInvocationID.x;
  float square = 0.0;
  for (uint k = i; k < push.weightGroups; k += 256) square += norms[k].x;
  vec2 loss = vec2(0);
  for (uint k = i; k < push.lossGroups; k += 256) loss += norms[push.weightGroups + k];
  square = reduceSum(vec2(square, 0)).x;
  loss = reduceSum(loss);
  if (i != 0) return;

  float norm = sqrt(square);
  bool ok = finite(norm);
  float pixels = float(geo.level[0].y * geo.level[0].z * geo.tiles) - loss.y;
  float mean = pixels > 0.0 ? loss.x / pixels : 0.0;
  float logLoss = log(max(mean, 1e-30));
  uint frame = state.frame;
  state.loss = mean;
  state.smoothed = frame == 0 ? logLoss : mix(state.smoothed, logLoss, max(0.01, 1.0 / float(frame + 1)));
  if (frame < hyper.history) history[frame] = mean;
  state.frame = frame + 1;
  state.badNow = uint(loss.y);
  state.badPixels += min(uint(loss.y), 0xffffffffu - state.badPixels);
  state.norm = norm;
  state.update = ok ? 1 : 0;
  if (!ok) {
    state.skipped += 1;
    state.scale = max(0.5 * state.scale, SCALE_MIN);
    state.good = 0;
    return;
  }
  state.good += 1;
  if (state.good >= SCALE_PATIENCE) {
    state.scale = min(2.0 * state.scale, SCALE_MAX);
    state.good = 0;
  }
  state.updates += 1;
  state.debias1 = state.debias1 * hyper.beta1 + hyper.oneMinusBeta1;
  state.debias2 = state.debias2 * hyper.beta2 + hyper.oneMinusBeta2;
  state.rate = learningRate(frame) / state.debias1;
  state.correction2 = 1.0 / state.debias2;
  state.factor = norm > hyper.gradclip ? hyper.gradclip / norm : 1.0;
}
