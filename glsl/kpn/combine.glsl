// What rise and fall share (SPEC 2): how much of a pixel's gradient the coarser level gets, and the transpose of up2 as an exchange
// between neighbours: an invocation is a coarse pixel, the four fine pixels under it give to the 3x3 coarse pixels around, one axis after
// the other. The includer says for how many: PLACES.
#ifndef VKPN_COMBINE
#define VKPN_COMBINE

shared float exchange[6][PLACES];

void give(uint slot, uint i, vec3 v) {
  [[unroll]] for (uint c = 0; c < 3; ++c) exchange[3 * slot + c][i] = v[c];
}
vec3 take(uint slot, uint i) { return vec3(exchange[3 * slot][i], exchange[3 * slot + 1][i], exchange[3 * slot + 2][i]); }

// A gradient of 0 stays 0: a pixel without a gradient may hold what isn't finite.
vec3 through(vec3 g, float alpha) { return COMBINE == BLEND ? mix((1.0 - alpha) * g, vec3(0), equal(g, vec3(0))) : g; }

// up2^T of `share`, what the pixels under this one give, at coarse pixel c of a level of this size. `place`: of this pixel, with its
// neighbours at +-1 and +-pitch; `next`, `previous`: whether they are there, along x and y. All invocations take part.
vec3 giveToCoarser(vec3 share[4], ivec2 c, ivec2 size, uint place, uint pitch, bvec2 next, bvec2 previous, bool inside) {
  vec3 even = upWeights(0), odd = upWeights(1);
  vec3 own[2], right[2];
  [[unroll]] for (uint row = 0; row < 2; ++row) {
    vec3 a = share[2 * row], b = share[2 * row + 1], left = even.x * a + odd.x * b;
    own[row] = even.y * a + odd.y * b;
    right[row] = even.z * a + odd.z * b;
    if (c.x == 0) own[row] += left; // mirroring gives what leaves the picture back to its edge
    if (c.x == size.x - 1) own[row] += right[row];
    if (inside) give(row, place, left);
  }
  barrier();
  if (inside && next.x) { own[0] += take(0, place + 1); own[1] += take(1, place + 1); }
  barrier();
  if (inside) { give(0, place, right[0]); give(1, place, right[1]); }
  barrier();
  if (inside && previous.x) { own[0] += take(0, place - 1); own[1] += take(1, place - 1); }
  barrier();
  vec3 above = even.x * own[0] + odd.x * own[1], below = even.z * own[0] + odd.z * own[1], g = even.y * own[0] + odd.y * own[1];
  if (c.y == 0) g += above;
  if (c.y == size.y - 1) g += below;
  if (inside) { give(0, place, above); give(1, place, below); }
  barrier();
  if (inside && next.y) g += take(0, place + pitch);
  if (inside && previous.y) g += take(1, place - pitch);
  barrier();
  return g;
}

#endif
