"""Writes expect.txt of every model below this directory, and config and manifest of those that are not fixtures.

Independent of the C code: which rows belong to a head is found by applying the reference implementations' reshapes to an
index array, rotary frequencies by a numpy transcription of the published formulas, everything else is stated by hand.
Run it (numpy needed) after changing a fact; the tests read only what it wrote.
"""
import json
import math
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


# ---- rows of heads: apply the reference view to the row numbers -----------------------------------------------------
def separate(heads, dim):
    return np.arange(heads * dim).reshape(heads, dim)[:, 0]


def fused_all(H, G, dim):
    """split [all q | all k | all v]"""
    q, k, _ = np.split(np.arange((H + 2 * G) * dim), [H * dim, (H + G) * dim])
    return q.reshape(H, dim)[:, 0], k.reshape(G, dim)[:, 0]


def fused_per_head(H, dim):
    """view(heads, 3, dim)"""
    x = np.arange(3 * H * dim).reshape(H, 3, dim)
    return x[:, 0, 0], x[:, 1, 0]


def fused_per_head_chunk(H, dim):
    """view(heads, 3 * dim) then split"""
    x = np.arange(3 * H * dim).reshape(H, 3 * dim)
    q, k, _ = np.split(x, 3, axis=1)
    return q[:, 0], k[:, 0]


