// copy: how fast a device reads and writes memory: the yardstick of `vkpn bench` for bytes. WORDS of 16 bytes an invocation,
// neighbouring ones by neighbouring invocations.
#version 450
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer From { uvec4 from[]; };
layout(set = 0, binding = 1) writeonly buffer To { uvec4 to[]; };
layout(push_constant) uniform Push { uint count; } push; // words

const uint WORDS = 4;

void main() {
  [[unroll]] for (uint k = 0; k < WORDS; ++k) {
    uint i = (gl_WorkGroupID.x * WORDS + k) * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (i < push.count) to[i] = from[i];
  }
}
