"""More whole models: state-space hybrids, Kimi Linear and what has latent attention (see reference_families.py)."""
import numpy as np

from reference_families import (drive, experts, get, qkv, run_alibi, run_hypenet, run_internlm2, run_jet, run_layer_norm, run_minimax,
                                run_qwen_hybrid, run_softmax,
                                setup)
from reference_model import (ACT, attend, conv, frequencies, implied, linear, mamba2, mix, mlp, rms, rotate, route,
                             sigmoid,
                             softmax, softplus, unit)


def latent(c, W, y, a, m, eps, rope=None, scale=1.0):
    """MLA: heads [own rows | shared rotary rows]; rope: (frequencies, factor, interleaved) or None."""
    own, shared, vd, rank = (c[k] for k in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_lora_rank"))
    if c.get("q_lora_rank"):
        q = linear(W, y, a + "q_a_proj", c["q_lora_rank"], m.bias)
        q = linear(W, rms(q, W(a + "q_a_layernorm.weight", c["q_lora_rank"]), eps), a + "q_b_proj",
                   m.h * (own + shared))
    else:
        q = linear(W, y, a + "q_proj", m.h * (own + shared))
    q = q.reshape(m.t, m.h, -1)
    z = linear(W, y, a + "kv_a_proj_with_mqa", rank + shared, m.bias)
    kv = linear(W, rms(z[:, :rank], W(a + "kv_a_layernorm.weight", rank), eps), a + "kv_b_proj", m.h * (own + vd))
    kv = kv.reshape(m.t, m.h, -1)
    k = np.concatenate([kv[..., :own], np.repeat(z[:, None, rank:], m.h, 1)], 2)
    if rope:
        q, k = (rotate(x, rope[0], rope[1], own, rope[2]) for x in (q, k))
    o, weights = attend(q, k, kv[..., own:], (own + shared) ** -0.5 * scale)
    return linear(W, o, a + "o_proj", m.d, m.bias), weights


def run_kimi(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    lc = c.get("linear_attn_config", {})
    n, hd = get(c, "linear_num_heads", default=lc.get("num_heads")), get(c, "linear_head_dim",
                                                                         default=lc.get("head_dim"))
    width = get(c, "linear_conv_kernel_dim", default=lc.get("short_conv_kernel_size"))

    def full(i):
        return c["layer_types"][i] == "full_attention" if "layer_types" in c else i + 1 in lc["full_attn_layers"]

    def kda(i, y, a):
        q, k, v = (conv(W, linear(W, y, f"{a}{s}_proj", n * hd), f"{a}{s}_conv1d", width, m.act).reshape(m.t, n,
                                                                                                         hd) for s in "qkv")
        dt = linear(W, linear(W, y, a + "f_a_proj", hd), a + "f_b_proj", n * hd) + W(a + "dt_bias", n * hd)
        decay = -np.exp(W(a + "A_log", n))[:, None] * softplus(dt).reshape(m.t, n, hd)
        lin[i] = implied(unit(q) * hd ** -0.5, unit(k), decay, sigmoid(linear(W, y, a + "b_proj", n)), True)
        o = rms(mix(lin[i], v).reshape(m.t, n, hd), W(a + "o_norm.weight", hd), m.eps).reshape(m.t, -1)
        gate = linear(W, linear(W, y, a + "g_a_proj", hd), a + "g_b_proj", n * hd)
        return linear(W, o * sigmoid(gate), a + "o_proj", m.d)

    def feed(i, y, p):
        sparse = c["mlp_layer_types"][i] == "sparse" if "mlp_layer_types" in c else i >= c["first_k_dense_replace"]
        if not sparse:  # transformers keeps dense layers under the mixtures' name
            p += "block_sparse_moe." if "mlp_layer_types" in c else "mlp."
            return mlp(W, y, p, c["intermediate_size"], m.act)
        p += "block_sparse_moe."
        s = route(sigmoid(linear(W, y, p + "gate", c["num_experts"])), W(p + "gate.e_score_correction_bias",
                                                                         c["num_experts"]),
                  c["num_experts_per_token"], c["moe_renormalize"], c["routed_scaling_factor"], c["num_expert_group"], c["topk_group"])
        shared = mlp(W, y, p + "shared_experts.", c["moe_intermediate_size"] * c["num_shared_experts"], m.act)
        return experts(W, y, p, s, c["moe_intermediate_size"], m.act, ("w1", "w3", "w2")) + shared

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        if full(i):
            o, attn[i] = latent(c, W, y, p + "self_attn.", m, 1e-6)
        else:
            o = kda(i, y, p + "self_attn.")
        x = x + o
        return x + feed(i, rms(x, W(p + "post_attention_layernorm.weight", m.d), m.eps), p)

    return *drive(c, W, ids, layer), attn, lin


def run_deepseek(c, W, ids):
    m, attn = setup(c, ids), {}
    r = c.get("rope_parameters") or c.get("rope_scaling") or {}
    freq, factor = frequencies(c, c["qk_rope_head_dim"], m.t)
    stretch = 0.1 * r["mscale_all_dim"] * np.log(r["factor"]) + 1 if r.get("mscale_all_dim") else 1.0

    def feed(i, y, p):
        if i < c["first_k_dense_replace"]:
            return mlp(W, y, p, c["intermediate_size"], m.act)
        s = route(sigmoid(linear(W, y, p + "gate", c["n_routed_experts"])), W(p + "gate.e_score_correction_bias",
                                                                              c["n_routed_experts"]),
                  c["num_experts_per_tok"], c["norm_topk_prob"], c["routed_scaling_factor"], c["n_group"], c["topk_group"])
        shared = mlp(W, y, p + "shared_experts.", c["moe_intermediate_size"] * c["n_shared_experts"], m.act)
        return experts(W, y, p, s, c["moe_intermediate_size"], m.act) + shared

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        o, attn[i] = latent(c, W, y, p + "self_attn.", m, 1e-6, (freq, factor, c.get("rope_interleave", True)),
                            stretch**2)
        x = x + o
        return x + feed(i, rms(x, W(p + "post_attention_layernorm.weight", m.d), m.eps), p + "mlp.")

    return *drive(c, W, ids, layer), attn, {}


def run_granite(c, W, ids):
    """Granite 4 and Bamba: Mamba 2, softmax attention now and then."""
    m, attn, lin = setup(c, ids), {}, {}
    bamba = c["model_type"] == "bamba"
    dims = (c["mamba_n_heads"], c["mamba_d_head"], c["mamba_d_state"], c["mamba_d_conv"])
    biases = (c.get("mamba_proj_bias", False), c.get("mamba_conv_bias", True))
    scale = m.k ** -0.5 if bamba else c["attention_multiplier"]
    rope = bamba or c.get("position_embedding_type") == "rope"
    freq = frequencies(c, m.k // 2 if bamba else m.k, m.t)[0]
    limits = [float("inf") if isinstance(v, dict) else v for v in get(c, "time_step_limit", default=[0, float("inf")])]
    residual = c.get("residual_multiplier", 1.0)

    def full(i):
        kinds = get(c, "layer_types", "layers_block_type")
        return kinds[i] in ("attention", "full_attention") if kinds else i in c["attn_layer_indices"]

    def feed(y, p):
        if bamba:
            return mlp(W, y, p + "feed_forward.", c["intermediate_size"], m.act)
        inner = c["shared_intermediate_size"]
        gate, up = np.split(linear(W, y, p + "shared_mlp.input_linear", 2 * inner), 2, 1)
        o = linear(W, ACT[m.act](gate) * up, p + "shared_mlp.output_linear", m.d)
        n, wide = c["num_local_experts"], c["intermediate_size"]
        if n:
            p += "block_sparse_moe."
            s = route(softmax(linear(W, y, p + "router.layer", n)), None, c["num_experts_per_tok"], True)
            first, second = W(p + "input_linear.weight", n, 2 * wide, m.d), W(p + "output_linear.weight", n, m.d, wide)
            for e in range(n):
                gate, up = np.split(y @ first[e].T, 2, 1)
                o = o + s[:, e:e + 1] * ((ACT[m.act](gate) * up) @ second[e].T)
        return o

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        if full(i):
            q, k, v = qkv(W, y, p + "self_attn.", m, m.bias)
            q, k = (rotate(q, freq), rotate(k, freq)) if rope else (q, k)
            o, attn[i] = attend(q, k, v, scale)
            o = linear(W, o, p + "self_attn.o_proj", m.d, m.bias)
        else:
            o, lin[i] = mamba2(W, y, p + "mamba.", dims, m.act, m.eps, c["mamba_n_groups"], biases=biases,
                               limits=limits)
        x = x + o * residual
        y = rms(x, W(p + ("pre_ff_layernorm" if bamba else "post_attention_layernorm") + ".weight", m.d), m.eps)
        return x + feed(y, p) * residual

    return *drive(c, W, ids, layer, scale=c.get("embedding_multiplier", 1.0),
                  norm="model.final_layernorm" if bamba else "model.norm",
                  logits=lambda y: y / c.get("logits_scaling", 1.0)), attn, lin


def run_falcon_h1(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    dims = (c["mamba_n_heads"], c["mamba_d_head"], c["mamba_d_state"], c["mamba_d_conv"])
    freq, groups = frequencies(c, m.k, m.t)[0], c["mamba_n_groups"]
    norm = "none" if not c.get("mamba_rms_norm") else "before" if c.get("mamba_norm_before_gate", True) else "gated"
    gate, down = c.get("mlp_multipliers", [1, 1])

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        s, lin[i] = mamba2(W, y * c.get("ssm_in_multiplier", 1.0), p + "mamba.", dims, m.act, m.eps, groups, norm,
                           groups,
                           (c.get("mamba_proj_bias", False), c.get("mamba_conv_bias", True)),
                           parts=c.get("ssm_multipliers", [1] * 5))
        q, k, v = qkv(W, y * c.get("attention_in_multiplier", 1.0), p + "self_attn.", m, m.bias)
        o, attn[i] = attend(rotate(q, freq), rotate(k * c.get("key_multiplier", 1.0), freq), v, m.k ** -0.5)
        o = linear(W, o, p + "self_attn.o_proj", m.d, m.bias)
        x = x + s * c.get("ssm_out_multiplier", 1.0) + o * c.get("attention_out_multiplier", 1.0)
        y = rms(x, W(p + "pre_ff_layernorm.weight", m.d), m.eps)
        f, n = p + "feed_forward.", c["intermediate_size"]
        inner = ACT[m.act](linear(W, y, f + "gate_proj", n) * gate) * linear(W, y, f + "up_proj", n)
        return x + linear(W, inner, f + "down_proj", m.d) * down

    return *drive(c, W, ids, layer, scale=c.get("embedding_multiplier", 1.0), norm="model.final_layernorm",
                  logits=lambda y: y * c.get("lm_head_multiplier", 1.0)), attn, lin


def run_nemotron(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    dims = (c["mamba_num_heads"], c["mamba_head_dim"], c["ssm_state_size"], c["conv_kernel"])
    biases, groups = (c.get("use_bias", False), c.get("use_conv_bias", True)), c["n_groups"]
    plain = (None, "up_proj", "down_proj")
    letters = {"linear_attention": "M", "mamba": "M", "full_attention": "*", "attention": "*", "mlp": "-", "moe": "E"}
    kinds = c.get("hybrid_override_pattern") or [letters[kind] for kind in c["layers_block_type"]]

    def layer(i, x):
        p, kind = f"backbone.layers.{i}.mixer.", kinds[i]
        y = rms(x, W(f"backbone.layers.{i}.norm.weight", m.d), m.eps)
        if kind == "M":
            o, lin[i] = mamba2(W, y, p, dims, "silu", m.eps, groups, norm_groups=groups, biases=biases)
        elif kind == "*":
            o, attn[i] = attend(*qkv(W, y, p, m, False), m.k ** -0.5)
            o = linear(W, o, p + "o_proj", m.d)
        elif kind == "-":
            o = mlp(W, y, p, c["intermediate_size"], "relu2", plain)
        else:
            n = c["n_routed_experts"]
            s = route(sigmoid(linear(W, y, p + "gate", n)), W(p + "gate.e_score_correction_bias", n),
                      c["num_experts_per_tok"],
                      c["norm_topk_prob"], c["routed_scaling_factor"], c["n_group"], c["topk_group"])
            o = experts(W, y, p, s, c["moe_intermediate_size"], "relu2", plain)
            o = o + mlp(W, y, p + "shared_experts.", c["moe_shared_expert_intermediate_size"], "relu2", plain)
        return x + o

    return *drive(c, W, ids, layer, embed="backbone.embeddings", norm="backbone.norm_f"), attn, lin


def run_jamba(c, W, ids):
    m, attn = setup(c, ids), {}
    inner, state, rank = c["mamba_expand"] * m.d, c["mamba_d_state"], c["mamba_dt_rank"]
    bias = c.get("mamba_proj_bias", False)

    def mamba1(y, a):
        x, z = np.split(linear(W, y, a + "in_proj", 2 * inner, bias), 2, 1)
        x = conv(W, x, a + "conv1d", c["mamba_d_conv"], m.act, c.get("mamba_conv_bias", True))
        low, b, g = np.split(linear(W, x, a + "x_proj", rank + 2 * state), [rank, rank + state], 1)
        low, b, g = (rms(s, W(f"{a}{n}_layernorm.weight", s.shape[1]), m.eps) for n, s in (("dt", low), ("b", b), ("c",
                                                                                                                   g)))
        dt = softplus(linear(W, low, a + "dt_proj", inner, True))
        decay, h, o = -np.exp(W(a + "A_log", inner, state)), np.zeros((inner, state)), np.zeros_like(x)
        for i in range(m.t):
            h = np.exp(dt[i][:, None] * decay) * h + (dt[i] * x[i])[:, None] * b[i]
            o[i] = h @ g[i]
        return linear(W, (o + W(a + "D", inner) * x) * ACT["silu"](z), a + "out_proj", m.d, bias)

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        if i % c["attn_layer_period"] == c["attn_layer_offset"]:
            o, attn[i] = attend(*qkv(W, y, p + "self_attn.", m, False), m.k ** -0.5)
            o = linear(W, o, p + "self_attn.o_proj", m.d)
        else:
            o = mamba1(y, p + "mamba.")
        x = x + o
        y = rms(x, W(p + "pre_ff_layernorm.weight", m.d), m.eps)
        p += "feed_forward."
        if c["num_experts"] > 1 and i % c["expert_layer_period"] == c["expert_layer_offset"]:
            s = route(softmax(linear(W, y, p + "router", c["num_experts"])), None, c["num_experts_per_tok"], False)
            return x + experts(W, y, p, s, c["intermediate_size"], m.act)
        return x + mlp(W, y, p, c["intermediate_size"], m.act)

    return *drive(c, W, ids, layer, norm="model.final_layernorm"), attn, {}


def run_lfm2(c, W, ids):
    m, attn = setup(c, ids), {}
    freq, names, wide = frequencies(c, m.k, m.t)[0], ("w1", "w3", "w2"), c["intermediate_size"]
    if c.get("block_auto_adjust_ff_dim"):
        wide = int(2 * wide / 3 * c["block_ffn_dim_multiplier"])
        wide = -(-wide // c["block_multiple_of"]) * c["block_multiple_of"]

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "operator_norm.weight", m.d), m.eps)
        if c["layer_types"][i] == "conv":
            b, g, u = np.split(linear(W, y, p + "conv.in_proj", 3 * m.d, c["conv_bias"]), 3, 1)
            o = g * conv(W, b * u, p + "conv.conv", c["conv_L_cache"], None, c["conv_bias"])
            o = linear(W, o, p + "conv.out_proj", m.d, c["conv_bias"])
        else:
            a = p + "self_attn."
            q, k, v = qkv(W, y, a, m, False)
            q, k = (rotate(rms(z, W(f"{a}{n}_layernorm.weight", m.k), m.eps), freq) for n, z in (("q", q), ("k", k)))
            o, attn[i] = attend(q, k, v, m.k ** -0.5)
            o = linear(W, o, a + "out_proj", m.d)
        x = x + o
        y = rms(x, W(p + "ffn_norm.weight", m.d), m.eps)
        p += "feed_forward."
        if c["model_type"] == "lfm2_moe" and i >= c["num_dense_layers"]:
            n = c["num_experts"]
            s = route(sigmoid(linear(W, y, p + "gate", n)), W.maybe(p + "expert_bias", c["use_expert_bias"], n),
                      c["num_experts_per_tok"], c["norm_topk_prob"], c.get("routed_scaling_factor", 1.0))
            return x + experts(W, y, p, s, c["moe_intermediate_size"], m.act, names)
        return x + mlp(W, y, p, wide, m.act, names)

    return *drive(c, W, ids, layer, norm="model.embedding_norm"), attn, {}


RUN = {
    **dict.fromkeys(("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "phi3", "gemma2", "gemma3_text",
                     "olmo2"),
                    run_softmax),
    **dict.fromkeys(("phi", "olmo"), run_layer_norm),
    **dict.fromkeys(("bloom", "mpt"), run_alibi),
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), run_qwen_hybrid),
    **dict.fromkeys(("granitemoehybrid", "bamba"), run_granite),
    **dict.fromkeys(("lfm2", "lfm2_moe"), run_lfm2),
    "hypenet": run_hypenet, "internlm2": run_internlm2, "jet_nemotron": run_jet, "minimax": run_minimax, "kimi_linear": run_kimi,
    "deepseek_v3": run_deepseek, "falcon_h1": run_falcon_h1, "nemotron_h": run_nemotron, "jamba": run_jamba,
}
