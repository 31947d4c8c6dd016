// f32 -> f16 by rounding to nearest, ties to even: the same bits on every device. packHalf2x16 alone rounds as the driver
// likes, and a compiler may take unpackHalf2x16(packHalf2x16(v)) for v: on an H100 the plain path then differed from the
// reference by more than rounding allows, and from what it had stored.
#ifndef VKPN_HALF
#define VKPN_HALF

// Where the driver's packHalf2x16 is known to round to nearest, rounding before it would be work for nothing.
layout(constant_id = 27) const bool PACK_ROUNDS = false;

// What f16 can hold exactly, so that packing it rounds nothing. A sum with a number whose last bit is v's last bit in f16 loses what is to be rounded:
// f32 sums round to nearest, ties to even. That bit is 2^-10 of v's power of two, from 2^-14 down 2^-24.
float roundToHalf(float v) {
  uint bits = floatBitsToUint(v);
  float large = uintBitsToFloat(max(bits & 0x7f800000u, 0x38800000u) + 0x06c00000u); // 1.5 * 2^13 of these
  precise float shifted = v + large;
  precise float rounded = shifted - large;
  rounded = abs(v) >= 65520.0 ? uintBitsToFloat(0x7f800000u) : rounded; // also where `large` is no number
  return uintBitsToFloat((floatBitsToUint(rounded) & 0x7fffffffu) | (bits & 0x80000000u));
}

#ifdef F16_TYPES
// Where there are numbers of 16 bits, the conversion to them: one instruction, which rounds to nearest.
uint packHalf(vec2 v) { return packFloat2x16(f16vec2(v)); }
#else
uint packHalf(vec2 v) { return packHalf2x16(PACK_ROUNDS ? v : vec2(roundToHalf(v.x), roundToHalf(v.y))); }
#endif
uvec2 packHalf4(vec4 v) { return uvec2(packHalf(v.xy), packHalf(v.zw)); }

vec4 roundToHalf4(vec4 v) { return vec4(roundToHalf(v.x), roundToHalf(v.y), roundToHalf(v.z), roundToHalf(v.w)); }
// Of what is rounded.
uvec2 packRounded4(vec4 v) { return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw)); }

#endif
