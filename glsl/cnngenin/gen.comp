// gen: the training data of a frame (SPEC 4, cnngenin): random tiles of a picture (or of one of many, drawn for each tile) and
// its reference, flipped, exposed, with noise added or mosaiced. One invocation a pixel; (tile, y, x).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/picture.glsl"
#include "common/random.glsl"
layout(local_size_x_id = 0) in;

layout(constant_id = 1) const uint MODE = 0;         // generate: 0 static, 1 pair, 2 noise, 3 mosaic, 4 noise and mosaic
layout(constant_id = 2) const bool INPUT_F32 = true;
layout(constant_id = 3) const bool REF_F32 = true;
layout(constant_id = 4) const uint NOISE = 0;        // vkdt (uniform a and b), log (uniform log sigma), fixed
layout(constant_id = 5) const bool RANDOM_TILE = true; // picture, place, flip and exposure
layout(constant_id = 6) const uint PICTURES = 1;     // in imgi and refi each, one behind the other
layout(constant_id = 7) const bool PROFILES = false; // each picture has a noise profile of its own
layout(constant_id = 8) const bool HILITE = false;   // expand highlights, of random tiles with synthetic noise
layout(constant_id = 9) const uint TILE_WIDTH = 64;  // (constants, so that pixels are found without divisions)
layout(constant_id = 10) const uint TILE_HEIGHT = 64;

layout(set = 0, binding = 0) readonly buffer Frame { uint frame; };
layout(set = 0, binding = 1) readonly buffer Imgi { uvec2 imgi[]; };
layout(set = 0, binding = 2) readonly buffer Refi { uvec2 refi[]; };
layout(set = 0, binding = 3) writeonly buffer Imgo { uvec2 imgo[]; };
layout(set = 0, binding = 4) writeonly buffer Refo { uvec2 refo[]; };
layout(set = 0, binding = 5) writeonly buffer Noise { vec2 noiseab[]; };
layout(set = 0, binding = 6) readonly buffer Profiles { uint profiles[]; }; // (picture): a, b as f32; read with PROFILES alone
layout(push_constant) uniform Push {
  uint width, height;          // of the pictures
  uint tiles;
  uint seed;
  float a, b;                  // the picture's own profile (0, 1, 3) or the fixed one
  float ev, evs;               // exposure: stops from the least on, and how many
  float hilite;                // highlights: stops by which they are expanded at most
} push;

// Numbers of the tile, the same for all its pixels: h = hash(frame, tile, purpose).
vec4 tileRandom(uint tile, uint purpose) { return uniform4(hash4(uvec4(frame, tile, purpose, push.seed))); }

// Noise drawn for the tile: a and b of var(x) = (a + 65535 x b) / 65535^2.
vec2 drawNoise(uint tile) {
  if (NOISE == 2) return vec2(push.a, push.b);
  vec2 u = tileRandom(tile, 1).xy;
  if (NOISE == 0) return u * vec2(1000.0 * 65535.0, 1000.0);
  // Read sigma sqrt(a)/65535 in 0.001 .. 0.1, shot sigma at 0.18, sqrt(0.18 b / 65535), in 0.004 .. 0.16.
  vec2 sigma = vec2(0.001, 0.004) * exp2(u * vec2(6.643856190, 5.321928095));
  return vec2(65535.0 * 65535.0, 65535.0 / 0.18) * sigma * sigma;
}

// Brightness, of white's, from which a pixel is a highlight; white is one wholly.
const float HIGHLIGHT = 0.5;

// By how much a pixel is expanded in a tile whose share of `hilite` is u: what a picture has clipped at white becomes 2^(u hilite). What
// is brighter than white was not clipped there: it is expanded less, and nothing beyond 2^hilite, so that it stays in the range of f16.
float expansion(vec3 rgb, float u) {
  vec3 size = abs(rgb);
  float bright = max(size.r, max(size.g, size.b));
  return exp2(u * max(push.hilite * smoothstep(HIGHLIGHT, 1.0, bright) - log2(max(bright, 1.0)), 0.0));
}

void main() {
  uint i = gl_GlobalInvocationID.x, area = TILE_WIDTH * TILE_HEIGHT;
  if (i >= area * push.tiles) return;
  uint tile = i / area, r = i - tile * area;
  uvec2 at = uvec2(r % TILE_WIDTH, r / TILE_WIDTH), from = at;
  float exposure = 1.0, share = 0.0;
  uint picture = 0;
  if (RANDOM_TILE) {
    vec4 u = tileRandom(tile, 0), f = tileRandom(tile, 2);
    if (f.x < 0.5) from.x = TILE_WIDTH - 1 - from.x;
    if (f.y < 0.5) from.y = TILE_HEIGHT - 1 - from.y;
    from += min(uvec2(u.xy * vec2(push.width - TILE_WIDTH + 1, push.height - TILE_HEIGHT + 1)),
                uvec2(push.width - TILE_WIDTH, push.height - TILE_HEIGHT));
    exposure = exp2(push.ev + push.evs * u.z);
    share = f.z;
    picture = min(uint(u.w * float(PICTURES)), PICTURES - 1);
  }
  uint p = (picture * push.height + from.y) * push.width + from.x;
  vec3 ref = READ_PICTURE(refi, REF_F32, p).rgb, img;
  ref *= HILITE && RANDOM_TILE ? exposure * expansion(ref, share) : exposure;
  vec2 ab;
  if (MODE == 2 || MODE == 4) {
    ab = drawNoise(tile);
    vec3 z = normal4(hash4(uvec4(frame, i, 3, push.seed))).xyz;
    // What is trained on is what is stored, so the noise is added to the stored reference.
    uvec2 half4 = packHalf4(vec4(ref, 1));
    ref = vec3(unpackHalf2x16(half4.x), unpackHalf2x16(half4.y).x);
    img = ref + z * sqrt(ab.x + 65535.0 * max(ref, vec3(0)) * ab.y) / 65535.0;
  } else {
    img = exposure * READ_PICTURE(imgi, INPUT_F32, p).rgb;
    ab = PROFILES ? vec2(uintBitsToFloat(profiles[2 * picture]), uintBitsToFloat(profiles[2 * picture + 1])) : vec2(push.a, push.b);
    ab *= vec2(exposure * exposure, exposure);
  }
  if (MODE == 3 || MODE == 4) { // Bayer, RGGB, red at (0, 0) of the tile; the site's value in all channels
    bool oddX = (at.x & 1) == 1, oddY = (at.y & 1) == 1;
    img = vec3(oddX == oddY ? (oddX ? img.b : img.r) : img.g);
  }
  imgo[i] = packHalf4(vec4(img, 1));
  refo[i] = packHalf4(vec4(ref, 1));
  if (r == 0) noiseab[tile] = ab;
}
