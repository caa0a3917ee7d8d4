"""Forward passes in float64 numpy, written from the families' published definitions: token loops, every matrix of weights
kept, nothing shared with the C code. What a family needs of its checkpoint it asks of a Weights object, by name and shape;
so the same functions read a checkpoint or make up a random one. check_variants.py uses them.
"""
import zlib

import numpy as np
from scipy.special import erf


class Weights:
    """Tensors by name: those given, else random ones that depend on seed and name only."""

    def __init__(self, tensors=None, seed=0, store=lambda x: x, plus_one=False):
        self.tensors, self.seed, self.store, self.plus_one = tensors or {}, seed, store, plus_one
        self.given = tensors is not None

    def __call__(self, name, *shape):
        if name not in self.tensors:
            if self.given:
                raise KeyError(name)
            self.tensors[name] = self.store(self.make(name, shape))
        x = self.tensors[name]
        if x.size != np.prod(shape):
            raise ValueError(f"{name}: {x.shape}, expected {shape}")
        return x.reshape(shape)

    def maybe(self, name, wanted, *shape):
        """A tensor that is there only when the config wants it."""
        return self(name, *shape) if (name in self.tensors if self.given else wanted) else None

    def make(self, name, shape):
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        r, leaf = rng.standard_normal(shape), name.rsplit(".", 1)[-1]
        if leaf == "A_log":
            return np.log(0.3 + 4 * rng.random(shape))
        if leaf == "dt_bias":
            return 0.7 * r - 1
        if leaf == "D":
            return 1 + 0.3 * r
        if leaf == "bias" or leaf.endswith("_bias"):
            return 0.3 * r
        if len(shape) == 1:
            return 0.3 * r + (0 if self.plus_one else 1)
        if "conv" in name and len(shape) == 3:
            return 0.5 * r
        if "embed" in name:
            return 0.7 * r
        return (2.5 if name.endswith("gate.weight") and shape[0] < 16 else 1.2) * r / np.sqrt(shape[-1])


# ---- element-wise ---------------------------------------------------------------------------------------------------

def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def softplus(x):
    return np.logaddexp(0, x)


ACT = {
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "gelu_pytorch_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
}
ACT["gelu_new"] = ACT["gelu_pytorch_tanh"]


def rms(x, w, eps, groups=1):
    y = x.reshape(*x.shape[:-1], groups, -1)
    y = y / np.sqrt((y * y).mean(-1, keepdims=True) + eps)
    return y.reshape(x.shape) * w


def layer_norm(x, w, b, eps):
    y = x - x.mean(-1, keepdims=True)
    return y / np.sqrt((y * y).mean(-1, keepdims=True) + eps) * w + b


def linear(W, x, name, n_out, bias=False):
    y = x @ W(name + ".weight", n_out, x.shape[-1]).T
    b = W.maybe(name + ".bias", bias, n_out)
    return y if b is None else y + b


def conv(W, x, name, width, act, bias=False):
    """Causal, one filter per channel, last tap = current token."""
    n = x.shape[1]
    w, b = W(name + ".weight", n, 1, width)[:, 0], W.maybe(name + ".bias", bias, n)
    past = np.concatenate([np.zeros((width - 1, n)), x])
    y = sum(past[j:j + len(x)] * w[:, j] for j in range(width)) + (0 if b is None else b)
    return ACT[act](y) if act else y


# ---- rotation -------------------------------------------------------------------------------------------------------

