// f32 -> f16 by rounding to nearest, ties to even: the same bits on every device. packHalf2x16 alone rounds as the driver
// likes, and a compiler may take unpackHalf2x16(packHalf2x16(v)) for v: on an H100 the plain path then differed from the
// reference by more than rounding allows, and from what it had stored.
#ifndef VKPN_HALF
#define VKPN_HALF

// Where the driver's packHalf2x16 is known to round to nearest, rounding before it would be work for nothing.
layout(constant_id = 27) const bool PACK_ROUNDS = false;

// What f16 can hold exactly, so that packing it rounds nothing.
float roundToHalf(float v) {
  uint bits = floatBitsToUint(v), magnitude = bits & 0x7fffffffu;
  uint rounded = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & ~0x1fffu; // 10 bits of mantissa
  // Below 2^-14 the spacing is 2^-24, that of f32 from 0.5 to 1.
  precise float shifted = uintBitsToFloat(magnitude) + 0.5;
  precise float small = shifted - 0.5;
  rounded = magnitude < 0x38800000u ? floatBitsToUint(small) : rounded;
  rounded = rounded > 0x477fe000u ? 0x7f800000u : rounded;     // past 65504: infinite
  rounded = magnitude > 0x7f800000u ? magnitude : rounded;     // NaN stays
  return uintBitsToFloat(rounded | (bits & 0x80000000u));
}

#if defined(PATH_KHR) || defined(PATH_NV)
// Where there are numbers of 16 bits, the conversion to them: one instruction, which rounds to nearest.
uint packHalf(vec2 v) { return packFloat2x16(f16vec2(v)); }
#else
uint packHalf(vec2 v) { return packHalf2x16(PACK_ROUNDS ? v : vec2(roundToHalf(v.x), roundToHalf(v.y))); }
#endif
uvec2 packHalf4(vec4 v) { return uvec2(packHalf(v.xy), packHalf(v.zw)); }

#endif
