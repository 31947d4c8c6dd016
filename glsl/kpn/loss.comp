// loss: dE/dO_0 and the loss of every pixel of level 0 (SPEC 1.7, 2). The fourth channel is the pixel's loss; -1 marks a
// pixel whose result is not finite: it gives no gradient.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "kpn/geometry.glsl"
#include "kpn/loss.glsl"

layout(set = 0, binding = 1) readonly buffer Noise { vec2 noiseab[]; };      // (tile): a, b
layout(set = 0, binding = 2) readonly buffer Combined { vec4 combined[]; };  // (pixel): O
layout(set = 0, binding = 3) readonly buffer Reference { uvec2 refPairs[]; }; // (tile, y, x): the module's reference
layout(set = 0, binding = 4) writeonly buffer Gradient { vec4 gradient[]; }; // (pixel): dE/dO.rgb, loss

void main() {
  uint p = gl_GlobalInvocationID.x;
  uint area = geo.level[0].y * geo.level[0].z;
  if (p >= area * geo.tiles) return;
  vec3 r = combined[p].rgb, t = READ_PICTURE(refPairs, REF_F32, p).rgb;
  vec2 ab = noiseab[p / area];
  vec4 g = vec4(0);
  for (uint c = 0; c < 3; ++c) {
    vec2 e = lossOf(r[c], t[c], r[c], ab.x, ab.y);
    g[c] = e.y;
    g.w += e.x;
  }
  gradient[p] = finite(r) && finite(g) ? g : vec4(0, 0, 0, -1);
}
