// panel.glsl with cooperative matrices. A subgroup holds PIXELS pixels; between products they lie in its slab of shared
// memory, f16, a pixel a row. The products take pixels as rows of matrix A and weights as matrix B:
//
//        in                 out                     out            the sums are f32; a whole panel of A is read
//      +-----+            +-----+                 +-----+          before a sum is written over it. w^T panel is the
//   px | A   |    *    in | w^T | (w by      =  px|     |          same with w read row by row.
//      +-----+            +-----+  columns)       +-----+
//
// This way round, accumulators are written to shared memory, and operands read from it, in whole words on NVIDIA.
// Weights come through shared memory too, STAGE_ROWS outputs of a product at a time, for all subgroups of the workgroup at once.
//
// -DRESIDENT (with GL_NV_cooperative_matrix2, whose conversions make of a sum the operand of the next product): between layers the panel stays in registers,
// and the weights come from memory, where kpn/pack has left them as matrices hold them (packed.glsl): no workgroup waits, and the second time they are in
// the processor's cache. SLAB_PIXELS, which the includer may define: pixels of a subgroup that are in the slab at a time (else all); it then fills and reads the slab row
// by row of these (EACH_SLAB_ROW). -DKEEPS: PANEL_ACTIVATE stores what a layer gave, which else is not kept.
// -DHOLDING as well: so do the weights, for one batch of pixels after the other. The includer counts `panelBlock`, and calls panelHold once before.

layout(constant_id = 23) const uint PIXELS = 32;     // of a subgroup: a multiple of TILE_M
layout(constant_id = 24) const uint STAGE_ROWS = 32; // outputs whose weights are in shared memory at a time: a multiple of TILE_N and 8

const uint WORDS = WIDTH / 8;  // of 8 channels: how panels and weights are moved
#if defined(ANEW) && defined(FUSED)
const uint PITCH = 4 * WORDS + 1; // four panels side by side (panel_anew.glsl)
#else
const uint PITCH = WORDS + 1;  // of a row in shared memory: rows that are used together lie in different banks
#endif
const uint TURNS = PIXELS > SUBGROUP ? PIXELS / SUBGROUP : 1; // pixels an invocation puts and gets, one after the other
const uint COLUMN_PITCH = STAGE_ROWS / 8 + 1;  // of a row where only STAGE_ROWS columns are staged
const uint MS = PIXELS / TILE_M, KS = WIDTH / TILE_K; // tiles

#ifndef SLAB_PIXELS
#define SLAB_PIXELS PIXELS
#endif
shared uvec4 slab[SUBGROUPS * SLAB_PIXELS * PITCH];
#if !defined(RESIDENT) || (defined(FUSED) && !defined(ANEW)) // they are staged
shared uvec4 stage[WIDTH * COLUMN_PITCH]; // no less than STAGE_ROWS * PITCH
#endif

uint panelLane;   // pixel of the panel that put and get are about
uint slabBase() { return gl_SubgroupID * SLAB_PIXELS * PITCH; }
#ifdef PANEL_BLOCKS // of pixels, several a workgroup
uint panelBlock;
#else
#define panelBlock gl_WorkGroupID.x
#endif
uint firstPixel() { return PANEL_FIRST + (panelBlock * SUBGROUPS + gl_SubgroupID) * PIXELS; }

uint panelSelect(uint turn) {
  // Where there are fewer pixels than invocations the last pixel is worked on several times, to the same result.
  panelLane = min(turn * SUBGROUP + gl_SubgroupInvocationID, PIXELS - 1);
  return min(firstPixel() + panelLane, PANEL_END - 1);
}

void panelPut4(uint i, vec4 v) {
  uint at = slabBase() + panelLane * PITCH + i / 2;
  if (i % 2 == 0) slab[at].xy = packQuad(v);
  else slab[at].zw = packQuad(v);
}

vec4 panelGet4(uint i) {
  uvec4 word = slab[slabBase() + panelLane * PITCH + i / 2];
  return unpackQuad(i % 2 == 0 ? word.xy : word.zw);
}

// The activation. (max is one instruction less, and keeps NaN as well: both of its arguments are NaN then.)
#define ACTIVATION(T) T activated(T v) { return SLOPE > 0.0 ? max(v, T(SLOPE) * v) : v > T(0) ? v : T(SLOPE) * v; }
ACTIVATION(float)

// A subgroup's rows of `array`, the first `ks` tiles of each.
#define LOAD_ROWS(a, array, ks) \
  UNROLL for (uint m = 0; m < MS; ++m) \
    UNROLL for (uint k = 0; k < (ks); ++k) matrixLoad(a[m * KS + k], array, slabBase() + m * TILE_M * PITCH + k * TILE_K / 8, PITCH, ROWS);

// sum = A B, for `count` rows of tiles: A_AT is tile (m, k) of A, LOAD_B makes `b` tile k of the column of B.
#define PRODUCT(sum, count, A_AT, ks, LOAD_B) \
  SUMS(sum, count); \
  UNROLL for (uint m = 0; m < count; ++m) sumClear(sum[m]); \
  UNROLL for (uint k = 0; k < (ks); ++k) { \
    MatrixB b; \
    LOAD_B; \
    UNROLL for (uint m = 0; m < count; ++m) sumAdd(sum[m], A_AT, b); \
  }

