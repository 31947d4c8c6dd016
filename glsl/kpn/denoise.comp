// denoise: a level of a picture in one go (SPEC 1.3 - 1.6): context, layers, the kernel's weights, convolution, and the result
// combined with the coarser level's. Nothing else reaches memory (under postdiff: I, for shrink and merge).
//
// A workgroup makes TILE_W x TILE_H pixels, or with -DHOLDING (common/panel_coop.glsl) push.runs times as many, beside each other. What their taps can see lies in shared memory, and so does the part of the coarser
// level that enlarges to it.
//! variant plain -DPATH_PLAIN=1
//! variant plain.tiled -DPATH_PLAIN=1 -DTILED=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.resident -DPATH_KHR=1 -DRESIDENT=1 vulkan1.3
//! variant khr.holding -DPATH_KHR=1 -DRESIDENT=1 -DHOLDING=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "common/taps.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/texels.glsl"
#include "kpn/finest.glsl"

layout(constant_id = 28) const int TILE_W = 8;
layout(constant_id = 29) const int TILE_H = 8;

layout(set = 0, binding = 1) readonly buffer Image { uvec2 picture[]; };     // (y, x): M, rgba f16, f32 where push.single
layout(set = 0, binding = 2) readonly buffer CoarseImage { uvec2 smaller[]; };// (y, x): M of the coarser level, under prediff
layout(set = 0, binding = 3) readonly buffer CoarseResult { uvec2 below[]; }; // (y, x): O of the coarser level, where push.coarser
layout(set = 0, binding = 4) readonly buffer Weights { WEIGHT weights[]; };  // (layer, out, in)
layout(set = 0, binding = 5) writeonly buffer Result { uvec2 result[]; };    // (y, x): O, rgba f16; where push.filtered (part, picture, y, x): I and its blend weight
layout(push_constant) uniform Push { uint level; uint single; uint coarser; uint filtered; uint guided; uint runs; } push;

// The panel is of pixels by number; here the workgroup has those of its tile. No invocation is left without one.
struct Batch { uint pixels; };
const Batch geo = Batch(0x7fffffffu);
#ifdef HOLDING
#define PANEL_BLOCKS
#define TILE_COLUMN panelBlock
#else
#define TILE_COLUMN gl_WorkGroupID.x
#endif
#include "common/panel.glsl"

// How far a pixel sees, and how far around the tile the coarser level must be known.
const int HALO = CONTEXT == WINDOW ? 4 : CONTEXT == WNORM ? 3 : 2;
const int REACH = COMBINE == PREDIFF || CONTEXT == GUIDED ? HALO : 0;
const int NEAR_W = TILE_W + 2 * HALO, NEAR = NEAR_W * (TILE_H + 2 * HALO);
const int COARSE_W = TILE_W / 2 + REACH + 3, COARSE_H = TILE_H / 2 + REACH + 3, COARSE = COARSE_W * COARSE_H;
shared uvec2 near[NEAR];                          // what the taps are of: M, under prediff D
shared uvec2 whole[COMBINE == PREDIFF ? NEAR : 1]; // under prediff: M
shared uvec2 guide[CONTEXT == GUIDED ? NEAR : 1];  // the coarser O enlarged, where push.guided
shared uvec2 coarse[COARSE];
const bool LIGHT = CONTEXT != WINDOW && CONTEXT != GUIDED;
shared vec2 light[LIGHT ? NEAR : 1];               // lightOf `near`: each is seen by up to 15 pixels, 49 with wnorm

ivec2 corner() { return win.place[push.level].xy + ivec2(TILE_COLUMN, gl_WorkGroupID.y) * ivec2(TILE_W, TILE_H); } // the tile's first pixel
ivec2 coarseCorner() { return ((corner() - REACH) >> 1) - 1; }

// up2 of what is in `coarse`, at a pixel of this level (SPEC 1.6).
vec3 enlarged(ivec2 at) {
  ivec2 c = (at >> 1) - 1 - coarseCorner();
  c = ivec2(clamp(c.x, 0, COARSE_W - 3), clamp(c.y, 0, COARSE_H - 3)); // one by one: validation layers (1.4.309) lose a vector of specialised constants
  vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1));
  vec3 up = vec3(0);
  [[unroll]] for (int j = 0; j < 3; ++j)
    [[unroll]] for (int i = 0; i < 3; ++i) up += wx[i] * wy[j] * unpackTexel(coarse[(c.y + j) * COARSE_W + c.x + i]).rgb;
  return up;
}

