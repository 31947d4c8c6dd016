// out[i] = 2 * out[i] + in[i] + push + scale: order and count of repetitions are seen in the result (test/unit/gpu.test.ts).
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint offset = 0;
layout(constant_id = 2) const float scale = 0.0;
layout(constant_id = 3) const bool negate = false;
layout(push_constant) uniform Push { uint add; uint count; };
layout(set = 0, binding = 0) readonly buffer In { uint source[]; };
layout(set = 0, binding = 1) buffer Out { uint target[]; };

void main() {
  uint i = gl_GlobalInvocationID.x;
  if (i >= count) return;
  uint value = 2u * target[i] + source[i] + add + offset + uint(scale);
  target[i] = negate ? ~value : value;
}
