// selftest: products of one tile on every way that the kernels take: A and B by rows and by columns from shared memory, the sum
// carried on, the result in f32 and, through shared memory, in f16; with -DRESIDENT also as the operand that a conversion makes of it,
// and with a B that was packed (packed.glsl). ts/gpu/selftest.ts compares them with its own.
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.resident -DPATH_KHR=1 -DRESIDENT=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#define STORES_SUMS
#include "common/path.glsl"
#include "common/packed.glsl"

layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer Factors { uvec4 factors[]; };   // A (M, K), A^T, B (K, N), B^T; f16
layout(set = 0, binding = 1) writeonly buffer Sums { float sums[]; };        // A B, 2 A B; (M, N)
layout(set = 0, binding = 2) writeonly buffer Halves { uvec4 halves[]; };    // A B; (M, N); with RESIDENT a second time

const uint M = TILE_M, N = TILE_N, K = TILE_K;
const uint A = 0, AT = A + M * (K / 8 + 1), B = AT + K * (M / 8 + 1), BT = B + K * (N / 8 + 1);
shared uvec4 staged[BT + N * (K / 8 + 1)];
shared uvec4 product[M * (N / 8 + 1)];
#ifdef RESIDENT
const bool PACKS = N * K == 8 * SUBGROUP;
shared uvec4 words[SUBGROUP];
#endif

// A matrix with rows of `words` words, to shared memory, where a row is a word longer.
void fetch(uint to, uint from, uint rows, uint words) {
  for (uint i = gl_LocalInvocationIndex; i < rows * words; i += SUBGROUP) staged[to + i / words * (words + 1) + i % words] = factors[from + i];
}

void main() {
  fetch(A, 0, M, K / 8);
  fetch(AT, M * K / 8, K, M / 8);
  fetch(B, 2 * M * K / 8, K, N / 8);
  fetch(BT, 2 * M * K / 8 + K * N / 8, N, K / 8);
  subgroupBarrier();
  MatrixA a;
  MatrixB b;
  HalfAccumulator rounded;
  SUMS(sum, 1);
  sumClear(sum[0]);
  matrixLoad(a, staged, A, K / 8 + 1, ROWS);
  matrixLoad(b, staged, BT, K / 8 + 1, COLUMNS);
#ifdef RESIDENT
  if (PACKS) {
    words[gl_SubgroupInvocationID] = packMatrix(b);
    subgroupBarrier();
    b = unpackMatrix(words[gl_SubgroupInvocationID]);
  }
#endif
  sumAdd(sum[0], a, b);
  sumStore(sum[0], sums, 0, N);
  sumHalf(rounded, sum[0]);
  matrixStore(rounded, product, 0, N / 8 + 1);
#ifdef RESIDENT
  MatrixA converted = MatrixA(sum[0]);
#endif
  matrixLoad(a, staged, AT, M / 8 + 1, COLUMNS);
  matrixLoad(b, staged, B, N / 8 + 1, ROWS);
  sumAdd(sum[0], a, b);
  sumStore(sum[0], sums, M * N, N);
  subgroupBarrier();
  for (uint i = gl_LocalInvocationIndex; i < M * N / 8; i += SUBGROUP) halves[i] = product[i / (N / 8) * (N / 8 + 1) + i % (N / 8)];
#ifdef RESIDENT // N is K
  matrixStore(converted, halves, M * N / 8, N / 8);
#endif
}
