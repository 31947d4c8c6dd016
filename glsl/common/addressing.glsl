// Mirrored repeat with the edge pixel repeated: -1 -> 0, -2 -> 1, n -> n-1 (SPEC 1.1).
#ifndef VKPN_ADDRESSING
#define VKPN_ADDRESSING

// Whether n may be less than 4.
layout(constant_id = 30) const bool SMALL = true;

// At either end: the lesser of i and its reflection is inside, or the greater.
int reflect(int i, int n) {
  i = max(i, ~i);
  return min(i, 2 * n - 1 - i);
}

// For i within 4 of 0..n-1. Only n < 4 needs more than one reflection at an end, and n = 1 the clamp.
int mirror(int i, int n) {
  i = reflect(i, n);
  return SMALL ? clamp(reflect(i, n), 0, n - 1) : i;
}

#endif
