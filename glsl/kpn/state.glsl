// The state of training, on the device: counters, the gradients' scale, and what `step` decides for `adam`.
// Layout as in ts/modules/kpn-t/state.ts.
#ifndef VKPN_STATE
#define VKPN_STATE

struct State {
  uint frame;        // of the next `step`
  uint updates;      // n, updates done
  uint skipped;      // updates not done: the gradient, a moment or a weight would not be finite, or the gradient is an outlier
  uint badPixels;    // results that were not finite, over all frames (saturating)
  float scale;       // of f16 gradients
  uint good;         // updates since the scale last changed
  float loss;        // of the last frame, mean a pixel
  float smoothed;     // exponential mean of the logarithm of the loss
  float norm;        // of the last unscaled gradient, before clipping
  float factor;      // of the gradient, by clipping
  float rate;        // of this update: learning rate / (1 - beta1^n)
  float correction2; // 1 / (1 - beta2^n)
  float debias1;     // 1 - beta1^n
  float debias2;     // 1 - beta2^n
  uint update;       // whether `adam` may write
  uint badNow;       // results that were not finite in the last frame
  // What `step` knows of weights and moments without looking at them (there).
  float ratio;       // |moment1| <= ratio (sqrt(moment2) + RATIO_FLOOR), everywhere
  float second;      // moment2 <= second, everywhere
  uint large;        // whether a weight may be larger than WEIGHT_LARGE
  uint overflows;    // of the updates skipped, those that would have left a weight or moment that is not finite
  // Parameter outlier: what gradients usually are.
  uint outliers;     // of the updates skipped, those whose gradient was far longer than usual
  uint norms;        // gradients that mean and variance are of, up to OUTLIER_AFTER
  float normMean;    // of log |g|
  float normVariance;
  uint arrived;      // workgroups of sum.steps that are done; 0 between dispatches
};

const float RATIO_FLOOR = 1.0 / 1073741824.0;
const float WEIGHT_LARGE = 32768.0;
const uint OUTLIER_AFTER = 100;        // gradients before any is an outlier; as many frames the mean goes back
const float OUTLIER_SPREAD = 1.0 / 16.0; // least standard deviation: equal gradients make none an outlier

struct Hyper {
  float alpha, beta1, beta2, eps;
  float l2, gradclip;
  float oneMinusBeta1, oneMinusBeta2; // computed in f64, so that 1 - beta^n is right for the first n
  uint frames;       // over which the learning rate decays
  uint decay;        // 0 const, 1 cosine, 2 exp
  uint warmup;       // frames of linear rise
  uint history;      // frames that the loss history has room for
  float outlier;     // standard deviations of log |g| above its mean from which an update is skipped; 0: none is
};

#endif
