"""Every drift metric computed a second time, plainly: whole matrices in numpy, D x D forms, scipy for the geometry.

Knows just enough of a few families (llama, qwen3, hypenet, olmo2, gemma3_text) and of the safetensors format to find the heads by itself.
Independent of qkscope; slow and memory-hungry on purpose.
"""
import json
import os
import struct

import numpy as np
import scipy.linalg

DTYPES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
PRECISION = {"F64": (53, -1022), "F32": (24, -126), "F16": (11, -14), "BF16": (8, -126)}


def read_safetensors(path):
    """name -> (float64 array, dtype name)."""
    with open(path, "rb") as f:
        raw = f.read()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + n])
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        a, b = (8 + n + x for x in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw[a:b], "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw[a:b], DTYPES[entry["dtype"]])
        out[name] = (values.astype(np.float64).reshape(entry["shape"]), entry["dtype"])
    return out


def write_safetensors(path, tensors):
    """tensors: name -> (float64 array, dtype name); bf16 rounds to nearest even."""
    header, blob = {}, b""
    for name, (values, dtype) in tensors.items():
        if dtype == "BF16":
            bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
            data = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
        else:
            data = values.astype(DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


class Layer:
    """Heads and norms of one layer of one checkpoint."""

    def __init__(self, config, tensors, index):
        prefix = f"model.layers.{index}."
        self.tensors = {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}
        family = config["model_type"]
        self.kind = "full"
        self.heads, self.kv = config["num_attention_heads"], config.get("num_key_value_heads", config["num_attention_heads"])
        self.k = config.get("head_dim") or config["hidden_size"] // self.heads
        theta = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0)
        rope = True
        if family == "hypenet":
            if config["mixer_types"][index] == "attn":
                rope = config["attn_use_rope"]
            else:
                self.kind = "linear"
                self.heads, self.kv, self.k = config["lightning_nh"], config["lightning_nkv"], config["lightning_head_dim"]
                rope = config["lightning_use_rope"]
        plus = 0.0
        if family == "gemma3_text":
            plus = 1.0
            sliding = (index + 1) % config["sliding_window_pattern"] != 0
            self.kind = "sliding" if sliding else "full"
            theta = config["rope_local_base_freq"] if sliding else theta
        turned = int(self.k * config.get("partial_rotary_factor", 1.0))
        self.freq = theta ** (-np.arange(0, turned, 2) / turned) if rope else None
        g = self.tensors.get("input_layernorm.weight")
        self.g = np.ones(config["hidden_size"]) if g is None else g[0] + plus
        norms = "self_attn.q_norm.weight" in self.tensors
        self.w = [self.tensors[f"self_attn.{s}_norm.weight"][0] + plus if norms else None for s in "qk"]

    def side(self, s):
        """(heads, K, D) and the dtype."""
        values, dtype = self.tensors[f"self_attn.{s}_proj.weight"]
        return values.reshape(-1, self.k, values.shape[1]), dtype


def ulp2(values, dtype):
    precision, least = PRECISION[dtype]
    exponent = np.full(values.shape, least)
    nonzero = values != 0
    exponent[nonzero] = np.maximum(np.floor(np.log2(np.abs(values[nonzero]))), least).astype(int)
    return np.sum(np.exp2(2.0 * (exponent - (precision - 1))))


def norm(a):
    return float(np.sqrt(np.sum(np.asarray(a, np.longdouble) ** 2)))


def cosine(a, b):
    a, b = np.asarray(a, np.longdouble), np.asarray(b, np.longdouble)
    return float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)))


def projection(w0, w1, dtypes):
    """All metrics of one head of one side; None where undefined."""
    out = {"norm_base": norm(w0), "norm_delta": norm(w1 - w0)}
    delta = w1 - w0
    same = not np.any(delta)
    out["rel_drift"] = norm(delta) / norm(w0)
    out["cosine"] = cosine(w0, w1) if norm(w1) > 0 else None
    out["spectral_delta"] = 0.0 if same else float(scipy.linalg.svdvals(delta)[0])
    out["stable_rank_delta"] = None if same else norm(delta) ** 2 / out["spectral_delta"] ** 2
    full_rank = min(np.linalg.matrix_rank(w0), np.linalg.matrix_rank(w1)) == w0.shape[0]
    if full_rank:
        out["principal_angles"] = np.zeros(w0.shape[0]) if same else scipy.linalg.subspace_angles(w0.T, w1.T)
        out["grassmann"] = norm(out["principal_angles"])
    u, _, vt = scipy.linalg.svd(w0 @ w1.T)
    residual = norm((u @ vt) @ w1 - w0)
    out["procrustes"] = 0.0 if same else residual / norm(w0)
    out["alignable"] = None if same else 1 - residual**2 / norm(delta) ** 2
    out["noise_floor"] = np.sqrt((ulp2(w0, dtypes[0]) + ulp2(w1, dtypes[1])) / 12) / norm(w0)
    out["at_noise_floor"] = 2 if same else int(out["rel_drift"] < 3 * out["noise_floor"])
    return out


