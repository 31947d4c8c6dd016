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
// -DRESIDENT (with GL_NV_cooperative_matrix2, whose conversions make of a sum the operand of the next product): between layers the panel stays in
// registers. What the layers gave is not stored: for inference, and for training where the way back makes it anew (-DANEW).
// -DHOLDING as well: so do the weights of all layers, for one batch of pixels after the other (the includer counts `panelBlock`). It calls panelHold once before, and
// goes through the layers by EACH_LAYER: a loop over them may stay one in NVIDIA's compiler.

layout(constant_id = 23) const uint PIXELS = 32;     // of a subgroup: a multiple of TILE_M
layout(constant_id = 24) const uint STAGE_ROWS = 32; // outputs whose weights are in shared memory at a time: a multiple of TILE_N and 8

const uint WORDS = WIDTH / 8;  // of 8 channels: how panels and weights are moved
const uint PITCH = WORDS + 1;  // of a row in shared memory: rows that are used together lie in different banks
const uint TURNS = PIXELS > SUBGROUP ? PIXELS / SUBGROUP : 1; // pixels an invocation puts and gets, one after the other
const uint COLUMN_PITCH = STAGE_ROWS / 8 + 1;  // of a row where only STAGE_ROWS columns are staged
const uint MS = PIXELS / TILE_M, KS = WIDTH / TILE_K; // tiles

#ifdef RESIDENT
const uint STAGE = WIDTH * PITCH, SLAB = SUBGROUPS * PIXELS * PITCH; // a layer's weights, all panels
shared uvec4 slab[SLAB > 2 * STAGE ? SLAB : 2 * STAGE]; // while the panels are in registers, it has two layers' weights
#else
shared uvec4 slab[SUBGROUPS * PIXELS * PITCH];
shared uvec4 stage[WIDTH * COLUMN_PITCH]; // no less than STAGE_ROWS * PITCH
#endif

uint panelLane;   // pixel of the panel that put and get are about
uint slabBase() { return gl_SubgroupID * PIXELS * PITCH; }
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

#ifdef RESIDENT
ACTIVATION(float16_t)

const uint SOME = MS > 2 ? 2 : MS; // rows of tiles that sums are held for at a time: more are no faster, and need more registers
MatrixA resident[MS * KS];

#ifdef HOLDING
MatrixB held[(LAYERS * KS + OUTPUTS / TILE_N) * KS]; // (layer, column of tiles, k)

// `layer`: a constant, so that they are in registers.
void holdLayer(uint layer) {
  if (layer > LAYERS) return;
  uint rows = layer < LAYERS ? WIDTH : OUTPUTS, at = layer % 2 * STAGE;
  UNROLL for (uint k = 0; k < rows * WORDS; k += SUBGROUP * SUBGROUPS) {
    uint i = k + gl_LocalInvocationIndex;
    if (i < rows * WORDS) slab[at + i / WORDS * PITCH + i % WORDS] = weights[layer * WIDTH * WORDS + i];
  }
  barrier();
  UNROLL for (uint n = 0; n < rows / TILE_N; ++n)
    UNROLL for (uint k = 0; k < KS; ++k) matrixLoad(held[(layer * KS + n) * KS + k], slab, at + n * TILE_N * PITCH + k * TILE_K / 8, PITCH, COLUMNS);
}

void panelHold() {
  holdLayer(0); holdLayer(1); holdLayer(2); holdLayer(3); holdLayer(4); holdLayer(5); holdLayer(6); holdLayer(7); holdLayer(8);
  barrier();
}

#define EACH_LAYER(f) \
  if (LAYERS > 0) f(0); if (LAYERS > 1) f(1); if (LAYERS > 2) f(2); if (LAYERS > 3) f(3); if (LAYERS > 4) f(4); if (LAYERS > 5) f(5); if (LAYERS > 6) f(6); if (LAYERS > 7) f(7);

#define LOAD_WEIGHTS(b, layer, n, k) b = held[((layer) * KS + (n)) * KS + (k)]
#else
// What an invocation moves of a layer's weights is read from memory a layer ahead.
uvec4 ahead[(WIDTH * WORDS + SUBGROUPS * SUBGROUP - 1) / (SUBGROUPS * SUBGROUP)];

