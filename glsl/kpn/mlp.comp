// mlp: the layers alone (SPEC 1.4), from x in memory to K: fwd without its input's making and without the convolution. What
// `vkpn bench` measures, and the simplest product to compare the paths by.
//! variant plain -DPATH_PLAIN=1
//! variant plain.tiled -DPATH_PLAIN=1 -DTILED=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
//! variant infer.plain -DPATH_PLAIN=1 -DINFER=1
//! variant infer.plain.tiled -DPATH_PLAIN=1 -DTILED=1 -DINFER=1
//! variant infer.plain.rolled -DPATH_PLAIN=1 -DROLLED=1 -DINFER=1
//! variant infer.khr -DPATH_KHR=1 -DINFER=1 vulkan1.3
//! variant infer.khr.half -DPATH_KHR=1 -DINFER=1 -DHALF_SUMS=1 vulkan1.3
//! variant infer.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DINFER=1 vulkan1.3
//! variant infer.khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DINFER=1 -DHALF_SUMS=1 vulkan1.3
//! variant infer.nv -DPATH_NV=1 -DINFER=1 vulkan1.3
//! variant infer.nv.half -DPATH_NV=1 -DINFER=1 -DHALF_SUMS=1 vulkan1.3
//! variant infer.khr.resident -DPATH_KHR=1 -DINFER=1 -DRESIDENT=1 vulkan1.3
//! variant khr.resident -DPATH_KHR=1 -DRESIDENT=1 vulkan1.3
//! variant sparse.khr.resident -DPATH_KHR=1 -DRESIDENT=1 -DSPARSE=1 vulkan1.3
//! variant sparse.khr -DPATH_KHR=1 -DSPARSE=1 vulkan1.3
//! variant sparse.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DSPARSE=1 vulkan1.3
//! variant sparse.nv -DPATH_NV=1 -DSPARSE=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/kept.glsl"

layout(set = 0, binding = 1) readonly buffer Weights { WEIGHT weights[]; }; // (layer, out, in)
#ifdef INFER // nothing is kept for the way back
layout(set = 0, binding = 2) readonly buffer Act { WORD act[]; };           // (pixel, W): x
#define STORE_ACT(at, word)
#else
#define KEEPS
layout(set = 0, binding = 2) buffer Act { WORD act[]; };                    // (slot, pixel, W): x; A_0 .. A_{H-1}, as kept.glsl says
#define STORE_ACT(at, word) act[at] = word
#endif
layout(set = 0, binding = 3) writeonly buffer Out { WORD kept[]; };         // (pixel, 16): K

#ifdef RESIDENT
#define SLAB_PIXELS TILE_M // so that many workgroups fit a processor
#endif
#include "common/panel.glsl"
#include "kpn/mlp.glsl"

#define LOAD_X(at) act[at]
#define STORE_OUT(at, word) kept[at] = word
#define ACTIVE(v, at) greaterThan(v, vec4(0))

#ifdef RESIDENT
// Calls with constants: NVIDIA's compiler may leave a loop over layers a loop where some are kept, which is slower here (and in fwd, with more around it, faster).
#define EACH_LAYER(f) \
  if (LAYERS > 0) f(0); if (LAYERS > 1) f(1); if (LAYERS > 2) f(2); if (LAYERS > 3) f(3); if (LAYERS > 4) f(4); if (LAYERS > 5) f(5); if (LAYERS > 6) f(6); if (LAYERS > 7) f(7);

void throughLayer(uint l) {
  residentLayer(l);
  PANEL_ACTIVATE_KEPT(ACTIVE, STORE_ACT, l + 1)
}

void main() {
  EACH_SLAB_ROW(m) {
    EACH_WORD_OF(m * TILE_M, SLAB_PIXELS, WIDTH, slab[at] = LOAD_X(min(p, geo.pixels - 1) * WORDS + word);)
    takeRows(m);
  }
  EACH_LAYER(throughLayer)
  residentOutcome();
  EACH_SLAB_ROW(m) {
    placeOutcome(m);
    KEEP_ROWS(STORE_OUT, 0, m * TILE_M, SLAB_PIXELS, OUTPUTS)
  }
}
#else
void main() {
  PANEL_LOAD(LOAD_X, 0, WIDTH)
  [[unroll]] for (uint l = 0; l < LAYERS; ++l) {
    panelLayer(l * WIDTH * WIDTH);
    PANEL_ACTIVATE_KEPT(ACTIVE, STORE_ACT, l + 1)
  }
  panelMul(LAYERS * WIDTH * WIDTH, OUTPUTS);
  PANEL_KEEP(STORE_OUT, 0, OUTPUTS)
}
#endif
