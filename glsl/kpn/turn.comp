// turn: the picture turned, as a run of cycle spinning sees it; around it the picture goes on mirrored. Bits are copied.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "kpn/turn.glsl"

layout(set = 0, binding = 2) readonly buffer Given { uvec2 given[]; };    // (picture, y, x): rgba f16, f32 where push.single
layout(set = 0, binding = 3) writeonly buffer Result { uvec2 result[]; }; // (picture, y, x) of the turned one: the same format

void main() {
  ivec2 q = pixelInMemory();
  ivec2 size = turned.memory[0].xy;
  if (any(greaterThanEqual(q, size))) return;
  ivec2 at = fromTurned(turned.place[0].xy + q);
  uint from = inMemory(0, ivec2(mirrorAgain(at.x, win.place[0].z), mirrorAgain(at.y, win.place[0].w)));
  uint to = indexInMemory(size, q);
  if (push.single == 0) result[to] = given[from];
  else {
    result[2 * to] = given[2 * from];
    result[2 * to + 1] = given[2 * from + 1];
  }
}
