// bck: from dE/dO of every pixel through apply and the layers to dE/dK and dE/dA (SPEC 2: dup's pointwise part, dapply, bck).
// What is stored is scaled against underflow in f16 by the state's scale. -DFUSED: and dE/dw, in place of mulw; dE/dA is not stored.
// -DONLY_DK: dE/dK alone, for mlpbck, where there are matrices: eight channels at a time.
//! variant plain -DPATH_PLAIN=1
//! variant plain.wide -DPATH_PLAIN=1 -DWIDE=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant f32 -DPATH_PLAIN=1 -DROLLED=1 -DF32=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
//! variant dK -DPATH_PLAIN=1 -DONLY_DK=1 -DF16_TYPES=1
//! variant fused.khr -DPATH_KHR=1 -DFUSED=1 vulkan1.3
//! variant fused.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DFUSED=1 vulkan1.3
//! variant fused.nv -DPATH_NV=1 -DFUSED=1 vulkan1.3
//! variant fused.sparse.khr -DPATH_KHR=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.khr.resident -DPATH_KHR=1 -DFUSED=1 -DSPARSE=1 -DRESIDENT=1 vulkan1.3
//! variant fused.sparse.nv -DPATH_NV=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef ONLY_DK
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/taps.glsl"
#include "kpn/geometry.glsl"
#include "kpn/kept.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 1) readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 2) readonly buffer Image { QUAD imageQuad[]; };    // (pixel): what the kernel was applied to
layout(set = 0, binding = 3) readonly buffer Weights { WEIGHT weights[]; };  // (layer, out, in)
layout(set = 0, binding = 4) readonly buffer Act { WORD act[]; };            // (slot, pixel, W): x, A
#ifdef ONLY_DK
layout(set = 0, binding = 5) readonly buffer Out { uvec4 outWords[]; };      // (pixel, OUTPUTS): K
#else
layout(set = 0, binding = 5) readonly buffer Out { QUAD outQuad[]; };        // (pixel, OUTPUTS): K
#endif
layout(set = 0, binding = 6) readonly buffer Diff { vec4 diff[]; };          // (part, pixel): dO/dI.a
layout(set = 0, binding = 7) readonly buffer Gradient { vec4 gradient[]; };  // (pixel): dE/dO
layout(set = 0, binding = 8) readonly buffer Post { vec4 dEdIpost[]; };      // (part, pixel): dE/dI.rgb, under postdiff
#ifdef FUSED
#define PANEL_BLOCKS
layout(set = 0, binding = 9) writeonly buffer Part { float part[]; };        // (part, layer, out, in): dE/dw, scaled
#elif defined(ONLY_DK)
layout(set = 0, binding = 9) writeonly buffer DK { uvec4 dK[]; };            // (pixel, OUTPUTS): dE/dK, scaled
#else
layout(set = 0, binding = 9) writeonly buffer DAct { WORD dAct[]; };         // (layer, pixel, W): dE/dA; then (pixel, OUTPUTS): dE/dK; scaled
#endif

#define DEDI(part, p) dEdIpost[(part) * geo.pixels + (p)].rgb
#ifdef ONLY_DK
#include "kpn/kernel_gradient_words.glsl"
#else
#define PANEL_GATES act
#include "common/panel.glsl"
#define PUT_DK(i, v) panelPut4(i, v)
#include "kpn/kernel_gradient.glsl"
#endif

#ifdef ONLY_DK
void main() {
  uint p = gl_GlobalInvocationID.x;
  storeKernelGradient(p < geo.pixels ? p : NO_PIXEL);
}
#elif defined(FUSED)
void panelFill() {
  UNROLL for (uint turn = 0; turn < TURNS; ++turn) putKernelGradient(panelSelect(turn));
}
#include "common/panel_gradient.glsl"
void main() { panelGradient(); }
#else

#define STORE_DACT(at, word) dAct[at] = word

// panel = (w_l^T panel) * act'(A_{l-1}): dE/dA_{l-1}. `rows` is a constant of its own, so that the loops unroll.
void throughLayer(uint l, uint rows) {
  panelLayerT(l * WIDTH * WIDTH, rows, l * geo.pixels);
  PANEL_GATE(l * geo.pixels, STORE_DACT, (l - 1) * geo.pixels)
}

#define STORE_DK(at, word) dAct[LAYERS * geo.pixels * (WIDTH / WORD_CHANNELS) + at] = word

void main() {
  UNROLL for (uint turn = 0; turn < TURNS; ++turn) putKernelGradient(panelSelect(turn));
  PANEL_KEEP(STORE_DK, 0, OUTPUTS)
  throughLayer(LAYERS, OUTPUTS);
  [[unroll]] for (uint k = 1; k < LAYERS; ++k) throughLayer(LAYERS - k, WIDTH);
}
#endif
