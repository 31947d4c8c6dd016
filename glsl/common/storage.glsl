// How numbers lie in memory. Images and activations are f16, read and written in groups of four channels (8 bytes) by
// integer words, so that no 16-bit storage feature is needed; with -DF32=1 (the gradient check) they are f32 (16 bytes).
#ifndef VKPN_STORAGE
#define VKPN_STORAGE

#include "common/half.glsl"

#ifdef F32
#define QUAD uvec4
vec4 unpackQuad(QUAD q) { return uintBitsToFloat(q); }
QUAD packQuad(vec4 v) { return floatBitsToUint(v); }
QUAD packStored(vec4 v) { return packQuad(v); }
#else
#define QUAD uvec2
vec4 unpackQuad(QUAD q) { return vec4(unpackHalf2x16(q.x), unpackHalf2x16(q.y)); }
QUAD packQuad(vec4 v) { return packHalf4(v); }
// Of what `stored` gave: rounded once, not twice.
QUAD packStored(vec4 v) { return packRounded4(v); }
#endif

// What a number becomes by being stored.
#if defined(F32) || defined(F16_TYPES)
vec4 stored(vec4 v) { return unpackQuad(packQuad(v)); }
#else
vec4 stored(vec4 v) { return PACK_ROUNDS ? unpackQuad(packQuad(v)) : roundToHalf4(v); }
#endif

// GLSL's isnan and isinf may be optimised away where the compiler assumes finite numbers; bits may not.
bool finite(float x) { return (floatBitsToUint(x) & 0x7f800000u) != 0x7f800000u; }
bool finite(vec3 v) { return finite(v.x) && finite(v.y) && finite(v.z); }
bool finite(vec4 v) { return finite(v.xyz) && finite(v.w); }

#endif
