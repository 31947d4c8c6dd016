// rise: what `up` does with a dispatch for each level, `loss` after it and the first `dup` (SPEC 1.6, 1.7, 2), in one: a workgroup takes
// a block of pixels of level 1 (BLOCK each way) with those of level 0 under them, and works out for itself what it needs of the coarser levels: a few
// pixels around its own. Of level 0 it leaves with dE/dO what `bck` needs of dO/dI.a (SLOPES), and of the loss the sum of the block. `fall` does the rest. Two levels or more. Grid: (block, row of blocks, tile).
// `simple`, for blend and prediff: this file. -DPOST, for postdiff and for context guide: rise_post.glsl, which costs more (docs/performance.md).
//! variant simple
//! variant post -DPOST=1
//! variant guide -DPOST=1 -DGUIDES=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef POST
#include "kpn/rise_post.glsl"
#else
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/loss.glsl"

layout(set = 0, binding = 1) restrict readonly buffer Noise { vec2 noiseab[]; };      // (tile): a, b
layout(set = 0, binding = 2) restrict readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 3) restrict readonly buffer Mip { QUAD mipQuad[]; };        // (pixel): M, under prediff O_L = M_L
layout(set = 0, binding = 4) restrict readonly buffer Reference { uvec2 refPairs[]; }; // (tile, y, x): the module's reference
layout(set = 0, binding = 5) restrict writeonly buffer Combined { vec4 combined[]; }; // (pixel): O
layout(set = 0, binding = 6) restrict writeonly buffer Diff { vec4 diff[]; };         // (pixel): dO/dI.a, of level 0 where O is kept
layout(set = 0, binding = 7) restrict writeonly buffer Gradient { vec4 gradient[]; }; // (pixel): dE/dO.rgb of levels 0 and 1; of level 0 dot(dE/dO, dO/dI.a)
layout(set = 0, binding = 8) restrict writeonly buffer Result { uvec2 result[]; };    // (tile, y, x): O_0, the module's output, rgba f16
layout(set = 0, binding = 9) restrict writeonly buffer Losses { vec4 losses[]; };     // (block): pixels that are not finite, 0, 0, loss of the others

layout(constant_id = 31) const int BLOCK = 8;        // own pixels of level 1, each way
layout(constant_id = 32) const bool KEEP_O = true;   // whether O is looked at, which `fall` and `bck` don't need; then dO/dI.a of level 0 too
const int QUADS = BLOCK + 2;   // pixels of level 1 whose pixels of level 0 give to own ones
const int MOST = BLOCK + 4;    // pixels of any level that are looked at: those of level 1 around QUADS
const uint PLACES = QUADS * QUADS;
#include "kpn/combine.glsl"

shared float coarser[2][3][MOST * MOST]; // O of two levels in turn, a region each

struct Region {
  ivec2 first, size;
};

ivec2 ownFirst() { return BLOCK * ivec2(gl_WorkGroupID.xy); }

// The pixels of a level >= 1 that the block needs.
Region regionOf(uint level) {
  ivec2 first = max(ownFirst() - 2, 0), last = min(ownFirst() + BLOCK + 1, levelSize(1) - 1);
  for (uint i = 2; i <= level; ++i) {
    first = max((first >> 1) - 1, 0);
    last = min((last >> 1) + 1, levelSize(i) - 1);
  }
  return Region(first, last - first + 1);
}

// Every pixel of a level >= 1 is one block's to write.
bool isOwn(ivec2 at, uint level) {
  ivec2 above = (at << (level - 1)) - ownFirst();
  return all(greaterThanEqual(above, ivec2(0))) && all(lessThan(above, ivec2(BLOCK)));
}

vec3 coarserAt(uint turn, int i) { return vec3(coarser[turn][0][i], coarser[turn][1][i], coarser[turn][2][i]); }
void keepCoarser(uint turn, uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) coarser[turn][c][i] = v[c];
}

void writeOwn(uint p, ivec2 at, uint level, vec3 O, vec3 d) {
  if (!isOwn(at, level)) return;
  if (KEEP_O) combined[p] = vec4(O, 1.0);
  diff[p] = vec4(d, 0.0);
}

// The invocation's place in rows of `width`. (An integer division takes several times as long.)
ivec2 placeIn(int width) {
  int t = int(gl_LocalInvocationIndex), row = int((float(t) + 0.5) / float(width));
  return ivec2(t - row * width, row);
}

