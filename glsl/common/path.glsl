// Which shader path a build takes through the layers: -DPATH_PLAIN, -DPATH_KHR (GL_KHR_cooperative_matrix) or -DPATH_NV
// (GL_NV_cooperative_matrix). Included first: extensions must be named before anything else. What the two extensions call
// differently has one name here.
//
//   MatrixA        f16, TILE_M x TILE_K, of a subgroup         MatrixB   f16, TILE_K x TILE_N
//   Accumulator    f32, TILE_M x TILE_N                        HalfAccumulator   the same in f16
//   matrixLoad(matrix, array, at, stride, COLUMNS or ROWS)     in elements of the array, which are no wider than 8 f16
//   matrixStore(matrix, array, at, stride)                     row by row
//   matrixMulAdd(a, b, c)                                      a b + c
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
#else
#define WEIGHT uvec4
#define WORD uvec4
#define WORD_CHANNELS 8
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#ifdef PATH_KHR
#extension GL_KHR_cooperative_matrix : require
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
#define Accumulator coopmat<float, gl_ScopeSubgroup, TILE_M, TILE_N, gl_MatrixUseAccumulator>
#define HalfAccumulator coopmat<float16_t, gl_ScopeSubgroup, TILE_M, TILE_N, gl_MatrixUseAccumulator>
#define ROWS gl_CooperativeMatrixLayoutRowMajor
#define COLUMNS gl_CooperativeMatrixLayoutColumnMajor
#define matrixLoad(matrix, array, at, stride, layout) coopMatLoad(matrix, array, at, stride, layout)
#define matrixStore(matrix, array, at, stride) coopMatStore(matrix, array, at, stride, ROWS)
#define matrixMulAdd(a, b, c) coopMatMulAdd(a, b, c)
#else
#define MatrixA fcoopmatNV<16, gl_ScopeSubgroup, TILE_M, TILE_K>
#define MatrixB fcoopmatNV<16, gl_ScopeSubgroup, TILE_K, TILE_N>
#define Accumulator fcoopmatNV<32, gl_ScopeSubgroup, TILE_M, TILE_N>
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
#endif

#endif
