// step: from the sums' parts to what `adam` may do (step.glsl), in a dispatch of one workgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/state.glsl"

layout(set = 0, binding = 1) buffer StateBuffer { State state; };
layout(set = 0, binding = 2) readonly buffer HyperBuffer { Hyper hyper; };
layout(set = 0, binding = 3) readonly buffer Norms { vec2 norms[]; };
layout(set = 0, binding = 4) buffer History { float history[]; };  // (frame): loss, mean a pixel
layout(set = 0, binding = 5) readonly buffer DW { vec2 dEdw[]; };
layout(set = 0, binding = 6) readonly buffer Master { vec2 master[]; };
layout(set = 0, binding = 7) readonly buffer Moment1 { vec2 moment1[]; };
layout(set = 0, binding = 8) readonly buffer Moment2 { vec2 moment2[]; };
layout(push_constant) uniform Push { uint weightGroups, lossGroups; } push;

#define DEDW(k) dEdw[k]
#include "kpn/step.glsl"

void main() { takeStep(push.weightGroups, push.lossGroups); }
