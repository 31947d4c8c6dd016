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
//! variant infer.khr.holding -DPATH_KHR=1 -DINFER=1 -DRESIDENT=1 -DHOLDING=1 vulkan1.3
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
#ifdef HOLDING
#define VOLATILE volatile // else NVIDIA's compiler takes what is read ahead for what may be read later
#else
#define VOLATILE
#endif
layout(set = 0, binding = 2) readonly VOLATILE buffer Act { WORD act[]; };  // (pixel, W): x
#define STORE_ACT(at, word)
#else
layout(set = 0, binding = 2) buffer Act { WORD act[]; };                    // (slot, pixel, W): x; A_0 .. A_{H-1}, as kept.glsl says
#define STORE_ACT(at, word) act[at] = word
#endif
layout(set = 0, binding = 3) writeonly buffer Out { WORD kept[]; };         // (pixel, 16): K

#ifdef HOLDING
#define PANEL_BLOCKS
layout(constant_id = 17) const uint RUNS = 1; // batches of pixels a workgroup
#endif
#include "common/panel.glsl"
#include "kpn/mlp.glsl"

#define LOAD_X(at) act[at]
#define STORE_OUT(at, word) kept[at] = word
#define ACTIVE(v, at) greaterThan(v, vec4(0))

#ifdef HOLDING
uvec4 ahead[(PIXELS * WORDS + SUBGROUP - 1) / SUBGROUP]; // what an invocation moves of x is read a batch ahead

#define AHEAD(body) UNROLL for (uint k = 0; k < ahead.length(); ++k) { \
  uint i = min(k * SUBGROUP + gl_SubgroupInvocationID, PIXELS * WORDS - 1); \
  body \
}

void readAhead() { AHEAD(ahead[k] = act[min(firstPixel() + i / WORDS, geo.pixels - 1) * WORDS + i % WORDS];) }
void placeAhead() { AHEAD(slab[slabBase() + i / WORDS * PITCH + i % WORDS] = ahead[k];) }

void throughLayer(uint l) { panelLayer(l * WIDTH * WIDTH); }

void main() {
  panelBlock = gl_WorkGroupID.x * RUNS;
  readAhead();
  panelHold();
  for (uint run = 1; run <= RUNS; ++run) {
    if (panelBlock * SUBGROUPS * PIXELS >= geo.pixels) break;
    placeAhead();
    ++panelBlock;
    readAhead();
    --panelBlock;
    EACH_LAYER(throughLayer)
    panelMul(LAYERS * WIDTH * WIDTH, OUTPUTS);
    PANEL_KEEP(STORE_OUT, 0, OUTPUTS)
    ++panelBlock;
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
