// cascade: up from the coarsest level to the finest, the loss, and dup back to the coarsest, for a whole tile in one workgroup (SPEC
// 1.6, 1.7, 2): what `up`, `loss` and `dup` do with a dispatch for each level. blend and prediff.
//
// An invocation is a pixel c of a coarser level i + 1 and the 2x2 pixels of level i under it: on the way up it reads the 3x3 coarse pixels
// around c once for all four; on the way down the four give to those 3x3, one axis after the other, and neighbours exchange what
// they give through shared memory.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/loss.glsl"

layout(set = 0, binding = 1) restrict readonly buffer Noise { vec2 noiseab[]; };      // (tile): a, b
layout(set = 0, binding = 2) restrict readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 3) restrict readonly buffer Mip { QUAD mipQuad[]; };        // (pixel): M, under prediff O_L = M_L
layout(set = 0, binding = 4) restrict readonly buffer Reference { uint refWords[]; }; // (tile, y, x): the module's reference
layout(set = 0, binding = 5) restrict writeonly buffer Combined { vec4 combined[]; }; // (pixel): O
layout(set = 0, binding = 6) restrict writeonly buffer Diff { vec4 diff[]; };         // (pixel): dO/dI.a
layout(set = 0, binding = 7) restrict writeonly buffer Gradient { vec4 gradient[]; }; // (pixel): dE/dO.rgb; of level 0 the loss, -1 where it is not finite
layout(set = 0, binding = 8) restrict writeonly buffer Result { uvec2 result[]; };    // (tile, y, x): O_0, the module's output, rgba f16

const uint N = gl_WorkGroupSize.x; // at least the pixels of level 1
shared float exchange[6][N];

void give(uint slot, uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) exchange[3 * slot + c][i] = v[c];
}
vec3 take(uint slot, uint i) { return vec3(exchange[3 * slot][i], exchange[3 * slot + 1][i], exchange[3 * slot + 2][i]); }

// dE/dO_{i+1} has this share of a pixel's dE/dO_i. A gradient of 0 stays 0: a pixel without a gradient may hold what isn't finite.
vec3 through(vec3 g, float alpha) { return COMBINE == BLEND ? mix((1.0 - alpha) * g, vec3(0), equal(g, vec3(0))) : g; }

