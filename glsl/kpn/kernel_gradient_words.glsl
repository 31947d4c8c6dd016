// kernel_gradient.glsl by words of eight channels. The includer declares `outWords` and `dK`, of uvec4, in place of outQuad and PUT_DK.
#ifndef VKPN_KERNEL_GRADIENT_WORDS
#define VKPN_KERNEL_GRADIENT_WORDS

#define K_QUAD(p, i) ((i) % 2 == 0 ? outWords[(p) * (OUTPUTS / 8) + (i) / 2].xy : outWords[(p) * (OUTPUTS / 8) + (i) / 2].zw)
#define PUT_DK(i, v) made[i] = packQuad(v)
QUAD made[OUTPUTS / 4];
#include "kpn/kernel_gradient.glsl"

void storeKernelGradient(uint p) {
  putKernelGradient(p);
  UNROLL for (uint i = 0; i < OUTPUTS / 8; ++i) dK[p * (OUTPUTS / 8) + i] = uvec4(made[2 * i], made[2 * i + 1]);
}

#endif
