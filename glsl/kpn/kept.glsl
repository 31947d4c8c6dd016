// Which activations the forward pass leaves for the way back, and where: all of them, or, with -DSPARSE, x and every second one from the last
// A down, or, with -DANEW, x alone; the way back (common/panel_gradient.glsl, panel_anew.glsl) makes the others of these. Counted from x: 0, then A_0 as 1, to A_{H-1} as H.
#ifndef VKPN_KEPT
#define VKPN_KEPT

#ifdef SPARSE
bool isKept(uint i) { return i == 0 || (LAYERS - i) % 2 == 0; }
uint slotOf(uint i) { return (i + 1) / 2; } // of those that are kept
const uint SLOTS = (LAYERS + 1) / 2 + 1;
#ifdef RESIDENT
#define PANEL_ACTIVATE_KEPT(active, store, i) if (isKept(i)) { PANEL_ACTIVATE(active, store, slotOf(i) * geo.pixels) }
#else
#define PANEL_ACTIVATE_KEPT(active, store, i) \
  if (isKept(i)) { PANEL_ACTIVATE(active, store, slotOf(i) * geo.pixels) } else { PANEL_ACTIVATE(active, NO_STORE, 0) }
#endif
#elif defined(ANEW)
const uint SLOTS = 1;
#define PANEL_ACTIVATE_KEPT(active, store, i) PANEL_ACTIVATE(active, NO_STORE, 0)
#else
uint slotOf(uint i) { return i; }
const uint SLOTS = LAYERS + 1;
#define PANEL_ACTIVATE_KEPT(active, store, i) PANEL_ACTIVATE(active, store, (i) * geo.pixels)
#endif

#endif
