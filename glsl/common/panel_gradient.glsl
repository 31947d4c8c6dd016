// The way back through the layers and the weights' gradient at once (SPEC 2: bck, mulw), with cooperative matrices: dE/dA stays in
// shared memory, and a workgroup adds up dE/dw of all layers in its accumulators, over RUNS batches of pixels one after the other.
// Included after panel.glsl. Before it the includer declares `part`, a buffer of f32 (part, layer, out, in), and defines panelFill(), which puts dE/dK of
// all turns into the panel; and kpn/kept.glsl says which activations there are.
//
// For each layer, from the last to the first, with D = dE/dA of the layer and G = A of the layer before (its input and the gates):
//
//            pixels            in              in              out            in              in
//          +--------+       +-----+         +-----+         +-----+        +-----+         +-----+
//      out |  D^T   |  * px |  G  |  =  out | dw  |      px |  D  |  * out |  w  |  =   px |     |  * act'(G) -> D
//          +--------+       +-----+         +-----+         +-----+        +-----+         +-----+
//
// dw: the workgroup's subgroups share its tiles. D: each subgroup its own pixels.
//
// -DSPARSE: a layer whose G the forward pass has not kept makes it anew, each subgroup for its own pixels, of what that layer was made of, which is kept.
//   -DRESIDENT: as forward passes of that build do, by the same roundings; and D stays in registers as the next operand.
// Where all of them are made anew: panel_anew.glsl.

layout(constant_id = 17) const uint RUNS = 1; // batches of pixels a workgroup

const uint THREADS = SUBGROUPS * SUBGROUP, BATCH = SUBGROUPS * PIXELS;
const uint COLS = WIDTH / TILE_N, TILES = WIDTH / TILE_M * COLS;  // of a matrix of dw
const uint PER = TILES > SUBGROUPS ? TILES / SUBGROUPS : 1;                  // tiles a subgroup holds,
const uint PER_COLS = PER < COLS ? PER : COLS, PER_ROWS = PER / PER_COLS;  // in whole rows or a part of one

shared uvec4 inputs[BATCH * PITCH]; // G, a pixel a row

Accumulator dw[(LAYERS + 1) * PER];
uint row, col; // of the subgroup's first tile
bool mine;     // it has one

void addUp(uint l) {
  if (!mine) return;
  UNROLL for (uint r = 0; r < PER_ROWS; ++r) {
    if (l == LAYERS && (row + r) * TILE_M >= OUTPUTS) continue;
    UNROLL for (uint j = 0; j < BATCH / TILE_K; ++j) {
      MatrixA d;
      matrixLoad(d, slab, j * TILE_K * PITCH + (row + r) * TILE_M / 8, PITCH, COLUMNS);
      UNROLL for (uint c = 0; c < PER_COLS; ++c) {
        MatrixB a;
        matrixLoad(a, inputs, j * TILE_K * PITCH + (col + c) * TILE_N / 8, PITCH, ROWS);
        dw[l * PER + r * PER_COLS + c] = matrixMulAdd(d, a, dw[l * PER + r * PER_COLS + c]);
      }
    }
  }
}

void storeSums() {
  if (!mine) return;
  UNROLL for (uint l = 0; l <= LAYERS; ++l)
    UNROLL for (uint r = 0; r < PER_ROWS; ++r)
      if (l < LAYERS || (row + r) * TILE_M < OUTPUTS)
        UNROLL for (uint c = 0; c < PER_COLS; ++c)
          matrixStore(dw[l * PER + r * PER_COLS + c], part, ((gl_WorkGroupID.x * (LAYERS + 1) + l) * WIDTH + (row + r) * TILE_M) * WIDTH + (col + c) * TILE_N, WIDTH);
}

void chooseTiles() {
  uint tile = gl_SubgroupID * PER;
  row = tile / COLS;
  col = tile % COLS;
  mine = tile < TILES;
}

