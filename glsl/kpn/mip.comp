// mip: the first levels of the box pyramid from level 0, each pixel the mean of 2x2 of the level before (SPEC 1.2), in one
// dispatch: level i averages 4^i pixels of level 0, whose coordinates are mirrored at every level on the way down.
// Level 0 is copied into the batch. (The binomial pyramid: level 0 here, the others by down; so the box pyramid's deep ones.)
//! variant f16
//! variant f32 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"

layout(set = 0, binding = 1) readonly buffer Tiles { uint tileWords[]; };   // (tile, y, x): the module's input
layout(set = 0, binding = 2) writeonly buffer Mip { QUAD mipQuad[]; };     // (pixel): M
layout(push_constant) uniform Push { uint depth; } push;                   // levels to compute, level 0 included

// The coordinate at level 0 of the `path`th of the 2^level pixels that pixel c of `level` averages along one axis.
// Only the far end needs mirroring: an odd size ends with the edge pixel twice.
int descend(int c, uint level, uint path, uint axis) {
  for (uint i = level; i > 0; --i) c = min(2 * c + int((path >> (i - 1)) & 1), int(geo.level[i - 1][1 + axis]) - 1);
  return c;
}

void main() {
  uint p = gl_GlobalInvocationID.x;
  uint level = 0;
  for (uint i = 1; i < 8; ++i) level = i < push.depth && p >= geo.level[i].x ? i : level;
  uvec4 info = geo.level[level];
  uint area = info.y * info.z, r = p - info.x;
  if (r >= area * geo.tiles) return;
  uint tile = r / area;
  r -= tile * area;
  ivec2 at = ivec2(r % info.y, r / info.y);
  uvec4 fine = geo.level[0];
  uint base = tile * fine.y * fine.z;
  vec4 sum = vec4(0);
  uint n = 1u << level;
  for (uint j = 0; j < n; ++j) {
    uint row = base + uint(descend(at.y, level, j, 1)) * fine.y;
    for (uint i = 0; i < n; ++i) {
      uint from = row + uint(descend(at.x, level, i, 0));
      sum += READ_PICTURE(tileWords, INPUT_F32, from);
    }
  }
  mipQuad[p] = packQuad(vec4(sum.rgb / float(n * n), 1.0));
}
