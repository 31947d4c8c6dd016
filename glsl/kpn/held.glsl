// Differences for checking derivatives (SPEC 7). The loss has kinks: where an activation, the blend weight, the guard of
// plain kernels or an absolute value in the loss changes sides, the difference over a step is not the derivative, however
// right both are; and single precision allows no step so small that none of thousands changes sides. So the perturbed
// passes keep every side where the unperturbed pass found it. That function is smooth, and its derivative at the
// unperturbed weights is the loss's. The includer declares `heldOut`.
#ifndef VKPN_HELD
#define VKPN_HELD

// As tapWeights and blendWeight of kernel.glsl: K to kernel weights, in place; returns the blend weight of `x`.
float heldKernel(inout float k[TAPS], float x, uint p) {
  float base[TAPS];
  float baseX = 0.0;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    vec4 v = unpackQuad(heldOut[p * (OUTPUTS / 4) + i]);
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      if (4 * i + j < TAPS) base[4 * i + j] = v[j];
      else baseX = v[j];
    }
  }
  if (APPLY == SOFTMAX) tapWeights(k);
  else {
    float total = 0.0, baseTotal = 0.0;
    [[unroll]] for (uint t = 0; t < TAPS; ++t) {
      bool g = guarded(base[t]);
      k[t] = g ? 0.001 : k[t];
      total += k[t];
      baseTotal += g ? 0.001 : base[t];
    }
    float inv = 1.0 / (baseTotal > 0.001 ? total : 0.001);
    [[unroll]] for (uint t = 0; t < TAPS; ++t) k[t] *= inv;
  }
  if (ABLEND == ALPHA_CLAMPED) return baseX > 0.0 && baseX < 1.0 ? x : clamp(baseX, 0.0, 1.0);
  return blendWeight(x);
}

#endif
