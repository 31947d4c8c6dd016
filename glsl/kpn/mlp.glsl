// What mlp and mlpbck add to panel.glsl: a panel from a tensor (pixel, channels) in memory, with load(at) a macro that gives a word
// of it (with `first` pixels before this tensor). Pixels past the end are the last one again.
#ifndef VKPN_MLP
#define VKPN_MLP

#ifdef TILED
#define PANEL_LOAD(load, first, channels) \
  EACH_WORD(channels, slab[at] = unpackQuad(load(((first) + min(p, geo.pixels - 1)) * ((channels) / 4) + word));)
#elif defined(PATH_PLAIN)
#define PANEL_LOAD(load, first, channels) \
  [[unroll]] for (uint i = 0; i < (channels) / 4; ++i) panelPut4(i, unpackQuad(load(((first) + panelSelect(0)) * ((channels) / 4) + i)));
#else
#define PANEL_LOAD(load, first, channels) \
  EACH_WORD(channels, slab[at] = load(((first) + min(p, geo.pixels - 1)) * ((channels) / 8) + word);)
#endif

#endif
