// fwd: the MLP's input, its layers, the kernel's weights and the convolution, for every pixel of the batch (SPEC 1.3 - 1.5).
//! variant plain -DPATH_PLAIN=1
//! variant f32 -DPATH_PLAIN=1 -DF32=1
//! variant infer.plain -DPATH_PLAIN=1 -DINFER=1
//! variant held.f32 -DPATH_PLAIN=1 -DF32=1 -DINFER=1 -DHELD=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "common/taps.glsl"
#include "kpn/geometry.glsl"

layout(set = 0, binding = 1) readonly buffer Noise { vec2 noiseab[]; };     // (tile): a, b
layout(set = 0, binding = 2) readonly buffer Image { QUAD imageQuad[]; };   // (pixel): rgb, what the kernel is applied to: M or D
layout(set = 0, binding = 3) readonly buffer Mip { QUAD mipQuad[]; };       // (pixel): M
layout(set = 0, binding = 4) readonly buffer Weights { vec4 weights[]; };   // (layer, out, in)
#ifdef INFER // nothing is kept for the way back
layout(set = 0, binding = 5) writeonly buffer Filtered { vec4 filtered[]; };// (pixel): I.rgb, I.a
#define KEEP(statement)
#else
layout(set = 0, binding = 5) writeonly buffer Act { QUAD actQuad[]; };      // (1 + layer, pixel, W): x, A_0 .. A_{H-1}
layout(set = 0, binding = 6) writeonly buffer Out { QUAD outQuad[]; };      // (pixel, 16): K
layout(set = 0, binding = 7) writeonly buffer Filtered { vec4 filtered[]; };// (pixel): I.rgb, I.a
#define KEEP(statement) statement
#endif
#ifdef HELD // checking derivatives: see kpn/held.glsl
layout(set = 0, binding = 6) readonly buffer HeldAct { QUAD heldAct[]; };   // A of the unperturbed network, as Act
layout(set = 0, binding = 7) readonly buffer HeldOut { QUAD heldOut[]; };   // its K
#endif

#define WEIGHTS4(i) weights[i]
#include "common/panel.glsl"

vec3 image(uint p) { return unpackQuad(imageQuad[p]).rgb; }
vec3 mip(uint p) { return unpackQuad(mipQuad[p]).rgb; }
vec2 noise(uint tile) { return noiseab[tile]; }
#include "kpn/context.glsl"
#include "kpn/kernel.glsl"
#ifdef HELD
#include "kpn/held.glsl"
#define ACTIVE(v, at) greaterThan(unpackQuad(heldAct[at]), vec4(0))
#else
#define ACTIVE(v, at) greaterThan(v, vec4(0))
#endif

void main() {
  // No early return: code under a condition is slower on drivers that run lanes under a mask. Invocations past the end
  // compute the last pixel again.
  uint p = min(gl_GlobalInvocationID.x, geo.pixels - 1);
  Pixel q = locate(p);
  putContext(q);
  [[unroll]] for (uint i = 0; i < QUADS; ++i) {
    vec4 v = stored(panelGet4(i));
    KEEP(actQuad[p * QUADS + i] = packQuad(v));
    panelPut4(i, v);
  }
  [[unroll]] for (uint l = 0; l < LAYERS; ++l) {
    panelMul(l * WIDTH * WIDTH, WIDTH);
    [[unroll]] for (uint i = 0; i < QUADS; ++i) {
      vec4 v = panelGet4(i);
      uint at = ((l + 1) * geo.pixels + p) * QUADS + i;
      v = stored(mix(SLOPE * v, v, ACTIVE(v, at)));
      KEEP(actQuad[at] = packQuad(v));
      panelPut4(i, v);
    }
  }
  panelMul(LAYERS * WIDTH * WIDTH, OUTPUTS);

  float k[TAPS];
  float last = 0.0;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    vec4 v = stored(panelGet4(i));
    KEEP(outQuad[p * (OUTPUTS / 4) + i] = packQuad(v));
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      if (4 * i + j < TAPS) k[4 * i + j] = v[j];
      else last = v[j];
    }
  }
#ifdef HELD
  last = heldKernel(k, last, p);
#else
  tapWeights(k);
  last = blendWeight(last);
#endif
  vec3 sum = vec3(0);
  [[unroll]] for (uint t = 0; t < TAPS; ++t) sum += k[t] * image(indexOf(q, TAP[t]));
  vec4 result = vec4(sum, last);
  filtered[p] = result;
#ifndef INFER
  // What overflowed gives no gradient: zeros, because mulw multiplies by these and 0 * inf is NaN. (A loop: it costs
  // one turn where all pixels are fine, also on drivers that run both sides of a branch.)
  uint clear = finite(result) ? 0 : QUADS;
  for (uint i = 0; i < clear; ++i) {
    for (uint l = 0; l <= LAYERS; ++l) actQuad[(l * geo.pixels + p) * QUADS + i] = packQuad(vec4(0));
  }
#endif
}
