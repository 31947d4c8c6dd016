// Sum and maximum over a workgroup of 256 invocations in a fixed order: the same bits on every run. Four at a time, as it is the barriers that take time.
#ifndef VKPN_REDUCE
#define VKPN_REDUCE

shared vec3 reduceShared[256];

#define REDUCTION(name, OF) \
vec3 name(vec3 v) { \
  uint i = gl_LocalInvocationID.x; \
  reduceShared[i] = v; \
  barrier(); \
  for (uint n = 64; n > 0; n >>= 2) { \
    if (i < n) reduceShared[i] = OF(OF(reduceShared[i], reduceShared[i + n]), OF(reduceShared[i + 2 * n], reduceShared[i + 3 * n])); \
    barrier(); \
  } \
  vec3 result = reduceShared[0]; \
  barrier(); \
  return result; \
}

vec3 sumOf(vec3 a, vec3 b) { return a + b; }
REDUCTION(reduceSum, sumOf)
REDUCTION(reduceMax, max)

#endif
