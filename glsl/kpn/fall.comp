// fall: what `dup` does with a dispatch for each level (SPEC 2), from level 1 on, for a whole tile in one workgroup; behind `rise`. An invocation
// for each pixel of level 2. Grid: (tile).
// -DONLY_DK: and dE/dK of all levels, as `bck.dK` makes it, which mostly doesn't wait for that: further workgroups, for the pixels of levels 0 and 1. Grid: (tile, then those).
// `simple`, for blend and prediff: this file. -DPOST, for postdiff: fall_post.glsl.
//! variant simple
//! variant simple.dK -DONLY_DK=1 -DPATH_PLAIN=1 -DF16_TYPES=1
//! variant post -DPOST=1
//! variant post.dK -DPOST=1 -DONLY_DK=1 -DPATH_PLAIN=1 -DF16_TYPES=1
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef ONLY_DK
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common/path.glsl"
#include "common/taps.glsl"
#include "kpn/state.glsl"
#endif
#ifdef POST
#include "kpn/fall_post.glsl"
#else
#include "common/options.glsl"
#include "common/storage.glsl"
#include "kpn/geometry.glsl"
#include "kpn/pyramid.glsl"

layout(set = 0, binding = 1) restrict readonly buffer Filtered { vec4 filtered[]; };  // (pixel): I.rgb, I.a
layout(set = 0, binding = 2) restrict buffer Gradient { vec4 gradient[]; };           // (pixel): dE/dO

#ifdef ONLY_DK
layout(set = 0, binding = 3) restrict readonly buffer StateBuffer { State state; };
layout(set = 0, binding = 4) restrict readonly buffer Image { QUAD imageQuad[]; };     // (pixel): what the kernel was applied to
layout(set = 0, binding = 5) restrict readonly buffer Out { uvec4 outWords[]; };       // (pixel, OUTPUTS): K
layout(set = 0, binding = 6) restrict readonly buffer Diff { vec4 diff[]; };           // (pixel): dO/dI.a
layout(set = 0, binding = 7) restrict writeonly buffer DK { uvec4 dK[]; };             // (pixel, OUTPUTS): dE/dK, scaled
#define DEDI(part, p) vec3(0) // (under postdiff)
#include "kpn/kernel_gradient_words.glsl"
#endif

const uint PLACES = gl_WorkGroupSize.x;
#include "kpn/combine.glsl"

void main() {
  uint t = gl_LocalInvocationIndex, tile = gl_WorkGroupID.x;
#ifdef ONLY_DK
  if (gl_WorkGroupID.y > 0) {
    uint n = (gl_WorkGroupID.y - 1) * gl_WorkGroupSize.x + t, finest = geo.level[0].y * geo.level[0].z;
    storeKernelGradient(n < finest ? levelBase(0, tile) + n : n < finest + geo.level[1].y * geo.level[1].z ? levelBase(1, tile) + n - finest : NO_PIXEL);
    return;
  }
#endif
  ivec2 fine = levelSize(1);
  vec3 share[4]; // of the pixels under this one: what of their gradient goes to this level
  {
    ivec2 size = levelSize(2), c = ivec2(int(t) % size.x, int(t) / size.x);
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      ivec2 f = 2 * c + ivec2(q & 1, q >> 1);
      uint p = levelBase(1, tile) + uint(f.y * fine.x + f.x);
      bool there = t < uint(size.x * size.y) && all(lessThan(f, fine));
      share[q] = there ? through(gradient[p].rgb, filtered[p].a) : vec3(0);
    }
  }
  for (uint i = 2; i < geo.levels; ++i) {
    ivec2 size = levelSize(i), c = ivec2(int(t) % size.x, int(t) / size.x);
    bool inside = t < uint(size.x * size.y), last = i + 1 == geo.levels;
    uint p = levelBase(i, tile) + t;
    float alpha = inside && !last ? filtered[p].a : 0.0;
    vec3 g = giveToCoarser(share, c, size, t, uint(size.x), lessThan(c + 1, size), greaterThan(c, ivec2(0)), inside);
    if (inside) gradient[p] = vec4(g, 0.0);
#ifdef ONLY_DK
    storeKernelGradient(inside ? p : NO_PIXEL);
#endif
    if (last) return;
    if (inside) give(0, t, through(g, alpha));
    barrier();
    ivec2 wide = levelSize(i + 1), at = 2 * ivec2(int(t) % wide.x, int(t) / wide.x);
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      ivec2 f = at + ivec2(q & 1, q >> 1);
      share[q] = t < uint(wide.x * wide.y) && all(lessThan(f, size)) ? take(0, uint(f.y * size.x + f.x)) : vec3(0);
    }
    barrier();
  }
}
#endif
