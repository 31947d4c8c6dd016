// detail: D_i = M_i - up2(M_{i+1}) for every level (SPEC 1.6, prediff).
//! variant f16
//! variant f32 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"

layout(set = 0, binding = 1) readonly buffer Mip { QUAD mipQuad[]; };         // (pixel): M, one level more than the batch
layout(set = 0, binding = 2) writeonly buffer Detail { QUAD detailQuad[]; };  // (pixel): D

void main() {
  uint p = gl_GlobalInvocationID.x;
  if (p >= geo.pixels) return;
  Pixel q = locate(p);
  ivec2 size = levelSize(q.level + 1), c = q.at >> 1;
  uint base = levelBase(q.level + 1, q.tile);
  vec3 wx = upWeights(uint(q.at.x & 1)), wy = upWeights(uint(q.at.y & 1));
  vec3 up = vec3(0);
  for (int j = 0; j < 3; ++j)
    for (int i = 0; i < 3; ++i)
      up += wx[i] * wy[j] * unpackQuad(mipQuad[base + uint(mirror(c.y + j - 1, size.y) * size.x + mirror(c.x + i - 1, size.x))]).rgb;
  detailQuad[p] = packQuad(vec4(unpackQuad(mipQuad[p]).rgb - up, 1.0));
}
