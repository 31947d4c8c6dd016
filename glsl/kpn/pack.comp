// pack: f16 weights as the matrices of the layers hold them (common/packed.glsl), a subgroup a tile.
//! variant khr -DPATH_KHR=1 vulkan1.3
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/path.glsl"
#include "common/options.glsl"
#include "common/packed.glsl"

layout(set = 0, binding = 0) readonly buffer Weights { WEIGHT weights[]; };   // (layer, out, in)
layout(set = 0, binding = 1) writeonly buffer Packed { uvec4 packedWords[]; }; // (layer, column of tiles, k, invocation)

const uint WORDS = WIDTH / 8, KS = WIDTH / TILE_K, NS = WIDTH / TILE_N;

void main() {
  uint tile = gl_WorkGroupID.x * SUBGROUPS + gl_SubgroupID, k = tile % KS, n = tile / KS % NS, layer = tile / (KS * NS);
  if (tile >= (LAYERS * NS + OUTPUTS / TILE_N) * KS) return;
  MatrixB b;
  matrixLoad(b, weights, (layer * WIDTH + n * TILE_N) * WORDS + k * TILE_K / 8, WORDS, COLUMNS);
  packedWords[PACKED_AT(layer, n, k)] = packMatrix(b);
}
