// One update of a pair of weights (SPEC 3), for `adam`, which writes it, and `step`, which says whether it may. `precise`: both
// must come to the same numbers.
#ifndef VKPN_UPDATE
#define VKPN_UPDATE

struct Update { vec2 moment1, moment2, weight; };

/** `g` of the gradient as `sum` left it, before clipping and L2. */
Update updated(Hyper hyper, float factor, float rate, float correction2, vec2 w, vec2 dEdw, vec2 moment1, vec2 moment2) {
  precise vec2 g = factor * dEdw + 2.0 * hyper.l2 * w;
  precise vec2 m1 = hyper.beta1 * moment1 + hyper.oneMinusBeta1 * g;
  precise vec2 m2 = hyper.beta2 * moment2 + hyper.oneMinusBeta2 * g * g;
  precise vec2 next = w - rate * m1 / (sqrt(m2 * correction2) + hyper.eps);
  return Update(m1, m2, next);
}

const float WEIGHT_MAX = 65504.0;  // of the layers' f16 copy
const float MOMENT_MAX = 3.0e38;

bool holds(Update u) {
  return finite(vec4(u.moment1, u.moment2)) && finite(vec3(u.weight, 0.0)) && all(lessThan(abs(u.weight), vec2(WEIGHT_MAX)))
    && all(lessThan(abs(vec4(u.moment1, u.moment2)), vec4(MOMENT_MAX)));
}

// Weights that the layers read: rows of the last matrix past the outputs are none, and stay as they are.
const uint USED_WEIGHTS = LAYERS * WIDTH * WIDTH + OUTPUTS * WIDTH;

#endif
