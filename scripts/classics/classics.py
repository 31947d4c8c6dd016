#!/usr/bin/python3
"""Classical denoisers to compare with, noise known: CBM3D (bm3d.c beside this) and tuned non-local means, in the
variance-stabilised domain. Linear rgb PFM in and out.   classics.py bm3d|nlm NOISY.pfm A:B OUT.pfm
Debian: gcc python3-numpy python3-scipy python3-pywt python3-skimage. Noise: var(x) = (A + 65535 max(x,0) B) / 65535^2."""
import ctypes, math, os, subprocess, sys, tempfile
import numpy as np, pywt
from scipy.fft import dct
here = os.path.dirname(os.path.abspath(__file__))
def load():
    so = os.path.join(tempfile.gettempdir(), 'libbm3d-%d.so' % os.getuid())
    src = os.path.join(here, 'bm3d.c')
    if not os.path.exists(so) or os.path.getmtime(so) < os.path.getmtime(src):
        part = '%s.%d' % (so, os.getpid())  # several may build at once
        subprocess.check_call(['gcc', '-O3', '-march=native', '-ffast-math', '-shared', '-fPIC', src, '-o', part, '-lm'])
        os.replace(part, so)
    return ctypes.CDLL(so)
fp = lambda a: a.ctypes.data_as(ctypes.c_void_p)
f4 = lambda a: np.ascontiguousarray(a, dtype=np.float32)
def bior():
    t = np.zeros((8, 8))
    for i in range(8):
        e = np.zeros(8); e[i] = 1
        t[:, i] = np.concatenate(pywt.wavedec(e, 'bior1.5', mode='periodization', level=3))
    return t / np.sqrt((t ** 2).sum(1, keepdims=True))
OPP = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], float); OPP /= np.sqrt((OPP ** 2).sum(1, keepdims=True))
def bm3d(x, unit, lam=2.7):
    """x (3, H, W), noise sigma 1; unit: 1/255 of full scale in x's units. Standard profile."""
    lib = load(); win = f4(np.outer(np.kaiser(8, 2.0), np.kaiser(8, 2.0)))
    B, Bi = f4(bior()), f4(np.linalg.inv(bior())); D = f4(dct(np.eye(8), norm='ortho', axis=0)); Di = f4(D.T)
    def stage(z, basic, match, T, Ti, nmax, tau, l):
        out = np.empty_like(z); s = f4([1, 1, 1]); m = f4(match)
        lib.bm3d_stage(fp(z), fp(basic) if basic is not None else None, fp(m), fp(out), 3, z.shape[1], z.shape[2], fp(s),
                       fp(T), fp(Ti), fp(win), 3, 19, nmax, ctypes.c_float(tau), ctypes.c_float(l))
        return out
    z = f4(np.einsum('ij,jhw->ihw', OPP, x)); k = unit ** 2 * 3
    b = stage(z, None, z[0], B, Bi, 16, 2500 * k, lam)
    return np.einsum('ji,jhw->ihw', OPP, stage(z, b, b[0], D, Di, 32, 400 * k, 1.0))
def nlm(x, hy=.5, hc=1.2):
    from skimage.restoration import denoise_nl_means
    z = np.einsum('ij,jhw->hwi', OPP, x)
    y, c = (denoise_nl_means(z, patch_size=5, patch_distance=9, h=h, sigma=1, fast_mode=True, channel_axis=2) for h in (hy, hc))
    return np.einsum('ji,hwj->ihw', OPP, np.concatenate([y[..., :1], c[..., 1:]], 2))
class Vst:
    """Generalised Anscombe transform for var = b + a max(x,0); inverse unbiased for the Gaussian noise itself, by quadrature."""
    def __init__(s, a, b):
        s.a, s.b = a, b; x = np.concatenate([np.linspace(0, .05, 2000, endpoint=False), np.linspace(.05, 8, 20000)])
        n, w = np.polynomial.hermite_e.hermegauss(101); w /= w.sum()
        s.x, s.y = x, (s.f(x[:, None] + np.sqrt(b + a * x)[:, None] * n) * w).sum(1)
    def f(s, x): return 2 / s.a * np.sqrt(np.maximum(s.a * x + .375 * s.a ** 2 + s.b, 0))
    def i(s, y): return np.interp(y, s.y, s.x)
def read(f):
    with open(f, 'rb') as i:
        assert i.readline().strip() == b'PF'; w, h = map(int, i.readline().split()); i.readline()
        return np.frombuffer(i.read(), '<f4')[:w * h * 3].reshape(h, w, 3).transpose(2, 0, 1).astype(float)
def write(f, a):
    a = a.transpose(1, 2, 0)
    with open(f, 'wb') as o: o.write(b'PF\n%d %d\n-1.0\n' % (a.shape[1], a.shape[0])); o.write(a.astype('<f4').tobytes())
if __name__ == '__main__':
    if len(sys.argv) != 5 or sys.argv[1] not in ('bm3d', 'nlm'): sys.exit(__doc__)
    A, B = map(float, sys.argv[3].split(':')); v = Vst(B / 65535, A / 65535 ** 2); z = v.f(read(sys.argv[2]))
    y = bm3d(z, float(v.f(np.float64(1)) - v.f(np.float64(0))) / 255) if sys.argv[1] == 'bm3d' else nlm(z)
    write(sys.argv[4], v.i(y))
