// Cycle spinning: the picture turned (mirrored, shifted, transposed) and back (ts/modules/kpn/spin.ts). A workgroup is a square block, so that
// both pictures are read and written a stretch of a row at a time, transposed too.
#ifndef VKPN_TURN
#define VKPN_TURN

#include "kpn/window.glsl"

layout(std140, set = 0, binding = 1) uniform Turned { WINDOW_FIELDS } turned; // the turned picture's
layout(push_constant) uniform Push {
  ivec2 shift;
  ivec2 rounded; // the picture's width and height, each the next multiple of what the pyramid divides by: flips keep its grid
  uvec2 flips;   // x, y
  uint transposed;
  uint single;   // the picture is f32
  uint turns;
} push;

const int BLOCK = 16;
ivec2 pixelInMemory() { return ivec2(gl_WorkGroupID.xy) * BLOCK + ivec2(gl_LocalInvocationIndex % BLOCK, gl_LocalInvocationIndex / BLOCK); }

ivec2 flipped(ivec2 at) { return ivec2(push.flips.x != 0 ? push.rounded.x - 1 - at.x : at.x, push.flips.y != 0 ? push.rounded.y - 1 - at.y : at.y); }

ivec2 toTurned(ivec2 at) {
  at = flipped(at) + push.shift;
  return push.transposed != 0 ? at.yx : at;
}

ivec2 fromTurned(ivec2 at) { return flipped((push.transposed != 0 ? at.yx : at) - push.shift); }

// mirror (common/addressing.glsl) of any number: what is around a small picture is mirrored more than once.
int mirrorAgain(int i, int n) {
  int k = (i < 0 ? -1 - i : i) % (2 * n);
  return k < n ? k : 2 * n - 1 - k;
}

#endif
