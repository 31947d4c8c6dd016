// With chroma a pixel has two kernels, each with a blend weight of its own: part 0 is of luminance Y, part 1 of rgb - Y (SPEC 1.6).
// Both are kept as rgb, luminance as the same number three times: a result is the sum of its parts, and what acts on rgb acts on a part.
// Without chroma there is one part, rgb. Tensors of parts: (part, pixel).
#ifndef VKPN_PARTS
#define VKPN_PARTS

#include "common/taps.glsl"

const uint PARTS = OUTPUTS / 16;

// What part k is of rgb.
vec3 partOf(uint k, vec3 rgb) {
  if (PARTS == 1) return rgb;
  float y = luminance(rgb);
  return k == 0 ? vec3(y) : rgb - y;
}

// The transpose of rgb -> rgb - sum over parts of alpha * part, at the gradient g. A gradient of 0 stays 0: a pixel without a gradient may
// hold what isn't finite.
vec3 restTransposed(float alpha[PARTS], vec3 g) {
  if (PARTS == 1) return mix((1.0 - alpha[0]) * g, vec3(0), equal(g, vec3(0)));
  float sum = g.r + g.g + g.b;
  vec3 rest = (1.0 - alpha[PARTS - 1]) * g + (alpha[PARTS - 1] - alpha[0]) * sum * LUMINANCE;
  return g == vec3(0) ? vec3(0) : rest;
}

#endif
