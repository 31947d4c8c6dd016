// rise for postdiff, where `down` comes before `up`, and for context guide: a workgroup takes what it needs of all levels from memory at once, then goes up in
// shared memory. Of blend and prediff too, where the context is guide.
// -DGUIDES: O of 8x8 pixels of level `base`, from the coarser level's in memory, and with it what guides the 16x16 under them (SPEC 1.3, guide).
// Every sum has the order that it has in the kernels this stands for: the same bits, but for compilers that contract multiplications and sums otherwise.
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/span.glsl"
#include "kpn/loss.glsl"

layout(set = 0, binding = 1) restrict readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 2) restrict readonly buffer Mip { QUAD mipQuad[]; };        // (pixel): M, under prediff O_L = M_L
layout(set = 0, binding = 3) restrict buffer Combined { vec4 combined[]; };           // (pixel): O
layout(set = 0, binding = 4) restrict writeonly buffer Diff { vec4 diff[]; };         // (pixel): dO/dI.a
#ifdef GUIDES
layout(set = 0, binding = 5) restrict writeonly buffer Guide { QUAD guideQuad[]; };   // (pixel): G
#else
layout(set = 0, binding = 5) restrict readonly buffer Noise { vec2 noiseab[]; };      // (tile): a, b
layout(set = 0, binding = 6) restrict readonly buffer Reference { uvec2 refPairs[]; }; // (tile, y, x): the module's reference
layout(set = 0, binding = 7) restrict writeonly buffer Gradient { vec4 gradient[]; }; // (pixel): dE/dO.rgb of levels 0 and 1; of level 0 the loss, -1 where it is not finite
layout(set = 0, binding = 8) restrict writeonly buffer Result { uvec2 result[]; };    // (tile, y, x): O_0, the module's output, rgba f16
#endif
// The level of which the block is 8x8, and the coarsest that is looked at. Of one coarser than `top` O is there already; else `top` is where O begins.
layout(push_constant) uniform Push { uint base, top; } push;

const int BLOCK = 8;           // own pixels of level `base`, each way
const int QUADS = BLOCK + 2;   // pixels of level 1 whose pixels of level 0 give to own ones
const int FINE = 2 * QUADS;    // pixels of level 0 under these, each way
const uint LOCAL = 192;
const uint ROUNDS = 2;
const uint PLACES = FINE * FINE; // pixels of all levels that are looked at: at most 12^2 + 8^2 + 6^2 + 4 * 5^2, which is no more than LOCAL * ROUNDS

shared float own[4][PLACES];     // I of the levels' regions, one after the other; then, of level 0, what of dE/dO goes to level 1
shared float low[3][PLACES];     // down(I) of the finer level, under postdiff
shared float whole[3][PLACES];   // O
shared ivec4 regions[8];         // by level: first pixel, size
shared uint firsts[9];           // by level: place of its first pixel

vec3 lowAt(uint i) { return vec3(low[0][i], low[1][i], low[2][i]); }
vec3 wholeAt(uint i) { return vec3(whole[0][i], whole[1][i], whole[2][i]); }
void keepLow(uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) low[c][i] = v[c];
}
void keepWhole(uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) whole[c][i] = v[c];
}

ivec2 ownFirst() { return BLOCK * ivec2(gl_WorkGroupID.xy); }

// The pixels of a level that the block needs.
ivec4 regionOf(uint level) {
  ivec2 first = max(ownFirst() - 2, 0), last = min(ownFirst() + BLOCK + 1, levelSize(push.base) - 1);
  for (uint i = push.base + 1; i <= level; ++i) {
    first = max((first >> 1) - 1, 0);
    last = min((last >> 1) + 1, levelSize(i) - 1);
  }
  return ivec4(first, last - first + 1);
}

// Every pixel of a level from `base` on is one block's to write.
bool isOwn(ivec2 at, uint level) {
  ivec2 above = (at << (level - push.base)) - ownFirst();
  return all(greaterThanEqual(above, ivec2(0))) && all(lessThan(above, ivec2(BLOCK)));
}

void writeOwn(uint p, ivec2 at, uint level, vec3 O, vec3 d) {
  if (!isOwn(at, level)) return;
  combined[p] = vec4(O, 1.0);
  diff[p] = vec4(d, 0.0);
}

