"""HypeNet in float64 numpy, one sequence at a time, every matrix of attention weights kept: for comparison only."""
import json
import struct

import numpy as np


def load(directory):
    """config and weights (bf16 or f32) of a checkpoint in one file."""
    config = json.load(open(f"{directory}/config.json"))
    with open(f"{directory}/model.safetensors", "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        data = f.read()
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        raw = data[slice(*entry["data_offsets"])]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, {"F32": "<f4"}[entry["dtype"]])
        weights[name] = values.astype(float).reshape(entry["shape"])
    return config, weights


def rms(x, w, eps):
    return w * x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rope(x, theta):
    """x (T, H, K): rotate-half over all dimensions."""
    t, _, k = x.shape
    angle = np.arange(t)[:, None] * theta ** (-np.arange(0, k, 2) / k)[None, :]
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., : k // 2], x[..., k // 2:]
    return np.concatenate([a * c - b * s, b * c + a * s], -1)


def slopes(n_heads):
    """ALiBi's rule."""
    def power(n):
        return [2 ** (-8 * (h + 1) / n) for h in range(n)]
    p = 1 << (n_heads.bit_length() - 1)
    return np.array(power(p) + power(2 * p)[0::2][: n_heads - p])


class Model:
    def __init__(self, directory):
        self.config, self.weights = load(directory)
        self.kinds = ["linear" if "lightning" in m else "softmax" for m in self.config["mixer_types"]]
        self.slopes = slopes(self.config["lightning_nh"])

    def heads(self, layer, role, x, n, norm):
        c, w = self.config, self.weights
        prefix = f"model.layers.{layer}.self_attn."
        y = (x @ w[f"{prefix}{role}_proj.weight"].T).reshape(len(x), n, c["head_dim"])
        return rms(y, w[f"{prefix}{role}_norm.weight"], c["rms_norm_eps"]) if norm else y

    def mix(self, layer, x):
        """Output of the mixer and its weights (H, T, T); those of a linear layer are signed."""
        c, w = self.config, self.weights
        prefix, t = f"model.layers.{layer}.self_attn.", len(x)
        linear = self.kinds[layer] == "linear"
        n, k = c["num_attention_heads"], c["head_dim"]
        n_kv = n if linear else c["num_key_value_heads"]
        q, key = self.heads(layer, "q", x, n, True), self.heads(layer, "k", x, n_kv, True)
        v = self.heads(layer, "v", x, n_kv, False)
        if linear:
            q, key = rope(q, c["rope_theta"]), rope(key, c["rope_theta"])
        key, v = np.repeat(key, n // n_kv, 1), np.repeat(v, n // n_kv, 1)
        score = np.einsum("thk,shk->hts", q, key) / np.sqrt(k)
        d = np.arange(t)[:, None] - np.arange(t)[None, :]
        if linear:
            a = np.where(d >= 0, score * np.exp(-self.slopes[:, None, None] * np.maximum(d, 0)), 0)
        else:
            score = np.where(d >= 0, score, -np.inf)
            a = np.exp(score - score.max(-1, keepdims=True))
            a /= a.sum(-1, keepdims=True)
        o = np.einsum("hts,shk->thk", a, v).reshape(t, n * k)
        if linear:
            o = rms(o, w[prefix + "o_norm.weight"], c["rms_norm_eps"])
        gate = w[prefix + ("z_proj.weight" if linear else "o_gate.weight")]
        return (o * sigmoid(x @ gate.T)) @ w[prefix + "o_proj.weight"].T, a

    def run(self, ids):
        """Weights of every layer, logits, and the mean negative log-likelihood."""
        c, w = self.config, self.weights
        eps, x, weights = c["rms_norm_eps"], self.weights["model.embed_tokens.weight"][ids], []
        for layer in range(c["num_hidden_layers"]):
            p = f"model.layers.{layer}."
            out, a = self.mix(layer, rms(x, w[p + "input_layernorm.weight"], eps))
            weights.append(a)
            x = x + out
            y = rms(x, w[p + "post_attention_layernorm.weight"], eps)
            gate = y @ w[p + "mlp.gate_proj.weight"].T
            x = x + (gate * sigmoid(gate) * (y @ w[p + "mlp.up_proj.weight"].T)) @ w[p + "mlp.down_proj.weight"].T
        logits = rms(x, w["model.norm.weight"], eps) @ w["model.embed_tokens.weight"].T
        top = logits.max(-1)
        log_p = logits[:-1] - top[:-1, None] - np.log(np.exp(logits[:-1] - top[:-1, None]).sum(-1))[:, None]
        nll = -log_p[np.arange(len(ids) - 1), ids[1:]].mean() if len(ids) > 1 else np.nan
        return weights, logits, nll
