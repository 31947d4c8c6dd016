// target[i] = source[i] + 1, the source a uniform buffer (test/unit/gpu.test.ts).
#version 450
layout(local_size_x = 16) in;
layout(std140, set = 0, binding = 0) uniform In { uvec4 source[4]; };
layout(set = 0, binding = 1) writeonly buffer Out { uint target[]; };

void main() {
  uint i = gl_GlobalInvocationID.x;
  target[i] = source[i / 4u][i % 4u] + 1u;
}
