// mip: level 0 copied into the batch, and the first levels of the box pyramid, each pixel the mean of 2x2 of the level before (SPEC
// 1.2). A workgroup takes 16x16 pixels of level 0 through all levels in shared memory, in f32; a grid of (block, row of blocks, tile).
// (The binomial pyramid: level 0 here, the others by down; so the box pyramid's deep ones.)
//! variant f16
//! variant f32 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "kpn/geometry.glsl"

layout(set = 0, binding = 1) readonly buffer Tiles { uint tileWords[]; };   // (tile, y, x): the module's input
layout(set = 0, binding = 2) writeonly buffer Mip { QUAD mipQuad[]; };     // (pixel): M
layout(push_constant) uniform Push { uint depth; } push;                   // levels to compute, level 0 included: at most 5

const int BLOCK = 16;
shared float block[3][BLOCK * BLOCK]; // pixel (x, y) of a level's part of the block at y * BLOCK + x

vec3 blockAt(ivec2 at) {
  int i = at.y * BLOCK + at.x;
  return vec3(block[0][i], block[1][i], block[2][i]);
}

void main() {
  int t = int(gl_LocalInvocationIndex);
  uint tile = gl_WorkGroupID.z;
  ivec2 corner = BLOCK * ivec2(gl_WorkGroupID.xy), size = levelSize(0);
  ivec2 own = ivec2(t % BLOCK, t / BLOCK), at = corner + own;
  vec3 v = vec3(0);
  bool inside = all(lessThan(at, size));
  if (inside) {
    uint from = tile * uint(size.x * size.y) + uint(at.y * size.x + at.x);
    v = READ_PICTURE(tileWords, INPUT_F32, from).rgb;
    uint to = levelBase(0, tile) + uint(at.y * size.x + at.x);
#ifndef F32
    if (!INPUT_F32) mipQuad[to] = uvec2(tileWords[2 * from], (tileWords[2 * from + 1] & 0xffffu) | 0x3c000000u); // what is f16 needs no rounding
    else
#endif
    mipQuad[to] = packQuad(vec4(v, 1.0));
  }
  for (uint level = 1; level < push.depth; ++level) {
    if (inside) {
      [[unroll]] for (int c = 0; c < 3; ++c) block[c][own.y * BLOCK + own.x] = v[c];
    }
    barrier();
    int n = BLOCK >> level;
    corner >>= 1;
    own = ivec2(t % n, t / n);
    at = corner + own;
    ivec2 last = size - 1 - 2 * corner; // of the finer level, in the block: an odd size ends with the edge pixel twice
    size = levelSize(level);
    inside = t < n * n && all(lessThan(at, size));
    if (inside) {
      ivec2 a = 2 * own, b = min(a + 1, last);
      v = 0.25 * (blockAt(a) + blockAt(ivec2(b.x, a.y)) + blockAt(ivec2(a.x, b.y)) + blockAt(b));
      mipQuad[levelBase(level, tile) + uint(at.y * size.x + at.x)] = packQuad(vec4(v, 1.0));
    }
    barrier();
  }
}
