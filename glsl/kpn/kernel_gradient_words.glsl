// kernel_gradient.glsl by words of eight channels. The includer declares `outWords` and `dK`, of uvec4, in place of outQuad and PUT_DK, and names the
// extension GL_KHR_shader_subgroup_shuffle.
//
// A pixel's words lie side by side. Memory takes 32 bytes at a time, an invocation stores 16: so two neighbours with neighbouring pixels store those of the
// one pixel together, then those of the other. (Loads are no faster that way: the processor's cache has the second half.)
#ifndef VKPN_KERNEL_GRADIENT_WORDS
#define VKPN_KERNEL_GRADIENT_WORDS

const uint PIXEL_WORDS = OUTPUTS / 8;
#define K_QUAD(p, i) ((i) % 2 == 0 ? outWords[(p) * PIXEL_WORDS + (i) / 2].xy : outWords[(p) * PIXEL_WORDS + (i) / 2].zw)
#define PUT_DK(i, v) made[i] = packQuad(v)
QUAD made[OUTPUTS / 4];
#include "kpn/kernel_gradient.glsl"

const uint NO_PIXEL = 0xffffffffu;

// Of pixel p, or none: all invocations of a subgroup come here together.
void storeKernelGradient(uint p) {
  if (p != NO_PIXEL) putKernelGradient(p);
  uint other = subgroupShuffleXor(p, 1), first = min(p, other);
  bool paired = max(p, other) == first + 1 && p != NO_PIXEL && other != NO_PIXEL, second = p > other;
  UNROLL for (uint i = 0; i < PIXEL_WORDS; i += 2) {
    uvec4 a = uvec4(made[2 * i], made[2 * i + 1]), b = uvec4(made[2 * i + 2], made[2 * i + 3]), got = subgroupShuffleXor(second ? a : b, 1);
    if (paired) {
      uint at = first * PIXEL_WORDS + i + (second ? 1 : 0);
      dK[at] = second ? got : a;
      dK[at + PIXEL_WORDS] = second ? b : got;
    } else if (p != NO_PIXEL) {
      dK[p * PIXEL_WORDS + i] = a;
      dK[p * PIXEL_WORDS + i + 1] = b;
    }
  }
}

#endif
