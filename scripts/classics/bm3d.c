// CBM3D, two stages, single file. Build: gcc -O3 -march=native -ffast-math -shared -fPIC bm3d.c -o libbm3d.so -lm
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define N 8
#define NN 64
#define MAXG 64
typedef struct {
  float T[64], Ti[64], Tt[64], Tit[64];
} Tr;
static void tr_init(Tr* t, const float* F, const float* I) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) {
      t->T[i * 8 + j] = F[i * 8 + j];
      t->Ti[i * 8 + j] = I[i * 8 + j];
      t->Tt[j * 8 + i] = F[i * 8 + j];
      t->Tit[j * 8 + i] = I[i * 8 + j];
    }
}
// out = A * B * Ct   (Ct already transposed, all 8x8)
static inline void tri(const float* restrict A, const float* restrict B, int ld, const float* restrict Ct, float* restrict o) {
  float t[64] __attribute__((aligned(64)));
  for (int i = 0; i < 8; i++) {
    float r[8] = {0};
    for (int k = 0; k < 8; k++) {
      float a = A[i * 8 + k];
      for (int j = 0; j < 8; j++) r[j] += a * B[k * ld + j];
    }
    for (int j = 0; j < 8; j++) t[i * 8 + j] = r[j];
  }
  for (int i = 0; i < 8; i++) {
    float r[8] = {0};
    for (int k = 0; k < 8; k++) {
      float a = t[i * 8 + k];
      for (int j = 0; j < 8; j++) r[j] += a * Ct[k * 8 + j];
    }
    for (int j = 0; j < 8; j++) o[i * 8 + j] = r[j];
  }
}
static void haar_f(float* g, int n) {
  float tmp[MAXG / 2 * NN];
  const float s = 0.70710678118654752f;
  for (; n > 1; n /= 2) {
    for (int i = 0; i < n / 2; i++) {
      float *a = g + 2 * i * NN, *b = a + NN;
      float *d = g + i * NN, *h = tmp + i * NN;
      for (int k = 0; k < NN; k++) {
        float x = a[k], y = b[k];
        h[k] = (x - y) * s;
        d[k] = (x + y) * s;
      }
    }
    memcpy(g + n / 2 * NN, tmp, sizeof(float) * n / 2 * NN);
  }
}
static void haar_i(float* g, int n) {
  float tmp[MAXG * NN];
  const float s = 0.70710678118654752f;
  for (int m = 2; m <= n; m *= 2) {
    for (int i = 0; i < m / 2; i++) {
      float *l = g + i * NN, *h = g + (m / 2 + i) * NN, *a = tmp + 2 * i * NN, *b = a + NN;
      for (int k = 0; k < NN; k++) {
        a[k] = (l[k] + h[k]) * s;
        b[k] = (l[k] - h[k]) * s;
      }
    }
    memcpy(g, tmp, sizeof(float) * m * NN);
  }
}
// one stage. noisy,basic(NULL for stage 1),out: C planes of H*W. match: plane used for block matching.
void bm3d_stage(const float* noisy, const float* basic, const float* match, float* out, int C, int H, int W, const float* sigma,
                const float* F, const float* I, const float* win, int step, int half, int nmax, float tau, float lambda) {
  Tr t;
  tr_init(&t, F, I);
  size_t P = (size_t)H * W;
  float *num = calloc(P * C, 4), *den = calloc(P * C, 4);
  float *g = aligned_alloc(64, sizeof(float) * MAXG * NN), *gb = aligned_alloc(64, sizeof(float) * MAXG * NN);
  float taus = tau * NN;
  for (int y0 = 0;; y0 += step) {
    int yl = 0;
    if (y0 >= H - N) {
      y0 = H - N;
      yl = 1;
    }
    for (int x0 = 0;; x0 += step) {
      int xl = 0;
      if (x0 >= W - N) {
        x0 = W - N;
        xl = 1;
      }
      // matching
      int n = 0;
      float ds[MAXG];
      int ps[MAXG];
      int ya = y0 - half < 0 ? 0 : y0 - half, yb = y0 + half > H - N ? H - N : y0 + half, xa = x0 - half < 0 ? 0 : x0 - half,
          xb = x0 + half > W - N ? W - N : x0 + half;
      float ref[64] __attribute__((aligned(64)));
      for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) ref[i * 8 + j] = match[(size_t)(y0 + i) * W + x0 + j];
      ds[0] = -1;
      ps[0] = y0 * W + x0;
      n = 1;
      for (int y = ya; y <= yb; y++)
        for (int x = xa; x <= xb; x++) {
          if (y == y0 && x == x0) continue;
          const float* m = match + (size_t)y * W + x;
          float acc[8] = {0};
          for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++) {
              float d = m[i * (size_t)W + j] - ref[i * 8 + j];
              acc[j] += d * d;
            }
          float d = ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]));
          if (d < taus && (n < nmax || d < ds[n - 1])) {
            int k = n < nmax ? n++ : n - 1;
            while (k > 0 && ds[k - 1] > d) {
              ds[k] = ds[k - 1];
              ps[k] = ps[k - 1];
              k--;
            }
            ds[k] = d;
            ps[k] = y * W + x;
          }
        }
      int gsz = 1;
      while (gsz * 2 <= n) gsz *= 2;
      for (int c = 0; c < C; c++) {
        const float* nz = noisy + c * P;
        float s = sigma[c], w;
        for (int k = 0; k < gsz; k++) tri(t.T, nz + ps[k], W, t.Tt, g + k * NN);
        haar_f(g, gsz);
        if (!basic) {
          float th = lambda * s;
          float cnt = 0;
          for (int k = 0; k < gsz * NN; k++) {
            float v = g[k];
            float keep = fabsf(v) > th ? 1.f : 0.f;
            g[k] = v * keep;
            cnt += keep;
          }
          w = 1.f / (s * s * (cnt < 1 ? 1 : cnt));
        } else {
          const float* bz = basic + c * P;
          for (int k = 0; k < gsz; k++) tri(t.T, bz + ps[k], W, t.Tt, gb + k * NN);
          haar_f(gb, gsz);
          float s2 = s * s * lambda, q = 0;
          for (int k = 0; k < gsz * NN; k++) {
            float b = gb[k] * gb[k];
            float ww = b / (b + s2);
            g[k] *= ww;
            q += ww * ww;
          }
          w = 1.f / (s * s * (q < 1e-6f ? 1e-6f : q));
        }
        haar_i(g, gsz);
        float *nu = num + c * P, *de = den + c * P;
        for (int k = 0; k < gsz; k++) {
          float b[64] __attribute__((aligned(64)));
          tri(t.Ti, g + k * NN, 8, t.Tit, b);
          float *a = nu + ps[k], *d = de + ps[k];
          for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++) {
              float kw = w * win[i * 8 + j];
              a[i * (size_t)W + j] += kw * b[i * 8 + j];
              d[i * (size_t)W + j] += kw;
            }
        }
      }
      if (xl) break;
    }
    if (yl) break;
  }
  for (size_t i = 0; i < P * C; i++) out[i] = num[i] / den[i];
  free(num);
  free(den);
  free(g);
  free(gb);
}
