// guide: G = up2(O of the coarser level), for the pixels of one level: what its context sees besides M (SPEC 1.3, guide).
//! variant f16
//! variant f32 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"

layout(set = 0, binding = 1) readonly buffer Combined { vec4 combined[]; };  // (pixel): O
layout(set = 0, binding = 2) writeonly buffer Guide { QUAD guideQuad[]; };   // (pixel): G
layout(push_constant) uniform Push { uint level; } push;

void main() {
  uvec4 info = geo.level[push.level];
  uint area = info.y * info.z, r = gl_GlobalInvocationID.x;
  if (r >= area * geo.tiles) return;
  uint tile = r / area, s = r - tile * area;
  ivec2 at = ivec2(s % info.y, s / info.y), c = at >> 1, size = levelSize(push.level + 1);
  uint base = levelBase(push.level + 1, tile);
  vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1));
  vec3 up = vec3(0);
  for (int j = 0; j < 3; ++j)
    for (int i = 0; i < 3; ++i)
      up += wx[i] * wy[j] * combined[base + uint(mirror(c.y + j - 1, size.y) * size.x + mirror(c.x + i - 1, size.x))].rgb;
  guideQuad[info.x + r] = packQuad(vec4(up, 1.0));
}
