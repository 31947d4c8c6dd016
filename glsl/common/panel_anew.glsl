// The way back through the layers and the weights' gradient at once, as panel_gradient.glsl, of x and dE/dK alone: each subgroup makes all activations of its own
// pixels anew in registers, by the roundings of the forward pass (panel_coop.glsl), and takes D = dE/dA through the layers there. What goes through shared memory is what
// dE/dw sums over pixels, D and G = A of the layer before, for two layers at a time:
//
//               a row of `slab`, a pixel                 layer l                    layer l - 1
//          +-------+-------+---------+---------+         D^T  *  G                  D^T  *  G
//          | D, l  | G, l  | D, l - 1| G, l - 1|         by the first half of the   by the second half of the
//          +-------+-------+---------+---------+         subgroups                  subgroups
//
// A subgroup has a row of tiles of a layer's dw, so that an operand D serves all of them, and one of SPLIT parts of the pixels; the parts are added up in the end.
// Included after panel.glsl. Before it the includer declares `part`, a buffer of f32 (part, layer, out, in), and defines LOAD_X(at) and LOAD_DK(at), words of x (pixel, W) and
// dE/dK (pixel, OUTPUTS); what they read should be volatile. For WIDTH = 32 and tiles of 16x16x16: 4 SPLIT subgroups, two rows of tiles of two layers or four tiles of one.

layout(constant_id = 17) const uint RUNS = 1; // batches of pixels a workgroup

const uint THREADS = SUBGROUPS * SUBGROUP, BATCH = SUBGROUPS * PIXELS;
const uint COLS = WIDTH / TILE_N, TILES = WIDTH / TILE_M * COLS, OWN = MS * COLS; // tiles: a row of them, a layer's, a subgroup's pixels'
const uint PAIRS = (LAYERS + 1) / 2, SINGLE = (LAYERS + 1) % 2; // of layers; where the first layer is alone, a subgroup has one tile of it
const uint HALF = SUBGROUPS / 2, SPLIT = HALF * COLS / TILES;   // parts of a batch
const uint OUT_WORDS = OUTPUTS / 8;
const uint HELD = LAYERS < 3 ? LAYERS : 3; // layers whose weights stay in registers for the way forward: as many as there are registers for

// Where a layer's D and G are in a row of the slab.
uint deltaAt(uint l) { return (LAYERS - l) % 2 * 2 * WORDS; }
uint givenAt(uint l) { return deltaAt(l) + WORDS; }

// w of the layers between the first, which is not needed for the way back, and the last, which stays in registers: blocks of TILE_N rows side by side, so that a word a row is enough to
// keep banks apart.
const uint MATRIX_ROWS = (LAYERS - 1) * WIDTH, MATRIX_PITCH = MATRIX_ROWS / TILE_N * WORDS + 1;
shared uvec4 matrices[MATRIX_ROWS == 0 ? 1 : TILE_N * MATRIX_PITCH];
uint blockAt(uint l, uint block) { return ((l - 1) * COLS + block) * WORDS; }
MatrixB held[HELD * COLS * KS]; // (layer, n, k)
MatrixB heldLast[OUTPUTS / TILE_K * COLS]; // (k, n)

Accumulator dw[PAIRS * COLS + SINGLE];

HalfAccumulator given[(LAYERS + 1) * OWN]; // x, A_0 ..: (layer, m, n)
HalfAccumulator delta[3 * OWN];            // D of the two layers at hand, and of the one before them

// What an invocation moves of its subgroup's pixels is read from memory a batch ahead.
uvec4 aheadX[(PIXELS * WORDS + SUBGROUP - 1) / SUBGROUP], aheadDK[(PIXELS * OUT_WORDS + SUBGROUP - 1) / SUBGROUP];

#define EACH_AHEAD(ahead, words, body) \
  UNROLL for (uint k = 0; k < ahead.length(); ++k) { \
    uint i = min(k * SUBGROUP + gl_SubgroupInvocationID, PIXELS * (words) - 1), word = i % (words); \
    uint p = firstPixel() + i / (words), at = slabBase() + i / (words) * PITCH + word; \
    body \
  }

void readAhead() {
  EACH_AHEAD(aheadX, WORDS, aheadX[k] = LOAD_X(min(p, geo.pixels - 1) * WORDS + word);)
  EACH_AHEAD(aheadDK, OUT_WORDS, aheadDK[k] = p < geo.pixels ? LOAD_DK(p * OUT_WORDS + word) : uvec4(0);)
}

#define EACH_TILE(m, n, columns, body) \
  UNROLL for (uint m = 0; m < MS; ++m) \
    UNROLL for (uint n = 0; n < (columns); ++n) { body }

