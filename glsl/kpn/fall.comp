// fall: what `dup` does with a dispatch for each level (SPEC 2), from level 1 on, for a whole tile in one workgroup; behind `rise`. An invocation
// for each pixel of level 2.
// -DPOST, of postdiff: and dE/dI, as `dup.part` and `dpost` make it: that workgroup of level 2 and the coarser ones, others of 16x16 pixels of level 0
// or 1 each. Three levels or more, with -DPOST two.
// Every sum has the order that it has in the kernels this stands for. Grid: (the coarse levels, then blocks of level 0, then of level 1; tile).
//! variant rest
//! variant post -DPOST=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/combine.glsl"

layout(set = 0, binding = 1) restrict readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 2) restrict buffer Gradient { vec4 gradient[]; };           // (pixel): dE/dO; of level 1 and I.a
#ifdef POST
layout(set = 0, binding = 3) restrict writeonly buffer Result { vec4 dEdI[]; };       // (pixel): dE/dI.rgb
#endif

const uint LOCAL = gl_WorkGroupSize.x;
#ifdef POST
const int BLOCK = 8;                           // pixels of the coarser level, each way
const int MARGIN = PYRAMID == BOX ? 0 : 1;     // further ones that have a part in down^T
const int MOST_WIDE = BLOCK + 2, MOST_FINE = 2 * MOST_WIDE + 4;
const uint CHAIN = 7 * LOCAL, BLOCKS = 3 * (MOST_WIDE * MOST_WIDE + MOST_FINE * MOST_FINE);
shared float kept[CHAIN > BLOCKS ? CHAIN : BLOCKS];
#else
shared float kept[4 * LOCAL];
#endif

// In `kept`: numbers of the i-th of `count` pixels, from `base` on.
void keep(uint base, uint count, uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) kept[base + c * count + i] = v[c];
}
vec3 keptAt(uint base, uint count, uint i) { return vec3(kept[base + i], kept[base + count + i], kept[base + 2 * count + i]); }

#ifdef POST
// down^T at fine pixel f of numbers of coarse pixels, in `kept`: `pitch` in a row, the pixel (0, 0) at `origin`.
vec3 downTransposedAt(ivec2 f, ivec2 fine, ivec2 coarse, int origin, int pitch, uint base, uint count) {
  vec3 sum = vec3(0);
  [[unroll]] for (int j = -1; j <= 1; ++j) {
    [[unroll]] for (int i = -1; i <= 1; ++i) {
      if (PYRAMID == BOX && (i != 0 || j != 0)) continue;
      ivec2 c = (f >> 1) + ivec2(i, j);
      if (any(lessThan(c, ivec2(0))) || any(greaterThanEqual(c, coarse))) continue;
      float w = downTransposed(c.y, f.y, fine.y) * downTransposed(c.x, f.x, fine.x);
      if (w != 0.0) sum += w * keptAt(base, count, uint(origin + c.y * pitch + c.x));
    }
  }
  return sum;
}

ivec2 blocksOf(uint level) { return (levelSize(level + 1) + BLOCK - 1) / BLOCK; }

