// place: two pictures (or batches of tiles) of one size, one behind the other, in f16.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/half.glsl"
#include "common/picture.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool FIRST_F32 = false;
layout(constant_id = 2) const bool SECOND_F32 = false;
layout(set = 0, binding = 0) readonly buffer First { uvec2 first[]; };    // (tile, y, x): rgba, f16 or f32
layout(set = 0, binding = 1) readonly buffer Second { uvec2 second[]; };
layout(set = 0, binding = 2) writeonly buffer Both { uvec2 both[]; };     // (picture, tile, y, x): rgba, f16
layout(push_constant) uniform Push { uint width, height; } push;

void main() {
  uvec2 at = gl_GlobalInvocationID.xy;
  uint tile = gl_GlobalInvocationID.z;
  if (at.x >= push.width) return;
  uint i = (tile * push.height + at.y) * push.width + at.x;
  both[i] = packHalf4(READ_PICTURE(first, FIRST_F32, i));
  both[gl_NumWorkGroups.z * push.height * push.width + i] = packHalf4(READ_PICTURE(second, SECOND_F32, i));
}
