// bck: from dE/dO of every pixel through apply and the layers to dE/dK and dE/dA (SPEC 2: dup's pointwise part, dapply, bck).
// What is stored is scaled against underflow in f16 by the state's scale. -DFUSED: and dE/dw, in place of mulw; dE/dA is not stored.
// -DONLY_DK: dE/dK alone, for mlpbck.
//! variant plain -DPATH_PLAIN=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant f32 -DPATH_PLAIN=1 -DROLLED=1 -DF32=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
//! variant dK -DPATH_PLAIN=1 -DONLY_DK=1
//! variant fused.khr -DPATH_KHR=1 -DFUSED=1 vulkan1.3
//! variant fused.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DFUSED=1 vulkan1.3
//! variant fused.nv -DPATH_NV=1 -DFUSED=1 vulkan1.3
//! variant fused.sparse.khr -DPATH_KHR=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.khr.rolled -DPATH_KHR=1 -DROLLED=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
//! variant fused.sparse.nv -DPATH_NV=1 -DFUSED=1 -DSPARSE=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
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
layout(set = 0, binding = 5) readonly buffer Out { QUAD outQuad[]; };        // (pixel, OUTPUTS): K
layout(set = 0, binding = 6) readonly buffer Filtered { vec4 filtered[]; };  // (part, pixel): I.rgb, I.a
layout(set = 0, binding = 7) readonly buffer Diff { vec4 diff[]; };          // (part, pixel): dO/dI.a
layout(set = 0, binding = 8) readonly buffer Gradient { vec4 gradient[]; };  // (pixel): dE/dO
layout(set = 0, binding = 9) readonly buffer Post { vec4 dEdIpost[]; };      // (part, pixel): dE/dI.rgb, under postdiff
#ifdef FUSED
#define PANEL_BLOCKS
layout(set = 0, binding = 10) writeonly buffer Part { float part[]; };       // (part, layer, out, in): dE/dw, scaled
#else
layout(set = 0, binding = 10) writeonly buffer DAct { WORD dAct[]; };        // (layer, pixel, W): dE/dA; then (pixel, OUTPUTS): dE/dK; scaled
#endif

#define PANEL_GATES act
#include "common/panel.glsl"
#include "kpn/kernel.glsl"

// Puts dE/dK of the pixel into the panel.
void putKernelGradient(uint p) {
  Pixel q = locate(p);
  vec3 g = gradient[p].rgb;
  bool coarsest = q.level + 1 == geo.levels && COMBINE != PREDIFF; // there O = I.rgb
  bool fine = finite(g);
  vec3 dI[PARTS];
  float mean[PARTS], inv[PARTS];
  Kernel weight[PARTS], dK[PARTS];
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    vec4 I = filtered[part * geo.pixels + p];
    vec3 d = diff[part * geo.pixels + p].rgb;
    if (g == vec3(0)) d = vec3(0); // a gradient of 0 stays 0, whatever it meets: under postdiff others' gradients may reach this I
    dI[part] = COMBINE == POSTDIFF ? dEdIpost[part * geo.pixels + p].rgb : coarsest ? g : I.a * g;
#define OUT_QUAD(i) unpackQuad(outQuad[p * (OUTPUTS / 4) + (i)])
    GET_KERNEL(dK[part], part, OUT_QUAD)
    weight[part] = dK[part];
    float total = tapWeights(weight[part].k);
    bool normalised = APPLY == SOFTMAX || total > 0.001;
    mean[part] = normalised ? dot(dI[part], I.rgb) : 0.0;
    inv[part] = APPLY == SOFTMAX ? SHARP : 1.0 / max(0.001, total);
    dK[part].alpha = dot(g, d) * blendWeightSlope(dK[part].alpha);
    fine = fine && finite(I) && finite(d) && finite(dI[part]);
  }
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    vec3 rgb = unpackQuad(imageQuad[indexOf(q, TAP[t])]).rgb;
    [[unroll]] for (uint part = 0; part < PARTS; ++part) {
      float along = inv[part] * (dot(dI[part], partOf(part, rgb)) - mean[part]);
      dK[part].k[t] = APPLY == SOFTMAX ? weight[part].k[t] * along : guarded(dK[part].k[t]) ? 0.0 : along;
    }
  }
  // What overflowed in the forward pass, here or at a neighbour, gives no gradient (SPEC 1.7).
  float scale = fine ? state.scale : 0.0;
  [[unroll]] for (uint i = 0; i < OUTPUTS / 4; ++i) {
    uint part = i / 4, t = 4 * (i % 4);
    vec4 v = vec4(dK[part].k[t], dK[part].k[t + 1], dK[part].k[t + 2], t + 3 < TAPS ? dK[part].k[t + 3 < TAPS ? t + 3 : 0] : dK[part].alpha);
    panelPut4(i, scale == 0.0 ? vec4(0) : scale * v);
  }
}

#ifdef ONLY_DK
#define STORE_DK(at, word) dAct[at] = word
void main() {
  putKernelGradient(panelSelect(0));
  PANEL_KEEP(STORE_DK, 0, OUTPUTS)
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