def frequencies(c, dim, length, rope=None):
    """Frequencies and the factor on cos and sin, of rope_parameters or the older keys."""
    r = rope or c.get("rope_parameters")
    if r is None:
        r = dict(c.get("rope_scaling") or {}, rope_theta=c.get("rope_theta", 10000.0))
    kind = r.get("rope_type", r.get("type", "default"))
    theta, most = r["rope_theta"], c["max_position_embeddings"]
    i = np.arange(0, dim, 2)
    f, original = theta ** (-i / dim), r.get("original_max_position_embeddings", most)
    if kind == "linear":
        return f / r["factor"], 1.0
    if kind == "dynamic":
        s = r["factor"] * max(length, most) / most - (r["factor"] - 1)
        return (theta * s ** (dim / (dim - 2))) ** (-i / dim), 1.0
    if kind == "llama3":
        wave, low, high = 2 * np.pi / f, r["low_freq_factor"], r["high_freq_factor"]
        smooth = (original / wave - low) / (high - low)
        mid = (1 - smooth) * f / r["factor"] + smooth * f
        return np.where(wave > original / low, f / r["factor"], np.where(wave < original / high, f, mid)), 1.0
    if kind == "longrope":
        original = c.get("original_max_position_embeddings", original)
        factor = r.get("factor") or most / original
        scale = 1.0 if factor <= 1 else np.sqrt(1 + np.log(factor) / np.log(original))
        return f / np.array(r["long_factor" if length > original else "short_factor"]), r.get("attention_factor") or scale
    if kind == "yarn":
        factor = r.get("factor") or most / original
        def at(turns):
            return dim * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(theta))
        lo, hi = at(r.get("beta_fast") or 32), at(r.get("beta_slow") or 1)
        if r.get("truncate", True):
            lo, hi = np.floor(lo), np.ceil(hi)
        lo, hi = max(lo, 0), min(hi, dim - 1)
        ramp = np.clip((np.arange(dim // 2) - lo) / ((hi - lo) or 0.001), 0, 1)
        def mscale(m):
            return 1.0 if factor <= 1 else 0.1 * m * np.log(factor) + 1
        a, b = r.get("mscale"), r.get("mscale_all_dim")
        return f * (1 - ramp) + f / factor * ramp, r.get("attention_factor") or (mscale(a) / mscale(b) if a and b else mscale(1))
    assert kind == "default", kind
    return f, 1.0


def rotate(x, freq, factor=1.0, first=0, interleaved=False):
    """x (T, H, K), in the dimensions from first on."""
    n, y = len(freq), x.copy()
    angle = np.arange(len(x))[:, None, None] * freq
    cos, sin = np.cos(angle) * factor, np.sin(angle) * factor
    a = slice(first, first + 2 * n, 2) if interleaved else slice(first, first + n)
    b = slice(first + 1, first + 2 * n, 2) if interleaved else slice(first + n, first + 2 * n)
    y[..., a] = x[..., a] * cos - x[..., b] * sin
    y[..., b] = x[..., b] * cos + x[..., a] * sin
    return y


# ---- mixing ---------------------------------------------------------------------------------------------------------

def attend(q, k, v, scale, window=0, cap=0, alibi=None):
    """q (T, H, K), k and v (T, G, ·): output (T, H · V) and the weights (H, T, T)."""
    t, h, _ = q.shape
    k, v = (np.repeat(x, h // x.shape[1], 1) for x in (k, v))
    s = np.einsum("thk,shk->hts", q, k) * scale
    s = np.tanh(s / cap) * cap if cap else s
    d = np.arange(t)[:, None] - np.arange(t)
    s = s if alibi is None else s - alibi[:, None, None] * d
    s = np.where((d >= 0) & ((d < window) | (window == 0)), s, -np.inf)
    a = np.exp(s - s.max(-1, keepdims=True))
    a /= a.sum(-1, keepdims=True)
    return np.einsum("hts,shv->thv", a, v).reshape(t, -1), a


def implied(q, k, g, beta, delta):
    """Weights (H, T, T) of S ← e^g S; S ← S + k uᵀ; o = Sᵀ q with u = v, or β (v − Sᵀ k): the recurrence run on one-hot
    values. q, k (T, H, K); g (T, H) or (T, H, K)."""
    t, h, dim = q.shape
    state, a = np.zeros((h, dim, t)), np.zeros((h, t, t))
    for i in range(t):
        state = state * np.exp(g[i].reshape(h, -1, 1))
        value = np.zeros((h, t))
        value[:, i] = 1
        if delta:
            value = beta[i][:, None] * (value - np.einsum("hk,hks->hs", k[i], state))
        state = state + k[i][:, :, None] * value[:, None, :]
        a[:, i] = np.einsum("hk,hks->hs", q[i], state)
    return a


def mix(a, v):
    return np.einsum("hts,shv->thv", a, v).reshape(len(v), -1)


def slopes(n):
    """ALiBi's."""
    def power(m):
        return [2 ** (-8 * (h + 1) / m) for h in range(m)]
    p = 1 << (n.bit_length() - 1)
    return np.array(power(p) + power(2 * p)[0::2][:n - p])


def unit(x, eps=1e-6):
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + eps)


def mamba2(W, x, p, d, act, eps, n_groups, norm="gated", norm_groups=1, biases=(False, True), limits=(0, np.inf),
           parts=(1, 1, 1, 1, 1)):
    """d: heads, head_dim, state, width. Output and weights over Δ-free values."""
    h, dim, state, width = d
    inner, gs = h * dim, n_groups * state
    y = linear(W, x, p + "in_proj", 2 * inner + 2 * gs + h, biases[0])
    z, xs, b, c, dt = (part * m for part, m in zip(np.split(y, np.cumsum([inner, inner, gs, gs]), 1), parts))
    mixed = conv(W, np.concatenate([xs, b, c], 1), p + "conv1d", width, act, biases[1])
    xs, b, c = np.split(mixed, np.cumsum([inner, gs]), 1)
    dt = np.clip(softplus(dt + W(p + "dt_bias", h)), *limits)
    b, c = (np.repeat(m.reshape(-1, n_groups, state), h // n_groups, 1) for m in (b, c))
    xs = xs.reshape(-1, h, dim)
    a = implied(c, b, -np.exp(W(p + "A_log", h)) * dt, None, False) * dt.T[:, None, :]
    o = mix(a, xs) + (xs * W(p + "D", h)[:, None]).reshape(len(x), -1)
    gate = ACT["silu"](z)
    if norm == "gated":
        o = rms(o * gate, W(p + "norm.weight", inner), eps, norm_groups)
    elif norm == "before":
        o = rms(o, W(p + "norm.weight", inner), eps, norm_groups) * gate
    else:
        o = o * gate
    return linear(W, o, p + "out_proj", x.shape[1], biases[0]), a


def mlp(W, x, p, inner, act, names=("gate_proj", "up_proj", "down_proj"), bias=False):
    up = linear(W, x, p + names[1], inner, bias)
    y = ACT[act](linear(W, x, p + names[0], inner, bias)) * up if names[0] else ACT[act](up)
    return linear(W, y, p + names[2], x.shape[1], bias)


def route(scores, bias, top_k, renormalise, scale=1.0, groups=1, kept=1, best=2):
    """Weights (T, E) of the experts, zero for those not chosen."""
    t, e = scores.shape
    choice = scores + (0 if bias is None else bias)
    if groups > 1:
        rank = np.sort(choice.reshape(t, groups, -1), -1)[..., -best:].sum(-1)
        out = np.argsort(-rank, -1)[:, kept:]
        choice = choice.reshape(t, groups, -1).copy()
        for i in range(t):
            choice[i, out[i]] = -np.inf
        choice = choice.reshape(t, e)
    w = np.zeros_like(scores)
    for i in range(t):
        chosen = np.argsort(-choice[i])[:top_k]
        w[i, chosen] = scores[i, chosen] / (scores[i, chosen].sum() if renormalise else 1)
    return w * scale


def softmax(x):
    y = np.exp(x - x.max(-1, keepdims=True))
    return y / y.sum(-1, keepdims=True)
