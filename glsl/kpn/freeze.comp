// freeze: keeps frame 0's copy of what a module reads, so that checking derivatives (SPEC 7) sees the same tile and noise
// in every frame, whatever the graph makes of them.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "kpn/state.glsl"
layout(local_size_x_id = 0) in;

layout(set = 0, binding = 0) readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 1) readonly buffer Live { uint live[]; };
layout(set = 0, binding = 2) writeonly buffer Frozen { uint frozen[]; };
layout(push_constant) uniform Push { uint words; } push;

void main() {
  uint i = gl_GlobalInvocationID.x;
  if (state.frame == 0 && i < push.words) frozen[i] = live[i];
}
