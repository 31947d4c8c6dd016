// fall for postdiff: and dE/dI, as `dup.part` and `dpost` make it. A workgroup for each level from 2 on of a tile, which goes through those before it for
// itself, an invocation for each pixel of level 2; further ones for 16x16 pixels of level 0 or 1 each.
// -DONLY_DK: and dE/dK, as `bck.dK` makes it; dE/dI is not stored.
// Every sum has the order that it has in the kernels this stands for. Grid: (level from 2 on, then blocks of level 0, then of level 1; tile).
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/span.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 1) restrict readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 2) restrict buffer Gradient { vec4 gradient[]; };           // (pixel): dE/dO
#ifdef ONLY_DK
layout(set = 0, binding = 3) restrict readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 4) restrict readonly buffer Image { QUAD imageQuad[]; };    // (pixel): what the kernel was applied to
layout(set = 0, binding = 5) restrict readonly buffer Out { uvec4 outWords[]; };      // (pixel, OUTPUTS): K
layout(set = 0, binding = 6) restrict readonly buffer Diff { vec4 diff[]; };          // (pixel): dO/dI.a
layout(set = 0, binding = 7) restrict writeonly buffer DK { uvec4 dK[]; };            // (pixel, OUTPUTS): dE/dK, scaled
#else
layout(set = 0, binding = 3) restrict writeonly buffer Result { vec4 dEdI[]; };       // (pixel): dE/dI.rgb
#endif

const uint LOCAL = gl_WorkGroupSize.x;
const int BLOCK = 8;                           // pixels of the coarser level, each way
const int MARGIN = PYRAMID == BOX ? 0 : 1;     // further ones that have a part in down^T
const int MOST_WIDE = BLOCK + 2, MOST_FINE = 2 * MOST_WIDE + 4;
const uint CHAIN = 6 * LOCAL, BLOCKS = 3 * (MOST_WIDE * MOST_WIDE + MOST_FINE * MOST_FINE);
shared float kept[CHAIN > BLOCKS ? CHAIN : BLOCKS];

// The pixel that is this invocation's, and its dE/dI.rgb.
bool isMine = false;
uint mine;
vec3 fallen;

#ifdef ONLY_DK
#define DEDI(part, p) fallen
#include "kpn/kernel_gradient_words.glsl"
#endif

// In `kept`: numbers of the i-th of `count` pixels, from `base` on.
void keep(uint base, uint count, uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) kept[base + c * count + i] = v[c];
}
vec3 keptAt(uint base, uint count, uint i) { return vec3(kept[base + i], kept[base + count + i], kept[base + 2 * count + i]); }

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

// A block of level 0 or 1, whose dE/dO is there.
void block(uint n, uint level, uint tile) {
  uint t = gl_LocalInvocationIndex, base = levelBase(level, tile);
  ivec2 blocks = blocksOf(level), fine = levelSize(level);
  ivec2 first = BLOCK * ivec2(int(n) % blocks.x, int(n) / blocks.x); // of the coarser level
  ivec2 own = ivec2(int(t) % (2 * BLOCK), int(t) / (2 * BLOCK)), f = 2 * first + own;
  isMine = t < uint(4 * BLOCK * BLOCK) && all(lessThan(f, fine));
  mine = base + uint(f.y * fine.x + f.x);
  ivec2 coarse = levelSize(level + 1);
  bool coarsest = level + 1 == geo.levels; // taken as it is
  first -= MARGIN;
  ivec2 corner = 2 * first - 2; // of the fine pixels that have a part
  const int wide = BLOCK + 2 * MARGIN, around = 2 * wide + 4;
  const uint area = uint(around * around), parts = 3 * area;
  for (uint k = t; k < area; k += LOCAL) {
    ivec2 at = corner + ivec2(int(k) % around, int(k) / around);
    if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, fine))) continue;
    uint p = base + uint(at.y * fine.x + at.x);
    vec3 g = gradient[p].rgb;
    keep(0, area, k, coarsest ? g : throughI(g, filtered[p].a));
  }
  barrier();
  if (t < uint(wide * wide) && !coarsest) {
    ivec2 at = ivec2(int(t) % wide, int(t) / wide), c = first + at;
    if (all(greaterThanEqual(c, ivec2(0))) && all(lessThan(c, coarse))) {
      vec3 sum = vec3(0);
      int from = 2 * at.y * around + 2 * at.x;
      FOR_SPAN(c, coarse, fine, if (w != 0.0) sum += w * keptAt(0, area, uint(from + j * around + i));)
      keep(parts, uint(wide * wide), t, sum);
    }
  }
  barrier();
  if (!isMine) return;
  own += 2 * MARGIN + 2;
  fallen = keptAt(0, area, uint(own.y * around + own.x));
  if (!coarsest) fallen -= downTransposedAt(f, fine, coarse, -(first.y * wide + first.x), wide, parts, uint(wide * wide));
}

