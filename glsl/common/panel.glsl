// A panel: the W channels of the pixels that a subgroup (cooperative matrices), a workgroup (plain, tiled) or an invocation (plain) holds while it
// takes them through the layers. Kernels put a pixel's channels in, multiply by matrices, and get channels out:
//
//   uint panelSelect(turn)     put and get are now about this invocation's pixel of turn 0..TURNS-1; its index in the batch
//   panelPut4(i, v)            its channels 4i..4i+3
//   vec4 panelGet4(i)
//   panelMul(base, rows)       panel = w panel,   w[out][in] at `base` of the weights, `rows` of its rows
//   panelLayer(base)           panel = w panel, to be followed by PANEL_ACTIVATE: where the activation is applied, and the
//                              result rounded to what is stored, is the body's choice
//   panelLayerT(base, rows, gates)  panel = w^T panel, of the first `rows` rows of w, to be followed by PANEL_GATE in the same way
// and, as macros because GLSL passes no buffers, with store(at, word) a macro that may put a word of a tensor (pixel, channels)
// into a buffer (with `first` pixels before this tensor):
//   PANEL_KEEP(store, first, channels)      rounds the panel to what is stored, and stores its first channels
//   PANEL_ACTIVATE(active, store, first)    the same of the activation; active(v, at) says where the slope is 1
//   PANEL_GATE(gates, store, first)         the same of the panel times act'(gates of the pixels from `gates` on); the includer
//                                           says before where they are: PANEL_GATES, a buffer of WORD
//
// The pixels are those from PANEL_FIRST to before PANEL_END, which the includer may define: else all of the batch.
//
// All invocations of the workgroup take part in products and macros. The includer declares weights[], of WEIGHT, and buffers of
// WORD: what is loaded and stored at once, WORD_CHANNELS of a pixel.
#ifndef VKPN_PANEL
#define VKPN_PANEL

#define NO_STORE(at, word) // for a macro that stores, where nothing is to be

#ifndef PANEL_FIRST
#define PANEL_FIRST 0
#define PANEL_END geo.pixels
#endif

#ifdef TILED
#include "common/panel_tiled.glsl"
#elif defined(PATH_PLAIN)
#include "common/panel_plain.glsl"
#else
#include "common/panel_coop.glsl"
#endif

#endif
