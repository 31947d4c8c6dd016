// panel.glsl with plain arithmetic, for GPUs: a workgroup holds PIXELS pixels in shared memory, f32, a pixel a row. Its invocations
// stand in a rectangle, and each makes 8 outputs of 8 pixels of a product:
//
//                    in                out                 out: quads `side` and side + SIDE of an invocation
//                  +-----+           +-----+
//     px: row,  px |panel|  *   in   | w^T |               sums of 8 x 8 in registers, in the order of the input channels:
//     + STRIDE ..  +-----+           +-----+               16 multiply-adds for each load of 16 bytes from shared memory
//
// A quad is four channels. Weights come through shared memory too, STAGE_QUADS quads of inputs at a time. Where a product has fewer outputs, an
// invocation makes one quad of them, of fewer pixels. For the way forward: back, by panel_plain.glsl, was faster on an H100.

layout(constant_id = 24) const uint STAGE_QUADS = 8; // a power of two, no more than QUADS

const uint QUADS = WIDTH / 4;
const uint PITCH = QUADS + 1;                       // of a pixel: pixels that are read together lie in different banks
const uint SIDE = WIDTH / 8;                        // invocations side by side
const uint STRIDE = gl_WorkGroupSize.x / SIDE;      // from one pixel of an invocation to the next
const uint PIXELS = 8 * STRIDE;
const uint TURNS = PIXELS > gl_WorkGroupSize.x ? PIXELS / gl_WorkGroupSize.x : 1; // pixels an invocation puts and gets, one after the other

shared vec4 slab[PIXELS * PITCH];
shared vec4 stage[WIDTH * STAGE_QUADS];

vec4 sum[16];   // of pixel i, quad j: at 2 i + j
uint panelLane; // pixel of the panel that put and get are about

uint firstPixel() { return PANEL_FIRST + gl_WorkGroupID.x * PIXELS; }

uint panelSelect(uint turn) {
  // Where there are fewer pixels than invocations the last pixel is worked on several times, to the same result.
  panelLane = min(turn * gl_WorkGroupSize.x + gl_LocalInvocationID.x, PIXELS - 1);
  return min(firstPixel() + panelLane, PANEL_END - 1);
}

void panelPut4(uint i, vec4 v) { slab[panelLane * PITCH + i] = v; }
vec4 panelGet4(uint i) { return slab[panelLane * PITCH + i]; }

// What an invocation makes of a product of `rows` outputs.
uint quadsEach(uint rows) { return rows / 4 > SIDE ? 2 : 1; }
uint shares(uint rows) { return rows / 4 < SIDE ? SIDE / (rows / 4) : 1; } // invocations among which 8 pixels are divided
uint pixelsEach(uint rows) { return 8 / shares(rows); }
uint firstQuad(uint rows) { return shares(rows) == 1 ? gl_LocalInvocationID.x % SIDE : gl_LocalInvocationID.x % SIDE % (rows / 4); }
uint firstRow(uint rows) { return gl_LocalInvocationID.x / SIDE + (shares(rows) == 1 ? 0 : gl_LocalInvocationID.x % SIDE / (rows / 4) * pixelsEach(rows) * STRIDE); }

void clearSums() {
  [[unroll]] for (uint i = 0; i < 16; ++i) sum[i] = vec4(0);
}

// Places the weights of inputs from quad `first` on. Rows of w that are read together lie in different banks.
void stageWeights(uint base, uint rows, uint first) {
  barrier();
  [[unroll]] for (uint k = 0; k < WIDTH * STAGE_QUADS; k += gl_WorkGroupSize.x) {
    uint i = k + gl_LocalInvocationID.x, r = i / STAGE_QUADS, q = i % STAGE_QUADS;
    if (r < rows) stage[r * STAGE_QUADS + (q ^ (r / 4 % STAGE_QUADS))] = weights[base / 4 + r * QUADS + first + q];
  }
  barrier();
}

// sum = w panel
void multiply(uint base, uint rows) {
  uint each = quadsEach(rows), count = pixelsEach(rows), quad = firstQuad(rows), row = firstRow(rows);
  clearSums();
  [[dont_unroll]] for (uint first = 0; first < QUADS; first += STAGE_QUADS) {
    stageWeights(base, rows, first);
    [[dont_unroll]] for (uint q = 0; q < STAGE_QUADS; ++q) {
      vec4 a[8];
      [[unroll]] for (uint i = 0; i < count; ++i) a[i] = slab[(row + i * STRIDE) * PITCH + first + q];
      [[unroll]] for (uint j = 0; j < each; ++j)
        [[unroll]] for (uint c = 0; c < 4; ++c) {
          uint o = quad + j * SIDE;
          vec4 w = stage[(4 * o + c) * STAGE_QUADS + (q ^ (o % STAGE_QUADS))];
          [[unroll]] for (uint i = 0; i < count; ++i) {
            sum[2 * i + j][c] += a[i].x * w.x;
            sum[2 * i + j][c] += a[i].y * w.y;
            sum[2 * i + j][c] += a[i].z * w.z;
            sum[2 * i + j][c] += a[i].w * w.w;
          }
        }
    }
  }
}

// The sums take the panel's place.
void place(uint rows) {
  uint each = quadsEach(rows), count = pixelsEach(rows), quad = firstQuad(rows), row = firstRow(rows);
  barrier();
  [[unroll]] for (uint i = 0; i < count; ++i)
    [[unroll]] for (uint j = 0; j < each; ++j) slab[(row + i * STRIDE) * PITCH + quad + j * SIDE] = sum[2 * i + j];
}

void panelMul(uint base, uint rows) {
  multiply(base, rows);
  place(rows);
}

void panelLayer(uint base) { multiply(base, WIDTH); }

// Neighbouring invocations move neighbouring words of the panel. What follows may read it, and write it after a barrier.
#define EACH_WORD(channels, body) \
  barrier(); \
  [[unroll]] for (uint k = 0; k < PIXELS * (channels) / 4; k += gl_WorkGroupSize.x) { \
    uint i = min(k + gl_LocalInvocationID.x, PIXELS * (channels) / 4 - 1), word = i % ((channels) / 4); \
    uint p = firstPixel() + i / ((channels) / 4), at = i / ((channels) / 4) * PITCH + word; \
    body \
  }

// The invocation of a pixel sees what others have stored of it.
#define PANEL_KEEP(store, first, channels) \
  EACH_WORD(channels, \
    slab[at] = stored(slab[at]); \
    if (p < PANEL_END) { store(((first) + p) * ((channels) / 4) + word, packStored(slab[at])); }) \
  groupMemoryBarrier(); \
  barrier();

// From registers, where neighbouring invocations have neighbouring words; what is rounded and stored takes the panel's place.
#define PANEL_ACTIVATE(active, store, first) { \
  uint quad = firstQuad(WIDTH), row = firstRow(WIDTH); \
  [[unroll]] for (uint i = 0; i < 8; ++i) \
    [[unroll]] for (uint j = 0; j < 2; ++j) { \
      uint p = firstPixel() + row + i * STRIDE, at = ((first) + min(p, PANEL_END - 1)) * QUADS + quad + j * SIDE; \
      vec4 v = sum[2 * i + j]; \
      sum[2 * i + j] = stored(mix(SLOPE * v, v, active(v, at))); \
      if (p < PANEL_END) { store(at, packStored(sum[2 * i + j])); } \
    } \
  place(WIDTH); \
}
