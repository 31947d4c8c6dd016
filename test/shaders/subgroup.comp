// Reports the subgroup size (test/unit/gpu.test.ts).
#version 450
#extension GL_KHR_shader_subgroup_basic : require
layout(local_size_x = 128) in;
layout(set = 0, binding = 0) writeonly buffer Out { uint target[]; };

void main() {
  if (gl_GlobalInvocationID.x == 0u) target[0] = gl_SubgroupSize;
}