#define storeTile(sum, m, n) { \
  HalfAccumulator rounded; \
  sumHalf(rounded, sum); \
  matrixStore(rounded, slab, slabBase() + (m) * TILE_M * PITCH + (n) * TILE_N / 8, PITCH); \
}

// `body` for words of the pixels from `row` of the panel on, `rows` of them, that the slab has from its start: neighbouring invocations move neighbouring words.
#define EACH_WORD_OF(row, rows, channels, body) \
  subgroupBarrier(); \
  UNROLL for (uint k = 0; k < (rows) * (channels) / 8; k += SUBGROUP) { \
    uint i = min(k + gl_SubgroupInvocationID, (rows) * (channels) / 8 - 1), word = i % ((channels) / 8); \
    uint p = firstPixel() + (row) + i / ((channels) / 8), at = slabBase() + i / ((channels) / 8) * PITCH + word; \
    body \
  } \
  subgroupBarrier();

#define EACH_WORD(channels, body) EACH_WORD_OF(0, PIXELS, channels, body)

#define KEEP_ROWS(store, first, row, rows, channels) \
  EACH_WORD_OF(row, rows, channels, if (p < PANEL_END) { store(((first) + p) * ((channels) / 8) + word, slab[at]); })

#define PANEL_KEEP(store, first, channels) KEEP_ROWS(store, first, 0, PIXELS, channels)

#ifdef RESIDENT
ACTIVATION(float16_t)

#include "common/packed.glsl"

// A sum rounded, in pairs from here on, and then activated.
#define ACTIVATE_ROUNDED(rounded, sum) \
  HalfAccumulator rounded; \
  sumHalf(rounded, sum); \
  UNROLL for (uint i = 0; i < rounded.length(); ++i) rounded[i] = activated(rounded[i]);

const uint SOME = MS > 2 ? 2 : MS; // rows of tiles that sums are held for at a time: more are no faster, and need more registers
const uint SLAB_MS = SLAB_PIXELS / TILE_M;
MatrixA resident[MS * KS];
HalfAccumulator outcome[MS * (OUTPUTS / TILE_N)]; // of the last matrix

#ifdef HOLDING
MatrixB held[(LAYERS * (WIDTH / TILE_N) + OUTPUTS / TILE_N) * KS]; // (layer, column of tiles, k)
void panelHold() { UNROLL for (uint i = 0; i < held.length(); ++i) held[i] = unpackMatrix(weights[i * SUBGROUP + gl_SubgroupInvocationID]); }
#define WEIGHTS_AT(layer, n, k) held[((layer) * (WIDTH / TILE_N) + (n)) * KS + (k)]
#else
#define WEIGHTS_AT(layer, n, k) unpackMatrix(weights[PACKED_AT(layer, n, k)])
#endif

#define EACH_SLAB_ROW(m) UNROLL for (uint m = 0; m < MS; m += SLAB_MS)

// Tiles of the panel's rows from m on: from the slab, to it.
void takeRows(uint m) {
  subgroupBarrier();
  UNROLL for (uint i = 0; i < SLAB_MS; ++i)
    UNROLL for (uint k = 0; k < KS; ++k) matrixLoad(resident[(m + i) * KS + k], slab, slabBase() + i * TILE_M * PITCH + k * TILE_K / 8, PITCH, ROWS);
  subgroupBarrier();
}

void placeRows(uint m) {
  UNROLL for (uint i = 0; i < SLAB_MS; ++i)
    UNROLL for (uint k = 0; k < KS; ++k) matrixStore(resident[(m + i) * KS + k], slab, slabBase() + i * TILE_M * PITCH + k * TILE_K / 8, PITCH);
}

void placeOutcome(uint m) {
  UNROLL for (uint i = 0; i < SLAB_MS; ++i)
    UNROLL for (uint n = 0; n < OUTPUTS / TILE_N; ++n) matrixStore(outcome[n * MS + m + i], slab, slabBase() + i * TILE_M * PITCH + n * TILE_N / 8, PITCH);
}

#define RESIDENT_PRODUCT(sum, layer, first, n) PRODUCT(sum, SOME, resident[((first) + m) * KS + k], KS, b = WEIGHTS_AT(layer, n, k))

// resident = act(w resident)
void residentLayer(uint layer) {
  UNROLL for (uint first = 0; first < MS; first += SOME) {
    MatrixA next[SOME * KS];
    UNROLL for (uint n = 0; n < KS; ++n) {
      RESIDENT_PRODUCT(sum, layer, first, n)
      UNROLL for (uint m = 0; m < SOME; ++m) {
        ACTIVATE_ROUNDED(rounded, sum[m])
        next[m * KS + n] = MatrixA(rounded);
      }
    }
    UNROLL for (uint i = 0; i < SOME * KS; ++i) resident[first * KS + i] = next[i];
  }
}