// The invocations share these loops.
void gatherCoarse(bool results) {
  bool inner = isInner(push.level + 1, coarseCorner(), ivec2(COARSE_W, COARSE_H));
  UNROLL for (uint first = 0; first < COARSE; first += gl_WorkGroupSize.x) {
    uint k = first + gl_LocalInvocationIndex;
    int known = min(int(k), COARSE - 1);
    uint from = fromMemory(push.level + 1, coarseCorner() + ivec2(known % COARSE_W, known / COARSE_W), inner);
    if (k < COARSE) coarse[k] = results ? below[from] : smaller[from];
  }
}

ivec2 nearPixel(uint k) { return corner() - HALO + ivec2(int(k) % NEAR_W, int(k) / NEAR_W); }

// up2 of what is in `coarse`, at the pixel that `near` has at k: mirrored past the picture's edge.
vec3 enlargedNear(uint k) {
  ivec4 place = win.place[push.level];
  ivec2 at = nearPixel(k);
  return enlarged(ivec2(mirror(at.x, place.z), mirror(at.y, place.w)));
}

// After a barrier: Mesa 26 takes what was just packed for what it was before, unrounded.
void gatherLight() {
  if (!LIGHT) return;
  UNROLL for (uint first = 0; first < NEAR; first += gl_WorkGroupSize.x) {
    uint k = first + gl_LocalInvocationIndex;
    if (k < NEAR) light[k] = lightOf(unpackTexel(near[k]).rgb);
  }
  barrier();
}

void gather() {
  if (push.coarser != 0 || push.guided != 0) gatherCoarse(COMBINE != PREDIFF);
  bool inner = isInner(push.level, corner() - HALO, ivec2(NEAR_W, TILE_H + 2 * HALO));
  UNROLL for (uint first = 0; first < NEAR; first += gl_WorkGroupSize.x) {
    uint k = first + gl_LocalInvocationIndex;
    uvec2 texel = packHalf4(READ_TEXEL(picture, push.single, fromMemory(push.level, nearPixel(min(k, NEAR - 1)), inner)));
    if (k < NEAR) {
      if (COMBINE == PREDIFF) whole[k] = texel;
      else near[k] = texel;
    }
  }
  barrier();
  if (COMBINE == PREDIFF) {
    UNROLL for (uint first = 0; first < NEAR; first += gl_WorkGroupSize.x) {
      uint k = first + gl_LocalInvocationIndex;
      vec3 base = enlargedNear(k);
      if (k < NEAR) near[k] = packHalf4(vec4(unpackTexel(whole[k]).rgb - base, 1.0));
    }
    barrier();
    gatherCoarse(true);
    barrier();
  }
  if (push.guided != 0) {
    UNROLL for (uint first = 0; first < NEAR; first += gl_WorkGroupSize.x) {
      uint k = first + gl_LocalInvocationIndex;
      vec3 G = enlargedNear(k);
      if (CONTEXT == GUIDED && k < NEAR) guide[k] = packHalf4(vec4(G, 1.0));
    }
    barrier();
  }
  gatherLight();
}

#ifdef HOLDING // not for prediff and guide
// gather, in two steps: what is fetched is in registers until it is placed. (In other builds this is slower, with a guide by an eighth.)
const uint LOCAL = gl_WorkGroupSize.x;
uvec2 aheadNear[(NEAR + LOCAL - 1) / LOCAL], aheadCoarse[(COARSE + LOCAL - 1) / LOCAL];
#define SHARE(ahead, body) UNROLL for (uint j = 0; j < ahead.length(); ++j) { \
  uint k = j * LOCAL + gl_LocalInvocationIndex; \
  body \
}

void fetch() {
  if (push.coarser != 0) {
    bool inner = isInner(push.level + 1, coarseCorner(), ivec2(COARSE_W, COARSE_H));
    SHARE(aheadCoarse,
      int known = min(int(k), COARSE - 1);
      aheadCoarse[j] = below[fromMemory(push.level + 1, coarseCorner() + ivec2(known % COARSE_W, known / COARSE_W), inner)];)
  }
  bool inner = isInner(push.level, corner() - HALO, ivec2(NEAR_W, TILE_H + 2 * HALO));
  SHARE(aheadNear, aheadNear[j] = packHalf4(READ_TEXEL(picture, push.single, fromMemory(push.level, nearPixel(min(k, NEAR - 1)), inner)));)
}

