// Sum and maximum over a workgroup of 256 invocations in a fixed order: the same bits on every run.
#ifndef VKPN_REDUCE
#define VKPN_REDUCE

shared vec2 reduceShared[256];

vec2 reduceSum(vec2 v) {
  uint i = gl_LocalInvocationID.x;
  reduceShared[i] = v;
  barrier();
  for (uint n = 128; n > 0; n >>= 1) {
    if (i < n) reduceShared[i] += reduceShared[i + n];
    barrier();
  }
  vec2 total = reduceShared[0];
  barrier();
  return total;
}

vec2 reduceMax(vec2 v) {
  uint i = gl_LocalInvocationID.x;
  reduceShared[i] = v;
  barrier();
  for (uint n = 128; n > 0; n >>= 1) {
    if (i < n) reduceShared[i] = max(reduceShared[i], reduceShared[i + n]);
    barrier();
  }
  vec2 largest = reduceShared[0];
  barrier();
  return largest;
}

#endif
