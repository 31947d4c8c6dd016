// dup: dE/dO_{i+1} from dE/dO_i, for the pixels of level i + 1 (SPEC 2): the exact transpose of up2, of (1 - I.a) g
// (blend) or g (prediff, postdiff). With -DPART=1 the transpose of up2 of I.a g alone, for postdiff's dE/dI.
//! variant f32
//! variant part -DPART=1
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"

layout(set = 0, binding = 1) readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
#ifdef PART
layout(set = 0, binding = 2) readonly buffer Gradient { vec4 gradient[]; };  // (pixel): dE/dO
layout(set = 0, binding = 3) writeonly buffer Part { vec4 part[]; };         // (pixel of the coarser level): up2^T(I.a g)
#else
layout(set = 0, binding = 2) buffer Gradient { vec4 gradient[]; };           // (pixel): dE/dO
#endif
layout(push_constant) uniform Push { uint level; } push;

// A gradient of 0 stays 0: a pixel without a gradient may hold what isn't finite.
vec3 through(uint p) {
  vec3 g = gradient[p].rgb;
#ifdef PART
  return mix(filtered[p].a * g, vec3(0), equal(g, vec3(0)));
#else
  return COMBINE == BLEND ? mix((1.0 - filtered[p].a) * g, vec3(0), equal(g, vec3(0))) : g;
#endif
}

void main() {
  uvec4 info = geo.level[push.level + 1];
  uint area = info.y * info.z, r = gl_GlobalInvocationID.x;
  if (r >= area * geo.tiles) return;
  uint tile = r / area, s = r - tile * area;
  ivec2 k = ivec2(s % info.y, s / info.y), coarse = ivec2(info.yz), fine = levelSize(push.level);
  uint base = levelBase(push.level, tile);
  vec3 sum = vec3(0);
  for (int fy = max(2 * k.y - 2, 0); fy < min(2 * k.y + 4, fine.y); ++fy) {
    float wy = upTransposed(fy, k.y, coarse.y);
    for (int fx = max(2 * k.x - 2, 0); fx < min(2 * k.x + 4, fine.x); ++fx) {
      float w = wy * upTransposed(fx, k.x, coarse.x);
      if (w != 0.0) sum += w * through(base + uint(fy * fine.x + fx));
    }
  }
  uint p = info.x + r;
#ifdef PART
  part[p] = vec4(sum, 0.0);
#else
  gradient[p] = vec4(sum, 0.0);
#endif
}
