// sum: dE/dw from the parts of mulw, unscaled, and the parts of its squared norm; further workgroups add up the loss of
// level 0 (SPEC 3). Workgroups of 256: `weightGroups` for the weights, 64 each, whose parts four invocations share, in four runs one
// after the other; the rest for the loss. -DSTEPS: the workgroup that ends last also takes the step (step.glsl).
//! variant apart
//! variant steps -DSTEPS=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/state.glsl"

#ifdef STEPS
#define SHARED coherent
layout(set = 0, binding = 1) buffer StateBuffer { State state; };
layout(set = 0, binding = 6) readonly buffer HyperBuffer { Hyper hyper; };
layout(set = 0, binding = 7) buffer History { float history[]; };             // (frame): loss, mean a pixel
layout(set = 0, binding = 8) readonly buffer Master { vec2 master[]; };
layout(set = 0, binding = 9) readonly buffer Moment1 { vec2 moment1[]; };
layout(set = 0, binding = 10) readonly buffer Moment2 { vec2 moment2[]; };
#else
#define SHARED writeonly
layout(set = 0, binding = 1) readonly buffer StateBuffer { State state; };
#endif
layout(set = 0, binding = 2) readonly buffer Part { float part[]; };          // (part, layer, out, in)
layout(set = 0, binding = 3) readonly buffer Losses { vec4 losses[]; };       // (pixel): .w the loss, -1 where it is not finite; or, with SLOPES, (block): .w, .x their sums
layout(set = 0, binding = 4) SHARED buffer DW { float dEdw[]; };           // (layer, out, in)
layout(set = 0, binding = 5) SHARED buffer Norms { vec2 norms[]; };        // (workgroup): |g|^2, 0; or loss, bad pixels
layout(push_constant) uniform Push { uint parts, weightGroups, lossesAGroup, losses; } push;

#ifdef STEPS
#define DEDW(k) vec2(dEdw[2 * (k)], dEdw[2 * (k) + 1])
#include "kpn/step.glsl"
shared bool last;
#else
#include "common/reduce.glsl"
#endif

const uint WEIGHTS = 64; // a workgroup
const uint SHARES = 4;
const uint AT_ONCE = 8;  // loads under way
shared float shares[SHARES * WEIGHTS];

// The parts k..end of weight w, in order.
float sumParts(uint w, uint count, uint k, uint end) {
  float g = 0.0;
  float v[AT_ONCE];
  for (; k + AT_ONCE <= end; k += AT_ONCE) {
    [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) v[j] = part[(k + j) * count + w];
    [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) g += v[j];
  }
  if (k == end) return g;
  [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) v[j] = k + j < end ? part[(k + j) * count + w] : 0.0;
  [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) g += v[j];
  return g;
}

void main() {
  uint group = gl_WorkGroupID.x, i = gl_LocalInvocationID.x;
  vec2 v = vec2(0);
  if (group < push.weightGroups) {
    const uint matrix = WIDTH * WIDTH, count = (LAYERS + 1) * matrix; // a multiple of WEIGHTS
    uint w = group * WEIGHTS + i % WEIGHTS, share = i / WEIGHTS, length = (push.parts + SHARES - 1) / SHARES;
    bool used = w < LAYERS * matrix + OUTPUTS * WIDTH;
    shares[i] = used ? sumParts(w, count, share * length, min((share + 1) * length, push.parts)) : 0.0;
    barrier();
    if (share == 0) {
      float g = shares[i];
      [[unroll]] for (uint s = 1; s < SHARES; ++s) g += shares[s * WEIGHTS + i];
      g /= state.scale;
      dEdw[w] = g;
      v.x = g * g;
    }
  } else {
    uint first = (group - push.weightGroups) * push.lossesAGroup;
    uint end = min(first + push.lossesAGroup, push.losses);
    for (uint p = first + i; p < end; p += AT_ONCE * 256) {
      vec2 loss[AT_ONCE];
      [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) loss[j] = p + j * 256 < end ? losses[p + j * 256].wx : vec2(0);
      [[unroll]] for (uint j = 0; j < AT_ONCE; ++j) v += SLOPES ? loss[j] : loss[j].x < 0.0 ? vec2(0, 1) : vec2(loss[j].x, 0);
    }
  }
  vec3 total = reduceSum(vec3(v, 0.0));
  if (i == 0) norms[group] = total.xy;
#ifdef STEPS
  memoryBarrierBuffer();
  barrier();
  if (i == 0) last = atomicAdd(state.arrived, 1) + 1 == gl_NumWorkGroups.x;
  barrier();
  if (!last) return;
  memoryBarrierBuffer();
  takeStep(push.weightGroups, gl_NumWorkGroups.x - push.weightGroups);
#endif
}