// D of the layer before, column n of tiles, of its sums: times act'(G).
#define GATED(next, sum, n) \
  UNROLL for (uint m = 0; m < MS; ++m) { \
    HalfAccumulator read; \
    matrixLoad(read, inputs, slabBase() + m * TILE_M * PITCH + (n) * TILE_N / 8, PITCH, ROWS); \
    Accumulator gate = Accumulator(read); /* of the sums' type: only then are equal elements at equal places */ \
    UNROLL for (uint i = 0; i < gate.length(); ++i) sum[m][i] *= gate[i] > 0.0 ? 1.0 : SLOPE; \
    next[m * COLS + (n)] = HalfAccumulator(sum[m]); \
  }

#define PLACE_DELTA(next) \
  UNROLL for (uint m = 0; m < MS; ++m) \
    UNROLL for (uint n = 0; n < COLS; ++n) matrixStore(next[m * COLS + n], slab, slabBase() + m * TILE_M * PITCH + n * TILE_N / 8, PITCH);

#define KEEP_DELTA(next) \
  UNROLL for (uint m = 0; m < MS; ++m) \
    UNROLL for (uint n = 0; n < COLS; ++n) delta[m * KS + n] = MatrixA(next[m * COLS + n]);

const uint GATE_WORDS = (BATCH * WORDS + THREADS - 1) / THREADS;  // an invocation moves
const uint WEIGHT_WORDS = (WIDTH * WORDS + THREADS - 1) / THREADS;

// What an invocation moves is read from memory a layer ahead, and put into shared memory when the layer is done.
uvec4 aheadInputs[GATE_WORDS], aheadWeights[WEIGHT_WORDS];

void readInputs(uint layer) { // of A, counted from x
  UNROLL for (uint k = 0; k < GATE_WORDS; ++k) {
    uint i = min(k * THREADS + gl_LocalInvocationIndex, BATCH * WORDS - 1);
    aheadInputs[k] = PANEL_GATES[(slotOf(layer) * geo.pixels + min(panelBlock * BATCH + i / WORDS, geo.pixels - 1)) * WORDS + i % WORDS];
  }
}

void readWeights(uint layer, uint rows) {
  UNROLL for (uint k = 0; k < WEIGHT_WORDS; ++k) {
    uint i = k * THREADS + gl_LocalInvocationIndex;
    if (i < rows * WORDS) aheadWeights[k] = weights[layer * WIDTH * WORDS + i];
  }
}

void placeInputs() {
  UNROLL for (uint k = 0; k < GATE_WORDS; ++k) {
    uint i = min(k * THREADS + gl_LocalInvocationIndex, BATCH * WORDS - 1);
    inputs[i / WORDS * PITCH + i % WORDS] = aheadInputs[k];
  }
}

void placeWeights(uint rows) {
  UNROLL for (uint k = 0; k < WEIGHT_WORDS; ++k) {
    uint i = k * THREADS + gl_LocalInvocationIndex;
    if (i < rows * WORDS) stage[i / WORDS * PITCH + i % WORDS] = aheadWeights[k];
  }
}

#ifdef RESIDENT
MatrixA delta[MS * KS]; // D
#endif

// D of the layer before takes the place of the layer's.
void passBack(uint l) {
  uint ks = (l == LAYERS ? OUTPUTS : WIDTH) / TILE_K;
  HalfAccumulator next[MS * COLS];
#ifdef RESIDENT
  if (l == LAYERS) { LOAD_ROWS(delta, slab, ks) }
#else
  MatrixA delta[MS * KS];
  LOAD_ROWS(delta, slab, ks)
#endif
  UNROLL for (uint n = 0; n < COLS; ++n) {
    PRODUCT(sum, MS, delta[m * KS + k], ks, matrixLoad(b, stage, k * TILE_K * PITCH + n * TILE_N / 8, PITCH, ROWS))
    GATED(next, sum, n)
  }
#ifdef RESIDENT
  KEEP_DELTA(next)
#endif
  barrier();
  PLACE_DELTA(next)
}

