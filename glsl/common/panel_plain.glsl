// panel.glsl with plain arithmetic: one pixel an invocation, its channels in registers. The workgroup copies a part of the
// matrix into shared memory, from which all invocations read the same address at the same time; f32 sums in the order of the
// input channels.
//
// Unrolled, all of it: on llvmpipe before Mesa 24 a load of one address by all lanes is a scalar load only outside of loops,
// and five times as fast; GPUs' compilers don't mind. With -DROLLED rows (four at a time) are a loop: compiled many times
// faster, and on newer llvmpipe as fast. The sums are the same bits either way.
const uint QUADS = WIDTH / 4;
#ifdef ROLLED
#define EACH_ROWS [[dont_unroll]]
const uint SUMS = QUADS;
#else
#define EACH_ROWS [[unroll]]
const uint SUMS = 2; // quads of w^T panel at a time: an H100's compiler used up the registers for all of them
#endif

const uint STAGE_ROWS = WIDTH > 64 ? 4096 / WIDTH : WIDTH; // 16 KiB of rows at a time: all, but for W = 128
const uint TURNS = 1;

vec4 panel[QUADS];
shared vec4 stage[STAGE_ROWS * QUADS];

// No early return for invocations past the end: code under a condition is slower on drivers that run lanes under a mask.
// They work on the last pixel again.
uint panelSelect(uint turn) { return min(PANEL_FIRST + gl_GlobalInvocationID.x, PANEL_END - 1); }

void panelPut4(uint i, vec4 v) { panel[i] = v; }
vec4 panelGet4(uint i) { return panel[i]; }

void stageRows(uint base, uint rows) {
  barrier();
  [[unroll]] for (uint k = 0; k < rows * QUADS; k += gl_WorkGroupSize.x) {
    uint i = k + gl_LocalInvocationID.x;
    if (i < rows * QUADS) stage[i] = weights[base / 4 + i];
  }
  barrier();
}

void panelMul(uint base, uint rows) {
  vec4 result[QUADS];
  [[unroll]] for (uint turn = 0; turn < (rows + STAGE_ROWS - 1) / STAGE_ROWS; ++turn) {
    uint first = turn * STAGE_ROWS;
    stageRows(base + first * WIDTH, min(STAGE_ROWS, rows - first));
    EACH_ROWS for (uint o = 0; o < min(STAGE_ROWS, rows - first) / 4; ++o) {
      vec4 sum = vec4(0);
      [[unroll]] for (uint i = 0; i < QUADS; ++i) {
        uint at = o * WIDTH + i;
        sum.x += dot(stage[at], panel[i]);
        sum.y += dot(stage[at + QUADS], panel[i]);
        sum.z += dot(stage[at + 2 * QUADS], panel[i]);
        sum.w += dot(stage[at + 3 * QUADS], panel[i]);
      }
      result[first / 4 + o] = sum;
    }
  }
  [[unroll]] for (uint o = 0; o < rows / 4; ++o) panel[o] = result[o];
}

// A loop over pieces, be it of one turn, and a count of rows that is a minimum make an H100's compiler leave loops over rows, and panel in memory: the build for W <= 64 has neither.
#if defined(ROLLED) || defined(WIDE)
#define EACH_PIECE(rows) [[unroll]] for (uint first = 0; first < (rows); first += STAGE_ROWS)
#define PIECE(rows) min(STAGE_ROWS, (rows) - first)
#else
const uint first = 0;
#define EACH_PIECE(rows)
#define PIECE(rows) (rows)
#endif

void panelMulT(uint base, uint rows) {
  vec4 result[QUADS];
  EACH_PIECE(rows) {
    stageRows(base + first * WIDTH, PIECE(rows));
    [[unroll]] for (uint i = 0; i < QUADS; i += SUMS) {
      vec4 sum[SUMS];
      [[unroll]] for (uint j = 0; j < SUMS; ++j) sum[j] = first == 0 ? vec4(0) : result[i + j];
      EACH_ROWS for (uint o = 0; o < PIECE(rows) / 4; ++o) {
        vec4 d = panel[first / 4 + o];
        [[unroll]] for (uint c = 0; c < 4; ++c)
          [[unroll]] for (uint j = 0; j < SUMS; ++j) sum[j] += stage[(4 * o + c) * QUADS + i + j] * d[c];
      }
      [[unroll]] for (uint j = 0; j < SUMS; ++j) result[i + j] = sum[j];
    }
  }
  [[unroll]] for (uint i = 0; i < QUADS; ++i) panel[i] = result[i];
}

void panelLayer(uint base) { panelMul(base, WIDTH); }
void panelLayerT(uint base, uint rows, uint gates) { panelMulT(base, rows); }

#define PANEL_KEEP(store, first, channels) \
  [[unroll]] for (uint i = 0; i < (channels) / 4; ++i) { \
    panel[i] = stored(panel[i]); \
    store(((first) + panelSelect(0)) * ((channels) / 4) + i, packStored(panel[i])); \
  }

#define PANEL_ACTIVATE(active, store, first) \
  [[unroll]] for (uint i = 0; i < QUADS; ++i) { \
    uint at = ((first) + panelSelect(0)) * QUADS + i; \
    panel[i] = stored(mix(SLOPE * panel[i], panel[i], active(panel[i], at))); \
    store(at, packStored(panel[i])); \
  }

#define PANEL_GATE(gates, store, first) \
  [[unroll]] for (uint i = 0; i < QUADS; ++i) { \
    vec4 a = unpackQuad(PANEL_GATES[((gates) + panelSelect(0)) * QUADS + i]); \
    panel[i] = stored(mix(SLOPE * panel[i], panel[i], greaterThan(a, vec4(0)))); \
    store(((first) + panelSelect(0)) * QUADS + i, packStored(panel[i])); \
  }
