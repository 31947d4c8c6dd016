// difference: the central difference of the loss by frame n's weight (SPEC 7): the sum of each pixel's difference, over the
// step as it was after rounding. The loss itself is never summed: single precision would swallow the difference.
// One workgroup of 256.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/picture.glsl"
#include "common/reduce.glsl"
#include "kpn/geometry.glsl"
#include "kpn/loss.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 1) readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 2) readonly buffer Targets { uint targets[]; };    // (frame - 1): index of the weight
layout(set = 0, binding = 3) readonly buffer Noise { vec2 noiseab[]; };      // (tile): a, b
layout(set = 0, binding = 4) readonly buffer Reference { uvec2 refPairs[]; }; // (tile, y, x)
layout(set = 0, binding = 5) readonly buffer Base { vec4 base[]; };          // (pixel): O of the unperturbed weights
layout(set = 0, binding = 6) readonly buffer Above { vec4 above[]; };        // O of the larger weight
layout(set = 0, binding = 7) readonly buffer Below { vec4 below[]; };        // O of the smaller weight
layout(set = 0, binding = 8) readonly buffer Plus { float plus[]; };         // the weights of both
layout(set = 0, binding = 9) readonly buffer Minus { float minus[]; };
layout(set = 0, binding = 10) writeonly buffer Differences { float differences[]; }; // (layer, out, in)
layout(push_constant) uniform Push { uint targets; } push;

void main() {
  uint i = gl_LocalInvocationID.x, n = state.frame;
  uint area = geo.level[0].y * geo.level[0].z;
  float sum = 0.0;
  for (uint p = i; p < area * geo.tiles; p += 256) {
    vec3 o = base[p].rgb, a = above[p].rgb, b = below[p].rgb, t = READ_PICTURE(refPairs, REF_F32, p).rgb;
    if (!finite(o)) continue; // it gives no gradient either
    vec2 ab = noiseab[p / area];
    for (uint c = 0; c < 3; ++c) sum += lossOf(a[c], t[c], o[c], ab.x, ab.y).x - lossOf(b[c], t[c], o[c], ab.x, ab.y).x;
  }
  float total = reduceSum(vec3(sum, 0.0, 0.0)).x;
  if (i != 0 || n == 0 || n > push.targets) return;
  uint w = targets[n - 1];
  differences[w] = total / (plus[w] - minus[w]);
}
