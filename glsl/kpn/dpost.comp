// dpost: dE/dI.rgb = I.a g - down^T up2^T(I.a g), for each part of the pixels of one level (SPEC 2, postdiff).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/parts.glsl"

layout(set = 0, binding = 1) readonly buffer Filtered { vec4 filtered[]; };   // (part, pixel): I.rgb, I.a
layout(set = 0, binding = 2) readonly buffer Gradient { vec4 gradient[]; };   // (pixel): dE/dO
layout(set = 0, binding = 3) readonly buffer Part { vec4 part[]; };           // (part, pixel of the coarser level): up2^T(I.a g)
layout(set = 0, binding = 4) writeonly buffer Result { vec4 dEdI[]; };        // (part, pixel): dE/dI.rgb
layout(push_constant) uniform Push { uint level; } push;

void main() {
  uvec4 info = geo.level[push.level];
  uint area = info.y * info.z, r = gl_GlobalInvocationID.x;
  if (r >= area * geo.tiles) return;
  uint tile = r / area, s = r - tile * area, p = info.x + r;
  ivec2 f = ivec2(s % info.y, s / info.y), fine = ivec2(info.yz);
  vec3 g = gradient[p].rgb;
  if (push.level + 1 == geo.levels) { // the coarsest level is taken as it is
    [[unroll]] for (uint k = 0; k < PARTS; ++k) dEdI[k * geo.pixels + p] = vec4(g, 0.0);
    return;
  }
  ivec2 coarse = levelSize(push.level + 1);
  uint base = levelBase(push.level + 1, tile);
  vec3 sum[PARTS];
  [[unroll]] for (uint k = 0; k < PARTS; ++k) sum[k] = vec3(0);
  // Coarse pixels whose window 2c-2 .. 2c+2, mirrored, holds f.
  for (int cy = max((f.y - 4) / 2, 0); cy < min(f.y / 2 + 3, coarse.y); ++cy) {
    float wy = downTransposed(cy, f.y, fine.y);
    for (int cx = max((f.x - 4) / 2, 0); cx < min(f.x / 2 + 3, coarse.x); ++cx) {
      float w = wy * downTransposed(cx, f.x, fine.x);
      if (w != 0.0) [[unroll]] for (uint k = 0; k < PARTS; ++k) sum[k] += w * part[k * geo.pixels + base + uint(cy * coarse.x + cx)].rgb;
    }
  }
  // A gradient of 0 stays 0: a pixel without a gradient may hold what isn't finite.
  [[unroll]] for (uint k = 0; k < PARTS; ++k)
    dEdI[k * geo.pixels + p] = vec4(mix(filtered[k * geo.pixels + p].a * g, vec3(0), equal(g, vec3(0))) - sum[k], 0.0);
}
