// shrink: the next level of a picture's pyramid, a pixel an invocation (SPEC 1.2): of M, or of I under postdiff. A workgroup
// is a part of a row.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/half.glsl"
#include "common/addressing.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/window.glsl"
#include "kpn/texels.glsl"

layout(set = 0, binding = 1) readonly buffer Fine { uvec2 fine[]; };      // (y, x): rgba f16, f32 where push.single
layout(set = 0, binding = 2) writeonly buffer Coarse { uvec2 coarse[]; }; // (y, x): rgba f16, of level push.level + 1
layout(push_constant) uniform Push { uint level; uint single; } push;

vec3 fineAt(ivec2 at) { return READ_TEXEL(fine, push.single, inMemory(push.level, at)).rgb; }

void main() {
  uint level = push.level + 1;
  ivec2 c = win.place[level].xy + ivec2(gl_GlobalInvocationID.x, gl_WorkGroupID.y);
  if (!isInMemory(level, c)) return;
  vec3 sum = vec3(0);
  if (PYRAMID == BOX) {
    sum = 0.25 * ((fineAt(2 * c) + fineAt(2 * c + ivec2(1, 0))) + (fineAt(2 * c + ivec2(0, 1)) + fineAt(2 * c + 1)));
  } else {
    [[unroll]] for (int j = -2; j <= 2; ++j)
      [[unroll]] for (int i = -2; i <= 2; ++i) sum += downWeight(i) * downWeight(j) * fineAt(2 * c + ivec2(i, j));
  }
  coarse[inMemory(level, c)] = packTexel(sum, 1.0);
}
