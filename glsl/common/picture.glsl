// Pictures at a module's connectors: rgba, f16 or f32, row-major, read as pairs of words (a pixel in f16, two of them in f32) so that one kernel takes both.
#ifndef VKPN_PICTURE
#define VKPN_PICTURE

#include "common/half.glsl"

#define READ_PICTURE(pairs, f32, pixel) \
  (f32 ? uintBitsToFloat(uvec4(pairs[2 * (pixel)], pairs[2 * (pixel) + 1])) : vec4(unpackHalf2x16(pairs[pixel].x), unpackHalf2x16(pairs[pixel].y)))

#endif