void main() {
  uint t = gl_LocalInvocationIndex, tile = gl_WorkGroupID.z, turn = 0;

  // The coarsest O, then the others down to level 1.
  uint top = COMBINE == PREDIFF ? geo.levels : geo.levels - 1;
  Region below = regionOf(top);
  for (uint level = top; level >= 1; --level) {
    Region region = regionOf(level);
    ivec2 size = levelSize(level), wide = levelSize(min(level + 1, top));
    if (t < uint(region.size.x * region.size.y)) {
      ivec2 at = region.first + placeIn(region.size.x);
      uint p = levelBase(level, tile) + uint(at.y * size.x + at.x);
      if (level == top) {
        vec3 O = COMBINE == PREDIFF ? unpackQuad(mipQuad[p]).rgb : filtered[p].rgb;
        keepCoarser(turn, t, O);
        if (COMBINE != PREDIFF) writeOwn(p, at, level, O, vec3(0));
      } else {
        vec4 I = filtered[p];
        ivec2 c = at >> 1;
        vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1)), up = vec3(0);
        [[unroll]] for (int j = 0; j < 3; ++j) {
          int row = (mirror(c.y + j - 1, wide.y) - below.first.y) * below.size.x - below.first.x;
          [[unroll]] for (int k = 0; k < 3; ++k) up += wx[k] * wy[j] * coarserAt(1 - turn, row + mirror(c.x + k - 1, wide.x));
        }
        vec3 d = COMBINE == BLEND ? I.rgb - up : I.rgb, O = up + I.a * d;
        keepCoarser(turn, t, O);
        writeOwn(p, at, level, O, d);
      }
    }
    barrier();
    below = region;
    turn = 1 - turn;
  }

  // Level 0: an invocation is a pixel c of level 1 and the four under it.
  ivec2 size = levelSize(1), fine = levelSize(0), local = placeIn(QUADS), c = ownFirst() - 1 + local;
  bool inside = t < PLACES && all(greaterThanEqual(c, ivec2(0))) && all(lessThan(c, size));
  bool own = inside && all(greaterThan(local, ivec2(0))) && all(lessThan(local, ivec2(QUADS - 1)));
  vec3 share[4]; // of the pixels under this one: what of their gradient goes to level 1
  [[unroll]] for (uint q = 0; q < 4; ++q) share[q] = vec3(0);
  vec2 loss = vec2(0); // of own pixels; those that are not finite
  if (inside) {
    uint base = levelBase(0, tile), first = tile * uint(fine.x * fine.y);
    vec2 ab = noiseab[tile];
    vec3 even = upWeights(0), odd = upWeights(1), up[4];
    uint at[4];
    vec4 I[4];
    vec3 ref[4];
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      ivec2 f = min(2 * c + ivec2(q & 1, q >> 1), fine - 1);
      at[q] = uint(f.y * fine.x + f.x);
      I[q] = filtered[base + at[q]];
      ref[q] = READ_PICTURE(refPairs, REF_F32, first + at[q]).rgb;
      up[q] = vec3(0);
    }
    [[unroll]] for (int j = 0; j < 3; ++j) {
      int row = (mirror(c.y + j - 1, size.y) - below.first.y) * below.size.x - below.first.x;
      [[unroll]] for (int k = 0; k < 3; ++k) {
        vec3 v = coarserAt(1 - turn, row + mirror(c.x + k - 1, size.x));
        [[unroll]] for (uint q = 0; q < 4; ++q) up[q] += ((q & 1) == 0 ? even[k] : odd[k]) * ((q >> 1) == 0 ? even[j] : odd[j]) * v;
      }
    }
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      if (all(lessThan(2 * c + ivec2(q & 1, q >> 1), fine))) {
        vec3 d = COMBINE == BLEND ? I[q].rgb - up[q] : I[q].rgb, O = up[q] + I[q].a * d;
        vec4 g = vec4(0);
        [[unroll]] for (uint k = 0; k < 3; ++k) {
          vec2 e = lossOf(O[k], ref[q][k], O[k], ab.x, ab.y);
          g[k] = e.y;
          g.w += e.x;
        }
        bool counts = finite(O) && finite(g);
        if (own) loss += counts ? vec2(g.w, 0) : vec2(0, 1);
        g = counts ? vec4(g.rgb, dot(g.rgb, d)) : vec4(0);
        share[q] = through(g.rgb, I[q].a);
        if (own) {
          uint p = base + at[q];
          if (KEEP_O) {
            diff[p] = vec4(d, 0.0);
            combined[p] = vec4(O, 1.0);
          }
          gradient[p] = g;
          result[first + at[q]] = packHalf4(vec4(O, 1.0));
        }
      }
    }
  }
  bvec2 next = bvec2(c.x + 1 < size.x && local.x < QUADS - 1, c.y + 1 < size.y && local.y < QUADS - 1);
  bvec2 previous = bvec2(c.x > 0 && local.x > 0, c.y > 0 && local.y > 0);
  vec3 g = giveToCoarser(share, c, size, t, QUADS, next, previous, inside);
  if (own) gradient[levelBase(1, tile) + uint(c.y * size.x + c.x)] = vec4(g, 0.0);

  // The losses in a fixed order: of every 32nd invocation, then those.
  if (t < PLACES) { exchange[0][t] = loss.x; exchange[1][t] = loss.y; }
  barrier();
  if (t < 32) {
    loss = vec2(0);
    for (uint i = t; i < PLACES; i += 32) loss += vec2(exchange[0][i], exchange[1][i]);
    exchange[2][t] = loss.x;
    exchange[3][t] = loss.y;
  }
  barrier();
  if (t > 0) return;
  loss = vec2(0);
  for (uint i = 0; i < 32; ++i) loss += vec2(exchange[2][i], exchange[3][i]);
  losses[(tile * gl_NumWorkGroups.y + gl_WorkGroupID.y) * gl_NumWorkGroups.x + gl_WorkGroupID.x] = vec4(loss.y, 0.0, 0.0, loss.x);
}
#endif
