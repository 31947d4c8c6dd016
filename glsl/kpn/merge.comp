// merge: O of a level under postdiff, from I, down(I) and the coarser O (SPEC 1.6). A workgroup is a part of a row.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/half.glsl"
#include "common/addressing.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/parts.glsl"
#include "kpn/texels.glsl"
#include "kpn/finest.glsl"

layout(set = 0, binding = 1) readonly buffer Image { uvec2 picture[]; };      // (y, x): the module's input, where level is 0
layout(set = 0, binding = 2) readonly buffer Filtered { uvec2 filtered[]; };  // (part, picture, y, x): I.rgb, I.a, rgba f16
layout(set = 0, binding = 3) readonly buffer Down { uvec2 smaller[]; };       // (part, picture, y, x): down(I)
layout(set = 0, binding = 4) readonly buffer CoarseResult { uvec2 below[]; }; // (y, x): O of the coarser level
layout(set = 0, binding = 5) writeonly buffer Result { uvec2 result[]; };     // (y, x): O
layout(push_constant) uniform Push { uint level; uint single; } push;

void main() {
  ivec2 at = win.place[push.level].xy + ivec2(gl_GlobalInvocationID.x, gl_WorkGroupID.y);
  if (!isInMemory(push.level, at)) return;
  uint here = inMemory(push.level, at);
  ivec2 c = at >> 1;
  vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1));
  ivec2 size = win.memory[push.level].xy, smallerSize = win.memory[push.level + 1].xy;
  uint plane = gl_NumWorkGroups.z * uint(size.x * size.y), smallerPlane = gl_NumWorkGroups.z * uint(smallerSize.x * smallerSize.y);
  vec3 up = vec3(0), again[PARTS];
  [[unroll]] for (uint k = 0; k < PARTS; ++k) again[k] = vec3(0);
  [[unroll]] for (int j = 0; j < 3; ++j) {
    [[unroll]] for (int i = 0; i < 3; ++i) {
      uint from = inMemory(push.level + 1, c + ivec2(i, j) - 1);
      up += wx[i] * wy[j] * unpackTexel(below[from]).rgb;
      [[unroll]] for (uint k = 0; k < PARTS; ++k) again[k] += wx[i] * wy[j] * unpackTexel(smaller[k * smallerPlane + from]).rgb;
    }
  }
  vec3 O = up;
  [[unroll]] for (uint k = 0; k < PARTS; ++k) {
    vec4 I = unpackTexel(filtered[k * plane + here]);
    O += I.a * (I.rgb - again[k]);
  }
  if (push.level == 0) O = finest(READ_TEXEL(picture, push.single, here).rgb, O);
  result[here] = packTexel(O, 1.0);
}
