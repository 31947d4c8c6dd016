// Random numbers by counter: a hash of (x, y, z, w), no state, the same on every device. (pcg4d: Jarzynski and Olano,
// "Hash Functions for GPU Rendering", JCGT 2020.)
#ifndef VKPN_RANDOM
#define VKPN_RANDOM

uvec4 hash4(uvec4 v) {
  v = v * 1664525u + 1013904223u;
  for (uint i = 0; i < 2; ++i) {
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    if (i == 0) v ^= v >> 16u;
  }
  return v;
}

// In (0, 1): never 0, never 1.
vec4 uniform4(uvec4 h) { return (vec4(h >> 9u) + 0.5) / 8388608.0; }

// Four standard normals from four uniforms (Box and Muller).
vec4 normal4(uvec4 h) {
  vec4 u = uniform4(h);
  vec2 r = sqrt(-2.0 * log(u.xz));
  vec2 a = 6.28318530718 * u.yw;
  return vec4(r.x * cos(a.x), r.x * sin(a.x), r.y * cos(a.y), r.y * sin(a.y));
}

#endif
