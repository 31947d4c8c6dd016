// mip: level 0 copied into the batch, and the first levels of the box pyramid, each pixel the mean of 2x2 of the level before (SPEC
// 1.2). A workgroup takes 32x32 pixels of level 0 through all levels, an invocation four of them to level 1, then in shared memory, in f32; a grid of (block, row of blocks, tile).
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

layout(set = 0, binding = 1) readonly buffer Tiles { uvec2 tilePairs[]; };  // (tile, y, x): the module's input
layout(set = 0, binding = 2) writeonly buffer Mip { QUAD mipQuad[]; };     // (pixel): M
layout(push_constant) uniform Push { uint depth; } push;                   // levels to compute, level 0 included: at most 5

const int BLOCK = 16; // pixels of level 1, each way
shared float block[3][BLOCK * BLOCK]; // pixel (x, y) of a level's part of the block at y * BLOCK + x

vec3 blockAt(ivec2 at) {
  int i = at.y * BLOCK + at.x;
  return vec3(block[0][i], block[1][i], block[2][i]);
}

vec3 meanOf(vec3 a, vec3 b, vec3 c, vec3 d) { return 0.25 * (a + b + c + d); }

void main() {
  int t = int(gl_LocalInvocationIndex);
  uint tile = gl_WorkGroupID.z;
  ivec2 corner = BLOCK * ivec2(gl_WorkGroupID.xy), size = levelSize(0); // of the block, of the level that is there
  ivec2 own = ivec2(t % BLOCK, t / BLOCK), at = corner + own;
  vec3 under[4];
  [[unroll]] for (uint q = 0; q < 4; ++q) {
    ivec2 f = 2 * at + ivec2(q & 1, q >> 1), there = min(f, size - 1); // an odd size ends with the edge pixel twice
    uint from = tile * uint(size.x * size.y) + uint(there.y * size.x + there.x);
    under[q] = READ_PICTURE(tilePairs, INPUT_F32, from).rgb;
    if (f != there) continue;
    uint to = levelBase(0, tile) + uint(f.y * size.x + f.x);
#ifndef F32
    if (!INPUT_F32) mipQuad[to] = uvec2(tilePairs[from].x, (tilePairs[from].y & 0xffffu) | 0x3c000000u); // what is f16 needs no rounding
    else
#endif
    mipQuad[to] = packQuad(vec4(under[q], 1.0));
  }
  vec3 v = meanOf(under[0], under[1], under[2], under[3]);
  int n = BLOCK;
  for (uint level = 1; level < push.depth; ++level) {
    if (level > 1) {
      barrier();
      n >>= 1;
      corner >>= 1;
      own = ivec2(t % n, t / n);
      at = corner + own;
      ivec2 last = size - 1 - 2 * corner, a = 2 * own, b = min(a + 1, last); // of the finer level, in the block
      if (t < n * n && all(lessThanEqual(a, last))) v = meanOf(blockAt(a), blockAt(ivec2(b.x, a.y)), blockAt(ivec2(a.x, b.y)), blockAt(b));
      barrier();
    }
    size = levelSize(level);
    if (t >= n * n || any(greaterThanEqual(at, size))) continue;
    mipQuad[levelBase(level, tile) + uint(at.y * size.x + at.x)] = packQuad(vec4(v, 1.0));
    [[unroll]] for (int c = 0; c < 3; ++c) block[c][own.y * BLOCK + own.x] = v[c];
  }
}
