// vector-rate: how fast a device multiplies and adds without matrices, in f32 or in pairs of f16: the yardstick of `vkpn bench` for the
// plain path. Chains x = a x + b, none of which waits for another; a is given as -1, which the compiler can't know: so x stays
// small, and the result, b - x after an odd number of turns, is exact and can be checked.
//! variant f32
//! variant f16 -DF16=1
#version 450
#extension GL_EXT_control_flow_attributes : require
#ifdef F16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define PAIR f16vec2
#else
#define PAIR vec2
#endif

layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer Start { vec2 start[]; };      // CHAINS of x, CHAINS of b, a
layout(set = 0, binding = 1) writeonly buffer Results { vec2 results[]; }; // (invocation): the sum of the chains
layout(push_constant) uniform Push { uint turns; } push;                   // of 8 multiply-adds a chain

const uint CHAINS = 8;

void main() {
  PAIR x[CHAINS], b[CHAINS];
  PAIR a = PAIR(start[2 * CHAINS]);
  [[unroll]] for (uint i = 0; i < CHAINS; ++i) {
    x[i] = PAIR(start[i]);
    b[i] = PAIR(start[CHAINS + i]);
    x[i] = x[i] * a + b[i];
  }
  [[dont_unroll]] for (uint t = 0; t < push.turns; ++t)
    [[unroll]] for (uint k = 0; k < 8; ++k)
      [[unroll]] for (uint i = 0; i < CHAINS; ++i) x[i] = x[i] * a + b[i];
  [[unroll]] for (uint i = 1; i < CHAINS; ++i) x[0] += x[i];
  results[gl_GlobalInvocationID.x] = vec2(x[0]);
}