// Tile (m, n) of the subgroup's pixels, of what is in the slab's rows from `column` on.
#define TILE_AT(column, m, n) (slabBase() + (m) * TILE_M * PITCH + (column) + (n) * TILE_N / 8)

void placeAhead() {
  EACH_AHEAD(aheadX, WORDS, slab[at + givenAt(LAYERS)] = aheadX[k];)
  EACH_AHEAD(aheadDK, OUT_WORDS, slab[at + deltaAt(LAYERS)] = aheadDK[k];)
  subgroupBarrier();
  EACH_TILE(m, n, COLS, matrixLoad(given[m * COLS + n], slab, TILE_AT(givenAt(LAYERS), m, n), PITCH, ROWS);)
  EACH_TILE(m, n, OUTPUTS / TILE_N, matrixLoad(delta[m * COLS + n], slab, TILE_AT(deltaAt(LAYERS), m, n), PITCH, ROWS);)
  subgroupBarrier();
}

void holdWeights() {
  UNROLL for (uint i = 0; i < held.length(); ++i) matrixLoad(held[i], weights, i / KS * TILE_N * WORDS + i % KS * TILE_K / 8, WORDS, COLUMNS);
  UNROLL for (uint i = 0; i < heldLast.length(); ++i) matrixLoad(heldLast[i], weights, (LAYERS * WIDTH + i / COLS * TILE_K) * WORDS + i % COLS * TILE_N / 8, WORDS, ROWS);
}

MatrixA operand(HalfAccumulator sums) { return MatrixA(sums); } // (as an argument of a macro)

#define FORWARD_WEIGHTS(b, l, n, k) \
  if ((l) < HELD) b = held[((l) * COLS + (n)) * KS + (k)]; \
  else matrixLoad(b, matrices, blockAt(l, n) + (k) * TILE_K / 8, MATRIX_PITCH, COLUMNS);

#define BACK_WEIGHTS(b, l, n, k) \
  if ((l) == LAYERS) b = heldLast[(k) * COLS + (n)]; \
  else matrixLoad(b, matrices, blockAt(l, k) + (n) * TILE_N / 8, MATRIX_PITCH, ROWS);

// `l`, here and below: a constant, so that matrices are in registers.
void makeAnew(uint l) {
  if (l >= LAYERS) return;
  UNROLL for (uint n = 0; n < COLS; ++n) {
    PRODUCT(sum, MS, operand(given[l * OWN + m * COLS + k]), KS, FORWARD_WEIGHTS(b, l, n, k))
    UNROLL for (uint m = 0; m < MS; ++m) {
      ACTIVATE_ROUNDED(rounded, sum[m])
      given[(l + 1) * OWN + m * COLS + n] = rounded;
    }
  }
}

// From delta[from] = D of layer l to delta[to] = D of layer l - 1 = (w_l^T D) * act'(G).
void passBack(uint l, uint from, uint to) {
  UNROLL for (uint n = 0; n < COLS; ++n) {
    PRODUCT(sum, MS, operand(delta[from * OWN + m * COLS + k]), (l == LAYERS ? OUTPUTS : WIDTH) / TILE_K, BACK_WEIGHTS(b, l, n, k))
    UNROLL for (uint m = 0; m < MS; ++m) {
      HalfAccumulator rounded;
      sumHalf(rounded, sum[m]);
      UNROLL for (uint i = 0; i < rounded.length(); ++i) rounded[i] *= given[l * OWN + m * COLS + n][i] > float16_t(0) ? float16_t(1) : float16_t(SLOPE);
      delta[to * OWN + m * COLS + n] = rounded;
    }
  }
}

void place(uint l, uint of) {
  if (l < LAYERS) EACH_TILE(m, n, COLS, matrixStore(delta[of * OWN + m * COLS + n], slab, TILE_AT(deltaAt(l), m, n), PITCH);) // (dE/dK is there)
  EACH_TILE(m, n, COLS, matrixStore(given[l * OWN + m * COLS + n], slab, TILE_AT(givenAt(l), m, n), PITCH);)
}

// `count` tiles of a layer's dw from (row, col) on, to dw from `to` on, over a part of the batch. `base`: column of the layer's D.
void addUp(uint to, uint base, uint row, uint col, uint count, uint split) {
  UNROLL for (uint j = 0; j < BATCH / SPLIT / TILE_K; ++j) {
    uint at = (split * (BATCH / SPLIT) + j * TILE_K) * PITCH + base;
    MatrixA d;
    matrixLoad(d, slab, at + row * TILE_M / 8, PITCH, COLUMNS);
    UNROLL for (uint c = 0; c < count; ++c) {
      MatrixB g;
      matrixLoad(g, slab, at + WORDS + (col + c) * TILE_N / 8, PITCH, ROWS);
      dw[to + c] = matrixMulAdd(d, g, dw[to + c]);
    }
  }
}

