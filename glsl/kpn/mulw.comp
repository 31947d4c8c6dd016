// mulw: dE/dw_l[out][in] = sum over pixels of dE/dA_l[out] * A_{l-1}[in] (SPEC 2), a part of the pixels a workgroup;
// `sum` adds the parts up, in order. Grid: (part, layer, group of columns).
//
// Plain body: each invocation holds four columns `in` of a group of rows `out` (CPU drivers: all rows). A run of pixels' dE/dA is
// staged in shared memory, from which invocations of a group read the same address; a group's rows go in blocks, so that a
// block's sums stay in registers.
// Unrolled, for the reason given in panel_plain.glsl.
//
// Tiled, for GPUs: a workgroup holds BLOCK x BLOCK of dE/dw, an invocation 8 x 8 of it, in quads `side` and side + SIDE of rows and columns. A run of
// pixels' dE/dA and A lies in shared memory; a load from there is good for 16 multiply-adds. Where there are more invocations than
// the block takes, they are slices, each with a part of the run's pixels.
//
// With cooperative matrices: each subgroup holds BLOCK x BLOCK of dE/dw. A run of pixels' dE/dA and A is staged in shared
// memory; pixels are the inner dimension:
//
//           pixels              in                in
//         +--------+         +-----+           +-----+
//     out | dE/dA  |  *   px |  A  |   =   out | dE/dw
//         +--------+         +-----+           +-----+
//! variant plain -DPATH_PLAIN=1
//! variant plain.tiled -DPATH_PLAIN=1 -DTILED=1
//! variant plain.rolled -DPATH_PLAIN=1 -DROLLED=1
//! variant f32 -DPATH_PLAIN=1 -DROLLED=1 -DF32=1
//! variant khr -DPATH_KHR=1 vulkan1.3
//! variant khr.half -DPATH_KHR=1 -DHALF_SUMS=1 vulkan1.3
//! variant khr.rolled -DPATH_KHR=1 -DROLLED=1 vulkan1.3
//! variant khr.half.rolled -DPATH_KHR=1 -DROLLED=1 -DHALF_SUMS=1 vulkan1.3
//! variant nv -DPATH_NV=1 vulkan1.3
//! variant nv.half -DPATH_NV=1 -DHALF_SUMS=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#define STORES_SUMS
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"

layout(constant_id = 16) const uint RUN = 64;   // pixels staged at a time
layout(constant_id = 17) const uint RUNS = 1;   // runs a part

#ifdef TILED

layout(set = 0, binding = 1) readonly buffer Act { QUAD actQuad[]; };        // (1 + layer, pixel, W): x, A
layout(set = 0, binding = 2) readonly buffer DAct { QUAD dActQuad[]; };      // (layer, pixel, W): dE/dA; then (pixel, OUTPUTS): dE/dK
layout(set = 0, binding = 3) writeonly buffer Part { vec4 part[]; };         // (part, layer, out, in)

const uint BLOCK = WIDTH < 64 ? WIDTH : 64;
const uint QUADS = WIDTH / 4, BLOCK_QUADS = BLOCK / 4, SIDE = BLOCK / 8;
const uint SLICES = gl_WorkGroupSize.x / (SIDE * SIDE);
const uint AT_ONCE = 4; // pixels: RUN is a multiple of AT_ONCE * SLICES
const uint HALF = RUN * BLOCK_QUADS;
shared vec4 stage[2 * HALF]; // dE/dA, then A; no less than 16 SIDE * SIDE

vec4 sum[16]; // of row 4 j + c and quad i of columns: at 8 j + 2 c + i

// Rows of the last matrix past the outputs, and pixels past the end, are zeros.
void stageRun(uint first, uint layer, uint rowQuad, uint columnQuad) {
  uint quads = layer == LAYERS ? OUTPUTS / 4 : QUADS; // of rows
  barrier();
  [[unroll]] for (uint k = 0; k < HALF; k += gl_WorkGroupSize.x) {
    uint i = k + gl_LocalInvocationID.x, q = i % BLOCK_QUADS, p = first + i / BLOCK_QUADS, at = min(p, geo.pixels - 1);
    vec4 d = unpackQuad(dActQuad[layer * geo.pixels * QUADS + at * quads + min(rowQuad + q, quads - 1)]);
    vec4 a = unpackQuad(actQuad[(layer * geo.pixels + at) * QUADS + columnQuad + q]);
    if (i < HALF) {
      stage[i] = p < geo.pixels && rowQuad + q < quads ? d : vec4(0);
      stage[HALF + i] = p < geo.pixels ? a : vec4(0);
    }
  }
  barrier();
}

