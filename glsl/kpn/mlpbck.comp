// mlpbck: from dE/dK in memory through the layers to dE/dA (SPEC 2: bck): bck without apply. -DFUSED: and to dE/dw. For `vkpn bench`.
//! variant plain -DPATH_PLAIN=1
//! variant plain.wide -DPATH_PLAIN=1 -DWIDE=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
//! variant fused.khr -DPATH_KHR=1 -DFUSED=1 vulkan1.3
//! variant fused.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DFUSED=1 vulkan1.3
//! variant fused.nv -DPATH_NV=1 -DFUSED=1 vulkan1.3
//! variant fused.sparse.khr -DPATH_KHR=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.nv -DPATH_NV=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.khr.resident -DPATH_KHR=1 -DFUSED=1 -DSPARSE=1 -DRESIDENT=1 vulkan1.3
//! variant fused.anew.khr -DPATH_KHR=1 -DFUSED=1 -DRESIDENT=1 -DANEW=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/kept.glsl"

layout(set = 0, binding = 1) readonly buffer Weights { WEIGHT weights[]; }; // (layer, out, in)
#ifdef ANEW
#define VOLATILE volatile // else NVIDIA's compiler takes what is read ahead for what may be read later
#else
#define VOLATILE
#endif
layout(set = 0, binding = 2) readonly VOLATILE buffer Act { WORD act[]; };  // (slot, pixel, W): x, A
#ifdef FUSED
#define PANEL_BLOCKS
layout(set = 0, binding = 3) readonly VOLATILE buffer DK { WORD dK[]; };             // (pixel, OUTPUTS): dE/dK
layout(set = 0, binding = 4) writeonly buffer Part { float part[]; };       // (part, layer, out, in): dE/dw
#define LOAD_DK(at) dK[at]
#else
layout(set = 0, binding = 3) buffer DAct { WORD dAct[]; };                  // (layer, pixel, W): dE/dA; then (pixel, 16): dE/dK, given
#define LOAD_DK(at) dAct[LAYERS * geo.pixels * (WIDTH / WORD_CHANNELS) + (at)]
#endif

#ifndef ANEW
#define PANEL_GATES act
#endif
#include "common/panel.glsl"
#include "kpn/mlp.glsl"

#ifdef FUSED
#ifdef ANEW
#define LOAD_X(at) act[at]
#include "common/panel_anew.glsl"
#else
void panelFill() { PANEL_LOAD(LOAD_DK, 0, OUTPUTS) }
#include "common/panel_gradient.glsl"
#endif
void main() { panelGradient(); }
#else

#define STORE_DACT(at, word) dAct[at] = word

// panel = (w_l^T panel) * act'(A_{l-1}): dE/dA_{l-1}.
void throughLayer(uint l, uint rows) {
  panelLayerT(l * WIDTH * WIDTH, rows, l * geo.pixels);
  PANEL_GATE(l * geo.pixels, STORE_DACT, (l - 1) * geo.pixels)
}

void main() {
  PANEL_LOAD(LOAD_DK, 0, OUTPUTS)
  throughLayer(LAYERS, OUTPUTS);
  [[unroll]] for (uint k = 1; k < LAYERS; ++k) throughLayer(LAYERS - k, WIDTH);
}
#endif
