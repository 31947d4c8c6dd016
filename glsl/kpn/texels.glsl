// Pixels of pictures in inference: rgba f16 in memory, f32 where the input picture is.
#ifndef VKPN_TEXELS
#define VKPN_TEXELS

#include "common/half.glsl"

// Of a buffer of uvec2; `single` is the same for all invocations.
#define READ_TEXEL(words, single, at) \
  ((single) != 0 ? uintBitsToFloat(uvec4(words[2 * (at)], words[2 * (at) + 1])) : unpackTexel(words[at]))
vec4 unpackTexel(uvec2 q) { return vec4(unpackHalf2x16(q.x), unpackHalf2x16(q.y)); }

// What is too large for f16 becomes its largest number: an infinite pixel of a coarse level would be 36 of the finer one. NaN stays.
uvec2 packTexel(vec3 v, float a) { return packHalf4(vec4(mix(v, sign(v) * 65504.0, greaterThan(abs(v), vec3(65504.0))), a)); }

#endif
