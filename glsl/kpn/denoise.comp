// denoise: a level of a picture in one go (SPEC 1.3 - 1.6): context, layers, the kernel's weights, convolution, and the result
// combined with the coarser level's. Nothing else reaches memory (under postdiff: I, for shrink and merge).
//
// A workgroup makes TILE_W x TILE_H pixels. What their taps can see lies in shared memory, and so does the part of the coarser
// level that enlarges to it.
//! variant plain -DPATH_PLAIN=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "common/taps.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/texels.glsl"
#include "kpn/window.glsl"

layout(constant_id = 28) const int TILE_W = 8;
layout(constant_id = 29) const int TILE_H = 8;

layout(set = 0, binding = 1) readonly buffer Image { uvec2 picture[]; };     // (y, x): M, rgba f16, f32 where push.single
layout(set = 0, binding = 2) readonly buffer CoarseImage { uvec2 smaller[]; };// (y, x): M of the coarser level, under prediff
layout(set = 0, binding = 3) readonly buffer CoarseResult { uvec2 below[]; }; // (y, x): O of the coarser level, where push.coarser
layout(set = 0, binding = 4) readonly buffer Weights { WEIGHT weights[]; };  // (layer, out, in)
layout(set = 0, binding = 5) writeonly buffer Result { uvec2 result[]; };    // (y, x): O, rgba f16; I and its blend weight where push.filtered
layout(push_constant) uniform Push { uint level; uint single; uint coarser; uint filtered; } push;

// The panel is of pixels by number; here the workgroup has those of its tile. No invocation is left without one.
struct Batch { uint pixels; };
const Batch geo = Batch(0x7fffffffu);
#include "common/panel.glsl"

// How far a pixel sees, and how far around the tile the coarser level must be known.
const int HALO = CONTEXT == WINDOW ? 4 : CONTEXT == WNORM ? 3 : 2;
const int REACH = COMBINE == PREDIFF ? HALO : 0;
const int NEAR_W = TILE_W + 2 * HALO, NEAR = NEAR_W * (TILE_H + 2 * HALO);
const int COARSE_W = TILE_W / 2 + REACH + 3, COARSE = COARSE_W * (TILE_H / 2 + REACH + 3);
shared uvec2 near[NEAR];                          // what the taps are of: M, under prediff D
shared uvec2 whole[COMBINE == PREDIFF ? NEAR : 1]; // under prediff: M
shared uvec2 coarse[COARSE];

ivec2 corner() { return win.place[push.level].xy + ivec2(gl_WorkGroupID.xy) * ivec2(TILE_W, TILE_H); } // the tile's first pixel
ivec2 coarseCorner() { return ((corner() - REACH) >> 1) - 1; }

// up2 of what is in `coarse`, at a pixel of this level (SPEC 1.6).
vec3 enlarged(ivec2 at) {
  ivec2 c = clamp((at >> 1) - 1 - coarseCorner(), ivec2(0), ivec2(COARSE_W, COARSE / COARSE_W) - 3);
  vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1));
  vec3 up = vec3(0);
  [[unroll]] for (int j = 0; j < 3; ++j)
    [[unroll]] for (int i = 0; i < 3; ++i) up += wx[i] * wy[j] * unpackTexel(coarse[(c.y + j) * COARSE_W + c.x + i]).rgb;
  return up;
}

// The invocations share these loops.
void gatherCoarse(bool results) {
  UNROLL for (uint first = 0; first < COARSE; first += gl_WorkGroupSize.x) {
    uint k = first + gl_LocalInvocationIndex;
    uint from = inMemory(push.level + 1, coarseCorner() + ivec2(int(k) % COARSE_W, int(k) / COARSE_W));
    if (k < COARSE) coarse[k] = results ? below[from] : smaller[from];
  }
}

ivec2 nearPixel(uint k) { return corner() - HALO + ivec2(int(k) % NEAR_W, int(k) / NEAR_W); }

