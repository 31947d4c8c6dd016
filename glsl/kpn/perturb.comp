// perturb: two copies of the weights, in which frame n's weight is larger and smaller by a step (SPEC 7). The weights'
// order is a list; frame 0, and frames past the list's end, change nothing.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "kpn/state.glsl"
layout(local_size_x_id = 0) in;

layout(set = 0, binding = 0) readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 1) readonly buffer Targets { uint targets[]; };  // (frame - 1): index of the weight
layout(set = 0, binding = 2) readonly buffer Weights { float weights[]; };
layout(set = 0, binding = 3) writeonly buffer Plus { float plus[]; };
layout(set = 0, binding = 4) writeonly buffer Minus { float minus[]; };
layout(push_constant) uniform Push { uint weights, targets; float step; } push;

void main() {
  uint i = gl_GlobalInvocationID.x;
  if (i >= push.weights) return;
  bool changed = state.frame > 0 && state.frame <= push.targets && targets[max(state.frame, 1) - 1] == i;
  float w = weights[i], h = changed ? push.step : 0.0;
  plus[i] = w + h;
  minus[i] = w - h;
}
