// What rise_post and fall_post share (SPEC 2): how much of a pixel's gradient goes where, and the transpose of up2 as a sum with a fixed number of terms.
#ifndef VKPN_SPAN
#define VKPN_SPAN

// How much of a pixel's gradient goes through up2 to the coarser level. A gradient of 0 stays 0: a pixel without a gradient may hold what isn't finite.
vec3 throughUp(vec3 g, float alpha) { return COMBINE == BLEND ? mix((1.0 - alpha) * g, vec3(0), equal(g, vec3(0))) : g; }
// And to I.rgb.
vec3 throughI(vec3 g, float alpha) { return mix(alpha * g, vec3(0), equal(g, vec3(0))); }

// The fine pixels 2k - 2 .. 2k + 3 are all that have a part in up2^T at coarse pixel k. Most have fewer: `inSpan` says of which.
const int SPAN = 6;
bool inSpan(int i) {
  int end = PYRAMID == BOX ? (UP == BSPLINE ? 6 : 5) : (UP == BSPLINE ? 5 : 4);
  return i < end && (UP == BSPLINE || i > 0);
}

// Their weights along an axis, of `coarse` and `fine` pixels; 0 outside of the picture.
void spanWeights(int k, int coarse, int fine, out float w[SPAN]) {
  [[unroll]] for (int i = 0; i < SPAN; ++i) {
    int f = 2 * k + i - 2;
    w[i] = inSpan(i) && f >= 0 && f < fine ? upTransposed(f, k, coarse) : 0.0;
  }
}

// For each of these pixels, row by row, as dup does: STATEMENT, which finds its place (i, j) and its weight w.
#define FOR_SPAN(k, coarse, fine, STATEMENT) \
  { \
    float wx[SPAN], wy[SPAN]; \
    spanWeights(k.x, coarse.x, fine.x, wx); \
    spanWeights(k.y, coarse.y, fine.y, wy); \
    [[unroll]] for (int j = 0; j < SPAN; ++j) { \
      [[unroll]] for (int i = 0; i < SPAN; ++i) { \
        float w = wy[j] * wx[i]; \
        if (inSpan(i) && inSpan(j)) { STATEMENT } \
      } \
    } \
  }

#endif
