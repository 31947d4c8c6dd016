// dup: dE/dO_{i+1} from dE/dO_i, for the pixels of level i + 1 (SPEC 2): the exact transpose of up2, of (1 - I.a) g
// (blend; with chroma of each part's own) or g (prediff, postdiff). With -DPART=1 the transpose of up2 of I.a g alone, for postdiff's dE/dI: of
// each part.
//! variant f32
//! variant part -DPART=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/parts.glsl"

layout(set = 0, binding = 1) readonly buffer Filtered { vec4 filtered[]; };  // (part, pixel): I.rgb, I.a
#ifdef PART
layout(set = 0, binding = 2) readonly buffer Gradient { vec4 gradient[]; };  // (pixel): dE/dO
layout(set = 0, binding = 3) writeonly buffer Part { vec4 part[]; };         // (part, pixel of the coarser level): up2^T(I.a g)
#else
layout(set = 0, binding = 2) buffer Gradient { vec4 gradient[]; };           // (pixel): dE/dO
#endif
layout(push_constant) uniform Push { uint level; } push;

#ifdef PART
const uint SUMS = PARTS;
#else
const uint SUMS = 1;
#endif

// A gradient of 0 stays 0: a pixel without a gradient may hold what isn't finite.
void addThrough(uint p, float w, inout vec3 sum[SUMS]) {
  vec3 g = gradient[p].rgb;
#ifdef PART
  [[unroll]] for (uint k = 0; k < PARTS; ++k) sum[k] += w * mix(filtered[k * geo.pixels + p].a * g, vec3(0), equal(g, vec3(0)));
#else
  float alpha[PARTS];
  [[unroll]] for (uint k = 0; k < PARTS; ++k) alpha[k] = filtered[k * geo.pixels + p].a;
  sum[0] += w * (COMBINE == BLEND ? restTransposed(alpha, g) : g);
#endif
}

void main() {
  uvec4 info = geo.level[push.level + 1];
  uint area = info.y * info.z, r = gl_GlobalInvocationID.x;
  if (r >= area * geo.tiles) return;
  uint tile = r / area, s = r - tile * area;
  ivec2 k = ivec2(s % info.y, s / info.y), coarse = ivec2(info.yz), fine = levelSize(push.level);
  uint base = levelBase(push.level, tile);
  vec3 sum[SUMS];
  [[unroll]] for (uint k = 0; k < SUMS; ++k) sum[k] = vec3(0);
  for (int fy = max(2 * k.y - 2, 0); fy < min(2 * k.y + 4, fine.y); ++fy) {
    float wy = upTransposed(fy, k.y, coarse.y);
    for (int fx = max(2 * k.x - 2, 0); fx < min(2 * k.x + 4, fine.x); ++fx) {
      float w = wy * upTransposed(fx, k.x, coarse.x);
      if (w != 0.0) addThrough(base + uint(fy * fine.x + fx), w, sum);
    }
  }
  uint p = info.x + r;
#ifdef PART
  [[unroll]] for (uint k = 0; k < PARTS; ++k) part[k * geo.pixels + p] = vec4(sum[k], 0.0);
#else
  gradient[p] = vec4(sum[0], 0.0);
#endif
}
