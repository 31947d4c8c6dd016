// Down and up one level of the pyramid, and their exact transposes (SPEC 1.2, 1.6, 2). Weights along one axis.
#ifndef VKPN_PYRAMID
#define VKPN_PYRAMID

// up2: weights of the coarse pixels c-1, c, c+1 for the fine pixel 2c (even) or 2c+1 (odd). (No choice between vectors by a
// specialisation constant: in SPIR-V 1.4 and later Mesa 26 takes the second vector's y and z.)
vec3 upWeights(uint odd) {
  vec3 even;
  if (PYRAMID == BOX) {
    if (UP == BSPLINE) even = vec3(5, 10, 1) / 16.0;
    else even = vec3(1, 3, 0) / 4.0;
    return odd == 0 ? even : even.zyx;
  }
  if (odd == 1) return vec3(0, 1, 1) / 2.0;
  if (UP == BSPLINE) even = vec3(1, 6, 1) / 8.0;
  else even = vec3(0, 1, 0);
  return even;
}

// The weight of fine pixel f in the sum up2^T at coarse pixel k: the weights of all of f's coarse neighbours that
// mirroring takes to k.
float upTransposed(int f, int k, int coarse) {
  vec3 w = upWeights(uint(f & 1));
  int c = f >> 1;
  float sum = 0.0;
  sum += mirror(c - 1, coarse) == k ? w.x : 0.0;
  sum += c == k ? w.y : 0.0;
  sum += mirror(c + 1, coarse) == k ? w.z : 0.0;
  return sum;
}

// down: the fine pixels 2c-2 .. 2c+2 that coarse pixel c averages (binomial), or 2c, 2c+1 (box: the middle two).
const float DOWN_BINOMIAL[5] = float[5](0.0625, 0.25, 0.375, 0.25, 0.0625);
const float DOWN_BOX[5] = float[5](0.0, 0.0, 0.5, 0.5, 0.0);
float downWeight(int j) { return PYRAMID == BOX ? DOWN_BOX[j + 2] : DOWN_BINOMIAL[j + 2]; }

// The weight of coarse pixel c in the sum down^T at fine pixel f.
float downTransposed(int c, int f, int fine) {
  float sum = 0.0;
  for (int j = -2; j <= 2; ++j) sum += mirror(2 * c + j, fine) == f ? downWeight(j) : 0.0;
  return sum;
}

#endif
