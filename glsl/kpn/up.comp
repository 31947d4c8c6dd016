// up: O_i from I_i and O_{i+1}, for the pixels of one level (SPEC 1.6). Keeps what the blend weight multiplies, for bck.
//! variant f16
//! variant f32 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"
#include "kpn/parts.glsl"

layout(set = 0, binding = 1) readonly buffer Filtered { vec4 filtered[]; };  // (part, pixel): I.rgb, I.a
layout(set = 0, binding = 2) buffer Combined { vec4 combined[]; };           // (pixel): O; one level more under prediff
layout(set = 0, binding = 3) writeonly buffer Diff { vec4 diff[]; };         // (part, pixel): dO/dI.a
layout(set = 0, binding = 4) readonly buffer Down { vec4 coarse[]; };        // (part, pixel): down(I), under postdiff
layout(set = 0, binding = 5) readonly buffer Mip { QUAD mipQuad[]; };        // (pixel): M, under prediff O_L = M_L
layout(set = 0, binding = 6) writeonly buffer Result { uvec2 result[]; };    // (tile, y, x): O_0, the module's output, rgba f16
layout(push_constant) uniform Push { uint level; } push;

vec3 combinedAt(uint p) {
  return COMBINE == PREDIFF && push.level + 1 == geo.levels ? unpackQuad(mipQuad[p]).rgb : combined[p].rgb;
}

void main() {
  uvec4 info = geo.level[push.level];
  uint area = info.y * info.z, r = gl_GlobalInvocationID.x;
  if (r >= area * geo.tiles) return;
  uint p = info.x + r, tile = r / area, s = r - tile * area;
  vec4 I[PARTS];
  vec3 d[PARTS], O;
  [[unroll]] for (uint k = 0; k < PARTS; ++k) {
    I[k] = filtered[k * geo.pixels + p];
    d[k] = vec3(0); // the coarsest level of blend and postdiff
    O = k == 0 ? I[k].rgb : O + I[k].rgb;
  }
  if (COMBINE == PREDIFF || push.level + 1 < geo.levels) {
    ivec2 at = ivec2(s % info.y, s / info.y), c = at >> 1, size = levelSize(push.level + 1);
    uint base = levelBase(push.level + 1, tile);
    vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1));
    vec3 up = vec3(0), again[PARTS];
    [[unroll]] for (uint k = 0; k < PARTS; ++k) again[k] = vec3(0);
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 3; ++i) {
        uint from = base + uint(mirror(c.y + j - 1, size.y) * size.x + mirror(c.x + i - 1, size.x));
        float w = wx[i] * wy[j];
        up += w * combinedAt(from);
        if (COMBINE == POSTDIFF) [[unroll]] for (uint k = 0; k < PARTS; ++k) again[k] += w * coarse[k * geo.pixels + from].rgb;
      }
    }
    O = up;
    [[unroll]] for (uint k = 0; k < PARTS; ++k) {
      d[k] = I[k].rgb - (COMBINE == BLEND ? partOf(k, up) : again[k]);
      O += I[k].a * d[k];
    }
  }
  combined[p] = vec4(O, 1.0);
  [[unroll]] for (uint k = 0; k < PARTS; ++k) diff[k * geo.pixels + p] = vec4(d[k], 0.0);
  if (push.level == 0) result[r] = packHalf4(vec4(O, 1.0));
}
