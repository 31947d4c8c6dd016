// From dE/dO of a pixel through apply to dE/dK (SPEC 2: dup's pointwise part, dapply), scaled against underflow in f16 by the state's scale.
// The includer declares state, imageQuad, outQuad (or defines K_QUAD(p, i), four channels of K), filtered, diff and gradient, and defines DEDI(part, p), dE/dI.rgb under
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
  float mean[PARTS], inv[PARTS];
  Kernel weight[PARTS], dK[PARTS];
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    vec4 I = filtered[part * geo.pixels + p];
    vec3 d = hasSlope ? vec3(0) : diff[part * geo.pixels + p].rgb;
    if (g == vec3(0)) d = vec3(0); // a gradient of 0 stays 0, whatever it meets: under postdiff others' gradients may reach this I
    dI[part] = COMBINE == POSTDIFF ? DEDI(part, p) : coarsest ? g : I.a * g;
#define OUT_QUAD(i) unpackQuad(K_QUAD(p, i))
    GET_KERNEL(dK[part], part, OUT_QUAD)
    weight[part] = dK[part];
    float total = tapWeights(weight[part].k);
    bool normalised = APPLY == SOFTMAX || total > 0.001;
    mean[part] = normalised ? dot(dI[part], I.rgb) : 0.0;
    inv[part] = APPLY == SOFTMAX ? SHARP : 1.0 / max(0.001, total);
    dK[part].alpha = (hasSlope ? given.w : dot(g, d)) * blendWeightSlope(dK[part].alpha);
    fine = fine && finite(I) && finite(d) && finite(dI[part]);
  }
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    vec3 rgb = unpackQuad(imageQuad[indexOf(q, TAP[t])]).rgb;
    [[unroll]] for (uint part = 0; part < PARTS; ++part) {
      float along = inv[part] * (dot(dI[part], partOf(part, rgb)) - mean[part]);
      dK[part].k[t] = APPLY == SOFTMAX ? weight[part].k[t] * along : guarded(dK[part].k[t]) ? 0.0 : along;
    }
  }
  // What overflowed in the forward pass, here or at a neighbour, gives no gradient (SPEC 1.7).
  float scale = fine ? state.scale : 0.0;
  [[unroll]] for (uint i = 0; i < OUTPUTS / 4; ++i) {
    uint part = i / 4, t = 4 * (i % 4);
    vec4 v = vec4(dK[part].k[t], dK[part].k[t + 1], dK[part].k[t + 2], t + 3 < TAPS ? dK[part].k[t + 3 < TAPS ? t + 3 : 0] : dK[part].alpha);
    PUT_DK(i, scale == 0.0 ? vec4(0) : scale * v);
  }
}

#endif
