// mulw: dE/dw_l[out][in] = sum over pixels of dE/dA_l[out] * A_{l-1}[in] (SPEC 2), a part of the pixels a workgroup;
// `sum` adds the parts up, in order. Grid: (part, layer, group of columns). Each invocation holds one column `in`.
//! variant plain -DPATH_PLAIN=1
//! variant f32 -DPATH_PLAIN=1 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"

layout(set = 0, binding = 1) readonly buffer Input { uint inputWord[]; };    // (pixel, W): x
layout(set = 0, binding = 2) readonly buffer Act { uint actWord[]; };        // (layer, pixel, W): A
layout(set = 0, binding = 3) readonly buffer DAct { QUAD dActQuad[]; };      // (layer, pixel, W): dE/dA
layout(set = 0, binding = 4) readonly buffer DOut { QUAD dOutQuad[]; };      // (pixel, 16): dE/dK
layout(set = 0, binding = 5) writeonly buffer Part { float part[]; };        // (part, layer, out, in)
layout(push_constant) uniform Push { uint chunk; } push;                     // pixels a part

#ifdef F32
float channel(uint word, uint c) { return uintBitsToFloat(word); }
const uint PER_WORD = 1;
#else
float channel(uint word, uint c) { return unpackHalf2x16(word)[c & 1]; }
const uint PER_WORD = 2;
#endif

void main() {
  uint layer = gl_WorkGroupID.y;
  uint column = gl_WorkGroupID.z * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  uint rows = layer == LAYERS ? OUTPUTS : WIDTH;
  uint first = gl_WorkGroupID.x * push.chunk, end = min(first + push.chunk, geo.pixels);
  vec4 sum[WIDTH / 4];
  [[unroll]] for (uint o = 0; o < WIDTH / 4; ++o) sum[o] = vec4(0);
  for (uint p = first; p < end; ++p) {
    uint at = (p * WIDTH + column) / PER_WORD;
    float a = channel(layer == 0 ? inputWord[at] : actWord[(layer - 1) * geo.pixels * WIDTH / PER_WORD + at], column);
    if (layer == LAYERS) {
      [[unroll]] for (uint o = 0; o < OUTPUTS / 4; ++o) sum[o] += a * unpackQuad(dOutQuad[p * (OUTPUTS / 4) + o]);
    } else {
      [[unroll]] for (uint o = 0; o < WIDTH / 4; ++o) sum[o] += a * unpackQuad(dActQuad[(layer * geo.pixels + p) * (WIDTH / 4) + o]);
    }
  }
  uint base = (gl_WorkGroupID.x * (LAYERS + 1) + layer) * WIDTH * WIDTH + column;
  [[unroll]] for (uint o = 0; o < WIDTH / 4; ++o)
    if (4 * o < rows)
      [[unroll]] for (uint j = 0; j < 4; ++j) part[base + (4 * o + j) * WIDTH] = sum[o][j];
}