def fused_grouped(H, G, dim):
    """view(groups, heads per group + 2, dim)"""
    x = np.arange((H + 2 * G) * dim).reshape(G, H // G + 2, dim)
    return x[:, :-2].reshape(H, dim)[:, 0], x[:, -2, 0]


def gated(H, dim):
    """view(heads, 2 * dim), chunk in two: query, gate"""
    return np.split(np.arange(2 * H * dim).reshape(H, 2 * dim), 2, axis=1)[0][:, 0]


def qkvz(nk, nv, dk, dv):
    """view(key heads, 2 dk + 2 dv nv / nk) split [dk, dk, r dv, r dv]"""
    r = nv // nk
    x = np.arange(nk * (2 * dk + 2 * r * dv)).reshape(nk, -1)
    q, k, _, _ = np.split(x, [dk, 2 * dk, 2 * dk + r * dv], axis=1)
    return q[:, 0], k[:, 0]


def mamba2(d_inner, G, N, heads):
    _, _, B, C, _ = np.split(np.arange(2 * d_inner + 2 * G * N + heads), np.cumsum([d_inner, d_inner, G * N, G * N]))
    return C.reshape(G, N)[:, 0], B.reshape(G, N)[:, 0]


# ---- rotary frequencies ---------------------------------------------------------------------------------------------
def rope(dim, theta, first=0, style="half", kind="default", max_pos=None, **p):
    i = np.arange(0, dim, 2, dtype=np.float64)
    inv = theta ** (-i / dim)
    af = 1.0
    if kind == "linear":
        inv = inv / p["factor"]
    elif kind == "llama3":
        old, lo, hi, f = p["old"], p["lo"], p["hi"], p["factor"]
        out = []
        for x in inv:
            wavelen = 2 * math.pi / x
            if wavelen < old / hi:
                out.append(x)
            elif wavelen > old / lo:
                out.append(x / f)
            else:
                s = (old / wavelen - lo) / (hi - lo)
                out.append((1 - s) * x / f + s * x)
        inv = np.array(out)
    elif kind == "yarn":
        old, f = p["old"], p["factor"]

        def dimension(turns):
            return dim * math.log(old / (turns * 2 * math.pi)) / (2 * math.log(theta))

        lo, hi = dimension(p.get("fast", 32)), dimension(p.get("slow", 1))
        if p.get("truncate", True):
            lo, hi = math.floor(lo), math.ceil(hi)
        lo, hi = max(lo, 0), min(hi, dim - 1)
        hi += 0.001 if lo == hi else 0
        ramp = np.clip((np.arange(dim // 2) - lo) / (hi - lo), 0, 1)
        inv = inv / f * ramp + inv * (1 - ramp)

        def m(s, k=1.0):
            return 1.0 if s <= 1 else 0.1 * k * math.log(s) + 1.0

        af = p.get("af") or (m(f, p["ms"]) / m(f, p["msall"]) if "ms" in p else m(f))
    elif kind == "longrope":
        inv = inv / np.array(p["long"] if max_pos > p["old"] else p["short"])
        f = max_pos / p["old"]
        af = math.sqrt(1 + math.log(f) / math.log(p["old"])) if f > 1 else 1.0
    return f"rope {first}+{dim} {style} theta {theta:.9g} {kind} inv {inv[0]:.9g} {inv[-1]:.9g} sum {inv.sum():.9g} factor {af:.9g}"


# ---- lines ----------------------------------------------------------------------------------------------------------
def rows(side, tensor, starts, count, extra=""):
    return f"{side} {tensor}+{count} " + " ".join(str(int(s)) for s in starts) + extra


def line(layers, kind, mixer, H, G, K, D, Q, Ks, V=None, Kv=None, w=0, pos="nope", norm="input_layernorm.weight",
         plus=0, qk="none", bias="none"):
    """One line of expect.txt. Q, Ks: lists of rows()."""
    head = f"{{{layers}}} {kind} {mixer} H{H} G{G} V{G if V is None else V} K{K} Kv{K if Kv is None else Kv} D{D} w{w}"
    parts = [head, pos, f"in {norm or '-'}" + (" +1" if plus and norm else ""), f"qk {qk}"] + Q + Ks + [f"bias {bias}"]
    return " | ".join(parts)


def softmax(layers, H, G, K, D, prefix="self_attn.", **o):
    return line(layers, "sliding" if o.get("w") else "full", "attention", H, G, K, D,
                [rows("Q", prefix + "q_proj.weight", separate(H, K), K)],
                [rows("K", prefix + "k_proj.weight", separate(G, K), K)], **o)


def fused(layers, tensor, starts, H, G, K, D, **o):
    return line(layers, "sliding" if o.get("w") else "full", "attention", H, G, K, D,
                [rows("Q", tensor, starts[0], K)], [rows("K", tensor, starts[1], K)], **o)


def linear(layers, mixer, H, G, K, D, q="self_attn.q_proj.weight", k="self_attn.k_proj.weight", starts=None, **o):
    qs, ks = starts or (separate(H, K), separate(G, K))
    return line(layers, "linear", mixer, H, G, K, D, [rows("Q", q, qs, K)], [rows("K", k, ks, K)], **o)


def ssm2(layers, d_inner, G, N, heads, D, module="mamba", **o):
    c, b = mamba2(d_inner, G, N, heads)
    t = module + ".in_proj.weight"
    return line(layers, "ssm", "mamba2", G, G, N, D, [rows("Q", t, c, N)], [rows("K", t, b, N)], V=heads,
                Kv=d_inner // heads, **o)


def none(layers, mixer):
    return f"{{{layers}}} none {mixer} H0 G0 V0 K0 Kv0 D0 w0 | nope | in - | qk none | bias none"


def mla(layers, H, nope, rot, v, kv_rank, D, q_rank=0, module="self_attn.", **o):
    dim = nope + rot
    if q_rank:
        q = [rows("Q", module + "q_b_proj.weight", separate(H, dim), dim,
                  f" through {module}q_a_proj.weight 0+{q_rank} norm {module}q_a_layernorm.weight")]
    else:
        q = [rows("Q", module + "q_proj.weight", separate(H, dim), dim)]
    kv_b = np.arange(H * (nope + v)).reshape(H, nope + v)[:, 0]
    k = [rows("K", module + "kv_b_proj.weight", kv_b, nope,
              f" through {module}kv_a_proj_with_mqa.weight 0+{kv_rank} norm {module}kv_a_layernorm.weight"),
         rows("K", module + "kv_a_proj_with_mqa.weight", [kv_rank] * H, rot)]
    return line(layers, "full", "mla", H, H, dim, D, q, k, Kv=v, **o)


HEAD = "head self_attn.q_norm.weight self_attn.k_norm.weight"
ALL = "all self_attn.q_norm.weight self_attn.k_norm.weight"
QKV_BIAS = "self_attn.q_proj.bias self_attn.k_proj.bias"


def top(family, prefix="model.layers.", tied=0, notice=0):
    return f"family {family} prefix {prefix} tied {tied} notice {notice}"


EXPECT = {}   # model → lines
EXTRA = {}    # model → (config, manifest lines) of models that are no fixtures


def fixture(name, *lines):
    EXPECT[name] = lines


# ---- the fixtures -----------------------------------------------------------------------------------------------------
r16 = rope(16, 10000)
fixture("llama", top("llama"), softmax("0-3", 4, 2, 16, 64, pos=r16))
fixture("llama_bf16", top("llama", tied=1), softmax("0-4", 8, 1, 12, 64, pos=rope(12, 50000)))
fixture("llama3_sharded", top("llama"),
        softmax("0-3", 6, 3, 16, 72, pos=rope(16, 500000, kind="llama3", factor=8, lo=1, hi=4, old=64)))
fixture("mistral", top("mistral"), softmax("0-3", 4, 2, 16, 64, pos=r16, w=32))
fixture("qwen2", top("qwen2", tied=1), softmax("0-3", 4, 2, 16, 64, pos=rope(16, 1e6), bias=QKV_BIAS))
fixture("qwen3", top("qwen3", tied=1), softmax("0-3", 4, 2, 32, 64, pos=rope(32, 1e6), qk=HEAD))
fixture("qwen3_bf16", top("qwen3"), softmax("0-3", 6, 2, 16, 96, pos=r16, qk=HEAD))
fixture("olmo2", top("olmo2"), softmax("0-3", 4, 4, 16, 64, pos=rope(16, 500000), norm="", qk=ALL))
fixture("phi3", top("phi3"), fused("0-3", "self_attn.qkv_proj.weight", fused_all(4, 2, 16), 4, 2, 16, 64, pos=r16))
fixture("gpt_neox", top("gpt_neox", "gpt_neox.layers."),
        fused("0-3", "attention.query_key_value.weight", fused_per_head_chunk(4, 16), 4, 4, 16, 64, pos=rope(4, 10000),
              bias="attention.query_key_value.bias attention.query_key_value.bias"))
fixture("gpt2", top("gpt2", "transformer.h.", tied=1),
        fused("0-3", "attn.c_attn.weight^T", fused_all(4, 4, 16), 4, 4, 16, 64, pos="learned", norm="ln_1.weight",
              bias="attn.c_attn.bias attn.c_attn.bias"))
fixture("gemma2", top("gemma2", tied=1), softmax("0,2", 4, 2, 24, 64, pos=rope(24, 10000), w=24, plus=1),
        softmax("1,3", 4, 2, 24, 64, pos=rope(24, 10000), plus=1))
fixture("gemma3_text", top("gemma3", tied=1), softmax("0,1,3,4", 4, 1, 24, 64, pos=rope(24, 10000), w=20, plus=1, qk=HEAD + " +1"),
        softmax("2", 4, 1, 24, 64, pos=rope(24, 1e6), plus=1, qk=HEAD + " +1"))
for n, lin, full, H, G, K, D in (("hypenet_bf16", "1,2", "0,3", 5, 1, 24, 80), ("hypenet_hype", "0,1,3", "2", 4, 2, 16, 64)):
    fixture(n, top("hypenet", tied=1), softmax(full, H, G, K, D, qk=HEAD),
            linear(lin, "lightning", H, H, K, D, pos=rope(K, 1e6), qk=HEAD))
fixture("hypenet_rope", top("hypenet", tied=1), softmax("1,3", 4, 2, 16, 64, pos=r16, qk=HEAD),
        linear("0,2,4", "lightning", 6, 3, 16, 64, pos=r16, qk=HEAD))
fixture("jet_nemotron", top("jet_nemotron", tied=1), linear("0,2,4", "gated_delta", 3, 3, 16, 64, Kv=32),
        softmax("1", 4, 2, 16, 64, pos=rope(16, 1e6), bias=QKV_BIAS),
        softmax("3", 4, 2, 16, 64, pos=rope(16, 1e6), bias=QKV_BIAS, w=32))
fixture("jet_nemotron_bf16", top("jet_nemotron", tied=1), linear("0,1", "gated_delta", 4, 4, 16, 64, Kv=24),
        softmax("2", 4, 1, 16, 64, pos=rope(16, 1e6), bias=QKV_BIAS),
        softmax("3", 4, 1, 16, 64, pos=rope(16, 1e6), bias=QKV_BIAS, w=24))
QKV = "self_attn.qkv_proj.weight"
fixture("minimax", top("minimax"),
        linear("0,1,3", "lightning", 4, 4, 16, 64, q=QKV, k=QKV, starts=fused_per_head_chunk(4, 16)),
        softmax("2,4", 4, 2, 16, 64, pos=rope(16, 1e7)))


def gated_softmax(layers, H, G, K, D, pos):
    return line(layers, "full", "attention", H, G, K, D, [rows("Q", "self_attn.q_proj.weight", gated(H, K), K)],
                [rows("K", "self_attn.k_proj.weight", separate(G, K), K)], pos=pos, plus=1, qk=HEAD + " +1")


QKVZ, LQKV = "linear_attn.in_proj_qkvz.weight", "linear_attn.in_proj_qkv.weight"
fixture("qwen3_next", top("qwen3_next"),
        linear("0,1,3", "gated_delta", 2, 2, 16, 64, q=QKVZ, k=QKVZ, starts=qkvz(2, 4, 16, 16), V=4, plus=1),
        gated_softmax("2,4", 4, 2, 16, 64, rope(4, 1e7)))
fixture("qwen3_5_text", top("qwen3_5"),
        linear("0-2", "gated_delta", 2, 2, 16, 64, q=LQKV, k=LQKV, starts=([0, 16], [32, 48]), V=4, plus=1),
        gated_softmax("3", 4, 2, 32, 64, rope(8, 1e7)))
fixture("olmo_hybrid", top("olmo_hybrid"),
        linear("0,1,3", "gated_delta", 4, 4, 12, 64, q="linear_attn.q_proj.weight", k="linear_attn.k_proj.weight", Kv=24,
               norm="attention_layer_norm.weight"),
        softmax("2", 4, 2, 16, 64, pos=rope(16, 500000), norm="", qk=ALL))
fixture("kimi_linear", top("kimi_linear"), linear("0,1,3", "kda", 4, 4, 16, 64), mla("2", 4, 16, 8, 16, 24, 64))
fixture("granitemoehybrid", top("granitemoehybrid"), ssm2("0,1,3", 128, 2, 16, 8, 64), softmax("2", 4, 2, 16, 64))
fixture("falcon_h1", top("falcon_h1"), softmax("0-3", 4, 2, 16, 64, pos=rope(16, 100000)))
X = "mamba.x_proj.weight"  # rows [dt 4 | B 8 | C 8]
fixture("jamba", top("jamba"),
        line("0,1,3", "ssm", "mamba1", 1, 1, 8, 96, [rows("Q", X, [12], 8)], [rows("K", X, [4], 8)], Kv=96, norm="",
             qk="head mamba.c_layernorm.weight mamba.b_layernorm.weight"),
        softmax("2", 4, 2, 12, 48))
fixture("lfm2", top("lfm2", tied=1), none("0,1,3", "short_conv"),
        softmax("2,4", 4, 2, 16, 64, pos=rope(16, 1e6), norm="operator_norm.weight",
                qk="head self_attn.q_layernorm.weight self_attn.k_layernorm.weight"))


# ---- models that are no fixtures: config and tensors as published, small or at full size -------------------------------
def extra(name, config, manifest, *lines):
    EXTRA[name] = (config, manifest)
    EXPECT[name] = lines


def llama_like(L, D, q, k, o, ff, prefix="model.", dt="BF16", norms=True):
    P = f"{prefix}layers.{{0-{L - 1}}}."
    t = [f"{prefix}embed_tokens.weight {dt} 320,{D}", f"{prefix}norm.weight {dt} {D}",
         f"{P}self_attn.q_proj.weight {dt} {q},{D}", f"{P}self_attn.k_proj.weight {dt} {k},{D}",
         f"{P}self_attn.v_proj.weight {dt} {k},{D}", f"{P}self_attn.o_proj.weight {dt} {D},{o}"]
    if norms:
        t += [f"{P}input_layernorm.weight {dt} {D}", f"{P}post_attention_layernorm.weight {dt} {D}"]
    if ff:
        t += [f"{P}mlp.gate_proj.weight {dt} {ff},{D}", f"{P}mlp.up_proj.weight {dt} {ff},{D}", f"{P}mlp.down_proj.weight {dt} {D},{ff}"]
    return t


def base(model_type, L=2, D=64, H=4, G=2, **more):
    c = dict(model_type=model_type, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, num_key_value_heads=G, vocab_size=320)
    c.update(more)
    return c


two = llama_like(2, 64, 64, 32, 64, 128)
L2 = dict(H=4, G=2, K=16, D=64)
extra("rope_linear", base("llama", rope_scaling={"type": "linear", "factor": 4.0}, rope_theta=10000.0), two, top("llama", tied=1),
      softmax("0-1", **L2, pos=rope(16, 10000, kind="linear", factor=4)))
extra("rope_dynamic", base("llama", rope_scaling={"type": "dynamic", "factor": 4.0}, max_position_embeddings=2048), two,
      top("llama", tied=1), softmax("0-1", **L2, pos=rope(16, 10000, kind="dynamic")))
extra("rope_yarn", base("qwen2", rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
                        rope_theta=1e6, max_position_embeddings=131072), two, top("qwen2", tied=1),
      softmax("0-1", **L2, pos=rope(16, 1e6, kind="yarn", factor=4, old=32768)))
short, long = [1.0, 1.02, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0], [1.0, 1.5, 2.0, 4.0, 8.0, 16.0, 31.0, 40.0]
phi_tensors = [t.replace("self_attn.q_proj.weight BF16 64", "self_attn.qkv_proj.weight BF16 128") for t in two
               if "k_proj" not in t and "v_proj" not in t]
phi = base("phi3", rope_scaling={"type": "su", "short_factor": short, "long_factor": long}, rope_theta=10000.0,
           max_position_embeddings=131072, original_max_position_embeddings=4096, sliding_window=2047)
extra("rope_longrope", phi, phi_tensors, top("phi3", tied=1),
      fused("0-1", QKV, fused_all(4, 2, 16), 4, 2, 16, 64, w=2047,
            pos=rope(16, 10000, kind="longrope", max_pos=131072, old=4096, short=short, long=long)))
extra("rope_longrope_short", dict(phi, max_position_embeddings=4096), phi_tensors, top("phi3", tied=1),
      fused("0-1", QKV, fused_all(4, 2, 16), 4, 2, 16, 64, w=2047,
            pos=rope(16, 10000, kind="longrope", max_pos=4096, old=4096, short=short, long=long)))
extra("mixtral", base("mixtral", rope_theta=1e6, sliding_window=None),
      llama_like(2, 64, 64, 32, 64, 0) + ["model.layers.{0-1}.block_sparse_moe.gate.weight BF16 8,64",
                                         "model.layers.{0-1}.block_sparse_moe.experts.{0-7}.w{1,3}.weight BF16 48,64",
                                         "model.layers.{0-1}.block_sparse_moe.experts.{0-7}.w2.weight BF16 64,48"],
      top("mistral", tied=1), softmax("0-1", **L2, pos=rope(16, 1e6)))
extra("qwen3_moe", base("qwen3_moe", head_dim=32, rope_theta=1e6),
      llama_like(2, 64, 128, 64, 128, 0) + ["model.layers.{0-1}.self_attn.{q,k}_norm.weight BF16 32",
                                           "model.layers.{0-1}.mlp.gate.weight BF16 4,64",
                                           "model.layers.{0-1}.mlp.experts.gate_up_proj BF16 4,96,64",
                                           "model.layers.{0-1}.mlp.experts.down_proj BF16 4,64,48"],
      top("qwen3", tied=1), softmax("0-1", 4, 2, 32, 64, pos=rope(32, 1e6), qk=HEAD))
extra("qwen2_window", base("qwen2", L=4, use_sliding_window=True, sliding_window=64, max_window_layers=3),
      llama_like(4, 64, 64, 32, 64, 128), top("qwen2", tied=1), softmax("0-2", **L2, pos=r16), softmax("3", **L2, pos=r16, w=64))
extra("smollm3", base("smollm3", L=4, rope_theta=5e6, no_rope_layers=[1, 1, 1, 0]), llama_like(4, 64, 64, 32, 64, 128),
      top("smollm3", tied=1), softmax("0-2", **L2, pos=rope(16, 5e6)), softmax("3", **L2))
extra("olmo", base("olmo", G=4), llama_like(2, 64, 64, 64, 64, 128, norms=False), top("olmo", tied=1),
      softmax("0-1", 4, 4, 16, 64, pos=r16, norm=""))
extra("olmo3", base("olmo3", L=4, sliding_window=4096, max_position_embeddings=65536, rope_theta=5e5,
                    rope_scaling={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 8192, "attention_factor": 1.2079441541679836,
                                  "beta_fast": 32.0, "beta_slow": 1.0}),
      llama_like(4, 64, 64, 32, 64, 128, norms=False) + ["model.layers.{0-3}.self_attn.q_norm.weight BF16 64",
                                                        "model.layers.{0-3}.self_attn.k_norm.weight BF16 32",
                                                        "model.layers.{0-3}.post_{attention,feedforward}_layernorm.weight BF16 64"],
      top("olmo2", tied=1), softmax("0-2", **L2, pos=rope(16, 5e5), norm="", qk=ALL, w=4096),
      softmax("3", **L2, pos=rope(16, 5e5, kind="yarn", factor=8, old=8192, af=1.2079441541679836), norm="", qk=ALL))
c = json.loads(json.dumps(EXTRA["olmo3"][0]))
c["rope_parameters"] = dict(c.pop("rope_scaling"), rope_theta=c.pop("rope_theta"))
extra("olmo3_parameters", c, EXTRA["olmo3"][1], *EXPECT["olmo3"])
extra("gemma", base("gemma", head_dim=32), llama_like(2, 64, 128, 64, 128, 128), top("gemma", tied=1),
      softmax("0-1", 4, 2, 32, 64, pos=rope(32, 10000), plus=1))
# as published for the 4B model: the text config leaves out what is the class's default; text under language_model.model.
extra("gemma3_nested", dict(model_type="gemma3", architectures=["Gemma3ForConditionalGeneration"],
                            text_config=dict(model_type="gemma3_text", hidden_size=2560, intermediate_size=10240, num_hidden_layers=34,
                                             rope_scaling=dict(factor=8.0, rope_type="linear"), sliding_window=1024),
                            vision_config=dict(hidden_size=1152, model_type="siglip_vision_model", num_hidden_layers=1)),
      llama_like(34, 2560, 2048, 1024, 2048, 10240, prefix="language_model.model.") +
      ["language_model.model.layers.{0-33}.self_attn.{q,k}_norm.weight BF16 256",
       "language_model.model.layers.{0-33}.{pre,post}_feedforward_layernorm.weight BF16 2560",
       "vision_tower.vision_model.encoder.layers.0.self_attn.{q,k,v}_proj.weight BF16 1152,1152",
       "multi_modal_projector.mm_input_projection_weight BF16 1152,2560"],
      top("gemma3", "language_model.model.layers.", tied=1),
      softmax("0-4,6-10,12-16,18-22,24-28,30-33", 8, 4, 256, 2560, pos=rope(256, 10000), w=1024, plus=1, qk=HEAD + " +1"),
      softmax("5,11,17,23,29", 8, 4, 256, 2560, pos=rope(256, 1e6, kind="linear", factor=8), plus=1, qk=HEAD + " +1"))
extra("gpt_oss", base("gpt_oss", L=4, head_dim=64, H=8, G=2, sliding_window=128, rope_theta=150000, max_position_embeddings=131072,
                      layer_types=["sliding_attention", "full_attention"] * 2,
                      rope_scaling=dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                                        original_max_position_embeddings=4096)),
      llama_like(4, 64, 512, 128, 512, 0) + ["model.layers.{0-3}.self_attn.q_proj.bias BF16 512",
                                            "model.layers.{0-3}.self_attn.{k,v}_proj.bias BF16 128",
                                            "model.layers.{0-3}.self_attn.sinks BF16 8",
                                            "model.layers.{0-3}.mlp.router.weight BF16 4,64", "model.layers.{0-3}.mlp.router.bias BF16 4",
                                            "model.layers.{0-3}.mlp.experts.gate_up_proj BF16 4,64,128",
                                            "model.layers.{0-3}.mlp.experts.gate_up_proj_bias BF16 4,128",
                                            "model.layers.{0-3}.mlp.experts.down_proj BF16 4,64,64",
                                            "model.layers.{0-3}.mlp.experts.down_proj_bias BF16 4,64"],
      top("gpt_oss", tied=1),
      softmax("0,2", 8, 2, 64, 64, w=128, bias=QKV_BIAS, pos=rope(64, 150000, kind="yarn", factor=32, old=4096, truncate=False)),
      softmax("1,3", 8, 2, 64, 64, bias=QKV_BIAS, pos=rope(64, 150000, kind="yarn", factor=32, old=4096, truncate=False)))


def falcon_tensors(rows_, D=64, L=2, ln="input_layernorm"):
    P = f"transformer.h.{{0-{L - 1}}}."
    return [f"transformer.word_embeddings.weight BF16 320,{D}", f"transformer.ln_f.{{weight,bias}} BF16 {D}",
            f"{P}self_attention.query_key_value.weight BF16 {rows_},{D}", f"{P}self_attention.dense.weight BF16 {D},{D}",
            f"{P}{ln}.{{weight,bias}} BF16 {D}", f"{P}mlp.dense_h_to_4h.weight BF16 256,{D}", f"{P}mlp.dense_4h_to_h.weight BF16 {D},256"]


FQKV = "self_attention.query_key_value.weight"
FT = "transformer.h."
extra("falcon_grouped", dict(model_type="falcon", hidden_size=64, num_hidden_layers=2, num_attention_heads=8, num_kv_heads=2,
                             new_decoder_architecture=True, alibi=False, vocab_size=320), falcon_tensors(96, ln="ln_{attn,mlp}"),
      top("falcon", FT, tied=1), fused("0-1", FQKV, fused_grouped(8, 2, 8), 8, 2, 8, 64, pos=rope(8, 10000), norm="ln_attn.weight"))
extra("falcon_multi_query", dict(model_type="falcon", hidden_size=64, n_layer=2, n_head=8, multi_query=True, new_decoder_architecture=False,
                                 alibi=False, vocab_size=320), falcon_tensors(80),
      top("falcon", FT, tied=1), fused("0-1", FQKV, fused_all(8, 1, 8), 8, 1, 8, 64, pos=rope(8, 10000)))
extra("falcon_rw", dict(model_type="falcon", hidden_size=64, num_hidden_layers=2, num_attention_heads=8, multi_query=False,
                        new_decoder_architecture=False, alibi=True, vocab_size=320), falcon_tensors(192),
      top("falcon", FT, tied=1), fused("0-1", FQKV, fused_per_head(8, 8), 8, 8, 8, 64, pos="alibi"))
extra("bloom", dict(model_type="bloom", n_embed=64, n_layer=2, n_head=4, vocab_size=320),
      [t.replace("transformer.", "").replace("h.{0-1}", "h.{0-1}") for t in falcon_tensors(192)] +
      ["h.{0-1}.self_attention.query_key_value.bias BF16 192", "h.{0-1}.self_attention.dense.bias BF16 64",
       "h.{0-1}.post_attention_layernorm.{weight,bias} BF16 64", "word_embeddings_layernorm.{weight,bias} BF16 64"],
      top("bloom", "h.", tied=1),
      fused("0-1", FQKV, fused_per_head(4, 16), 4, 4, 16, 64, pos="alibi",
            bias="self_attention.query_key_value.bias self_attention.query_key_value.bias"))
extra("internlm2", base("internlm2", H=8, G=2, rope_theta=1e6),
      ["model.tok_embeddings.weight BF16 320,64", "model.norm.weight BF16 64", "output.weight BF16 320,64",
       "model.layers.{0-1}.attention.wqkv.weight BF16 96,64", "model.layers.{0-1}.attention.wo.weight BF16 64,64",
       "model.layers.{0-1}.{attention,ffn}_norm.weight BF16 64", "model.layers.{0-1}.feed_forward.w{1,3}.weight BF16 128,64",
       "model.layers.{0-1}.feed_forward.w2.weight BF16 64,128"],
      top("internlm2"), fused("0-1", "attention.wqkv.weight", fused_grouped(8, 2, 8), 8, 2, 8, 64, pos=rope(8, 1e6), norm="attention_norm.weight"))
extra("mpt", dict(model_type="mpt", d_model=64, n_heads=4, n_layers=2, max_seq_len=2048, vocab_size=320, attn_config=dict(alibi=True)),
      ["transformer.wte.weight BF16 320,64", "transformer.norm_f.weight BF16 64", "transformer.blocks.{0-1}.attn.Wqkv.weight BF16 192,64",
       "transformer.blocks.{0-1}.attn.out_proj.weight BF16 64,64", "transformer.blocks.{0-1}.norm_{1,2}.weight BF16 64",
       "transformer.blocks.{0-1}.ffn.up_proj.weight BF16 256,64", "transformer.blocks.{0-1}.ffn.down_proj.weight BF16 64,256"],
      top("mpt", "transformer.blocks.", tied=1), fused("0-1", "attn.Wqkv.weight", fused_all(4, 4, 16), 4, 4, 16, 64, pos="alibi", norm="norm_1.weight"))
extra("phi", base("phi", G=4, partial_rotary_factor=0.5, qk_layernorm=False),
      [t for t in llama_like(2, 64, 64, 64, 64, 0) if "o_proj" not in t and "post_" not in t] +
      ["model.layers.{0-1}.self_attn.{q,k,v}_proj.bias BF16 64", "model.layers.{0-1}.self_attn.dense.weight BF16 64,64",
       "model.layers.{0-1}.mlp.fc1.weight BF16 256,64", "model.layers.{0-1}.mlp.fc2.weight BF16 64,256",
       "model.final_layernorm.{weight,bias} BF16 64", "lm_head.{weight} BF16 320,64"],
      top("phi"), softmax("0-1", 4, 4, 16, 64, pos=rope(8, 10000), bias=QKV_BIAS))
extra("phi_msft", dict(model_type="phi-msft", n_embd=64, n_layer=2, n_head=4, rotary_dim=8, vocab_size=320),
      ["transformer.embd.wte.weight BF16 320,64", "transformer.h.{0-1}.ln.{weight,bias} BF16 64",
       "transformer.h.{0-1}.mixer.Wqkv.weight BF16 192,64", "transformer.h.{0-1}.mixer.Wqkv.bias BF16 192",
       "transformer.h.{0-1}.mixer.out_proj.weight BF16 64,64", "transformer.h.{0-1}.mlp.fc1.weight BF16 256,64",
       "transformer.h.{0-1}.mlp.fc2.weight BF16 64,256", "lm_head.ln.{weight,bias} BF16 64", "lm_head.linear.weight BF16 320,64"],
      top("phi", FT), fused("0-1", "mixer.Wqkv.weight", fused_all(4, 4, 16), 4, 4, 16, 64, pos=rope(8, 10000), norm="ln.weight",
                            bias="mixer.Wqkv.bias mixer.Wqkv.bias"))
extra("minimax_text_01", base("minimax_text_01", L=4, head_dim=32, attn_type_list=[0, 0, 0, 1], rotary_dim=16, rope_theta=1e7),
      ["model.embed_tokens.weight BF16 320,64", "model.norm.weight BF16 64", "lm_head.weight BF16 320,64",
       "model.layers.{0-3}.{input,post_attention}_layernorm.weight BF16 64", "model.layers.{0-2}.self_attn.qkv_proj.weight BF16 384,64",
       "model.layers.{0-2}.self_attn.output_gate.weight BF16 128,64", "model.layers.{0-2}.self_attn.out_proj.weight BF16 64,128",
       "model.layers.{0-2}.self_attn.norm.weight BF16 128", "model.layers.{3}.self_attn.q_proj.weight BF16 128,64",
       "model.layers.{3}.self_attn.{k,v}_proj.weight BF16 64,64", "model.layers.{3}.self_attn.o_proj.weight BF16 64,128",
       "model.layers.{0-3}.block_sparse_moe.gate.weight BF16 2,64", "model.layers.{0-3}.block_sparse_moe.experts.{0-1}.w{1,3}.weight BF16 48,64",
       "model.layers.{0-3}.block_sparse_moe.experts.{0-1}.w2.weight BF16 64,48"],
      top("minimax"), linear("0-2", "lightning", 4, 4, 32, 64, q=QKV, k=QKV, starts=fused_per_head_chunk(4, 32)),
      softmax("3", 4, 2, 32, 64, pos=rope(16, 1e7)))
extra("minimax_m2", base("minimax_m2", H=8, G=2, head_dim=32, rotary_dim=16, rope_theta=5e6, attn_type_list=[1, 1], use_qk_norm=True),
      llama_like(2, 64, 256, 64, 256, 0) + ["model.layers.{0-1}.self_attn.q_norm.weight BF16 256", "model.layers.{0-1}.self_attn.k_norm.weight BF16 64",
                                           "model.layers.{0-1}.block_sparse_moe.gate.weight BF16 2,64",
                                           "model.layers.{0-1}.block_sparse_moe.e_score_correction_bias F32 2",
                                           "model.layers.{0-1}.block_sparse_moe.experts.{0-1}.w{1,3}.weight BF16 48,64",
                                           "model.layers.{0-1}.block_sparse_moe.experts.{0-1}.w2.weight BF16 64,48"],
      top("minimax_m2", tied=1), softmax("0-1", 8, 2, 32, 64, pos=rope(16, 5e6), qk=ALL))


def mamba_tensors(layers, D, d_inner, G, N, heads, module="mamba", prefix="model.layers."):
    P, conv = f"{prefix}{{{layers}}}.{module}.", d_inner + 2 * G * N
    return [f"{P}in_proj.weight BF16 {d_inner + conv + heads},{D}", f"{P}conv1d.weight BF16 {conv},1,4", f"{P}conv1d.bias BF16 {conv}",
            f"{P}{{A_log,D,dt_bias}} BF16 {heads}", f"{P}norm.weight BF16 {d_inner}", f"{P}out_proj.weight BF16 {D},{d_inner}"]


def attention_tensors(layers, D, q, k, prefix="model.layers.", module="self_attn"):
    P = f"{prefix}{{{layers}}}.{module}."
    return [f"{P}q_proj.weight BF16 {q},{D}", f"{P}{{k,v}}_proj.weight BF16 {k},{D}", f"{P}o_proj.weight BF16 {D},{q}"]


mlp4 = ["model.layers.{0-3}.feed_forward.{gate,up}_proj.weight BF16 128,64", "model.layers.{0-3}.feed_forward.down_proj.weight BF16 64,128",
        "model.layers.{0-3}.{input,pre_ff}_layernorm.weight BF16 64", "model.embed_tokens.weight BF16 320,64", "model.final_layernorm.weight BF16 64",
        "lm_head.weight BF16 320,64"]
extra("bamba", base("bamba", L=4, attn_layer_indices=[2], attn_rotary_emb=8, mamba_d_state=16, mamba_n_heads=8, mamba_d_head=16, mamba_n_groups=1,
                    mamba_expand=2, rope_theta=10000.0),
      mamba_tensors("0,1,3", 64, 128, 1, 16, 8) + attention_tensors("2", 64, 64, 32) + mlp4,
      top("bamba"), ssm2("0,1,3", 128, 1, 16, 8, 64), softmax("2", **L2, pos=rope(8, 10000)))
BB = "backbone.layers."
extra("nemotron_h", base("nemotron_h", L=5, hybrid_override_pattern="M-*EM", head_dim=32, mamba_num_heads=8, mamba_head_dim=16, n_groups=2,
                         ssm_state_size=16),
      mamba_tensors("0,4", 64, 128, 2, 16, 8, "mixer", BB) + attention_tensors("2", 64, 128, 64, BB, "mixer") +
      [f"{BB}{{0-4}}.norm.weight BF16 64", f"{BB}1.mixer.up_proj.weight BF16 128,64", f"{BB}1.mixer.down_proj.weight BF16 64,128",
       f"{BB}3.mixer.gate.weight BF16 2,64", f"{BB}3.mixer.gate.e_score_correction_bias BF16 2",
       f"{BB}3.mixer.experts.{{0-1}}.up_proj.weight BF16 32,64", f"{BB}3.mixer.experts.{{0-1}}.down_proj.weight BF16 64,32",
       f"{BB}3.mixer.shared_experts.up_proj.weight BF16 32,64", f"{BB}3.mixer.shared_experts.down_proj.weight BF16 64,32",
       "backbone.embeddings.weight BF16 320,64", "backbone.norm_f.weight BF16 64", "lm_head.weight BF16 320,64"],
      top("nemotron_h", BB), ssm2("0,4", 128, 2, 16, 8, 64, "mixer", norm="norm.weight"), none("1,3", "mlp"),
      softmax("2", 4, 2, 32, 64, "mixer.", norm="norm.weight"))
ST = "shared_transformer."
zamba_shared = [f"model.layers.{{1,3}}.{ST}self_attn.{{q,k,v}}_proj.weight BF16 128,128", f"model.layers.{{1,3}}.{ST}self_attn.o_proj.weight BF16 64,128",
                f"model.layers.{{1,3}}.{ST}input_layernorm.weight BF16 128", f"model.layers.{{1,3}}.{ST}pre_ff_layernorm.weight BF16 64",
                f"model.layers.{{1,3}}.{ST}feed_forward.gate_up_proj.weight BF16 256,64", f"model.layers.{{1,3}}.{ST}feed_forward.down_proj.weight BF16 64,128",
                # uses 0 and 2 are block 0 (stored under layer 1), use 1 is block 1 (layer 3)
                f"model.layers.1.{ST}self_attn.linear_{{q,k,v}}_adapter_list.{{0,2}}.0.weight BF16 8,128",
                f"model.layers.1.{ST}self_attn.linear_{{q,k,v}}_adapter_list.{{0,2}}.1.weight BF16 128,8",
                f"model.layers.3.{ST}self_attn.linear_{{q,k,v}}_adapter_list.1.0.weight BF16 8,128",
                f"model.layers.3.{ST}self_attn.linear_{{q,k,v}}_adapter_list.1.1.weight BF16 128,8",
                f"model.layers.1.{ST}feed_forward.gate_up_proj_adapter_list.{{0,2}}.0.weight BF16 8,64",
                f"model.layers.1.{ST}feed_forward.gate_up_proj_adapter_list.{{0,2}}.1.weight BF16 256,8"]


def zamba_use(layer, owner, use):
    def at(name):  # names are relative to the layer where they are its own
        return (f"{ST}" if owner == layer else f"model.layers.{owner}.{ST}") + name

    def side(s, starts):
        return rows(s.upper(), at(f"self_attn.{s}_proj.weight"), starts, 32,
                    f" plus {at(f'self_attn.linear_{s}_adapter_list.{use}.1.weight')}+32 times {at(f'self_attn.linear_{s}_adapter_list.{use}.0.weight')} 0+8")
    return line(str(layer), "full", "attention", 4, 4, 32, 128, [side("q", separate(4, 32))], [side("k", separate(4, 32))],
                pos=rope(32, 10000), norm=at("input_layernorm.weight"))


extra("zamba2", base("zamba2", L=6, G=4, hybrid_layer_ids=[1, 3, 5], num_mem_blocks=2, attention_head_dim=32, use_mem_rope=True, adapter_rank=8,
                     use_shared_attention_adapter=True, mamba_d_state=16, mamba_ngroups=1, n_mamba_heads=8, mamba_expand=2, rope_theta=10000),
      mamba_tensors("0,2,4", 64, 128, 1, 16, 8) + mamba_tensors("1,3,5", 64, 128, 1, 16, 8, "mamba_decoder.mamba") + zamba_shared +
      ["model.layers.{0,2,4}.input_layernorm.weight BF16 64", "model.layers.{1,3,5}.mamba_decoder.input_layernorm.weight BF16 64",
       "model.layers.{1,3,5}.linear.weight BF16 64,64", "model.embed_tokens.weight BF16 320,64", "model.final_layernorm.weight BF16 64"],
      top("zamba2", tied=1), ssm2("0,2,4", 128, 1, 16, 8, 64), zamba_use(1, 1, 0), zamba_use(3, 3, 1), zamba_use(5, 1, 2))


def mla_tensors(layers, D, H, nope, rot, v, kv_rank, q_rank, module="self_attn", dt="BF16"):
    P = f"model.layers.{{{layers}}}.{module}."
    q = ([f"{P}q_a_proj.weight {dt} {q_rank},{D}", f"{P}q_a_layernorm.weight BF16 {q_rank}", f"{P}q_b_proj.weight {dt} {H * (nope + rot)},{q_rank}"]
         if q_rank else [f"{P}q_proj.weight {dt} {H * (nope + rot)},{D}"])
    return q + [f"{P}kv_a_proj_with_mqa.weight {dt} {kv_rank + rot},{D}", f"{P}kv_a_layernorm.weight BF16 {kv_rank}",
                f"{P}kv_b_proj.weight {dt} {H * (nope + v)},{kv_rank}"]


# DeepSeek-V3 at full size, in float8 (the test gives such a manifest 40 shards); layer 61 is the extra prediction layer
extra("deepseek_v3", dict(model_type="deepseek_v3", hidden_size=7168, num_hidden_layers=61, num_attention_heads=128, num_key_value_heads=128,
                          qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, q_lora_rank=1536, kv_lora_rank=512, vocab_size=129280,
                          max_position_embeddings=163840, rope_theta=10000, tie_word_embeddings=False,
                          rope_scaling=dict(type="yarn", factor=40, original_max_position_embeddings=4096, beta_fast=32, beta_slow=1, mscale=1.0,
                                            mscale_all_dim=1.0)),
      mla_tensors("0-61", 7168, 128, 128, 64, 128, 512, 1536, dt="F8_E4M3") +
      ["model.layers.{0-61}.self_attn.o_proj.weight F8_E4M3 7168,16384", "model.layers.{0-61}.{input,post_attention}_layernorm.weight BF16 7168",
       "model.layers.{0-2}.mlp.{gate,up}_proj.weight F8_E4M3 18432,7168", "model.layers.{0-2}.mlp.down_proj.weight F8_E4M3 7168,18432",
       "model.layers.{3-61}.mlp.experts.{0-255}.{gate,up}_proj.weight F8_E4M3 2048,7168",
       "model.layers.{3-61}.mlp.experts.{0-255}.down_proj.weight F8_E4M3 7168,2048",
       "model.layers.{3-61}.mlp.shared_experts.{gate,up}_proj.weight F8_E4M3 2048,7168",
       "model.layers.{3-61}.mlp.shared_experts.down_proj.weight F8_E4M3 7168,2048", "model.layers.{3-61}.mlp.gate.weight BF16 256,7168",
       "model.layers.{3-61}.mlp.gate.e_score_correction_bias F32 256", "model.embed_tokens.weight BF16 129280,7168",
       "model.norm.weight BF16 7168", "lm_head.weight BF16 129280,7168", "model.layers.61.eh_proj.weight BF16 7168,14336"],
      top("deepseek_v3"), mla("0-60", 128, 128, 64, 128, 512, 7168, 1536,
                              pos=rope(64, 10000, first=128, style="pairs", kind="yarn", factor=40, old=4096, ms=1.0, msall=1.0)))
extra("deepseek_v2_lite", base("deepseek_v2", H=4, G=4, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, q_lora_rank=None, kv_lora_rank=24,
                               rope_theta=10000, max_position_embeddings=163840,
                               rope_scaling=dict(type="yarn", factor=40, original_max_position_embeddings=4096, beta_fast=32, beta_slow=1, mscale=0.707,
                                                 mscale_all_dim=0.707)),
      mla_tensors("0-1", 64, 4, 16, 8, 16, 24, 0) +
      ["model.layers.{0-1}.self_attn.o_proj.weight BF16 64,64", "model.layers.{0-1}.{input,post_attention}_layernorm.weight BF16 64",
       "model.layers.{0-1}.mlp.{gate,up}_proj.weight BF16 96,64", "model.layers.{0-1}.mlp.down_proj.weight BF16 64,96",
       "model.embed_tokens.weight BF16 320,64", "model.norm.weight BF16 64", "lm_head.weight BF16 320,64"],
      top("deepseek_v3"), mla("0-1", 4, 16, 8, 16, 24, 64, pos=rope(8, 10000, first=16, style="pairs", kind="yarn", factor=40, old=4096, ms=0.707, msall=0.707)))
BQKV = "attention.query_key_value.weight"
BNORM = "head attention.query_layernorm.weight attention.key_layernorm.weight"


def bailing_tensors(L, linear_layers, soft):
    return soft + [f"model.layers.{{{linear_layers}}}.{BQKV} BF16 192,64", f"model.layers.{{{linear_layers}}}.attention.g_proj.weight BF16 64,64",
                   f"model.layers.{{{linear_layers}}}.attention.g_norm.weight BF16 64",
                   f"model.layers.{{{linear_layers}}}.attention.{{query,key}}_layernorm.weight BF16 16",
                   f"model.layers.{{0-{L - 1}}}.attention.dense.weight BF16 64,64",
                   f"model.layers.{{0-{L - 1}}}.{{input,post_attention}}_layernorm.weight BF16 64",
                   f"model.layers.{{0-{L - 1}}}.mlp.{{gate,up}}_proj.weight BF16 96,64", f"model.layers.{{0-{L - 1}}}.mlp.down_proj.weight BF16 64,96",
                   "model.word_embeddings.weight BF16 320,64", "model.norm.weight BF16 64", "lm_head.weight BF16 320,64"]


# 5 layers in groups of 2: softmax in 1, 3 and in the incomplete last group, 4
extra("bailing_linear", base("bailing_moe_linear", L=5, layer_group_size=2, partial_rotary_factor=0.5, rope_theta=600000, head_dim=16),
      bailing_tensors(5, "0,2", [f"model.layers.{{1,3,4}}.{BQKV} BF16 128,64", "model.layers.{1,3,4}.attention.{query,key}_layernorm.weight BF16 16"]),
      top("bailing"), linear("0,2", "lightning", 4, 4, 16, 64, q=BQKV, k=BQKV, starts=fused_all(4, 4, 16), pos=rope(8, 600000), qk=BNORM),
      fused("1,3,4", BQKV, fused_all(4, 2, 16), 4, 2, 16, 64, pos=rope(8, 600000), qk=BNORM))
extra("bailing_v2_5", base("bailing_moe_v2_5", L=5, G=4, layer_group_size=2, partial_rotary_factor=0.5, rope_theta=6e6, head_dim=16,
                           qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, q_lora_rank=32, kv_lora_rank=24),
      bailing_tensors(5, "0,2", mla_tensors("1,3,4", 64, 4, 16, 8, 16, 24, 32, "attention")),
      top("bailing"), linear("0,2", "lightning", 4, 4, 16, 64, q=BQKV, k=BQKV, starts=fused_all(4, 4, 16), pos=rope(8, 6e6), qk=BNORM),
      mla("1,3,4", 4, 16, 8, 16, 24, 64, 32, "attention.", pos=rope(8, 6e6, first=16, style="pairs")))
# linear layers with the config's key heads
extra("bailing_linear_grouped", base("bailing_moe_linear_v2", L=5, layer_group_size=2, partial_rotary_factor=0.5, rope_theta=600000, head_dim=16),
      [t.replace("BF16 192,64", "BF16 128,64") for t in EXTRA["bailing_linear"][1]], top("bailing"),
      linear("0,2", "lightning", 4, 2, 16, 64, q=BQKV, k=BQKV, starts=fused_all(4, 2, 16), pos=rope(8, 600000), qk=BNORM),
      EXPECT["bailing_linear"][2])
extra("bailing_v2", base("bailing_moe_v2", partial_rotary_factor=0.5, rope_theta=600000, head_dim=16),
      bailing_tensors(2, "0-1", [])[:0] + [f"model.layers.{{0-1}}.{BQKV} BF16 128,64", "model.layers.{0-1}.attention.dense.weight BF16 64,64",
                                          "model.layers.{0-1}.attention.{query,key}_layernorm.weight BF16 16",
                                          "model.layers.{0-1}.{input,post_attention}_layernorm.weight BF16 64", "model.word_embeddings.weight BF16 320,64",
                                          "model.norm.weight BF16 64", "lm_head.weight BF16 320,64"],
      top("bailing"), fused("0-1", BQKV, fused_all(4, 2, 16), 4, 2, 16, 64, pos=rope(8, 600000), qk=BNORM))


# ---- fixtures' tensors under configs as published ------------------------------------------------------------------------
def manifest_of(name):
    with open(os.path.join(HERE, name, "tensors.txt")) as f:
        return f.read().split("\n")[:-1]


def config_of(name):
    with open(os.path.join(HERE, name, "config.json")) as f:
        return json.load(f)


c = config_of("kimi_linear")
for k in ("layer_types", "linear_num_heads", "linear_head_dim"):
    del c[k]
c["linear_attn_config"] = dict(kda_layers=[1, 2, 4], full_attn_layers=[3], num_heads=4, head_dim=16, short_conv_kernel_size=4)
c["mla_use_nope"] = True
extra("kimi_linear_published", c, manifest_of("kimi_linear"), *EXPECT["kimi_linear"])
c = config_of("jet_nemotron")
c["layer_types"] = "['jet', \"attn\", 'jet', 'swa', 'jet']"
extra("jet_nemotron_string", c, manifest_of("jet_nemotron"), *EXPECT["jet_nemotron"])
c = config_of("qwen3_5_text")
extra("qwen3_5_nested", dict(model_type="qwen3_5", text_config=c, vision_config=dict(depth=1)),
      [t.replace("model.", "model.language_model.", 1) if t.startswith("model.") else t for t in manifest_of("qwen3_5_text")] +
      ["model.visual.blocks.0.attn.qkv.weight BF16 96,32"], top("qwen3_5", "model.language_model.layers."), *EXPECT["qwen3_5_text"][1:])
c = config_of("granitemoehybrid")
c["layers_block_type"] = ["mamba", "mamba", "attention", "mamba"]
del c["layer_types"]
c["position_embedding_type"] = "rope"
extra("granite_published", c, manifest_of("granitemoehybrid"), *EXPECT["granitemoehybrid"][:2], softmax("2", **L2, pos=r16))
c = config_of("qwen3_next")
del c["layer_types"]
c["full_attention_interval"] = 2
shift = {"{0-1,3}": "{0,2,4}", "{2,4}": "{1,3}"}
m = manifest_of("qwen3_next")
for a, b in shift.items():
    m = [t.replace(a, b + " ") if a in t else t for t in m]
m = [t.replace("} .", "}.") for t in m]
extra("qwen3_next_interval", c, m, top("qwen3_next"), EXPECT["qwen3_next"][1].replace("{0,1,3}", "{0,2,4}"), EXPECT["qwen3_next"][2].replace("{2,4}", "{1,3}"))
extra("unknown_type", base("some_new_model", rope_theta=10000.0), two, top("by_names", tied=1, notice=1), softmax("0-1", **L2, pos=r16))
extra("unknown_nested", dict(model_type="some_new_vlm", text_config=base("some_new_text", L=3, rope_theta=10000.0)),
      [t.replace("model.", "model.language_model.", 1).replace("{0-1}", "{0,2}") for t in two] + ["model.language_model.layers.1.mixer.w.weight BF16 4,4"],
      top("by_names", "model.language_model.layers.", tied=1, notice=1), softmax("0,2", **L2, pos=r16), none("1", "unknown"))


def main():
    for name, (config, manifest) in EXTRA.items():
        os.makedirs(os.path.join(HERE, name), exist_ok=True)
        with open(os.path.join(HERE, name, "config.json"), "w") as f:
            json.dump(config, f, indent=1)
            f.write("\n")
        with open(os.path.join(HERE, name, "tensors.txt"), "w") as f:
            f.write("\n".join(manifest) + "\n")
    for name, lines in EXPECT.items():
        with open(os.path.join(HERE, name, "expect.txt"), "w") as f:
            f.write("\n".join(lines) + "\n")
    have = {d for d in os.listdir(HERE) if os.path.isdir(os.path.join(HERE, d))}
    assert have == set(EXPECT), have ^ set(EXPECT)


main()
