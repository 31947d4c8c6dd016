// The batch of pixels: all levels of all tiles, one after the other (level, tile, y, x), so that the layers of the MLP
// are one dispatch. Binding 0 of every kernel of the network.
#ifndef VKPN_GEOMETRY
#define VKPN_GEOMETRY

#include "common/addressing.glsl"

layout(std140, set = 0, binding = 0) uniform Geometry {
  uint levels;   // levels the MLP works on
  uint tiles;    // tiles a step
  uint pixels;   // in the batch
  uint unused;
  uvec4 level[8]; // first pixel, width, height, noise gain (float bits); one more than `levels` where the next mip is needed
  uvec4 divide[8]; // of each: how to divide by a tile's pixels (factor, shift) and by its width (factor, shift)
} geo;

// n / d for n < 2^31 and the factor and shift of d that ts/modules/kpn/geometry.ts works out: two instructions where a division takes twenty.
uint divided(uint n, uint factor, uint shift) {
  uint high, low;
  umulExtended(n + 1, factor, high, low);
  return high >> shift;
}

struct Pixel {
  uint level;
  uint tile;
  ivec2 at;    // in the tile's level
  ivec2 size;  // of the tile's level
  uint base;   // first pixel of the tile's level in the batch
};

uint levelBase(uint i, uint tile) { return geo.level[i].x + tile * geo.level[i].y * geo.level[i].z; }
ivec2 levelSize(uint i) { return ivec2(geo.level[i].yz); }
float noiseGain(uint i) { return uintBitsToFloat(geo.level[i].w); }

Pixel locate(uint p) {
  Pixel q;
  q.level = 0;
  for (uint i = 1; i < geo.levels; ++i) q.level += p >= geo.level[i].x ? 1 : 0;
  uvec4 info = geo.level[q.level], divide = geo.divide[q.level];
  uint r = p - info.x;
  uint area = info.y * info.z;
  q.tile = divided(r, divide.x, divide.y);
  r -= q.tile * area;
  uint y = divided(r, divide.z, divide.w);
  q.at = ivec2(r - y * info.y, y);
  q.size = ivec2(info.yz);
  q.base = info.x + q.tile * area;
  return q;
}

uint indexOf(Pixel q, ivec2 offset) {
  return q.base + uint(mirror(q.at.y + offset.y, q.size.y) * q.size.x + mirror(q.at.x + offset.x, q.size.x));
}

#endif