// dE/dO of level `level` from that of level 1, and what is made of it.
void chain(uint level, uint tile) {
  uint t = gl_LocalInvocationIndex;
  ivec2 size = levelSize(2), fine = levelSize(1), c = ivec2(int(t) % size.x, int(t) / size.x);
  bool inside = t < uint(size.x * size.y), last = level + 1 == geo.levels;
  float alpha = t < uint(levelSize(level).x * levelSize(level).y) && !last ? filtered[levelBase(level, tile) + t].a : 0.0;
  vec3 g = vec3(0);
  if (inside) {
    uint base = levelBase(1, tile);
    FOR_SPAN(c, size, fine,
      ivec2 f = clamp(2 * c + ivec2(i, j) - 2, ivec2(0), fine - 1);
      vec3 v = gradient[base + uint(f.y * fine.x + f.x)].rgb;
      if (w != 0.0) g += w * v;
    )
  }
  for (uint i = 2; i < level; ++i) {
    if (inside) keep(0, LOCAL, t, g);
    ivec2 wide = levelSize(i + 1);
    c = ivec2(int(t) % wide.x, int(t) / wide.x);
    inside = t < uint(wide.x * wide.y);
    barrier();
    g = vec3(0);
    if (inside) {
      int corner = (2 * c.y - 2) * size.x + 2 * c.x - 2;
      FOR_SPAN(c, wide, size,
        uint from = uint(corner + j * size.x + i);
        if (w != 0.0) g += w * keptAt(0, LOCAL, from);
      )
    }
    barrier();
    size = wide;
  }
  mine = levelBase(level, tile) + t;
  isMine = inside;
  if (inside) gradient[mine] = vec4(g, 0.0);
  fallen = g; // the coarsest level is taken as it is
  if (last) return;
  fallen = throughI(g, alpha);
  if (inside) keep(0, LOCAL, t, fallen);
  barrier();
  ivec2 wide = levelSize(level + 1), k = ivec2(int(t) % wide.x, int(t) / wide.x);
  if (t < uint(wide.x * wide.y)) {
    vec3 sum = vec3(0);
    int corner = (2 * k.y - 2) * size.x + 2 * k.x - 2;
    FOR_SPAN(k, wide, size, if (w != 0.0) sum += w * keptAt(0, LOCAL, uint(corner + j * size.x + i));)
    keep(3 * LOCAL, LOCAL, t, sum);
  }
  barrier();
  if (inside) fallen -= downTransposedAt(c, size, wide, 0, wide.x, 3 * LOCAL, LOCAL);
}

void main() {
  uint n = gl_WorkGroupID.x, tile = gl_WorkGroupID.y, coarse = max(geo.levels, 2u) - 2;
  if (n < coarse) chain(n + 2, tile);
  else {
    ivec2 blocks = blocksOf(0);
    uint finest = uint(blocks.x * blocks.y);
    n -= coarse;
    block(n < finest ? n : n - finest, n < finest ? 0 : 1, tile);
  }
#ifdef ONLY_DK
  storeKernelGradient(isMine ? mine : NO_PIXEL);
#else
  if (isMine) dEdI[mine] = vec4(fallen, 0.0);
#endif
}