// down(I of the finer level) at pixel c of a level.
vec3 downAt(uint level, uint tile, ivec2 c) {
  ivec2 size = levelSize(level - 1);
  uint base = levelBase(level - 1, tile);
  vec3 sum = vec3(0);
  [[unroll]] for (int j = -2; j <= 2; ++j) {
    [[unroll]] for (int i = -2; i <= 2; ++i) {
      float w = downWeight(i) * downWeight(j);
      if (w == 0.0) continue;
      sum += w * filtered[base + uint(mirror(2 * c.y + j, size.y) * size.x + mirror(2 * c.x + i, size.x))].rgb;
    }
  }
  return sum;
}

// All that the block needs from memory, of all levels at once: a place's.
void load(uint place, uint tile) {
  uint level = push.base, coarsest = COMBINE == PREDIFF ? geo.levels : geo.levels - 1;
  for (uint i = push.base + 1; i <= push.top; ++i) level = place >= firsts[i] ? i : level;
  if (place >= firsts[push.top + 1]) return;
  ivec4 region = regions[level];
  int k = int(place - firsts[level]);
  ivec2 at = region.xy + ivec2(k % region.z, k / region.z);
  uint p = levelBase(level, tile) + uint(at.y * levelSize(level).x + at.x);
  if (level < push.top) {
    vec4 I = filtered[p];
    [[unroll]] for (uint c = 0; c < 4; ++c) own[c][place] = I[c];
  } else if (level < coarsest) keepWhole(place, combined[p].rgb);
  else {
    vec3 O = COMBINE == PREDIFF ? unpackQuad(mipQuad[p]).rgb : filtered[p].rgb;
    keepWhole(place, O);
    if (COMBINE != PREDIFF) writeOwn(p, at, level, O, vec3(0));
  }
#ifdef GUIDES
  if (level == push.base) return;
#endif
  if (COMBINE == POSTDIFF) keepLow(place, downAt(level, tile, at));
}

// O of a level from that of the coarser one, all in shared memory.
void combine(uint level, uint t, uint tile) {
  ivec4 region = regions[level], coarser = regions[level + 1];
  if (t >= uint(region.z * region.w)) return;
  ivec2 wide = levelSize(level + 1), at = region.xy + ivec2(int(t) % region.z, int(t) / region.z), c = at >> 1;
  uint place = firsts[level] + t;
  vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1)), up = vec3(0), again = vec3(0);
  [[unroll]] for (int j = 0; j < 3; ++j) {
    int row = int(firsts[level + 1]) + (mirror(c.y + j - 1, wide.y) - coarser.y) * coarser.z - coarser.x;
    [[unroll]] for (int i = 0; i < 3; ++i) {
      uint from = uint(row + mirror(c.x + i - 1, wide.x));
      float w = wx[i] * wy[j];
      up += w * wholeAt(from);
      if (COMBINE == POSTDIFF) again += w * lowAt(from);
    }
  }
  vec3 I = vec3(own[0][place], own[1][place], own[2][place]);
  vec3 d = I - (COMBINE == BLEND ? up : again), O = up;
  O += own[3][place] * d;
  keepWhole(place, O);
  writeOwn(levelBase(level, tile) + uint(at.y * levelSize(level).x + at.x), at, level, O, d);
}

// up2, at the four pixels under pixel c of level `base`, of what is kept of it.
#define ENLARGE(result, keptAt) \
  [[unroll]] for (uint q = 0; q < 4; ++q) result[q] = vec3(0); \
  [[unroll]] for (int j = 0; j < 3; ++j) { \
    int row = (mirror(c.y + j - 1, size.y) - region.y) * region.z - region.x; \
    [[unroll]] for (int k = 0; k < 3; ++k) { \
      vec3 v = keptAt(uint(row + mirror(c.x + k - 1, size.x))); \
      [[unroll]] for (uint q = 0; q < 4; ++q) result[q] += ((q & 1) == 0 ? even[k] : odd[k]) * ((q >> 1) == 0 ? even[j] : odd[j]) * v; \
    } \
  }

