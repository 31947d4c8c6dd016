// down: one level of the pyramid (SPEC 1.2) of each part of the f32 image `fine`, for every pixel of level `level` + 1; with -DMIP=1
// of the stored image M, in place in the batch (the binomial pyramid, level by level).
//! variant f16 -DMIP=1
//! variant f32 -DMIP=1 -DF32=1
//! variant float
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/parts.glsl"

#ifdef MIP
layout(set = 0, binding = 1) buffer Mip { QUAD mipQuad[]; };                 // (pixel): M
const uint SUMS = 1;
vec3 fineAt(uint k, uint p) { return unpackQuad(mipQuad[p]).rgb; }
void put(uint k, uint p, vec3 v) { mipQuad[p] = packQuad(vec4(v, 1.0)); }
#else
layout(set = 0, binding = 1) readonly buffer Fine { vec4 fine[]; };          // (part, pixel)
layout(set = 0, binding = 2) writeonly buffer Coarse { vec4 coarse[]; };     // (part, pixel): at the coarser level's pixels
const uint SUMS = PARTS;
vec3 fineAt(uint k, uint p) { return fine[k * geo.pixels + p].rgb; }
void put(uint k, uint p, vec3 v) { coarse[k * geo.pixels + p] = vec4(v, 0.0); }
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
  vec3 sum[SUMS];
  [[unroll]] for (uint k = 0; k < SUMS; ++k) sum[k] = vec3(0);
  for (int j = -2; j <= 2; ++j) {
    for (int i = -2; i <= 2; ++i) {
      float w = downWeight(i) * downWeight(j);
      if (w == 0.0) continue;
      uint from = base + uint(mirror(2 * c.y + j, size.y) * size.x + mirror(2 * c.x + i, size.x));
      [[unroll]] for (uint k = 0; k < SUMS; ++k) sum[k] += w * fineAt(k, from);
    }
  }
  [[unroll]] for (uint k = 0; k < SUMS; ++k) put(k, info.x + r, sum[k]);
}
