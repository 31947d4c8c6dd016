// matrix-rate: how fast a device multiplies matrices that are in registers: the yardstick of `vkpn bench`. Each subgroup holds MS tiles
// of A and twice NS of B, and carries MS x NS sums on, none of which waits for another. The second NS tiles of B are given as the
// negatives of the first, which the compiler can't know: so the sums stay small, and the result is exact and can be checked.
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant khr.f16 -DPATH_KHR=1 -DF16=1 vulkan1.3
//! variant khr.f16.rolled -DPATH_KHR=1 -DF16=1 -DROLLED=1 vulkan1.3
//! variant nv.f16 -DPATH_NV=1 -DF16=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"

#ifdef F16
#define Sum HalfAccumulator
#define ELEMENT uvec4
const uint ELEMENTS = 8; // of the result in one of the buffer's
#else
#define Sum Accumulator
#define ELEMENT float
const uint ELEMENTS = 1;
#endif

layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer Factors { uvec4 factors[]; };  // MS of A (M, K), 2 NS of B (K, N), f16
layout(set = 0, binding = 1) writeonly buffer Sums { ELEMENT sums[]; };     // (subgroup, M, N): the sum of all A B
layout(push_constant) uniform Push { uint turns; } push;                    // of 2 MS NS products each

const uint MS = 2, NS = 4;

void main() {
  MatrixA a[MS];
  MatrixB b[2 * NS];
  Sum sum[MS * NS];
  UNROLL for (uint m = 0; m < MS; ++m) matrixLoad(a[m], factors, m * TILE_M * TILE_K / 8, TILE_K / 8, ROWS);
  UNROLL for (uint n = 0; n < 2 * NS; ++n) matrixLoad(b[n], factors, (MS * TILE_M + n * TILE_N) * TILE_K / 8, TILE_N / 8, ROWS);
  UNROLL for (uint i = 0; i < MS * NS; ++i) sum[i] = Sum(0.0);
  UNROLL for (uint i = 0; i < MS * NS; ++i) sum[i] = matrixMulAdd(a[i / NS], b[i % NS], sum[i]);
  [[dont_unroll]] for (uint t = 0; t < push.turns; ++t) {
    UNROLL for (uint i = 0; i < MS * NS; ++i) sum[i] = matrixMulAdd(a[i / NS], b[NS + i % NS], sum[i]);
    UNROLL for (uint i = 0; i < MS * NS; ++i) sum[i] = matrixMulAdd(a[i / NS], b[i % NS], sum[i]);
  }
  UNROLL for (uint i = 1; i < MS * NS; ++i) sum[0] = sum[0] + sum[i];
  matrixStore(sum[0], sums, (gl_WorkGroupID.x * SUBGROUPS + gl_SubgroupID) * TILE_M * TILE_N / ELEMENTS, TILE_N / ELEMENTS);
}
