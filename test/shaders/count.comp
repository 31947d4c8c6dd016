// counter[i] += 1: how often it ran (test/unit/gpu-run.test.ts).
#version 450
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer Counter { uint counter[]; };

void main() { counter[gl_GlobalInvocationID.x] += 1u; }
