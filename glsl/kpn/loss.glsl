// The loss of one channel of one pixel (SPEC 1.7), and its derivative (SPEC 2).
#ifndef VKPN_LOSS
#define VKPN_LOSS

// Of result r and reference t. x: loss, y: its derivative by r. `side`: the value whose side of 0 and of t decides what
// absolute values are, r itself but for differences (kpn/held.glsl).
vec2 lossOf(float r, float t, float side, float a, float b) {
  float d = r - t, s = sign(side - t);
  if (LOSS == SMAPE) {
    float m = sign(side) * r + abs(t) + 0.001;
    return vec2(s * d / m, s * (abs(t) + 0.001 + t * sign(side)) / (m * m));
  }
  if (LOSS == COSH) {
    // cosh d - 1 = 2 sinh^2(d/2): no cancellation where d is small.
    float h = sinh(0.5 * d);
    return vec2(2.0 * h * h, sinh(d));
  }
  float var = max((a + 65535.0 * max(t, 0.0) * b) / (65535.0 * 65535.0), 1e-10);
  if (LOSS == REL) return vec2(d * d / var, 2.0 * d / var);
  if (LOSS == ENC || LOSS == EVEN) {
    float e = abs(t) + 0.05, inv = inversesqrt(LOSS == ENC ? e : sqrt(e * var));
    return vec2(s * d * inv, s * inv);
  }
  return vec2(d * d, 2.0 * d);
}

#endif