def form(q, k):
    return np.asarray(q, np.longdouble).T @ np.asarray(k, np.longdouble)


def relative(m0, m1):
    return norm(m1 - m0) / norm(m0)


def rotate(w, freq, tau):
    """R_tau W: dimension pairs (p, p + n)."""
    n = len(freq)
    c, s = np.cos(tau * freq)[:, None], np.sin(tau * freq)[:, None]
    return np.concatenate([c * w[:n] - s * w[n : 2 * n], s * w[:n] + c * w[n : 2 * n], w[2 * n :]])


def effective(layer, side, index, w):
    """The normalised form of a head: sqrt(K) diag(w) W diag(g) / ||W diag(g)||; over all heads where the norm is."""
    x = np.asarray(w, np.longdouble) * layer.g
    weights = layer.w["qk".index(side)]
    if weights is None:
        return x
    if len(weights) != layer.k:
        every = layer.side(side)[0] * layer.g
        weights = weights[index * layer.k : (index + 1) * layer.k]
        return np.sqrt(len(every) * layer.k) * weights[:, None] * x / norm(every)
    return np.sqrt(layer.k) * weights[:, None] * x / norm(x)


def layer_metrics(a, b, tau):
    """name -> list over heads (None where undefined)."""
    out = {}
    for side in "qk":
        (w0, d0), (w1, d1) = a.side(side), b.side(side)
        rows = [projection(w0[h], w1[h], (d0, d1)) for h in range(len(w0))]
        for name in rows[0]:
            out[f"{side}_{name}"] = [r.get(name) for r in rows]
        for r in rows:
            r.setdefault("principal_angles", None)
    (q0, _), (q1, _), (k0, _), (k1, _) = a.side("q"), b.side("q"), a.side("k"), b.side("k")
    lists = {n: [] for n in ("qk_rel_drift", "qk_cosine", "qk_eff_rel_drift", "qk_distance_drift", "qk_band_drift")}
    for h in range(a.heads):
        g = h // (a.heads // a.kv)
        m0, m1 = form(q0[h], k0[g]), form(q1[h], k1[g])
        lists["qk_rel_drift"].append(relative(m0, m1))
        lists["qk_cosine"].append(cosine(m0, m1) if norm(m1) > 0 else None)
        e0 = form(effective(a, "q", h, q0[h]), effective(a, "k", g, k0[g]))
        zero = b.w[0] is not None and (norm(q1[h]) == 0 or norm(k1[g]) == 0)
        e1 = None if zero else form(effective(b, "q", h, q1[h]), effective(b, "k", g, k1[g]))
        lists["qk_eff_rel_drift"].append(None if zero else relative(e0, e1))
        if a.freq is None:
            lists["qk_distance_drift"].append([relative(m0, m1)] * len(tau))
            lists["qk_band_drift"].append(None)
            continue
        lists["qk_distance_drift"].append(
            [relative(form(q0[h], rotate(k0[g], a.freq, t)), form(q1[h], rotate(k1[g], a.freq, t))) for t in tau]
        )
        n = len(a.freq)
        rows = [[p, p + n] for p in range(n)]
        lists["qk_band_drift"].append([relative(form(q0[h][r], k0[g][r]), form(q1[h][r], k1[g][r])) for r in rows])
    return {**out, **lists}


MODULES = {
    "q": ["self_attn.q_proj.weight"],
    "k": ["self_attn.k_proj.weight"],
    "v": ["self_attn.v_proj.weight"],
    "o": ["self_attn.o_proj.weight"],
    "gate": ["self_attn.o_gate.weight", "self_attn.z_proj.weight"],
    "mlp_gate": ["mlp.gate_proj.weight"],
    "mlp_up": ["mlp.up_proj.weight"],
    "mlp_down": ["mlp.down_proj.weight"],
    "norms": ["input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_norm.weight",
              "self_attn.k_norm.weight", "self_attn.o_norm.weight", "post_feedforward_layernorm.weight",
              "pre_feedforward_layernorm.weight"],
}


def module_metrics(a, b):
    out = {}
    for module, names in MODULES.items():
        pairs = [(a.tensors[n][0], b.tensors[n][0]) for n in names if n in a.tensors]
        if pairs:
            base = np.sqrt(sum(norm(x) ** 2 for x, _ in pairs))
            out[module] = np.sqrt(sum(norm(y - x) ** 2 for x, y in pairs)) / base
    return out


def load(path):
    with open(os.path.join(path, "config.json")) as f:
        config = json.load(f)
    tensors = read_safetensors(os.path.join(path, "model.safetensors"))
    return config, tensors, [Layer(config, tensors, i) for i in range(config["num_hidden_layers"])]
