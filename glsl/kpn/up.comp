// up: O_i from I_i and O_{i+1}, for the pixels of one level (SPEC 1.6). Keeps what the blend weight multiplies, for bck.
//! variant f16
//! variant f32 -DF32=1
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "common/addressing.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"

layout(set = 0, binding = 1) readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 2) buffer Combined { vec4 combined[]; };           // (pixel): O; one level more under prediff
layout(set = 0, binding = 3) writeonly buffer Diff { vec4 diff[]; };         // (pixel): dO/dI.a
layout(set = 0, binding = 4) readonly buffer Down { vec4 coarse[]; };        // (pixel): down(I), under postdiff
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
  vec4 I = filtered[p];
  vec3 O = I.rgb, d = vec3(0); // the coarsest level of blend and postdiff
  if (COMBINE == PREDIFF || push.level + 1 < geo.levels) {
    ivec2 at = ivec2(s % info.y, s / info.y), c = at >> 1, size = levelSize(push.level + 1);
    uint base = levelBase(push.level + 1, tile);
    vec3 wx = upWeights(uint(at.x & 1)), wy = upWeights(uint(at.y & 1));
    vec3 up = vec3(0), again = vec3(0);
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 3; ++i) {
        uint from = base + uint(mirror(c.y + j - 1, size.y) * size.x + mirror(c.x + i - 1, size.x));
        float w = wx[i] * wy[j];
        up += w * combinedAt(from);
        if (COMBINE == POSTDIFF) again += w * coarse[from].rgb;
      }
    }
    d = COMBINE == BLEND ? I.rgb - up : I.rgb - again;
    O = up + I.a * d;
  }
  combined[p] = vec4(O, 1.0);
  diff[p] = vec4(d, 0.0);
  if (push.level == 0) result[r] = packHalf4(vec4(O, 1.0));
}