void readAhead(uint base, uint rows) {
  UNROLL for (uint k = 0; k < ahead.length(); ++k) {
    uint i = k * SUBGROUP * SUBGROUPS + gl_LocalInvocationIndex;
    if (i < rows * WORDS) ahead[k] = weights[base / 8 + i];
  }
}

void placeAhead(uint layer, uint rows) {
  UNROLL for (uint k = 0; k < ahead.length(); ++k) {
    uint i = k * SUBGROUP * SUBGROUPS + gl_LocalInvocationIndex;
    if (i < rows * WORDS) slab[layer % 2 * STAGE + i / WORDS * PITCH + i % WORDS] = ahead[k];
  }
  barrier();
}

#define LOAD_WEIGHTS(b, layer, n, k) matrixLoad(b, slab, (layer) % 2 * STAGE + (n) * TILE_N * PITCH + (k) * TILE_K / 8, PITCH, COLUMNS)
#endif

#define RESIDENT_PRODUCT(sum, layer, first, n) PRODUCT(sum, SOME, resident[((first) + m) * KS + k], KS, LOAD_WEIGHTS(b, layer, n, k))

void panelLayer(uint base) {
  uint layer = base / (WIDTH * WIDTH);
#ifdef HOLDING
  if (layer == 0) {
    subgroupBarrier();
    LOAD_ROWS(resident, slab, KS)
  }
#else
  if (layer == 0) {
    readAhead(0, WIDTH);
    subgroupBarrier();
    LOAD_ROWS(resident, slab, KS)
    barrier();
    placeAhead(0, WIDTH);
  }
  uint rows = layer + 1 < LAYERS ? WIDTH : OUTPUTS; // of the next one
  readAhead(base + WIDTH * WIDTH, rows);
#endif
  UNROLL for (uint first = 0; first < MS; first += SOME) {
    MatrixA next[SOME * KS];
    UNROLL for (uint n = 0; n < KS; ++n) {
      RESIDENT_PRODUCT(sum, layer, first, n)
      UNROLL for (uint m = 0; m < SOME; ++m) {
        HalfAccumulator rounded; // in pairs from here on
        sumHalf(rounded, sum[m]);
        UNROLL for (uint i = 0; i < rounded.length(); ++i) rounded[i] = activated(rounded[i]);
        next[m * KS + n] = MatrixA(rounded);
      }
    }
    UNROLL for (uint i = 0; i < SOME * KS; ++i) resident[first * KS + i] = next[i];
  }
#ifndef HOLDING
  placeAhead(layer + 1, rows);
#endif
}

void panelMul(uint base, uint rows) {
  HalfAccumulator rounded[OUTPUTS / TILE_N * MS];
  UNROLL for (uint n = 0; n < rows / TILE_N; ++n)
    UNROLL for (uint first = 0; first < MS; first += SOME) {
      RESIDENT_PRODUCT(sum, base / (WIDTH * WIDTH), first, n)
      UNROLL for (uint m = 0; m < SOME; ++m) sumHalf(rounded[n * MS + first + m], sum[m]);
    }
#ifdef HOLDING
  subgroupBarrier();
#else
  barrier(); // they take the place of weights
#endif
  UNROLL for (uint n = 0; n < rows / TILE_N; ++n)
    UNROLL for (uint m = 0; m < MS; ++m)
      matrixStore(rounded[n * MS + m], slab, slabBase() + m * TILE_M * PITCH + n * TILE_N / 8, PITCH);
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

// Neighbouring invocations move neighbouring words of the panel.
#define EACH_WORD(channels, body) \
  subgroupBarrier(); \
  UNROLL for (uint k = 0; k < PIXELS * (channels) / 8; k += SUBGROUP) { \
    uint i = min(k + gl_SubgroupInvocationID, PIXELS * (channels) / 8 - 1), word = i % ((channels) / 8); \
    uint p = firstPixel() + i / ((channels) / 8), at = slabBase() + i / ((channels) / 8) * PITCH + word; \
    body \
  } \
  subgroupBarrier();

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

#define PANEL_KEEP(store, first, channels) \
  EACH_WORD(channels, if (p < PANEL_END) { store(((first) + p) * ((channels) / 8) + word, slab[at]); })

#ifdef RESIDENT
#define PANEL_ACTIVATE(active, store, first)
#else
#define PANEL_ACTIVATE(active, store, first) PANEL_KEEP(store, first, WIDTH)
#endif

#define PANEL_GATE(gates, store, first) PANEL_KEEP(store, first, WIDTH)
