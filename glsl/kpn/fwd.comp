// fwd: the MLP's input, its layers, the kernel's weights and the convolution, for the batch's pixels `first` to `end` (SPEC 1.3 - 1.5):
// all of them, or under context guide one level, whose guide is made of the coarser one's result.
//! variant plain -DPATH_PLAIN=1
//! variant plain.tiled -DPATH_PLAIN=1 -DTILED=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant f32 -DPATH_PLAIN=1 -DROLLED=1 -DF32=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
//! variant held.f32 -DPATH_PLAIN=1 -DROLLED=1 -DF32=1 -DINFER=1 -DHELD=1
//! variant sparse.khr -DPATH_KHR=1 -DSPARSE=1 vulkan1.3
//! variant sparse.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DSPARSE=1 vulkan1.3
//! variant sparse.nv -DPATH_NV=1 -DSPARSE=1 vulkan1.3
//! variant khr.resident -DPATH_KHR=1 -DRESIDENT=1 vulkan1.3
//! variant sparse.khr.resident -DPATH_KHR=1 -DRESIDENT=1 -DSPARSE=1 vulkan1.3
//! variant anew.khr.resident -DPATH_KHR=1 -DRESIDENT=1 -DANEW=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "common/taps.glsl"
#include "kpn/geometry.glsl"
#include "kpn/kept.glsl"

layout(set = 0, binding = 1) readonly buffer Noise { vec2 noiseab[]; };     // (tile): a, b
layout(set = 0, binding = 2) readonly buffer Image { QUAD imageQuad[]; };   // (pixel): rgb, what the kernel is applied to: M or D
layout(set = 0, binding = 3) readonly buffer Mip { QUAD mipQuad[]; };       // (pixel): M
layout(set = 0, binding = 4) readonly buffer Guide { QUAD guideQuad[]; };   // (pixel): G, but for the coarsest level
layout(set = 0, binding = 5) readonly buffer Weights { WEIGHT weights[]; }; // (layer, out, in)
#ifdef INFER // nothing is kept for the way back
layout(set = 0, binding = 6) writeonly buffer Filtered { vec4 filtered[]; };// (part, pixel): I.rgb, I.a
#define STORE_ACT(at, word)
#define STORE_OUT(at, word)
#else
#ifndef ANEW
#define KEEPS
#endif
layout(set = 0, binding = 6) writeonly buffer Act { WORD act[]; };          // (slot, pixel, W): x, A_0 .. A_{H-1}, as kept.glsl says
layout(set = 0, binding = 7) writeonly buffer Out { WORD kept[]; };         // (pixel, OUTPUTS): K
layout(set = 0, binding = 8) writeonly buffer Filtered { vec4 filtered[]; };// (part, pixel): I.rgb, I.a
#define STORE_ACT(at, word) act[at] = word
#define STORE_OUT(at, word) kept[at] = word
#endif
#ifdef HELD // checking derivatives: see kpn/held.glsl
layout(set = 0, binding = 7) readonly buffer HeldAct { QUAD heldAct[]; };   // A of the unperturbed network, as Act
layout(set = 0, binding = 8) readonly buffer HeldOut { QUAD heldOut[]; };   // its K
#endif
layout(push_constant) uniform Push { uint first, end; } push;

#define PANEL_FIRST push.first
#define PANEL_END push.end
#include "common/panel.glsl"

vec3 image(uint p) { return unpackQuad(imageQuad[p]).rgb; }
vec2 imageLight(uint p) { return lightOf(image(p)); }
vec3 mip(uint p) { return unpackQuad(mipQuad[p]).rgb; }
vec2 noise(uint tile) { return noiseab[tile]; }
vec3 guideAt(Pixel q, ivec2 offset) {
  uint p = indexOf(q, offset);
  return q.level + 1 == geo.levels ? mip(p) : unpackQuad(guideQuad[p]).rgb;
}
#define GUIDE(q, offset) guideAt(q, offset)
#include "kpn/context.glsl"
#include "kpn/kernel.glsl"
#ifdef HELD
#include "kpn/held.glsl"
#define ACTIVE(v, at) greaterThan(unpackQuad(heldAct[at]), vec4(0))
#else
#define ACTIVE(v, at) greaterThan(v, vec4(0))
#endif

Pixel own[TURNS]; // worked out once: where it was twice, NVIDIA's compiler also loaded the taps twice

// From the panel's values of a turn's pixel to its result.
void convolve(uint turn) {
  uint p = panelSelect(turn);
  Pixel q = own[turn];
  Kernel kernel[PARTS];
  vec3 sum[PARTS];
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    GET_KERNEL(kernel[part], part, panelGet4)
#ifdef HELD
    holdKernel(kernel[part], part, p);
#else
    tapWeights(kernel[part]);
    kernel[part].alpha = blendWeight(kernel[part].alpha);
#endif
    sum[part] = vec3(0);
  }
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    vec3 rgb = image(indexOf(q, TAP[t]));
    [[unroll]] for (uint part = 0; part < PARTS; ++part) sum[part] += kernel[part].k[t] * partOf(part, rgb);
  }
  bool fine = true;
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    vec4 result = vec4(kernel[part].factor * sum[part], kernel[part].alpha);
    filtered[part * geo.pixels + p] = result;
    fine = fine && finite(result);
  }
#ifndef INFER
  // What overflowed gives no gradient: zeros, because mulw multiplies by these and 0 * inf is NaN. (A loop: it costs
  // one turn where all pixels are fine, also on drivers that run both sides of a branch.)
  uint clear = fine ? 0 : WIDTH / WORD_CHANNELS;
  for (uint i = 0; i < clear; ++i) {
    for (uint slot = 0; slot < SLOTS; ++slot) act[(slot * geo.pixels + p) * (WIDTH / WORD_CHANNELS) + i] = WORD(0);
  }
#endif
}

void main() {
  UNROLL for (uint turn = 0; turn < TURNS; ++turn) {
    own[turn] = locate(panelSelect(turn));
    putContext(own[turn]);
  }
  PANEL_KEEP(STORE_ACT, 0, WIDTH)
  [[unroll]] for (uint l = 0; l < LAYERS; ++l) {
    panelLayer(l * WIDTH * WIDTH);
    PANEL_ACTIVATE_KEPT(ACTIVE, STORE_ACT, l + 1)
  }
  panelMul(LAYERS * WIDTH * WIDTH, OUTPUTS);
  PANEL_KEEP(STORE_OUT, 0, OUTPUTS)
  UNROLL for (uint turn = 0; turn < TURNS; ++turn) convolve(turn);
}
