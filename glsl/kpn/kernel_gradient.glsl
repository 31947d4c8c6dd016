// From dE/dO of a pixel through apply to dE/dK (SPEC 2: dup's pointwise part, dapply), scaled against underflow in f16 by the state's scale. I is not read: its
// part in dE/dK is the mean of what the taps say, by their weights, and its blend weight is K's.
// The includer declares state, imageQuad, outQuad (or defines K_QUAD(p, i), four channels of K), diff and gradient, and defines DEDI(part, p), dE/dI.rgb under
// postdiff, and PUT_DK(i, v), which takes four channels.
#ifndef VKPN_KERNEL_GRADIENT
#define VKPN_KERNEL_GRADIENT

#include "kpn/kernel.glsl"

#ifndef K_QUAD
#define K_QUAD(p, i) outQuad[(p) * (OUTPUTS / 4) + (i)]
#endif

// Of pixel p.
void putKernelGradient(uint p) {
  Pixel q = locate(p);
  vec4 given = gradient[p];
  vec3 g = given.rgb;
  bool hasSlope = SLOPES && q.level == 0;
  bool coarsest = q.level + 1 == geo.levels && COMBINE != PREDIFF; // there O = I.rgb
  bool fine = finite(g) && (!hasSlope || finite(given.w));
  vec3 dI[PARTS];
  float mean[PARTS];
  bool normalised[PARTS];
  Kernel raw[PARTS], weight[PARTS], dK[PARTS];
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    vec3 d = hasSlope ? vec3(0) : diff[part * geo.pixels + p].rgb;
    if (g == vec3(0)) d = vec3(0); // a gradient of 0 stays 0, whatever it meets: under postdiff others' gradients may reach this I
#define OUT_QUAD(i) unpackQuad(K_QUAD(p, i))
    GET_KERNEL(raw[part], part, OUT_QUAD)
    weight[part] = raw[part];
    normalised[part] = tapWeights(weight[part]) > 0.001;
    float alpha = blendWeight(raw[part].alpha);
    dI[part] = COMBINE == POSTDIFF ? DEDI(part, p) : coarsest ? g : alpha * g;
    dK[part].alpha = (hasSlope ? given.w : dot(g, d)) * blendWeightSlope(raw[part].alpha);
    mean[part] = 0.0;
    fine = fine && finite(alpha) && finite(d) && finite(dI[part]);
  }
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    vec3 rgb = unpackQuad(imageQuad[indexOf(q, TAP[t])]).rgb;
    [[unroll]] for (uint part = 0; part < PARTS; ++part) {
      dK[part].k[t] = dot(dI[part], partOf(part, rgb));
      mean[part] += weight[part].k[t] * dK[part].k[t];
    }
  }
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    mean[part] *= weight[part].factor;
    fine = fine && finite(mean[part]);
    if (!normalised[part]) mean[part] = 0.0;
  }
  // What overflowed in the forward pass, here or at a neighbour, gives no gradient (SPEC 1.7).
  float scale = fine ? state.scale : 0.0;
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    float f = scale * weight[part].factor * (APPLY == SOFTMAX ? SHARP : 1.0), rest = f * mean[part];
    [[unroll]] for (uint t = 0; t < TAPS; ++t) {
      float along = f * dK[part].k[t] - rest;
      dK[part].k[t] = APPLY == SOFTMAX ? weight[part].k[t] * along : guarded(raw[part].k[t]) ? 0.0 : along;
    }
    dK[part].alpha *= scale;
  }
  [[unroll]] for (uint i = 0; i < OUTPUTS / 4; ++i) {
    uint part = i / 4, t = 4 * (i % 4);
    vec4 v = vec4(dK[part].k[t], dK[part].k[t + 1], dK[part].k[t + 2], t + 3 < TAPS ? dK[part].k[t + 3 < TAPS ? t + 3 : 0] : dK[part].alpha);
    PUT_DK(i, scale == 0.0 ? vec4(0) : v);
  }
}

#endif