// Adds a run's products; `each`: quads of rows that are not zero.
void addRun(uint slice, uint row, uint column, uint each) {
  for (uint k = slice; k < RUN; k += AT_ONCE * SLICES) {
    [[unroll]] for (uint u = 0; u < AT_ONCE; ++u) {
      uint at = (k + u * SLICES) * BLOCK_QUADS;
      vec4 a0 = stage[HALF + at + column], a1 = stage[HALF + at + column + SIDE];
      [[unroll]] for (uint j = 0; j < each; ++j) {
        vec4 d = stage[at + row + j * SIDE];
        [[unroll]] for (uint c = 0; c < 4; ++c) {
          sum[8 * j + 2 * c] += d[c] * a0;
          sum[8 * j + 2 * c + 1] += d[c] * a1;
        }
      }
    }
  }
}

void main() {
  uint layer = gl_WorkGroupID.y, i = gl_LocalInvocationID.x;
  uint slice = SLICES == 1 ? 0 : i / (SIDE * SIDE), cell = i % (SIDE * SIDE), row = cell / SIDE, column = cell % SIDE;
  const uint blocks = WIDTH / BLOCK;
  uint rowQuad = gl_WorkGroupID.z / blocks * BLOCK_QUADS, columnQuad = gl_WorkGroupID.z % blocks * BLOCK_QUADS;
  [[unroll]] for (uint k = 0; k < 16; ++k) sum[k] = vec4(0);
  for (uint r = 0; r < RUNS; ++r) {
    stageRun((gl_WorkGroupID.x * RUNS + r) * RUN, layer, rowQuad, columnQuad);
    if (layer < LAYERS || rowQuad + SIDE < OUTPUTS / 4) addRun(slice, row, column, 2);
    else if (rowQuad + row < OUTPUTS / 4) addRun(slice, row, column, 1);
  }
  // Slices are added up in order.
  [[unroll]] for (uint s = 1; s < SLICES; ++s) {
    barrier();
    if (slice == s) [[unroll]] for (uint k = 0; k < 16; ++k) stage[k * SIDE * SIDE + cell] = sum[k];
    barrier();
    if (slice == 0) [[unroll]] for (uint k = 0; k < 16; ++k) sum[k] += stage[k * SIDE * SIDE + cell];
  }
  if (slice > 0) return;
  uint base = (gl_WorkGroupID.x * (LAYERS + 1) + layer) * WIDTH * QUADS + columnQuad + column;
  [[unroll]] for (uint j = 0; j < 2; ++j)
    [[unroll]] for (uint c = 0; c < 4; ++c)
      [[unroll]] for (uint n = 0; n < 2; ++n) part[base + (4 * (rowQuad + row + j * SIDE) + c) * QUADS + n * SIDE] = sum[8 * j + 2 * c + n];
}

#elif defined(PATH_PLAIN)

layout(set = 0, binding = 1) readonly buffer Act { QUAD actQuad[]; };        // (1 + layer, pixel, W): x, A
layout(set = 0, binding = 2) readonly buffer DAct { QUAD dActQuad[]; };      // (layer, pixel, W): dE/dA; then (pixel, OUTPUTS): dE/dK
layout(set = 0, binding = 3) writeonly buffer Part { vec4 part[]; };         // (part, layer, out, in)

layout(constant_id = 26) const uint ROW_GROUPS = 1; // of rows, a workgroup

const uint QUADS = WIDTH / 4;
const uint GROUP_QUADS = QUADS / ROW_GROUPS; // of rows an invocation holds
const uint COLUMN_QUADS = gl_WorkGroupSize.x / ROW_GROUPS; // a workgroup holds
shared vec4 stage[RUN * QUADS];

vec4 sum[4 * GROUP_QUADS]; // of column c and quad o of rows at 4 o + c

void addRun(uint first, uint layer, uint column, uint row) {
  bool last = layer == LAYERS;
  uint quads = last ? OUTPUTS / 4 : QUADS; // of rows
  barrier();
  [[unroll]] for (uint k = 0; k < RUN * QUADS; k += gl_WorkGroupSize.x) {
    uint i = k + gl_LocalInvocationID.x, o = i % QUADS;
    uint p = min(first + i / QUADS, geo.pixels - 1);
    stage[i] = unpackQuad(dActQuad[(layer * geo.pixels) * QUADS + p * quads + min(o, quads - 1)]);
  }
  barrier();
  vec4 a[RUN];
  [[unroll]] for (uint k = 0; k < RUN; ++k) {
    uint p = first + k;
    vec4 v = unpackQuad(actQuad[(layer * geo.pixels + min(p, geo.pixels - 1)) * QUADS + column]);
    a[k] = p < geo.pixels ? v : vec4(0);
  }
#ifdef ROLLED // see panel_plain.glsl; all rows, so that a pixel is a turn of one loop
  const uint BLOCK = GROUP_QUADS;
#define EACH_PIXEL [[dont_unroll]]
#else
  const uint BLOCK = 1; // quads of rows whose sums are in registers at a time
#define EACH_PIXEL [[unroll]]
#endif
  [[unroll]] for (uint b = 0; b < GROUP_QUADS / BLOCK; ++b) {
    EACH_PIXEL for (uint k = 0; k < RUN; ++k) {
      [[unroll]] for (uint j = 0; j < BLOCK; ++j) { // counted from 0: others are not unrolled on llvmpipe
        uint o = b * BLOCK + j;
        vec4 d = stage[k * QUADS + row + o];
        [[unroll]] for (uint c = 0; c < 4; ++c) sum[4 * o + c] += a[k][c] * d;
      }
    }
  }
}

