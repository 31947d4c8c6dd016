// What kpn gives of the network's result O at the finest level: as far as noise can be the reason (limits), and as far as is asked for (strength).
#ifndef VKPN_FINEST
#define VKPN_FINEST

#include "common/taps.glsl"
#include "kpn/window.glsl"

// How much of a change is within so many standard deviations of its noise; 0: all of it.
float within(float limit, float variance, float change) {
  return limit > 0.0 ? min(1.0, limit / 65535.0 * sqrt(variance) / max(abs(change), 1e-30)) : 1.0;
}

vec3 finest(vec3 given, vec3 O) {
  vec3 change = O - given;
  vec3 variance = win.settings.x + 65535.0 * win.settings.y * max(max(given, O), 0.0);
  float share = within(win.limits.x, dot(LUMINANCE * LUMINANCE, variance), dot(LUMINANCE, change));
  [[unroll]] for (int c = 0; c < 3; ++c) share = min(share, within(win.limits.y, variance[c], change[c]));
  share *= win.settings.z;
  return share == 1.0 ? O : given + share * change;
}

#endif