// What a subgroup has of a pair: which of the two layers, which row of tiles, which part of the pixels.
uint upper() { return gl_SubgroupID / HALF; }
uint pairRow() { return gl_SubgroupID % HALF / SPLIT; }
uint pairSplit() { return gl_SubgroupID % SPLIT; }
bool inPair(uint pair) { return pair > 0 || upper() > 0 || pairRow() * TILE_M < OUTPUTS; } // the last layer may have fewer rows
// And of a single layer.
uint singleTile() { return gl_SubgroupID / SPLIT; }
bool inSingle() { return singleTile() < TILES; }

// Layers l and l - 1, whose D are in delta: to dw, and from them D of the two layers before.
void twoBack(uint l) {
  place(l, 0);
  if (l > 0) place(l - 1, 1);
  barrier();
  if (l > 1) passBack(l - 1, 1, 2);
  if (l > 0) {
    uint pair = (LAYERS - l) / 2;
    if (inPair(pair)) addUp(pair * COLS, upper() * 2 * WORDS, pairRow(), 0, COLS, pairSplit());
  } else if (inSingle()) addUp(PAIRS * COLS, 0, singleTile() / COLS, singleTile() % COLS, 1, pairSplit());
  if (l > 1) {
    UNROLL for (uint i = 0; i < OWN; ++i) delta[i] = delta[2 * OWN + i];
    if (l > 2) passBack(l - 2, 0, 1);
  }
  barrier();
}

#define TWO_BACK(k) if (k <= LAYERS) twoBack(LAYERS - k);

// The parts' sums of a tile, which are those of subgroups one after the other, to the first of them. The slab has room for all tiles of `dw`: SUBGROUPS / SPLIT of each.
#define JOIN(i) { \
  uint at = ((i) * (SUBGROUPS / SPLIT) + gl_SubgroupID / SPLIT) * (TILE_M * TILE_N / 4); \
  UNROLL for (uint other = 1; other < SPLIT; ++other) { \
    if (pairSplit() == other) matrixStore(dw[i], slab, at, TILE_N / 4); \
    barrier(); \
    if (pairSplit() == 0) { \
      Accumulator more; \
      matrixLoad(more, slab, at, TILE_N / 4, ROWS); \
      dw[i] = dw[i] + more; \
    } \
    if (other + 1 < SPLIT) barrier(); \
  } \
}
#define STORE_TILE(i, l, row, col) matrixStore(dw[i], part, ((gl_WorkGroupID.x * (LAYERS + 1) + (l)) * WIDTH + (row) * TILE_M) * WIDTH + (col) * TILE_N, WIDTH);

void storeSums() {
  UNROLL for (uint i = 0; i < dw.length(); ++i) JOIN(i)
  if (pairSplit() > 0) return;
  UNROLL for (uint pair = 0; pair < PAIRS; ++pair)
    if (inPair(pair)) UNROLL for (uint c = 0; c < COLS; ++c) STORE_TILE(pair * COLS + c, LAYERS - 2 * pair - upper(), pairRow(), c)
  if (SINGLE > 0 && inSingle()) STORE_TILE(PAIRS * COLS, 0, singleTile() / COLS, singleTile() % COLS)
}

void panelGradient() {
  UNROLL for (uint i = 0; i < dw.length(); ++i) dw[i] = Accumulator(0.0);
  panelBlock = gl_WorkGroupID.x * RUNS;
  readAhead();
  holdWeights();
  for (uint i = gl_LocalInvocationIndex; i < MATRIX_ROWS * WORDS; i += THREADS)
    matrices[i / WORDS % TILE_N * MATRIX_PITCH + i / WORDS / TILE_N * WORDS + i % WORDS] = weights[WIDTH * WORDS + i];
  barrier();
  for (uint run = 0; run < RUNS; ++run) {
    if (panelBlock * BATCH >= geo.pixels) break;
    placeAhead();
    ++panelBlock;
    readAhead();
    makeAnew(0); makeAnew(1); makeAnew(2); makeAnew(3); makeAnew(4); makeAnew(5); makeAnew(6); makeAnew(7);
    passBack(LAYERS, 0, 1);
    TWO_BACK(0) TWO_BACK(2) TWO_BACK(4) TWO_BACK(6) TWO_BACK(8)
  }
  storeSums();
}
