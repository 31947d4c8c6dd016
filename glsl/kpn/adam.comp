// adam: one update of master weights and moments, and the copies that the layers read (SPEC 3).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 0) readonly buffer StateBuffer { State state; };
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
  if (i >= (LAYERS + 1) * WIDTH * WIDTH / 2 || state.update == 0) return;
  vec2 w = master[i];
  vec2 g = state.factor * dEdw[i] + 2.0 * hyper.l2 * w;
  vec2 m1 = hyper.beta1 * moment1[i] + hyper.oneMinusBeta1 * g;
  vec2 m2 = hyper.beta2 * moment2[i] + hyper.oneMinusBeta2 * g * g;
  vec2 next = w - state.rate * m1 / (sqrt(m2 * state.correction2) + hyper.eps);
  // Never write what isn't finite; f16 ends at 65504.
  bvec2 ok = bvec2(finite(next.x) && abs(next.x) < 65504.0 && finite(m2.x), finite(next.y) && abs(next.y) < 65504.0 && finite(m2.y));
  next = mix(w, next, ok);
  master[i] = next;
  moment1[i] = mix(moment1[i], m1, ok);
  moment2[i] = mix(moment2[i], m2, ok);
  uint half2 = packHalf(next);
  weights[i] = half2;
  rounded[i] = EXACT ? next : unpackHalf2x16(half2);
}
