// Differences for checking derivatives (SPEC 7). The loss has kinks: where an activation, the blend weight, the guard of
// plain kernels or an absolute value in the loss changes sides, the difference over a step is not the derivative, however
// right both are; and single precision allows no step so small that none of thousands changes sides. So the perturbed
// passes keep every side where the unperturbed pass found it. That function is smooth, and its derivative at the
// unperturbed weights is the loss's. The includer declares `heldOut`.
#ifndef VKPN_HELD
#define VKPN_HELD

// As tapWeights and blendWeight of kernel.glsl: K of a part of pixel p to weights, in place.
void holdKernel(inout Kernel kernel, uint part, uint p) {
  Kernel base;
#define HELD_QUAD(i) unpackQuad(heldOut[p * (OUTPUTS / 4) + (i)])
  GET_KERNEL(base, part, HELD_QUAD)
  if (APPLY == SOFTMAX) tapWeights(kernel);
  else {
    float total = 0.0, baseTotal = 0.0;
    [[unroll]] for (uint t = 0; t < TAPS; ++t) {
      bool g = guarded(base.k[t]);
      kernel.k[t] = g ? 0.001 : kernel.k[t];
      total += kernel.k[t];
      baseTotal += g ? 0.001 : base.k[t];
    }
    kernel.factor = 1.0 / (baseTotal > 0.001 ? total : 0.001);
  }
  if (ABLEND != ALPHA_CLAMPED) kernel.alpha = blendWeight(kernel.alpha);
  else kernel.alpha = base.alpha > 0.0 && base.alpha < 1.0 ? kernel.alpha : clamp(base.alpha, 0.0, 1.0);
}

#endif
