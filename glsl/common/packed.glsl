// Matrices B in memory as their invocations hold them, a word of eight f16 each: of 16x16 and 32 invocations. Which elements an invocation has is the
// driver's choice, but always the same for one type of matrix. Loading one is a word an invocation, side by side, where matrixLoad gathers rows.
#ifndef VKPN_PACKED
#define VKPN_PACKED

uvec4 packMatrix(MatrixB b) {
  return uvec4(packFloat2x16(f16vec2(b[0], b[1])), packFloat2x16(f16vec2(b[2], b[3])), packFloat2x16(f16vec2(b[4], b[5])), packFloat2x16(f16vec2(b[6], b[7])));
}

MatrixB unpackMatrix(uvec4 words) {
  MatrixB b;
  UNROLL for (uint i = 0; i < 4; ++i) {
    f16vec2 pair = unpackFloat2x16(words[i]);
    b[2 * i] = pair.x;
    b[2 * i + 1] = pair.y;
  }
  return b;
}

// Where the invocation's word is of tile (k, n) of a layer's w^T, in what kpn/pack leaves.
#define PACKED_AT(layer, n, k) ((((layer) * (WIDTH / TILE_N) + (n)) * (WIDTH / TILE_K) + (k)) * SUBGROUP + gl_SubgroupInvocationID)

#endif
