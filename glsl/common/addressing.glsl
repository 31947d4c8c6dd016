// Mirrored repeat with the edge pixel repeated: -1 -> 0, -2 -> 1, n -> n-1 (SPEC 1.1).
#ifndef VKPN_ADDRESSING
#define VKPN_ADDRESSING

// For i within 4 of 0..n-1. Four reflections at most: only n < 4 needs more than one, and n = 1 the clamp.
int mirror(int i, int n) {
  i = i < 0 ? -1 - i : i;
  i = i >= n ? 2 * n - 1 - i : i;
  i = i < 0 ? -1 - i : i;
  i = i >= n ? 2 * n - 1 - i : i;
  return clamp(i, 0, n - 1);
}

#endif
