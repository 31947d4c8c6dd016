// A panel: the W channels of the pixels that a subgroup (coop) or an invocation (plain) holds while it takes them
// through the layers. Kernels put a pixel's channels in, multiply by matrices, and get channels out:
//
//   panelPut4(i, v)        channels 4i..4i+3 of this invocation's pixel
//   panelGet4(i)
//   panelMul(base, rows)           panel = w panel,   w[out][in] at `base` of the weights, `rows` of its rows
//   panelMulT(base, rows)          panel = w^T panel, of the first `rows` rows of w
//
// The includer declares `WEIGHTS4(i)`: weights 4i..4i+3 as vec4.
// Plain body: one pixel an invocation, its channels in registers, the weights read at addresses that are the same in
// all invocations. f32 sums in the order of the input channels.
#ifndef VKPN_PANEL
#define VKPN_PANEL

const uint QUADS = WIDTH / 4;
vec4 panel[QUADS];

void panelPut4(uint i, vec4 v) { panel[i] = v; }
vec4 panelGet4(uint i) { return panel[i]; }

void panelMul(uint base, uint rows) {
  vec4 result[QUADS];
  [[unroll]] for (uint o = 0; o < rows / 4; ++o) {
    vec4 sum = vec4(0);
    [[unroll]] for (uint i = 0; i < QUADS; ++i) {
      uint at = base / 4 + o * WIDTH + i;
      sum.x += dot(WEIGHTS4(at), panel[i]);
      sum.y += dot(WEIGHTS4(at + QUADS), panel[i]);
      sum.z += dot(WEIGHTS4(at + 2 * QUADS), panel[i]);
      sum.w += dot(WEIGHTS4(at + 3 * QUADS), panel[i]);
    }
    result[o] = sum;
  }
  [[unroll]] for (uint o = 0; o < rows / 4; ++o) panel[o] = result[o];
}

void panelMulT(uint base, uint rows) {
  vec4 result[QUADS];
  [[unroll]] for (uint i = 0; i < QUADS; ++i) {
    vec4 sum = vec4(0);
    [[unroll]] for (uint o = 0; o < rows / 4; ++o) {
      uint at = base / 4 + o * WIDTH + i;
      sum += WEIGHTS4(at) * panel[o].x;
      sum += WEIGHTS4(at + QUADS) * panel[o].y;
      sum += WEIGHTS4(at + 2 * QUADS) * panel[o].z;
      sum += WEIGHTS4(at + 3 * QUADS) * panel[o].w;
    }
    result[i] = sum;
  }
  [[unroll]] for (uint i = 0; i < QUADS; ++i) panel[i] = result[i];
}

#endif
