// Pictures at a module's connectors: rgba, f16 or f32, row-major, read as words so that one kernel takes both.
#ifndef VKPN_PICTURE
#define VKPN_PICTURE

#include "common/half.glsl"

#define READ_PICTURE(words, f32, pixel) \
  (f32 ? uintBitsToFloat(uvec4(words[4 * (pixel)], words[4 * (pixel) + 1], words[4 * (pixel) + 2], words[4 * (pixel) + 3])) \
       : vec4(unpackHalf2x16(words[2 * (pixel)]), unpackHalf2x16(words[2 * (pixel) + 1])))

#endif
