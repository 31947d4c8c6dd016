// What of a picture's pyramid is in memory: all of it, or the part that a tile of the result needs (ts/modules/kpn/window.ts).
// Pixels have their coordinates in the whole picture, so that a tile's results are the whole picture's, bit by bit. Binding 0
// of the kernels of inference.
#ifndef VKPN_WINDOW
#define VKPN_WINDOW

#include "common/addressing.glsl"

// settings: noise a, noise b, strength; limits: how many standard deviations of its noise a pixel changes by at most: its luminance, each channel (0: any);
// place, of a level: the first pixel in memory, x and y; the level's width and height; memory, of a level: width and height in memory; noise gain (float bits).
#define WINDOW_FIELDS vec4 settings; vec4 limits; ivec4 place[8]; ivec4 memory[8];
layout(std140, set = 0, binding = 0) uniform Window { WINDOW_FIELDS } win;

float noiseGain(uint level) { return intBitsToFloat(win.memory[level].z); }

// Of a pixel of a level in memory, counted from the first there.
uint indexInMemory(ivec2 size, ivec2 q) { return (gl_WorkGroupID.z * uint(size.y) + uint(q.y)) * uint(size.x) + uint(q.x); }

// Where a pixel of a level lies in memory. Past the picture's edge it is mirrored; past what is in memory, where only pixels look
// that no result needs, it is the nearest.
uint inMemory(uint level, ivec2 at) {
  ivec4 place = win.place[level];
  ivec2 size = win.memory[level].xy;
  ivec2 q = clamp(ivec2(mirror(at.x, place.z), mirror(at.y, place.w)) - place.xy, ivec2(0), size - 1);
  return indexInMemory(size, q);
}

// Whether all pixels of a rectangle are the picture's, in memory.
bool isInner(uint level, ivec2 corner, ivec2 size) {
  ivec4 place = win.place[level];
  return all(greaterThanEqual(corner, place.xy)) && all(lessThanEqual(corner + size, min(place.zw, place.xy + win.memory[level].xy)));
}

// inMemory, quicker where the pixel is known to be there.
uint fromMemory(uint level, ivec2 at, bool inner) {
  if (!inner) return inMemory(level, at);
  return indexInMemory(win.memory[level].xy, at - win.place[level].xy);
}

// Whether a pixel is one of the picture's, in memory.
bool isInMemory(uint level, ivec2 at) {
  ivec4 place = win.place[level];
  return all(lessThan(at, min(place.zw, place.xy + win.memory[level].xy)));
}

#endif