#ifdef SPARSE
MatrixA given[MS * KS]; // A of the layer before, of which G was made

// G in place of what it is made of; in `stage` are the weights that make it.
void remake() {
  LOAD_ROWS(given, inputs, KS)
  subgroupBarrier();
  UNROLL for (uint n = 0; n < COLS; ++n) {
    PRODUCT(sum, MS, given[m * KS + k], KS, matrixLoad(b, stage, n * TILE_N * PITCH + k * TILE_K / 8, PITCH, COLUMNS))
    UNROLL for (uint m = 0; m < MS; ++m) {
#ifdef RESIDENT
      ACTIVATE_ROUNDED(made, sum[m]) // as in the forward pass (panel_coop.glsl)
#else
      UNROLL for (uint i = 0; i < sum[m].length(); ++i) sum[m][i] = activated(sum[m][i]);
      HalfAccumulator made = HalfAccumulator(sum[m]);
#endif
      matrixStore(made, inputs, slabBase() + m * TILE_M * PITCH + n * TILE_N / 8, PITCH);
    }
  }
  barrier();
}

// A layer whose G is kept, then the one before, whose G mostly is not. `l`: a constant, so that dw is in registers.
void twoBack(uint l) {
  if (l > 1) {
    readInputs(l - 2);
    readWeights(l - 2, WIDTH);
  } else if (l == 1) readInputs(0);
  addUp(l);
  if (l == 0) return;
  passBack(l);
  placeInputs();
  placeWeights(l > 1 ? WIDTH : 0);
  barrier();
  if (l == 1) return;
  readWeights(l - 1, WIDTH);
  remake();
  placeWeights(WIDTH);
  barrier();
  if (l > 2) readWeights(l - 2, WIDTH);
  addUp(l - 1);
  passBack(l - 1);
  UNROLL for (uint m = 0; m < MS; ++m)
    UNROLL for (uint j = 0; j < KS; ++j)
      matrixStore(given[m * KS + j], inputs, slabBase() + m * TILE_M * PITCH + j * TILE_K / 8, PITCH);
  placeWeights(l > 2 ? WIDTH : 0);
  barrier();
}

#define TWO_BACK(k) if (k <= LAYERS) twoBack(LAYERS - k);
void layersBack() {
#ifdef ROLLED
  UNROLL for (uint k = 0; k <= LAYERS; k += 2) twoBack(LAYERS - k);
#else // NVIDIA's compiler leaves a loop of this length a loop
  TWO_BACK(0) TWO_BACK(2) TWO_BACK(4) TWO_BACK(6) TWO_BACK(8)
#endif
  if (LAYERS % 2 == 1) addUp(0);
}
#else
void layersBack() {
  UNROLL for (uint k = 0; k <= LAYERS; ++k) {
    uint l = LAYERS - k;
    if (l > 0) {
      readInputs(l - 1);
      if (l > 1) readWeights(l - 1, WIDTH);
    }
    addUp(l);
    if (l == 0) break;
    passBack(l);
    placeInputs();
    placeWeights(l > 1 ? WIDTH : 0);
    barrier();
  }
}
#endif

void panelGradient() {
  UNROLL for (uint i = 0; i < (LAYERS + 1) * PER; ++i) dw[i] = Accumulator(0.0);
  chooseTiles();
  for (uint run = 0; run < RUNS; ++run) {
    panelBlock = gl_WorkGroupID.x * RUNS + run;
    if (panelBlock * BATCH >= geo.pixels) break;
    readInputs(LAYERS);
    readWeights(LAYERS, OUTPUTS);
    panelFill();
    EACH_WORD(OUTPUTS, if (p >= geo.pixels) slab[at] = uvec4(0);)
    placeInputs();
    placeWeights(OUTPUTS);
    barrier();
    layersBack();
    barrier();
  }
  storeSums();
}
