"""Compares every head that the head reader gives with numpy: the bundled pair, and made checkpoints with transposed,
gated, grouped, latent (bf16 and scaled float8) and adapted projections. usage: check_head_reader.py head_dump
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

DUMP = sys.argv[1]
ROOT = os.environ["QK_SOURCE_ROOT"]
rng = np.random.default_rng(7)
checked = 0


# ---- storage types ------------------------------------------------------------------------------------------------
def to_bf16(x):
    """Nearest even, as uint16."""
    u = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def e4m3(codes):
    s, e, m = codes >> 7, (codes >> 3) & 15, codes & 7
    x = np.where(e == 0, m / 8 * 2.0**-6, (1 + m / 8) * 2.0 ** (e.astype(np.float64) - 7))
    return np.where(s == 1, -x, x)


def decode(raw, dtype):
    if dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return e4m3(raw) if dtype == "F8_E4M3" else raw.astype(np.float64)


NUMPY = {"BF16": np.uint16, "F8_E4M3": np.uint8, "F32": np.float32, "F16": np.float16, "F64": np.float64}
PRECISION = {"BF16": (8, -126), "F8_E4M3": (4, -6), "F32": (24, -126), "F16": (11, -14), "F64": (53, -1022)}


def ulp2(x, dtype):
    p, lowest = PRECISION[dtype]
    e = np.where(x == 0, lowest, np.frexp(np.where(x == 0, 1, x))[1] - 1)
    return (2.0 ** (np.maximum(e, lowest) - (p - 1))) ** 2


def read_safetensors(path):
    out = {}
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(n))
        data = f.read()
    for k, v in header.items():
        if k != "__metadata__":
            a, b = v["data_offsets"]
            raw = np.frombuffer(data[a:b], NUMPY[v["dtype"]]).reshape(v["shape"])
            out[k] = (decode(raw, v["dtype"]), v["dtype"])
    return out


def write_checkpoint(path, config, tensors):
    """tensors: name → (raw array, dtype)"""
    header, at = {}, 0
    for k, (raw, dtype) in tensors.items():
        header[k] = {"dtype": dtype, "shape": list(raw.shape), "data_offsets": [at, at + raw.nbytes]}
        at += raw.nbytes
    text = json.dumps(header).encode()
    with open(os.path.join(path, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for raw, _ in tensors.values():
            f.write(raw.tobytes())
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f)


# ---- comparing ----------------------------------------------------------------------------------------------------
def heads_of(path, tile):
    out = subprocess.run([DUMP, path, str(tile)], check=True, stdout=subprocess.PIPE).stdout
    heads, at = {}, 0
    while at < len(out):
        end = out.index(b"\n", at)
        layer, role, head, rows, cols, u = out[at:end].decode().split()
        n = int(rows) * int(cols) * 8
        heads[int(layer), role, int(head)] = (np.frombuffer(out[end + 1:end + 1 + n]).reshape(int(rows), int(cols)), float(u))
        at = end + 1 + n
    return heads


def compare(what, path, expected, tiles=(1, 7, 256), composite=False):
    """expected: (layer, role, head) → (matrix, ulp2 sum)"""
    global checked
    for tile in tiles:
        heads = heads_of(path, tile)
        assert set(heads) == set(expected), (what, set(heads) ^ set(expected))
        for key, (w, u) in expected.items():
            got, got_u = heads[key]
            assert got.shape == w.shape, (what, key, got.shape, w.shape)
            if composite:
                # one product of depth r in another order: r·eps times the largest possible sum
                bound = 1e-14 * np.abs(w).max() + 64 * 2.0**-53 * np.abs(w).max()
                assert np.abs(got - w).max() <= bound, (what, key, tile, np.abs(got - w).max(), bound)
            else:
                assert np.array_equal(got, w), (what, key, tile)
            assert abs(got_u - u) <= 1e-12 * u, (what, key, tile, got_u, u)
            checked += 1


def plain(tensor, rows, dtype, scale=1.0):
    w = tensor[rows]
    return w * scale, ulp2(w, dtype).sum() * scale**2


def bundled():
    for side in ("base", "sft"):
        path = os.path.join(ROOT, "examples", "amnesia", side)
        t = read_safetensors(os.path.join(path, "model.safetensors"))
        expected = {}
        for layer in range(8):
            softmax = layer in (2, 5, 7)
            for role, n in (("q", 6), ("k", 3 if softmax else 6)):
                w, dtype = t[f"model.layers.{layer}.self_attn.{role}_proj.weight"]
                for h in range(n):
                    expected[layer, role, h] = plain(w, slice(32 * h, 32 * h + 32), dtype)
        compare("bundled " + side, path, expected, tiles=(50, 256))


def bf16(*shape):
    return to_bf16(rng.standard_normal(shape)), "BF16"


def transposed(path, dim=8, heads=3):
    D = dim * heads
    c_attn = bf16(D, 3 * D)
    t = {"h.0.attn.c_attn.weight": c_attn, "h.0.attn.c_attn.bias": bf16(3 * D), "h.0.ln_1.weight": bf16(D)}
    write_checkpoint(path, dict(model_type="gpt2", n_embd=D, n_layer=1, n_head=heads), t)
    w = decode(*c_attn).T
    compare("transposed", path, {(0, r, h): plain(w, slice(D * i + dim * h, D * i + dim * (h + 1)), "BF16")
                                 for i, r in enumerate("qk") for h in range(heads)})


def gated(path):
    """q_proj interleaves [query | gate] per head; the other layer is linear, grouped per key head; q rows in F16."""
    q = rng.standard_normal((64, 24)).astype(np.float16), "F16"
    k, qkvz = bf16(16, 24), bf16(2 * (2 * 4 + 2 * 2 * 4), 24)
    t = {"model.layers.0.linear_attn.in_proj_qkvz.weight": qkvz, "model.layers.0.linear_attn.in_proj_ba.weight": bf16(8, 24),
         "model.layers.0.input_layernorm.weight": bf16(24), "model.layers.1.self_attn.q_proj.weight": q,
         "model.layers.1.self_attn.k_proj.weight": k, "model.layers.1.input_layernorm.weight": bf16(24),
         "model.layers.1.self_attn.q_norm.weight": bf16(8), "model.layers.1.self_attn.k_norm.weight": bf16(8)}
    write_checkpoint(path, dict(model_type="qwen3_next", hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                head_dim=8, full_attention_interval=2, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=4,
                                linear_value_head_dim=4), t)
    e = {(1, "q", h): plain(decode(*q).reshape(4, 2, 8, 24)[h, 0], slice(None), "F16") for h in range(4)}
    e.update({(1, "k", g): plain(decode(*k).reshape(2, 8, 24)[g], slice(None), "BF16") for g in range(2)})
    groups = decode(*qkvz).reshape(2, 24, 24)
    e.update({(0, r, g): plain(groups[g], slice(4 * i, 4 * i + 4), "BF16") for i, r in enumerate("qk") for g in range(2)})
    compare("gated", path, e)


def latent(path, dtype):
    """Latent attention; float8 tensors carry one scale each."""
    H, nope, rot, v, q_rank, kv_rank, D = 3, 8, 4, 8, 20, 12, 40
    tensors, value, scale = {}, {}, {}

    def add(leaf, *shape):
        name = f"model.layers.0.self_attn.{leaf}.weight"
        if dtype == "BF16" or "norm" in leaf:
            tensors[name] = bf16(*shape)
            scale[leaf] = 1.0
        else:
            codes = rng.integers(0, 256, shape).astype(np.uint8)
            codes[(codes & 0x7F) == 0x7F] = 0x38  # no NaN
            tensors[name] = codes, dtype
            scale[leaf] = float(np.float32(rng.uniform(0.01, 0.1)))
            tensors[name + "_scale_inv"] = np.array([scale[leaf]], np.float32), "F32"
        value[leaf] = decode(*tensors[name])

    add("q_a_proj", q_rank, D)
    add("q_a_layernorm", q_rank)
    add("q_b_proj", H * (nope + rot), q_rank)
    add("kv_a_proj_with_mqa", kv_rank + rot, D)
    add("kv_a_layernorm", kv_rank)
    add("kv_b_proj", H * (nope + v), kv_rank)
    tensors["model.layers.0.input_layernorm.weight"] = bf16(D)
    write_checkpoint(path, dict(model_type="deepseek_v3", hidden_size=D, num_hidden_layers=1, num_attention_heads=H, num_key_value_heads=H,
                                qk_nope_head_dim=nope, qk_rope_head_dim=rot, v_head_dim=v, q_lora_rank=q_rank, kv_lora_rank=kv_rank), tensors)

    def composed(outer, norm, inner, s_outer, s_inner):
        w = (outer * s_outer * norm) @ (inner * s_inner)
        u = ulp2(outer, dtype).sum(0) * s_outer**2 * norm**2
        return w, (u * ((inner * s_inner) ** 2).sum(1)).sum()

    e = {}
    for h in range(H):
        q = value["q_b_proj"].reshape(H, nope + rot, q_rank)[h]
        e[0, "q", h] = composed(q, value["q_a_layernorm"], value["q_a_proj"], scale["q_b_proj"], scale["q_a_proj"])
        k, ku = composed(value["kv_b_proj"].reshape(H, nope + v, kv_rank)[h, :nope], value["kv_a_layernorm"],
                         value["kv_a_proj_with_mqa"][:kv_rank], scale["kv_b_proj"], scale["kv_a_proj_with_mqa"])
        r, ru = plain(value["kv_a_proj_with_mqa"], slice(kv_rank, None), dtype, scale["kv_a_proj_with_mqa"])
        e[0, "k", h] = np.vstack([k, r]), ku + ru
    compare("latent " + dtype, path, e, composite=True)


def scaled_float8(path):
    codes = {r: rng.integers(0, 0x7F, (n, 24)).astype(np.uint8) for r, n in (("q", 16), ("k", 8))}
    t = {"model.layers.0.input_layernorm.weight": bf16(24)}
    scale = {"q": 0.25, "k": 0.0625}  # powers of two: exact
    for r in "qk":
        t[f"model.layers.0.self_attn.{r}_proj.weight"] = codes[r], "F8_E4M3"
        t[f"model.layers.0.self_attn.{r}_proj.weight_scale"] = np.array(scale[r], np.float32), "F32"
    write_checkpoint(path, dict(model_type="llama", hidden_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                                head_dim=8), t)
    compare("scaled float8", path, {(0, r, h): plain(e4m3(codes[r]), slice(8 * h, 8 * h + 8), "F8_E4M3", scale[r])
                                    for r, n in (("q", 2), ("k", 1)) for h in range(n)})


def adapted(path):
    """zamba2: W + up · down, with the shared weights stored under the first layer that uses them."""
    D, H, K, rank = 12, 3, 8, 5
    P = "shared_transformer."
    t, e = {}, {}
    for layer in (0, 1):
        m = f"model.layers.{layer}.mamba_decoder.mamba."
        t[m + "in_proj.weight"], t[m + "out_proj.weight"] = bf16(2 * 24 + 2 * 4 + 2, D), bf16(D, 24)
    at = "model.layers.0." + P
    t[at + "input_layernorm.weight"] = bf16(2 * D)
    for s in "qk":
        t[at + f"self_attn.{s}_proj.weight"] = bf16(H * K, 2 * D)
        for use in (0, 1):
            t[at + f"self_attn.linear_{s}_adapter_list.{use}.0.weight"] = bf16(rank, 2 * D)
            t[at + f"self_attn.linear_{s}_adapter_list.{use}.1.weight"] = bf16(H * K, rank)
            w = decode(*t[at + f"self_attn.{s}_proj.weight"])
            up, down = (decode(*t[at + f"self_attn.linear_{s}_adapter_list.{use}.{i}.weight"]) for i in (1, 0))
            for h in range(H):
                r = slice(K * h, K * h + K)
                e[use, s, h] = w[r] + up[r] @ down, ulp2(w[r], "BF16").sum()
    write_checkpoint(path, dict(model_type="zamba2", hidden_size=D, num_hidden_layers=2, num_attention_heads=H, num_key_value_heads=H,
                                attention_head_dim=K, hybrid_layer_ids=[0, 1], num_mem_blocks=1, use_shared_attention_adapter=True,
                                adapter_rank=rank, mamba_d_state=4, mamba_ngroups=1, n_mamba_heads=2, mamba_expand=2), t)
    compare("adapted", path, e, composite=True)


def main():
    bundled()
    for case in (transposed, lambda p: transposed(p, 160, 2), gated, lambda p: latent(p, "BF16"), lambda p: latent(p, "F8_E4M3"), scaled_float8, adapted):
        with tempfile.TemporaryDirectory() as path:
            case(path)
    print(f"{checked} heads agree with numpy")
    assert checked > 400


main()