void place() {
  if (push.coarser != 0) SHARE(aheadCoarse, if (k < COARSE) coarse[k] = aheadCoarse[j];)
  SHARE(aheadNear, if (k < NEAR) near[k] = aheadNear[j];)
  barrier();
  gatherLight();
}
#endif

// For context.glsl: a pixel, and its index in `near`.
struct Pixel { uint level; uint tile; int at; };
uint indexOf(Pixel q, ivec2 offset) { return uint(q.at + offset.y * NEAR_W + offset.x); }
vec3 image(uint p) { return unpackTexel(near[p]).rgb; }
vec2 imageLight(uint p) { return light[p]; }
vec3 mip(uint p) { return unpackTexel(COMBINE == PREDIFF ? whole[p] : near[p]).rgb; }
vec2 noise(uint tile) { return win.settings.xy; }
vec3 guideAt(uint p) { return push.guided != 0 ? unpackTexel(guide[p]).rgb : mip(p); }
#define GUIDE(q, offset) guideAt(indexOf(q, offset))
#include "kpn/context.glsl"
#include "kpn/kernel.glsl"

ivec2 inTile(uint turn) {
  int n = int(panelSelect(turn) - TILE_COLUMN * uint(TILE_W * TILE_H));
  return ivec2(n % TILE_W, n / TILE_W);
}

Pixel pixelAt(ivec2 t) { return Pixel(push.level, 0, (t.y + HALO) * NEAR_W + t.x + HALO); }

// From the panel's values of the tile's pixel t to its result.
void finish(ivec2 t) {
  Pixel q = pixelAt(t);
  Kernel kernel[PARTS];
  vec3 sum[PARTS];
  [[unroll]] for (uint part = 0; part < PARTS; ++part) {
    GET_KERNEL(kernel[part], part, panelGet4)
    tapWeights(kernel[part]);
    kernel[part].alpha = blendWeight(kernel[part].alpha);
    sum[part] = vec3(0);
  }
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    vec3 rgb = image(indexOf(q, TAP[t]));
    [[unroll]] for (uint part = 0; part < PARTS; ++part) sum[part] += kernel[part].k[t] * partOf(part, rgb);
  }
  [[unroll]] for (uint part = 0; part < PARTS; ++part) sum[part] *= kernel[part].factor;
  ivec2 at = corner() + t;
  bool inside = isInMemory(push.level, at);
  uint to = fromMemory(push.level, at, true);
  if (push.filtered != 0) {
    ivec2 size = win.memory[push.level].xy;
    uint plane = gl_NumWorkGroups.z * uint(size.x * size.y);
    [[unroll]] for (uint part = 0; part < PARTS; ++part)
      if (inside) result[part * plane + to] = packTexel(sum[part], kernel[part].alpha);
    return;
  }
  vec3 O = sum[0];
  if (push.coarser != 0) {
    vec3 up = enlarged(at);
    O = up + kernel[0].alpha * (COMBINE == BLEND ? sum[0] - partOf(0, up) : sum[0]);
    if (PARTS > 1) O += kernel[PARTS - 1].alpha * (COMBINE == BLEND ? sum[PARTS - 1] - partOf(1, up) : sum[PARTS - 1]);
  } else if (PARTS > 1) O += sum[PARTS - 1];
  if (push.level == 0) O = finest(mip(indexOf(q, ivec2(0))), O);
  if (inside) result[to] = packTexel(O, 1.0);
}

#define ACTIVE(v, at) greaterThan(v, vec4(0))

#ifdef HOLDING
// The next tile is fetched while this one goes through the layers.
void main() {
  panelBlock = gl_WorkGroupID.x * push.runs;
  fetch();
  panelHold();
  for (uint run = 0; run < push.runs; ++run) {
    if (int(panelBlock) * TILE_W >= win.memory[push.level].x) break;
    if (run > 0) barrier();
    place();
    UNROLL for (uint turn = 0; turn < TURNS; ++turn) putContext(pixelAt(inTile(turn)));
    ++panelBlock;
    fetch();
    --panelBlock;
    [[unroll]] for (uint l = 0; l < LAYERS; ++l) panelLayer(l * WIDTH * WIDTH);
    panelMul(LAYERS * WIDTH * WIDTH, OUTPUTS);
    UNROLL for (uint turn = 0; turn < TURNS; ++turn) finish(inTile(turn));
    ++panelBlock;
  }
}
#else
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
#endif