// dE/dI of a block of level 0 or 1, whose dE/dO is there.
void block(uint n, uint level, uint tile) {
  ivec2 blocks = blocksOf(level), coarse = levelSize(level + 1), fine = levelSize(level);
  ivec2 first = BLOCK * ivec2(int(n) % blocks.x, int(n) / blocks.x) - MARGIN; // of the coarser level
  ivec2 corner = 2 * first - 2; // of the fine pixels that have a part
  const int wide = BLOCK + 2 * MARGIN, around = 2 * wide + 4;
  const uint area = uint(around * around), parts = 3 * area;
  uint base = levelBase(level, tile);
  bool coarsest = level + 1 == geo.levels; // taken as it is
  for (uint k = gl_LocalInvocationIndex; k < area; k += LOCAL) {
    ivec2 f = corner + ivec2(int(k) % around, int(k) / around);
    if (any(lessThan(f, ivec2(0))) || any(greaterThanEqual(f, fine))) continue;
    uint p = base + uint(f.y * fine.x + f.x);
    vec3 g = gradient[p].rgb;
    keep(0, area, k, coarsest ? g : throughI(g, filtered[p].a));
  }
  barrier();
  for (uint k = gl_LocalInvocationIndex; k < uint(wide * wide) && !coarsest; k += LOCAL) {
    ivec2 at = ivec2(int(k) % wide, int(k) / wide), c = first + at;
    if (any(lessThan(c, ivec2(0))) || any(greaterThanEqual(c, coarse))) continue;
    vec3 sum = vec3(0);
    int from = 2 * at.y * around + 2 * at.x;
    FOR_SPAN(c, coarse, fine, if (w != 0.0) sum += w * keptAt(0, area, uint(from + j * around + i));)
    keep(parts, uint(wide * wide), k, sum);
  }
  barrier();
  for (uint k = gl_LocalInvocationIndex; k < uint(4 * BLOCK * BLOCK); k += LOCAL) {
    ivec2 own = ivec2(int(k) % (2 * BLOCK), int(k) / (2 * BLOCK)) + 2 * MARGIN, f = 2 * first + own;
    if (any(greaterThanEqual(f, fine))) continue;
    vec3 g = keptAt(0, area, uint((own.y + 2) * around + own.x + 2));
    if (!coarsest) g -= downTransposedAt(f, fine, coarse, -(first.y * wide + first.x), wide, parts, uint(wide * wide));
    dEdI[base + uint(f.y * fine.x + f.x)] = vec4(g, 0.0);
  }
}
#endif

// Level 2 and the coarser ones.
void chain(uint tile) {
  uint t = gl_LocalInvocationIndex;
  ivec2 size = levelSize(2), fine = levelSize(1), c = ivec2(int(t) % size.x, int(t) / size.x);
  bool inside = t < uint(size.x * size.y);
  uint p = levelBase(2, tile) + t;
  float alpha = inside ? filtered[p].a : 0.0;
  vec3 g = vec3(0);
  if (inside) {
    uint base = levelBase(1, tile);
    FOR_SPAN(c, size, fine,
      ivec2 f = clamp(2 * c + ivec2(i, j) - 2, ivec2(0), fine - 1);
      vec4 v = gradient[base + uint(f.y * fine.x + f.x)];
      if (w != 0.0) g += w * throughUp(v.rgb, v.a);
    )
  }
  for (uint i = 2;; ++i) {
    if (inside) gradient[p] = vec4(g, 0.0);
    if (i + 1 == geo.levels) break;
    keep(0, LOCAL, t, g);
    kept[3 * LOCAL + t] = alpha;
    ivec2 wide = levelSize(i + 1), k = ivec2(int(t) % wide.x, int(t) / wide.x);
    bool isNext = t < uint(wide.x * wide.y);
    uint next = levelBase(i + 1, tile) + t;
    float nextAlpha = isNext && i + 2 < geo.levels ? filtered[next].a : 0.0;
    barrier();
    vec3 sum = vec3(0), part = vec3(0);
    if (isNext) {
      int corner = (2 * k.y - 2) * size.x + 2 * k.x - 2;
      FOR_SPAN(k, wide, size,
        if (w != 0.0) {
          uint from = uint(corner + j * size.x + i);
          vec3 v = keptAt(0, LOCAL, from);
          float a = kept[3 * LOCAL + from];
          sum += w * throughUp(v, a);
          part += w * throughI(v, a);
        }
      )
    }
#ifdef POST
    if (isNext) keep(4 * LOCAL, LOCAL, t, part);
    barrier();
    ivec2 f = ivec2(int(t) % size.x, int(t) / size.x);
    if (inside) dEdI[p] = vec4(throughI(g, alpha) - downTransposedAt(f, size, wide, 0, wide.x, 4 * LOCAL, LOCAL), 0.0);
#else
    barrier();
#endif
    g = sum;
    alpha = nextAlpha;
    inside = isNext;
    size = wide;
    p = next;
  }
#ifdef POST
  if (inside) dEdI[p] = vec4(g, 0.0); // the coarsest level is taken as it is
#endif
}

void main() {
  uint n = gl_WorkGroupID.x, tile = gl_WorkGroupID.y;
#ifdef POST
  if (n > 0) {
    ivec2 blocks = blocksOf(0);
    uint finest = uint(blocks.x * blocks.y);
    block(n <= finest ? n - 1 : n - 1 - finest, n <= finest ? 0 : 1, tile);
    return;
  }
  if (geo.levels < 3) return;
#endif
  chain(tile);
}
