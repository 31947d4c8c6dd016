// target[i] = mirror(i % width - 4, i / width) of glsl/common/addressing.glsl (test/kernels/addressing.test.ts).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/addressing.glsl"
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) writeonly buffer Out { int target[]; };
layout(push_constant) uniform Push { uint width, count; } push;

void main() {
  uint i = gl_GlobalInvocationID.x;
  if (i < push.count) target[i] = mirror(int(i % push.width) - 4, int(i / push.width));
}
