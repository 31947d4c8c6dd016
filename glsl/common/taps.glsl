// The 15 taps of the kernel (SPEC 1.1) and luminance (SPEC 1.3).
#ifndef VKPN_TAPS
#define VKPN_TAPS

const uint TAPS = 15;
const ivec2 TAP[TAPS] = ivec2[TAPS](
  ivec2(0, -2),
  ivec2(-2, -1), ivec2(-1, -1), ivec2(0, -1), ivec2(1, -1), ivec2(2, -1),
  ivec2(-1, 0), ivec2(0, 0), ivec2(1, 0),
  ivec2(-2, 1), ivec2(-1, 1), ivec2(0, 1), ivec2(1, 1), ivec2(2, 1),
  ivec2(0, 2));
const uint CENTRE = 7;

const vec3 LUMINANCE = vec3(0.2627002, 0.6779981, 0.0593017);
float luminance(vec3 rgb) { return dot(rgb, LUMINANCE); }
float saturation(vec3 rgb) { return max(max(rgb.r, rgb.g), rgb.b) - min(min(rgb.r, rgb.g), rgb.b); }
vec2 lightOf(vec3 rgb) { return vec2(luminance(rgb), saturation(rgb)); }

#endif
