// The MLP's input for one pixel (SPEC 1.3). The includer declares `vec3 image(uint p)` (where the taps come from), `vec2 imageLight(uint p)` (lightOf
// it) and `vec3 mip(uint p)` (where sigma comes from: M, also under prediff), `vec2 noise(uint tile)`; and, where the context may be guide, a macro
// GUIDE(q, offset): what guides pixel q, `offset` away from it. Under guide and window imageLight is not asked for.
#ifndef VKPN_CONTEXT
#define VKPN_CONTEXT

float sigmaOf(Pixel q) {
  vec2 ab = noise(q.tile);
  float lum = max(luminance(mip(indexOf(q, ivec2(0)))), 0.0);
  return noiseGain(q.level) * sqrt(ab.x + 65535.0 * lum * ab.y) / 65535.0;
}

float relative(float x, float inv) { return clamp(x * inv, -64.0, 64.0); }

void putStar(Pixel q, float sigma, bool norm) {
  vec2 t[TAPS];
  [[unroll]] for (uint k = 0; k < TAPS; ++k) t[k] = imageLight(indexOf(q, TAP[k]));
  vec2 last = vec2(sigma, 1.0);
  if (norm) {
    float s = max(sigma, 1e-5);
    float inv = 0.25 / s, centre = t[CENTRE].x;
    [[unroll]] for (uint k = 0; k < TAPS; ++k) t[k] = vec2(relative(t[k].x - centre, inv), relative(t[k].y, inv));
    last.x = log2(s) / 8.0;
  }
  [[unroll]] for (uint i = 0; i < 7; ++i) panelPut4(i, vec4(t[2 * i], t[2 * i + 1]));
  panelPut4(7, vec4(t[14], last));
  [[unroll]] for (uint i = 8; i < WIDTH / 4; ++i) panelPut4(i, vec4(0));
}

void putWindow(Pixel q) {
  [[unroll]] for (uint i = 0; i < WIDTH / 4; ++i) {
    vec4 v = vec4(0);
    if (i < 16) {
      int dx = int(i / 2) - 4, dy = int(i % 2) * 4 - 4;
      [[unroll]] for (int k = 0; k < 4; ++k) v[k] = luminance(abs(image(indexOf(q, ivec2(dx, dy + k)))));
    }
    panelPut4(i, v);
  }
}

void putWnorm(Pixel q, float sigma) {
  float s = max(sigma, 1e-5), inv = 0.25 / s;
  float centre = imageLight(indexOf(q, ivec2(0))).x;
  [[unroll]] for (uint i = 0; i < WIDTH / 4; ++i) {
    vec4 v = vec4(0);
    [[unroll]] for (uint k = 0; k < 4; ++k) {
      int c = int(4 * i + k);
      if (c < 49) v[k] = relative(imageLight(indexOf(q, ivec2(c % 7 - 3, c / 7 - 3))).x - centre, inv);
      else if (c < 54) {
        ivec2 d = c == 49 ? ivec2(0) : c == 50 ? ivec2(-1, 0) : c == 51 ? ivec2(1, 0) : c == 52 ? ivec2(0, -1) : ivec2(0, 1);
        v[k] = relative(imageLight(indexOf(q, d)).y, inv);
      } else if (c == 54) v[k] = log2(s) / 8.0;
      else if (c == 55) v[k] = 1.0;
    }
    panelPut4(i, v);
  }
}

#ifdef GUIDE
void putGuided(Pixel q, float sigma) {
  float s = max(sigma, 1e-5), inv = 0.25 / s;
  // The centre, and left, right, up and down of it, are taps.
  const uint around[5] = uint[5](7, 6, 8, 3, 11);
  vec3 own[TAPS], guide[TAPS];
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    own[t] = image(indexOf(q, TAP[t]));
    guide[t] = GUIDE(q, TAP[t]);
  }
  float v[52];
  float ownCentre = luminance(own[CENTRE]), guideCentre = luminance(guide[CENTRE]);
  [[unroll]] for (uint t = 0; t < TAPS; ++t) {
    v[t] = relative(luminance(own[t]) - ownCentre, inv);
    v[TAPS + t] = relative(luminance(guide[t]) - guideCentre, inv);
  }
  [[unroll]] for (uint k = 0; k < 5; ++k) {
    uint t = around[k];
    v[30 + k] = relative(saturation(own[t]), inv);
    v[35 + k] = relative(saturation(guide[t]), inv);
    vec3 whole = COMBINE == PREDIFF ? mip(indexOf(q, TAP[t])) : own[t];
    v[43 + k] = relative(luminance(whole) - luminance(guide[t]), inv);
    if (k == 0) [[unroll]] for (uint c = 0; c < 3; ++c) v[40 + c] = relative(whole[c] - guide[t][c], inv);
  }
  v[48] = log2(s) / 8.0;
  v[49] = 1.0;
  v[50] = 0.0;
  v[51] = 0.0;
  [[unroll]] for (uint i = 0; i < WIDTH / 4; ++i) panelPut4(i, i < 13 ? vec4(v[4 * min(i, 12)], v[4 * min(i, 12) + 1], v[4 * min(i, 12) + 2], v[4 * min(i, 12) + 3]) : vec4(0));
}
#endif

void putContext(Pixel q) {
#ifdef GUIDE
  if (CONTEXT == GUIDED) { putGuided(q, sigmaOf(q)); return; }
#endif
  if (CONTEXT == WINDOW) putWindow(q);
  else if (CONTEXT == WNORM) putWnorm(q, sigmaOf(q));
  else putStar(q, sigmaOf(q), CONTEXT == NORM);
}

#endif
