// Which shader path a build takes through the layers: -DPATH_PLAIN, -DPATH_KHR (GL_KHR_cooperative_matrix) or -DPATH_NV
// (GL_NV_cooperative_matrix). Included first: extensions must be named before anything else. What the two extensions call
// differently has one name here.
//
//   MatrixA        f16, TILE_M x TILE_K, of a subgroup         MatrixB   f16, TILE_K x TILE_N
//   Accumulator    f32, TILE_M x TILE_N                        HalfAccumulator   the same in f16
//   matrixLoad(matrix, array, at, stride, COLUMNS or ROWS)     in elements of the array, which are no wider than 8 f16
//   matrixStore(matrix, array, at, stride)                     row by row
//   matrixMulAdd(a, b, c)                                      a b + c
//   SUMS(name, count)                                          sums of tiles, TILE_M x TILE_N in f32, with sumClear, sumAdd (+ a b),
//                                                              SUM_LENGTH (elements that an invocation has), sumHalf (in f16), sumStore
//
// -DHALF_SUMS: for devices whose matrices have no f32 sums. Products of one tile are summed in f16, and those in f32, element by element.
// -DSTORES_SUMS: for sumStore.
//
// WEIGHT is what weights are loaded in (plain: f32), WORD what activations are stored in: WORD_CHANNELS of a pixel.
//
// -DROLLED: loops over matrices stay loops (plain: panel_plain.glsl). Drivers for CPUs need minutes to compile them unrolled;
// GPUs' drivers need them unrolled, because registers can't be indexed.
#ifndef VKPN_PATH
#define VKPN_PATH

#extension GL_EXT_control_flow_attributes : require
#ifdef PATH_PLAIN
#define WEIGHT vec4
#define WORD QUAD
#define WORD_CHANNELS 4
#define UNROLL [[unroll]]
#ifdef F16_TYPES // numbers of 16 bits all the same, which devices with matrices have
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#else
#define F16_TYPES
#define WEIGHT uvec4
#define WORD uvec4
#define WORD_CHANNELS 8
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#ifdef PATH_KHR
#extension GL_KHR_cooperative_matrix : require
#ifdef RESIDENT
#extension GL_NV_cooperative_matrix2 : require
#endif
#else
#extension GL_NV_cooperative_matrix : require
#endif

layout(constant_id = 18) const uint TILE_M = 16;
layout(constant_id = 19) const uint TILE_N = 16;
layout(constant_id = 20) const uint TILE_K = 16;
layout(constant_id = 21) const uint SUBGROUP = 32;  // invocations
layout(constant_id = 22) const uint SUBGROUPS = 4;  // a workgroup

#ifdef PATH_KHR
#define MatrixA coopmat<float16_t, gl_ScopeSubgroup, TILE_M, TILE_K, gl_MatrixUseA>
#define MatrixB coopmat<float16_t, gl_ScopeSubgroup, TILE_K, TILE_N, gl_MatrixUseB>
#ifndef HALF_SUMS
#define Accumulator coopmat<float, gl_ScopeSubgroup, TILE_M, TILE_N, gl_MatrixUseAccumulator>
#endif
#define HalfAccumulator coopmat<float16_t, gl_ScopeSubgroup, TILE_M, TILE_N, gl_MatrixUseAccumulator>
#define ROWS gl_CooperativeMatrixLayoutRowMajor
#define COLUMNS gl_CooperativeMatrixLayoutColumnMajor
#define matrixLoad(matrix, array, at, stride, layout) coopMatLoad(matrix, array, at, stride, layout)
#define matrixStore(matrix, array, at, stride) coopMatStore(matrix, array, at, stride, ROWS)
#define matrixMulAdd(a, b, c) coopMatMulAdd(a, b, c)
#else
#define MatrixA fcoopmatNV<16, gl_ScopeSubgroup, TILE_M, TILE_K>
#define MatrixB fcoopmatNV<16, gl_ScopeSubgroup, TILE_K, TILE_N>
#ifndef HALF_SUMS
#define Accumulator fcoopmatNV<32, gl_ScopeSubgroup, TILE_M, TILE_N>
#endif
#define HalfAccumulator fcoopmatNV<16, gl_ScopeSubgroup, TILE_M, TILE_N>
#define ROWS false
#define COLUMNS true
#define matrixLoad(matrix, array, at, stride, layout) coopMatLoadNV(matrix, array, at, stride, layout)
#define matrixStore(matrix, array, at, stride) coopMatStoreNV(matrix, array, at, stride, ROWS)
#define matrixMulAdd(a, b, c) coopMatMulAddNV(a, b, c)
#endif

#ifdef ROLLED
#define UNROLL [[dont_unroll]]
#else
#define UNROLL [[unroll]]
#endif

#ifdef HALF_SUMS
#define Accumulator HalfAccumulator
const uint ELEMENTS = TILE_M * TILE_N / SUBGROUP;
#define SUMS(name, count) float name[count][ELEMENTS]
#define SUM_LENGTH(sum) ELEMENTS
#define sumClear(sum) { UNROLL for (uint e = 0; e < ELEMENTS; ++e) sum[e] = 0.0; }
#define sumAdd(sum, a, b) { \
  HalfAccumulator ab = matrixMulAdd(a, b, HalfAccumulator(0.0)); \
  UNROLL for (uint e = 0; e < ELEMENTS; ++e) sum[e] += float(ab[e]); \
}
#define sumHalf(result, sum) { UNROLL for (uint e = 0; e < ELEMENTS; ++e) result[e] = float16_t(sum[e]); }
#ifdef STORES_SUMS
// There are no matrices of f32: a sum goes to memory as an f16 and what that leaves.
const uint SPLIT_PITCH = TILE_N / 8 + 1, SPLIT = TILE_M * SPLIT_PITCH;
shared uvec4 split[SUBGROUPS * 2 * SPLIT];
#define sumStore(sum, array, at, stride) { \
  HalfAccumulator high, low; \
  UNROLL for (uint e = 0; e < ELEMENTS; ++e) { high[e] = float16_t(sum[e]); low[e] = float16_t(sum[e] - float(high[e])); } \
  subgroupBarrier(); \
  matrixStore(high, split, gl_SubgroupID * 2 * SPLIT, SPLIT_PITCH); \
  matrixStore(low, split, (gl_SubgroupID * 2 + 1) * SPLIT, SPLIT_PITCH); \
  subgroupBarrier(); \
  UNROLL for (uint k = 0; k < TILE_M * TILE_N / 2; k += SUBGROUP) { \
    uint pair = min(k + gl_SubgroupInvocationID, TILE_M * TILE_N / 2 - 1), row = pair / (TILE_N / 2), column = pair % (TILE_N / 2); \
    uint word = gl_SubgroupID * 2 * SPLIT + row * SPLIT_PITCH + column / 4; \
    vec2 v = unpackHalf2x16(split[word][column % 4]) + unpackHalf2x16(split[word + SPLIT][column % 4]); \
    array[(at) + row * (stride) + 2 * column] = v.x; \
    array[(at) + row * (stride) + 2 * column + 1] = v.y; \
  } \
}
#endif
#else
#define SUMS(name, count) Accumulator name[count]
#define SUM_LENGTH(sum) sum.length()
#define sumClear(sum) sum = Accumulator(0.0)
#define sumAdd(sum, a, b) sum = matrixMulAdd(a, b, sum)
#define sumHalf(result, sum) result = HalfAccumulator(sum)
#define sumStore(sum, array, at, stride) matrixStore(sum, array, at, stride)
#endif
#endif

#endif
