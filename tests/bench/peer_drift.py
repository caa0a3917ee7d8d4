"""The drift metrics of `qkscope drift` as a careful numpy/scipy user would compute them: the peer of `make bench`.

usage: peer_drift.py PAIR_DIR        (PAIR_DIR/base and PAIR_DIR/tuned, bf16, HypeNet names)

Per head: Frobenius norms, cosine, largest singular value of the difference, principal angles by
scipy.linalg.subspace_angles, Procrustes by SVD, noise floor; per query head the routing form's drift (raw, effective, at
log-spaced distances, per frequency pair) through (K, K) products, never (D, D); per tensor the relative drift.
Prints one JSON object: seconds in all and by part, heads, and a few values to compare with qkscope's.
"""
import json
import struct
import sys
import time

import numpy as np
from scipy.linalg import subspace_angles


class Checkpoint:
    def __init__(self, directory):
        self.config = json.load(open(directory + "/config.json"))
        path = directory + "/model.safetensors"
        with open(path, "rb") as f:
            n = struct.unpack("<Q", f.read(8))[0]
            self.header = json.loads(f.read(n))
        self.data = np.memmap(path, np.uint8, "r", offset=8 + n)

    def get(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(self.data[begin:end], np.uint16)
        return (raw.astype(np.uint32) << 16).view(np.float32).astype(np.float64).reshape(entry["shape"])


clock = {}


def timed(part, function, *args):
    t = time.perf_counter()
    result = function(*args)
    clock[part] = clock.get(part, 0.0) + time.perf_counter() - t
    return result


def norms(w0, w1, d):
    n0, n1, nd = np.linalg.norm(w0), np.linalg.norm(w1), np.linalg.norm(d)
    return n0, nd, nd / n0, np.vdot(w0, w1) / (n0 * n1)


def noise_floor(w0, w1):
    ulp = lambda w: np.exp2(np.floor(np.log2(np.abs(w) + 1e-300)) - 7)
    return np.sqrt((np.sum(ulp(w0) ** 2) + np.sum(ulp(w1) ** 2)) / 12) / np.linalg.norm(w0)


def procrustes(w0, w1):
    u, _, vt = np.linalg.svd(w0 @ w1.T)
    return np.linalg.norm(u @ vt @ w1 - w0)


def inner(qa, qb, ka, kb):
    return np.sum((qa @ qb.T) * (ka @ kb.T))


def routing(q0, q1, k0, k1):
    m00 = inner(q0, q0, k0, k0)
    dq, dk = q1 - q0, k1 - k0
    delta = inner(dq, dq, k1, k1) + 2 * inner(dq, q0, k1, dk) + inner(q0, q0, dk, dk)
    return np.sqrt(max(delta, 0) / m00), inner(q0, q1, k0, k1) / np.sqrt(m00 * inner(q1, q1, k1, k1))


def normalised(w, weight, g):
    w = w * g
    return np.sqrt(w.shape[0]) * weight[:, None] * w / np.linalg.norm(w)


def rotation(angles):
    half = len(angles)
    c, s, r = np.cos(angles), np.sin(angles), np.zeros((2 * half, 2 * half))
    i = np.arange(half)
    r[i, i], r[i, i + half], r[i + half, i], r[i + half, i + half] = c, -s, s, c
    return r


def distance(q0, q1, k0, k1, inv_freq, taus):
    """Grams once a head, turned by R at every distance: (K, K) work per distance."""
    dq, dk = q1 - q0, k1 - k0
    aq, fq, eq = q0 @ q0.T, dq @ q0.T, dq @ dq.T
    ak, bk, gk, ek = k0 @ k0.T, k1 @ k1.T, k1 @ dk.T, dk @ dk.T
    result = []
    for tau in taus:
        r = rotation(tau * inv_freq)
        turn = lambda gram: r @ gram @ r.T
        delta = np.sum(eq * turn(bk)) + 2 * np.sum(fq * turn(gk)) + np.sum(aq * turn(ek))
        result.append(np.sqrt(max(delta, 0) / np.sum(aq * turn(ak))))
    return result


def band(q0, q1, k0, k1):
    half, result = q0.shape[0] // 2, []
    for p in range(half):
        rows = [p, p + half]
        result.append(routing(q0[rows], q1[rows], k0[rows], k1[rows])[0])
    return result


def layer(base, tuned, index):
    prefix = f"model.layers.{index}."
    config = base.config
    softmax = config["mixer_types"][index] == "attn"
    n_heads = config["num_attention_heads"]
    n_kv = config["num_key_value_heads"] if softmax else n_heads
    k = config["head_dim"]
    read = lambda name: (base.get(prefix + name), tuned.get(prefix + name))
    g = timed("read", read, "input_layernorm.weight")
    weights = {side: timed("read", read, f"self_attn.{side}_norm.weight") for side in "qk"}
    heads, values = {}, {}
    for side, n in (("q", n_heads), ("k", n_kv)):
        whole = timed("read", read, f"self_attn.{side}_proj.weight")
        for h in range(n):
            w0, w1 = whole[0][h * k : (h + 1) * k], whole[1][h * k : (h + 1) * k]
            d = w1 - w0
            heads[side, h] = (w0, w1)
            values[side, h] = timed("norms", norms, w0, w1, d)
            timed("spectral", np.linalg.norm, d, 2)
            timed("angles", subspace_angles, w0.T, w1.T)
            timed("procrustes", procrustes, w0, w1)
            timed("noise floor", noise_floor, w0, w1)
    taus = [0] + [2**e for e in range(int(np.log2(config["max_position_embeddings"])) + 1)]
    inv_freq = config["rope_theta"] ** (-np.arange(0, k, 2) / k)
    for h in range(n_heads):
        q0, q1 = heads["q", h]
        k0, k1 = heads["k", h * n_kv // n_heads]
        values["qk", h] = timed("routing", routing, q0, q1, k0, k1)
        effective = [normalised(w, weights[s][i], g[i]) for s, i, w in
                     (("q", 0, q0), ("q", 1, q1), ("k", 0, k0), ("k", 1, k1))]
        timed("effective", routing, *effective)
        if not softmax:
            timed("distance", distance, q0, q1, k0, k1, inv_freq, taus)
            timed("band", band, q0, q1, k0, k1)
    for name in base.header:
        if name.startswith(prefix) and "q_proj" not in name and "k_proj" not in name:
            w0, w1 = timed("read", lambda n: (base.get(n), tuned.get(n)), name)
            timed("modules", lambda a, b: np.linalg.norm(b - a) / np.linalg.norm(a), w0, w1)
    return len(heads), values


def main():
    base, tuned = Checkpoint(sys.argv[1] + "/base"), Checkpoint(sys.argv[1] + "/tuned")
    start = time.perf_counter()
    n, first = 0, None
    for index in range(base.config["num_hidden_layers"]):
        count, values = layer(base, tuned, index)
        n += count
        first = first or values
    print(json.dumps({"seconds": time.perf_counter() - start, "parts": clock, "heads": n,
                      "q0_rel_drift": first["q", 0][2], "qk0_rel_drift": first["qk", 0][0]}))


main()