// outcome = w resident, of the last matrix
void residentOutcome() {
  UNROLL for (uint n = 0; n < OUTPUTS / TILE_N; ++n)
    UNROLL for (uint first = 0; first < MS; first += SOME) {
      RESIDENT_PRODUCT(sum, LAYERS, first, n)
      UNROLL for (uint m = 0; m < SOME; ++m) sumHalf(outcome[n * MS + first + m], sum[m]);
    }
}

// For who has the whole panel in the slab.
void panelLayer(uint base) {
  if (base == 0) takeRows(0);
  residentLayer(base / (WIDTH * WIDTH));
}

void panelMul(uint base, uint rows) {
  residentOutcome();
  placeOutcome(0);
  subgroupBarrier();
}
#else
void stageRows(uint base, uint rows) {
  barrier();
  UNROLL for (uint k = 0; k < rows * WORDS; k += SUBGROUP * SUBGROUPS) {
    uint i = k + gl_LocalInvocationIndex;
    if (i < rows * WORDS) stage[i / WORDS * PITCH + i % WORDS] = weights[base / 8 + i];
  }
  barrier();
}

// panel = w panel, by `activate` through the activation; the sums of a tile at a time.
void multiply(uint base, uint rows, bool activate) {
  MatrixA a[MS * KS];
  subgroupBarrier();
  LOAD_ROWS(a, slab, KS)
  UNROLL for (uint first = 0; first < rows; first += STAGE_ROWS) {
    uint count = min(STAGE_ROWS, rows - first);
    stageRows(base + first * WIDTH, count);
    UNROLL for (uint n = 0; n < count / TILE_N; ++n) {
      PRODUCT(sum, MS, a[m * KS + k], KS, matrixLoad(b, stage, n * TILE_N * PITCH + k * TILE_K / 8, PITCH, COLUMNS))
      UNROLL for (uint m = 0; m < MS; ++m) {
        if (activate) UNROLL for (uint i = 0; i < SUM_LENGTH(sum[m]); ++i) sum[m][i] = activated(sum[m][i]);
        storeTile(sum[m], m, first / TILE_N + n)
      }
    }
  }
  subgroupBarrier();
}

void panelMul(uint base, uint rows) { multiply(base, rows, false); }
void panelLayer(uint base) { multiply(base, WIDTH, true); }
#endif

#ifdef PANEL_GATES
// STAGE_ROWS columns of the first `rows` rows of w.
void stageColumns(uint base, uint rows, uint first) {
  barrier();
  UNROLL for (uint k = 0; k < rows * STAGE_ROWS / 8; k += SUBGROUP * SUBGROUPS) {
    uint i = k + gl_LocalInvocationIndex;
    if (i < rows * STAGE_ROWS / 8)
      stage[i / (STAGE_ROWS / 8) * COLUMN_PITCH + i % (STAGE_ROWS / 8)] = weights[(base + first) / 8 + i / (STAGE_ROWS / 8) * WORDS + i % (STAGE_ROWS / 8)];
  }
  barrier();
}

// panel = (w^T panel) * act'(gates of the pixels from `gates` on). The gates take the panel's place in the slab as soon as it
// is read, and the results theirs, a tile at a time.
void panelLayerT(uint base, uint rows, uint gates) {
  MatrixA a[MS * KS];
  const uint ks = rows / TILE_K;
  subgroupBarrier();
  LOAD_ROWS(a, slab, ks)
  EACH_WORD(WIDTH, slab[at] = PANEL_GATES[(gates + min(p, geo.pixels - 1)) * WORDS + word];)
  UNROLL for (uint first = 0; first < WIDTH; first += STAGE_ROWS) {
    stageColumns(base, rows, first);
    UNROLL for (uint n = 0; n < STAGE_ROWS / TILE_N; ++n) {
      PRODUCT(sum, MS, a[m * KS + k], ks, matrixLoad(b, stage, k * TILE_K * COLUMN_PITCH + n * TILE_N / 8, COLUMN_PITCH, ROWS))
      UNROLL for (uint m = 0; m < MS; ++m) {
        HalfAccumulator read;
        matrixLoad(read, slab, slabBase() + m * TILE_M * PITCH + first / 8 + n * TILE_N / 8, PITCH, ROWS);
        Accumulator gate = Accumulator(read); // of the sums' type: only then are equal elements at equal places
        UNROLL for (uint i = 0; i < SUM_LENGTH(sum[m]); ++i) sum[m][i] *= float(gate[i]) > 0.0 ? 1.0 : SLOPE;
        storeTile(sum[m], m, first / TILE_N + n)
      }
    }
  }
  subgroupBarrier();
}
#endif

#ifndef RESIDENT
#define PANEL_ACTIVATE(active, store, first) PANEL_KEEP(store, first, WIDTH)
#elif defined(KEEPS)
#define PANEL_ACTIVATE(active, store, first) \
  EACH_SLAB_ROW(rowOf) { \
    placeRows(rowOf); \
    KEEP_ROWS(store, first, rowOf * TILE_M, SLAB_PIXELS, WIDTH) \
  }
#else
#define PANEL_ACTIVATE(active, store, first)
#endif

#define PANEL_GATE(gates, store, first) PANEL_KEEP(store, first, WIDTH)