void main() {
  uint layer = gl_WorkGroupID.y;
  uint group = ROW_GROUPS == 1 ? 0 : gl_LocalInvocationID.x / COLUMN_QUADS; // a constant where there is one: llvmpipe's loads then are scalar
  uint column = gl_WorkGroupID.z * COLUMN_QUADS + gl_LocalInvocationID.x - group * COLUMN_QUADS;
  uint row = group * GROUP_QUADS; // first quad of rows
  uint first = gl_WorkGroupID.x * RUN * RUNS;
  [[unroll]] for (uint i = 0; i < 4 * GROUP_QUADS; ++i) sum[i] = vec4(0);
  if (RUNS == 1) addRun(first, layer, column, row);
  else for (uint r = 0; r < RUNS; ++r) addRun(first + r * RUN, layer, column, row);
  uint base = (gl_WorkGroupID.x * (LAYERS + 1) + layer) * WIDTH * QUADS + column;
  [[unroll]] for (uint o = 0; o < GROUP_QUADS; ++o)
    [[unroll]] for (uint j = 0; j < 4; ++j) part[base + (4 * (row + o) + j) * QUADS] = vec4(sum[4 * o][j], sum[4 * o + 1][j], sum[4 * o + 2][j], sum[4 * o + 3][j]);
}

#else

layout(constant_id = 25) const uint BLOCK = 32; // rows and columns of a subgroup

layout(set = 0, binding = 1) readonly buffer Act { uvec4 act[]; };
layout(set = 0, binding = 2) readonly buffer DAct { uvec4 dAct[]; };
layout(set = 0, binding = 3) writeonly buffer Part { float part[]; };

const uint WORDS = WIDTH / 8, PITCH = WORDS + 1; // as in panel_coop.glsl
const uint MS = BLOCK / TILE_M, NS = BLOCK / TILE_N;
shared uvec4 stagedA[RUN * PITCH];
shared uvec4 stagedD[RUN * PITCH];

// Pixels past the end, and rows of the last matrix past the outputs, are zeros.
void stageRun(uint first, uint layer) {
  uint words = layer == LAYERS ? OUTPUTS / 8 : WORDS;
  barrier();
  UNROLL for (uint k = 0; k < RUN * WORDS; k += SUBGROUP * SUBGROUPS) {
    uint i = k + gl_LocalInvocationIndex, word = i % WORDS, p = first + i / WORDS;
    if (i < RUN * WORDS) {
      uint at = i / WORDS * PITCH + word;
      stagedA[at] = p < geo.pixels ? act[(layer * geo.pixels + p) * WORDS + word] : uvec4(0);
      stagedD[at] = p < geo.pixels && word < words ? dAct[layer * geo.pixels * WORDS + p * words + word] : uvec4(0);
    }
  }
  barrier();
}

void main() {
  uint layer = gl_WorkGroupID.y;
  uint block = gl_WorkGroupID.z * SUBGROUPS + gl_SubgroupID;
  uint row = block / (WIDTH / BLOCK) * BLOCK, column = block % (WIDTH / BLOCK) * BLOCK;
  SUMS(sum, MS * NS);
  UNROLL for (uint i = 0; i < MS * NS; ++i) sumClear(sum[i]);
  for (uint r = 0; r < RUNS; ++r) {
    stageRun((gl_WorkGroupID.x * RUNS + r) * RUN, layer);
    UNROLL for (uint k = 0; k < RUN; k += TILE_K) {
      MatrixA d[MS];
      UNROLL for (uint m = 0; m < MS; ++m) matrixLoad(d[m], stagedD, k * PITCH + (row + m * TILE_M) / 8, PITCH, COLUMNS);
      UNROLL for (uint n = 0; n < NS; ++n) {
        MatrixB a;
        matrixLoad(a, stagedA, k * PITCH + (column + n * TILE_N) / 8, PITCH, ROWS);
        UNROLL for (uint m = 0; m < MS; ++m) sumAdd(sum[m * NS + n], d[m], a);
      }
    }
  }
  uint base = (gl_WorkGroupID.x * (LAYERS + 1) + layer) * WIDTH * WIDTH + row * WIDTH + column;
  UNROLL for (uint m = 0; m < MS; ++m)
    UNROLL for (uint n = 0; n < NS; ++n) sumStore(sum[m * NS + n], part, base + m * TILE_M * WIDTH + n * TILE_N, WIDTH);
}

#endif
