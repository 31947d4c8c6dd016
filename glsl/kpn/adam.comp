// adam: one update of master weights and moments, and the copies that the layers read (SPEC 3). `step` has seen to it that all of
// them are finite, or there is no update.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/state.glsl"
#include "kpn/update.glsl"

layout(set = 0, binding = 0) buffer StateBuffer { State state; };
layout(set = 0, binding = 1) readonly buffer HyperBuffer { Hyper hyper; };
layout(set = 0, binding = 2) readonly buffer DW { vec2 dEdw[]; };
layout(set = 0, binding = 3) buffer Master { vec2 master[]; };
layout(set = 0, binding = 4) buffer Moment1 { vec2 moment1[]; };
layout(set = 0, binding = 5) buffer Moment2 { vec2 moment2[]; };
layout(set = 0, binding = 6) writeonly buffer Weights { uint weights[]; };    // f16, the module's output
layout(set = 0, binding = 7) writeonly buffer Rounded { vec2 rounded[]; };    // f32 of the same values, for the plain path
layout(constant_id = 15) const bool EXACT = false;                            // `rounded` is the master itself (all f32)

void main() {
  uint i = gl_GlobalInvocationID.x; // a pair of weights
  if (i >= USED_WEIGHTS / 2 || state.update == 0) return;
  Update u = updated(hyper, state.factor, state.rate, state.correction2, master[i], dEdw[i], moment1[i], moment2[i]);
  if (any(greaterThan(abs(u.weight), vec2(WEIGHT_LARGE)))) atomicOr(state.large, 1);
  master[i] = u.weight;
  moment1[i] = u.moment1;
  moment2[i] = u.moment2;
  uint half2 = packHalf(u.weight);
  weights[i] = half2;
  rounded[i] = EXACT ? u.weight : unpackHalf2x16(half2);
}
