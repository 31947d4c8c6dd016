// sum: dE/dw from the parts of mulw, unscaled, and the parts of its squared norm; further workgroups add up the loss of
// level 0 (SPEC 3). Workgroups of 256: `weightGroups` for the weights, the rest for the loss.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "common/reduce.glsl"
#include "kpn/geometry.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 1) readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 2) readonly buffer Part { float part[]; };          // (part, layer, out, in)
layout(set = 0, binding = 3) readonly buffer Gradient { vec4 gradient[]; };   // (pixel): .w the loss
layout(set = 0, binding = 4) writeonly buffer DW { float dEdw[]; };           // (layer, out, in)
layout(set = 0, binding = 5) writeonly buffer Norms { vec2 norms[]; };        // (workgroup): |g|^2, 0; or loss, bad pixels
layout(push_constant) uniform Push { uint parts, weightGroups, lossPixels; } push; // loss pixels a workgroup

void main() {
  uint group = gl_WorkGroupID.x, i = gl_LocalInvocationID.x;
  vec2 v = vec2(0);
  if (group < push.weightGroups) {
    uint matrix = WIDTH * WIDTH, count = (LAYERS + 1) * matrix, w = group * 256 + i;
    if (w < count) {
      float g = 0.0;
      if (w < LAYERS * matrix + OUTPUTS * WIDTH) {
        for (uint k = 0; k < push.parts; ++k) g += part[k * count + w];
        g /= state.scale;
      }
      dEdw[w] = g;
      v.x = g * g;
    }
  } else {
    uint pixels = geo.level[0].y * geo.level[0].z * geo.tiles;
    uint first = (group - push.weightGroups) * push.lossPixels;
    for (uint p = first + i; p < min(first + push.lossPixels, pixels); p += 256) {
      float loss = gradient[p].w;
      v += loss < 0.0 ? vec2(0, 1) : vec2(loss, 0);
    }
  }
  vec2 total = reduceSum(v);
  if (i == 0) norms[group] = total;
}
