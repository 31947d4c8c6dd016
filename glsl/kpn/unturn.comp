// unturn: a run's result turned back and added to those before it; the last gives the mean (cycle spinning, ts/modules/kpn/spin.ts).
//! variant first -DFIRST=1
//! variant next
//! variant last -DLAST=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "kpn/turn.glsl"
#include "kpn/texels.glsl"

layout(set = 0, binding = 2) readonly buffer Run { uvec2 run[]; };   // (picture, y, x) of the turned one: rgba f16
#ifdef LAST
layout(set = 0, binding = 3) readonly buffer Sum { float sum[]; };   // (picture, y, x, c): rgb f32
layout(set = 0, binding = 4) writeonly buffer Mean { uvec2 mean[]; };// (picture, y, x): rgba f16
#else
layout(set = 0, binding = 3) buffer Sum { float sum[]; };
#endif

void main() {
  ivec2 q = pixelInMemory();
  ivec2 at = win.place[0].xy + q;
  ivec2 size = win.memory[0].xy;
  if (any(greaterThanEqual(q, size)) || !isInMemory(0, at)) return;
  uint to = indexInMemory(size, q);
  ivec2 turnedSize = turned.memory[0].xy;
  vec3 total = unpackTexel(run[indexInMemory(turnedSize, clamp(toTurned(at) - turned.place[0].xy, ivec2(0), turnedSize - 1))]).rgb;
#ifndef FIRST
  [[unroll]] for (int c = 0; c < 3; ++c) total[c] += sum[3 * to + c];
#endif
#ifdef LAST
  mean[to] = packTexel(total / float(push.turns), 1.0);
#else
  [[unroll]] for (int c = 0; c < 3; ++c) sum[3 * to + c] = total[c];
#endif
}