void main() {
  uint t = gl_LocalInvocationIndex, tile = gl_WorkGroupID.z;
  if (t <= push.top && t >= push.base) regions[t] = regionOf(t);
  barrier();
  if (t == 0) {
    uint sum = 0;
    for (uint i = push.base; i <= push.top; ++i) {
      firsts[i] = sum;
      sum += uint(regions[i].z * regions[i].w);
    }
    firsts[push.top + 1] = sum;
  }

  // An invocation is a pixel c of level `base` and the four under it.
  uint fineLevel = push.base - 1;
  ivec2 size = levelSize(push.base), fine = levelSize(fineLevel), local = ivec2(int(t) % QUADS, int(t) / QUADS), c = ownFirst() - 1 + local;
  bool inside = t < uint(QUADS * QUADS) && all(greaterThanEqual(c, ivec2(0))) && all(lessThan(c, size));
  bool isMine = inside && all(greaterThan(local, ivec2(0))) && all(lessThan(local, ivec2(QUADS - 1)));
  uint base = levelBase(fineLevel, tile), at[4];
  bool there[4];
  [[unroll]] for (uint q = 0; q < 4; ++q) {
    ivec2 f = 2 * c + ivec2(q & 1, q >> 1);
    there[q] = inside && all(lessThan(f, fine));
    f = clamp(f, ivec2(0), fine - 1);
    at[q] = uint(f.y * fine.x + f.x);
  }
#ifndef GUIDES
  uint first = tile * uint(fine.x * fine.y), p1 = levelBase(1, tile) + uint(c.y * size.x + c.x);
  vec4 I[4];
  vec3 ref[4];
  [[unroll]] for (uint q = 0; q < 4; ++q) {
    I[q] = vec4(0);
    ref[q] = vec3(0);
    if (there[q]) {
      I[q] = filtered[base + at[q]];
      ref[q] = READ_PICTURE(refPairs, REF_F32, first + at[q]).rgb;
    }
  }
#endif
  barrier();
  [[unroll]] for (uint round = 0; round < ROUNDS; ++round) load(t + round * LOCAL, tile);
  barrier();
  for (uint level = push.top; level-- > push.base;) {
    combine(level, t, tile);
    barrier();
  }

  ivec4 region = regions[push.base];
  vec3 even = upWeights(0), odd = upWeights(1), up[4];
#ifdef GUIDES
  if (!isMine) return;
  ENLARGE(up, wholeAt)
  [[unroll]] for (uint q = 0; q < 4; ++q)
    if (there[q]) guideQuad[base + at[q]] = packQuad(vec4(up[q], 1.0));
#else
  if (inside) {
    vec3 again[4];
    ENLARGE(up, wholeAt)
    if (COMBINE == POSTDIFF) { ENLARGE(again, lowAt) }
    vec2 ab = noiseab[tile];
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      vec3 d = I[q].rgb - (COMBINE == BLEND ? up[q] : COMBINE == POSTDIFF ? again[q] : vec3(0)), O = up[q];
      O += I[q].a * d;
      vec4 g = vec4(0);
      [[unroll]] for (uint k = 0; k < 3; ++k) {
        vec2 e = lossOf(O[k], ref[q][k], O[k], ab.x, ab.y);
        g[k] = e.y;
        g.w += e.x;
      }
      g = finite(O) && finite(g) ? g : vec4(0, 0, 0, -1);
      vec3 share = throughUp(g.rgb, I[q].a);
      ivec2 f = 2 * local + ivec2(q & 1, q >> 1);
      [[unroll]] for (uint k = 0; k < 3; ++k) own[k][f.y * FINE + f.x] = share[k];
      if (isMine && there[q]) {
        uint p = base + at[q];
        diff[p] = vec4(d, 0.0);
        combined[p] = vec4(O, 1.0);
        gradient[p] = g;
        result[first + at[q]] = packHalf4(vec4(O, 1.0));
      }
    }
  }
  barrier();
  if (!isMine) return;
  vec3 sum = vec3(0);
  int corner = (2 * local.y - 2) * FINE + 2 * local.x - 2;
  FOR_SPAN(c, size, fine,
    uint f = uint(corner + j * FINE + i);
    if (w != 0.0) sum += w * vec3(own[0][f], own[1][f], own[2][f]);
  )
  gradient[p1] = vec4(sum, 0.0);
#endif
}