void gather() {
  if (push.coarser != 0) gatherCoarse(COMBINE != PREDIFF);
  UNROLL for (uint first = 0; first < NEAR; first += gl_WorkGroupSize.x) {
    uint k = first + gl_LocalInvocationIndex;
    uvec2 texel = packHalf4(READ_TEXEL(picture, push.single, inMemory(push.level, nearPixel(k))));
    if (k < NEAR) {
      if (COMBINE == PREDIFF) whole[k] = texel;
      else near[k] = texel;
    }
  }
  barrier();
  if (COMBINE != PREDIFF) return;
  UNROLL for (uint first = 0; first < NEAR; first += gl_WorkGroupSize.x) {
    uint k = first + gl_LocalInvocationIndex;
    ivec4 place = win.place[push.level];
    ivec2 at = nearPixel(k);
    vec3 base = enlarged(ivec2(mirror(at.x, place.z), mirror(at.y, place.w)));
    if (k < NEAR) near[k] = packHalf4(vec4(unpackTexel(whole[k]).rgb - base, 1.0));
  }
  barrier();
  gatherCoarse(true);
  barrier();
}

// For context.glsl: a pixel, and its index in `near`.
struct Pixel { uint level; uint tile; int at; };
uint indexOf(Pixel q, ivec2 offset) { return uint(q.at + offset.y * NEAR_W + offset.x); }
vec3 image(uint p) { return unpackTexel(near[p]).rgb; }
vec3 mip(uint p) { return unpackTexel(COMBINE == PREDIFF ? whole[p] : near[p]).rgb; }
vec2 noise(uint tile) { return win.settings.xy; }
#include "kpn/context.glsl"
#include "kpn/kernel.glsl"

ivec2 inTile(uint turn) {
  int n = int(panelSelect(turn) - gl_WorkGroupID.x * uint(TILE_W * TILE_H));
  return ivec2(n % TILE_W, n / TILE_W);
}

Pixel pixelAt(ivec2 t) { return Pixel(push.level, 0, (t.y + HALO) * NEAR_W + t.x + HALO); }

// From the panel's values of the tile's pixel t to its result.
void finish(ivec2 t) {
  Pixel q = pixelAt(t);
  float k[TAPS];
  float last = 0.0;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    vec4 v = panelGet4(i);
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      if (4 * i + j < TAPS) k[4 * i + j] = v[j];
      else last = v[j];
    }
  }
  tapWeights(k);
  last = blendWeight(last);
  vec3 sum = vec3(0);
  [[unroll]] for (uint i = 0; i < TAPS; ++i) sum += k[i] * image(indexOf(q, TAP[i]));
  ivec2 at = corner() + t;
  float alpha = 1.0;
  if (push.filtered != 0) alpha = last;
  else if (push.coarser != 0) {
    vec3 up = enlarged(at);
    sum = up + last * (COMBINE == BLEND ? sum - up : sum);
  }
  float strength = win.settings.z;
  if (push.level == 0 && push.filtered == 0 && strength != 1.0) {
    vec3 given = mip(indexOf(q, ivec2(0)));
    sum = given + strength * (sum - given);
  }
  if (isInMemory(push.level, at)) result[inMemory(push.level, at)] = packTexel(sum, alpha);
}

#define NO_STORE(at, word)
#define ACTIVE(v, at) greaterThan(v, vec4(0))

void main() {
  gather();
  UNROLL for (uint turn = 0; turn < TURNS; ++turn) putContext(pixelAt(inTile(turn)));
  PANEL_KEEP(NO_STORE, 0, WIDTH)
  [[unroll]] for (uint l = 0; l < LAYERS; ++l) {
    panelLayer(l * WIDTH * WIDTH);
    PANEL_ACTIVATE(ACTIVE, NO_STORE, 0)
  }
  panelMul(LAYERS * WIDTH * WIDTH, OUTPUTS);
  PANEL_KEEP(NO_STORE, 0, OUTPUTS)
  UNROLL for (uint turn = 0; turn < TURNS; ++turn) finish(inTile(turn));
}
