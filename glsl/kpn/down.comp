// down: one level of the pyramid (SPEC 1.2) of the f32 image `fine`, for every pixel of level `level` + 1; with -DMIP=1
// of the stored image M, in place in the batch (the binomial pyramid, level by level).
//! variant f16 -DMIP=1
//! variant f32 -DMIP=1 -DF32=1
//! variant float
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"

#ifdef MIP
layout(set = 0, binding = 1) buffer Mip { QUAD mipQuad[]; };                 // (pixel): M
vec3 fineAt(uint p) { return unpackQuad(mipQuad[p]).rgb; }
void put(uint p, vec3 v) { mipQuad[p] = packQuad(vec4(v, 1.0)); }
#else
layout(set = 0, binding = 1) readonly buffer Fine { vec4 fine[]; };          // (pixel)
layout(set = 0, binding = 2) writeonly buffer Coarse { vec4 coarse[]; };     // (pixel): at the coarser level's pixels
vec3 fineAt(uint p) { return fine[p].rgb; }
void put(uint p, vec3 v) { coarse[p] = vec4(v, 0.0); }
#endif
layout(push_constant) uniform Push { uint level; } push;

void main() {
  uvec4 info = geo.level[push.level + 1];
  uint area = info.y * info.z, r = gl_GlobalInvocationID.x;
  if (r >= area * geo.tiles) return;
  uint tile = r / area, s = r - tile * area;
  ivec2 c = ivec2(s % info.y, s / info.y);
  ivec2 size = levelSize(push.level);
  uint base = levelBase(push.level, tile);
  vec3 sum = vec3(0);
  for (int j = -2; j <= 2; ++j) {
    for (int i = -2; i <= 2; ++i) {
      float w = downWeight(i) * downWeight(j);
      if (w == 0.0) continue;
      sum += w * fineAt(base + uint(mirror(2 * c.y + j, size.y) * size.x + mirror(2 * c.x + i, size.x)));
    }
  }
  put(info.x + r, sum);
}
