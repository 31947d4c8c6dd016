// From the MLP's 15 values to the weights of the kernel, and from its 16th to the blend weight (SPEC 1.5).
#ifndef VKPN_KERNEL
#define VKPN_KERNEL

#include "kpn/parts.glsl"

// What the MLP says of a part of a pixel: 15 values and a 16th; then the weights made of them, those of the taps but for `factor`.
struct Kernel {
  float k[TAPS];
  float alpha;
  float factor;
};

// The 16 values of a part in fours: QUADS_AT(i) is the vec4 of channels 4i .. 4i+3 of all parts.
#define GET_KERNEL(kernel, part, QUADS_AT) \
  [[unroll]] for (uint i = 0; i < 4; ++i) { \
    vec4 v = QUADS_AT(4 * (part) + i); \
    [[unroll]] for (uint j = 0; j < 4; ++j) { \
      if (4 * i + j < TAPS) kernel.k[4 * i + j] = v[j]; \
      else kernel.alpha = v[j]; \
    } \
  }

// vkdt's guard: taps of huge weight are replaced, and get no gradient.
bool guarded(float k) { return abs(k) >= 10.0; }

// Turns K's 15 values into weights; returns their raw sum S (plain) or 1.
float tapWeights(inout Kernel kernel) {
  float total = 0.0;
  if (APPLY == SOFTMAX) {
    float top = kernel.k[0];
    [[unroll]] for (uint t = 1; t < TAPS; ++t) top = max(top, kernel.k[t]);
    [[unroll]] for (uint t = 0; t < TAPS; ++t) { kernel.k[t] = exp2(SHARP * 1.4426950408889634 * (kernel.k[t] - top)); total += kernel.k[t]; }
    kernel.factor = 1.0 / total;
    return 1.0;
  }
  [[unroll]] for (uint t = 0; t < TAPS; ++t) { kernel.k[t] = guarded(kernel.k[t]) ? 0.001 : kernel.k[t]; total += kernel.k[t]; }
  kernel.factor = 1.0 / max(0.001, total);
  return total;
}

float blendWeight(float x) {
  if (ABLEND == ALPHA_SIGMOID) return 0.5 * x * inversesqrt(1.0 + x * x) + 0.5;
  if (ABLEND == ALPHA_CLAMPED) return clamp(x, 0.0, 1.0);
  return ABLEND == ALPHA_CONST ? 1.0 : x;
}

float blendWeightSlope(float x) {
  if (ABLEND == ALPHA_SIGMOID) { float r = inversesqrt(1.0 + x * x); return 0.5 * r * r * r; }
  if (ABLEND == ALPHA_CLAMPED) return x > 0.0 && x < 1.0 ? 1.0 : 0.0;
  return ABLEND == ALPHA_CONST ? 0.0 : 1.0;
}

#endif
