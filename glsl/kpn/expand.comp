// expand: f16 weights as f32, which the plain path reads.
#version 450
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer Weights { uint weights[]; };
layout(set = 0, binding = 1) writeonly buffer Rounded { vec2 rounded[]; };
layout(push_constant) uniform Push { uint pairs; } push;
void main() {
  uint i = gl_GlobalInvocationID.x;
  if (i < push.pairs) rounded[i] = unpackHalf2x16(weights[i]);
}
