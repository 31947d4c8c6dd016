// loss: dE/dO_0 and the loss of every pixel of level 0 (SPEC 1.7, 2). The fourth channel is the pixel's loss; -1 marks a
// pixel whose result is not finite: it gives no gradient.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "kpn/geometry.glsl"

layout(set = 0, binding = 1) readonly buffer Noise { vec2 noiseab[]; };      // (tile): a, b
layout(set = 0, binding = 2) readonly buffer Combined { vec4 combined[]; };  // (pixel): O
layout(set = 0, binding = 3) readonly buffer Reference { uint refWords[]; }; // (tile, y, x): the module's reference
layout(set = 0, binding = 4) writeonly buffer Gradient { vec4 gradient[]; }; // (pixel): dE/dO.rgb, loss

// x: loss, y: its derivative by r.
vec2 lossOf(float r, float t, float a, float b) {
  float d = r - t;
  if (LOSS == SMAPE) {
    float m = abs(r) + abs(t) + 0.001, s = sign(d);
    return vec2(abs(d) / m, s * (abs(t) + 0.001 + t * sign(r)) / (m * m));
  }
  if (LOSS == COSH) {
    // cosh d - 1 = 2 sinh^2(d/2): no cancellation where d is small.
    float h = sinh(0.5 * d);
    return vec2(2.0 * h * h, sinh(d));
  }
  if (LOSS == REL) {
    float inv = 1.0 / max((a + 65535.0 * max(t, 0.0) * b) / (65535.0 * 65535.0), 1e-10);
    return vec2(d * d * inv, 2.0 * d * inv);
  }
  if (LOSS == ENC) {
    float inv = inversesqrt(abs(t) + 0.05);
    return vec2(abs(d) * inv, sign(d) * inv);
  }
  return vec2(d * d, 2.0 * d);
}

void main() {
  uint p = gl_GlobalInvocationID.x;
  uint area = geo.level[0].y * geo.level[0].z;
  if (p >= area * geo.tiles) return;
  vec3 r = combined[p].rgb, t = READ_PICTURE(refWords, REF_F32, p).rgb;
  vec2 ab = noiseab[p / area];
  vec4 g = vec4(0);
  for (uint c = 0; c < 3; ++c) {
    vec2 e = lossOf(r[c], t[c], ab.x, ab.y);
    g[c] = e.y;
    g.w += e.x;
  }
  gradient[p] = finite(r) && finite(g) ? g : vec4(0, 0, 0, -1);
}