void main() {
  uint t = gl_LocalInvocationIndex, tile = gl_WorkGroupID.x;
  vec2 ab = noiseab[tile];
  vec3 even = upWeights(0), odd = upWeights(1);
  vec3 share[4]; // of the pixels under this one: what of their gradient goes to the coarser level
  [[unroll]] for (uint q = 0; q < 4; ++q) share[q] = vec3(0);

  // The coarsest O.
  uint top = COMBINE == PREDIFF ? geo.levels : geo.levels - 1;
  if (t < geo.level[top].y * geo.level[top].z) {
    uint p = levelBase(top, tile) + t;
    vec3 O = COMBINE == PREDIFF ? unpackQuad(mipQuad[p]).rgb : filtered[p].rgb;
    give(0, t, O);
    if (COMBINE != PREDIFF) {
      diff[p] = vec4(0);
      combined[p] = vec4(O, 1.0);
    }
  }
  barrier();
  for (uint i = top; i-- > 0;) {
    ivec2 coarse = levelSize(i + 1), fine = levelSize(i);
    bool inside = t < uint(coarse.x * coarse.y);
    int own = int(min(t, uint(coarse.x * coarse.y) - 1));
    ivec2 c = ivec2(own % coarse.x, own / coarse.x);
    uint base = levelBase(i, tile), first = tile * uint(fine.x * fine.y);
    // Loads first, of all four, so that they are under way together.
    uint at[4];
    vec4 I[4];
    vec3 ref[4];
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      ivec2 f = min(2 * c + ivec2(q & 1, q >> 1), fine - 1);
      at[q] = uint(f.y * fine.x + f.x);
      I[q] = filtered[base + at[q]];
      ref[q] = i == 0 ? READ_PICTURE(refWords, REF_F32, first + at[q]).rgb : vec3(0);
    }
    vec3 up[4];
    [[unroll]] for (uint q = 0; q < 4; ++q) up[q] = vec3(0);
    [[unroll]] for (int j = 0; j < 3; ++j) {
      int row = mirror(c.y + j - 1, coarse.y) * coarse.x;
      [[unroll]] for (int k = 0; k < 3; ++k) {
        vec3 v = take(0, uint(row + mirror(c.x + k - 1, coarse.x)));
        [[unroll]] for (uint q = 0; q < 4; ++q) up[q] += ((q & 1) == 0 ? even[k] : odd[k]) * ((q >> 1) == 0 ? even[j] : odd[j]) * v;
      }
    }
    barrier();
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      if (inside && all(lessThan(2 * c + ivec2(q & 1, q >> 1), fine))) {
        uint p = base + at[q];
        vec3 d = COMBINE == BLEND ? I[q].rgb - up[q] : I[q].rgb, O = up[q] + I[q].a * d;
        diff[p] = vec4(d, 0.0);
        combined[p] = vec4(O, 1.0);
        if (i > 0) give(0, at[q], O);
        else {
          result[first + at[q]] = packHalf4(vec4(O, 1.0));
          vec4 g = vec4(0);
          [[unroll]] for (uint k = 0; k < 3; ++k) {
            vec2 e = lossOf(O[k], ref[q][k], O[k], ab.x, ab.y);
            g[k] = e.y;
            g.w += e.x;
          }
          g = finite(O) && finite(g) ? g : vec4(0, 0, 0, -1);
          gradient[p] = g;
          share[q] = through(g.rgb, I[q].a);
        }
      }
    }
    barrier();
  }

  for (uint i = 1; i < geo.levels; ++i) {
    ivec2 size = levelSize(i), c = ivec2(int(t) % size.x, int(t) / size.x);
    bool inside = t < uint(size.x * size.y);
    uint p = levelBase(i, tile) + t;
    float alpha = inside ? filtered[p].a : 0.0;
    // Along x, both rows: what goes to c.x - 1, c.x, c.x + 1. Mirroring gives what leaves the picture back to its edge.
    vec3 own[2], right[2];
    [[unroll]] for (uint row = 0; row < 2; ++row) {
      vec3 a = share[2 * row], b = share[2 * row + 1], left = even.x * a + odd.x * b;
      own[row] = even.y * a + odd.y * b;
      right[row] = even.z * a + odd.z * b;
      if (c.x == 0) own[row] += left;
      if (c.x == size.x - 1) own[row] += right[row];
      if (inside) give(row, t, left);
    }
    barrier();
    if (inside && c.x + 1 < size.x) { own[0] += take(0, t + 1); own[1] += take(1, t + 1); }
    barrier();
    if (inside) { give(0, t, right[0]); give(1, t, right[1]); }
    barrier();
    if (inside && c.x > 0) { own[0] += take(0, t - 1); own[1] += take(1, t - 1); }
    barrier();
    // Along y.
    vec3 above = even.x * own[0] + odd.x * own[1], below = even.z * own[0] + odd.z * own[1], g = even.y * own[0] + odd.y * own[1];
    if (c.y == 0) g += above;
    if (c.y == size.y - 1) g += below;
    if (inside) { give(0, t, above); give(1, t, below); }
    barrier();
    if (inside && c.y + 1 < size.y) g += take(0, t + uint(size.x));
    if (inside && c.y > 0) g += take(1, t - uint(size.x));
    barrier();
    if (inside) {
      gradient[p] = vec4(g, 0.0);
      if (i + 1 < geo.levels) give(0, t, through(g, alpha));
    }
    barrier();
    if (i + 1 < geo.levels) {
      ivec2 next = levelSize(i + 1), at = 2 * ivec2(int(t) % next.x, int(t) / next.x);
      [[unroll]] for (uint q = 0; q < 4; ++q) {
        ivec2 f = at + ivec2(q & 1, q >> 1);
        share[q] = t < uint(next.x * next.y) && all(lessThan(f, size)) ? take(0, uint(f.y * size.x + f.x)) : vec3(0);
      }
      barrier();
    }
  }
}
