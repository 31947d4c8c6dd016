// target[i] = source[i] + previous[i] + add: sums over steps and frames (test/unit/gpu-graph.test.ts).
#version 450
layout(local_size_x = 64) in;
layout(push_constant) uniform Push { float add; };
layout(set = 0, binding = 0) readonly buffer Source { float source[]; };
layout(set = 0, binding = 1) readonly buffer Previous { float previous[]; };
layout(set = 0, binding = 2) writeonly buffer Target { float target[]; };

void main() {
  uint i = gl_GlobalInvocationID.x;
  if (i < source.length()) target[i] = source[i] + previous[i] + add;
}
