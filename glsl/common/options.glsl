// Specialisation constants shared by the network's kernels; ids as in ts/modules/kpn/options.ts.
#ifndef VKPN_OPTIONS
#define VKPN_OPTIONS

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WIDTH = 32;      // W
layout(constant_id = 2) const uint LAYERS = 3;      // H
layout(constant_id = 3) const uint CONTEXT = 0;     // star window norm wnorm guide
layout(constant_id = 4) const uint PYRAMID = 0;     // box binomial
layout(constant_id = 5) const uint UP = 0;          // bspline bilinear
layout(constant_id = 6) const uint COMBINE = 0;     // blend prediff postdiff
layout(constant_id = 7) const uint APPLY = 0;       // softmax plain
layout(constant_id = 8) const float SHARP = 0.1;
layout(constant_id = 9) const uint ABLEND = 0;      // plain sigmoid clamped const
layout(constant_id = 10) const uint ACT = 0;        // lrelu relu none
layout(constant_id = 11) const uint LOSS = 0;       // l2 smape cosh rel enc even
layout(constant_id = 12) const uint OUTPUTS = 16;   // rows of the last matrix: 16, with chroma 32
layout(constant_id = 13) const bool INPUT_F32 = false; // format of the module's input picture: f32, else f16
layout(constant_id = 14) const bool REF_F32 = false;   // of its reference
layout(constant_id = 33) const bool SLOPES = false;    // level 0's dE/dO has as its fourth channel dot(dE/dO, dO/dI.a), not the loss, which is added up by block

const uint STAR = 0, WINDOW = 1, NORM = 2, WNORM = 3, GUIDED = 4;
const uint BOX = 0, BINOMIAL = 1;
const uint BSPLINE = 0, BILINEAR = 1;
const uint BLEND = 0, PREDIFF = 1, POSTDIFF = 2;
const uint SOFTMAX = 0, APPLY_PLAIN = 1;
const uint ALPHA_PLAIN = 0, ALPHA_SIGMOID = 1, ALPHA_CLAMPED = 2, ALPHA_CONST = 3;
const uint LRELU = 0, RELU = 1, NO_ACT = 2;
const uint L2 = 0, SMAPE = 1, COSH = 2, REL = 3, ENC = 4, EVEN = 5;

const float SLOPE = ACT == LRELU ? 0.001 : ACT == RELU ? 0.0 : 1.0; // of the activation, where its argument is <= 0

#endif
