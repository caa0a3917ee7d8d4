"""Whole models by the pieces of reference_model.py: run(config, W, ids) gives logits, the residual stream before every layer
and behind the last, and the weights (H, T, T) of softmax and of linear layers by layer number.
"""
import types

import numpy as np

from reference_model import (ACT, attend, conv, frequencies, implied, layer_norm, linear, mix, mlp, rms, rotate, route,
                             sigmoid,
                             slopes, softmax, softplus, unit)


def get(c, *keys, default=None):
    return next((c[k] for k in keys if c.get(k) is not None), default)


def setup(c, ids):
    """What every family reads."""
    heads = c["num_attention_heads"]
    dim = get(c, "head_dim", default=c["hidden_size"] // heads)
    return types.SimpleNamespace(
        t=len(ids), d=c["hidden_size"], layers=get(c, "num_hidden_layers",
                                                   default=len(c.get("layers_block_type", []))), h=heads, g=get(c,
                                                                                                                "num_key_value_heads", default=heads),
        k=dim, eps=get(c, "rms_norm_eps", "layer_norm_epsilon", "norm_eps", default=1e-6),
        act=get(c, "hidden_activation", "hidden_act", default="silu"), bias=c.get("attention_bias", False))


def drive(c, W, ids, layer, embed="model.embed_tokens", scale=1.0, norm="model.norm", plus=0, logits=lambda y: y,
          head="lm_head"):
    """layer(i, x) → new x."""
    m = setup(c, ids)
    table = W(embed + ".weight", c["vocab_size"], m.d)
    x = table[ids] * scale
    hidden = [x]
    for i in range(m.layers):
        x = layer(i, x)
        hidden.append(x)
    own = W.maybe(head + ".weight", not c.get("tie_word_embeddings"), c["vocab_size"], m.d)
    return logits(rms(x, plus + W(norm + ".weight", m.d), m.eps) @ (table if own is None else own).T), hidden


def qkv(W, x, p, m, bias, out_gate=False):
    q = linear(W, x, p + "q_proj", m.h * m.k * (2 if out_gate else 1), bias).reshape(m.t, m.h, -1)
    k, v = (linear(W, x, p + n, m.g * m.k, bias).reshape(m.t, m.g, m.k) for n in ("k_proj", "v_proj"))
    return q, k, v


def experts(W, x, p, w, inner, act, names=("gate_proj", "up_proj", "down_proj"), where="experts"):
    y = np.zeros_like(x)
    for e in range(w.shape[1]):
        y += w[:, e:e + 1] * mlp(W, x, f"{p}{where}.{e}.", inner, act, names)
    return y


def window_of(c, i):
    """Keys that layer i of a softmax model sees, 0 = all."""
    types_, w, t = c.get("layer_types"), c.get("sliding_window") or 0, c["model_type"]
    if types_:
        return w if types_[i] == "sliding_attention" else 0
    if t == "gemma2":
        return 0 if i % 2 else w
    if t == "gemma3_text":
        return w if (i + 1) % c["sliding_window_pattern"] else 0
    if t.startswith("qwen"):
        return w if c.get("use_sliding_window") and (t == "qwen3_moe" or i >= c.get("max_window_layers", 28)) else 0
    return w


def rope_of(c, m, i, window):
    """A layer's rotation; Gemma 3's sliding layers have their own base and no scaling."""
    r = c.get("rope_parameters")
    if r and "full_attention" in r:
        r = r["sliding_attention" if window else "full_attention"]
    elif c["model_type"] == "gemma3_text" and window:
        r = dict(rope_theta=c.get("rope_local_base_freq", 1e4))
    part = get(r or {}, "partial_rotary_factor", default=get(c, "partial_rotary_factor", default=1))
    return frequencies(c, int(m.k * part), m.t, r)


def run_softmax(c, W, ids):
    m, t, attn = setup(c, ids), c["model_type"], {}
    gemma, plus = t.startswith("gemma"), 1 if t.startswith("gemma") else 0
    post = t == "olmo2"
    scale = get(c, "query_pre_attn_scalar", default=256) ** -0.5 if gemma else m.k ** -0.5
    cap = c.get("attn_logit_softcapping") or 0 if t == "gemma2" else 0
    qkv_bias = m.bias or t.startswith("qwen2")

    def norm(x, p, n):
        return rms(x, plus + W(p + n + ".weight", m.d), m.eps)

    def layer(i, x):
        p, a = f"model.layers.{i}.", f"model.layers.{i}.self_attn."
        y = x if post else norm(x, p, "input_layernorm")
        if t == "phi3":
            both = linear(W, y, a + "qkv_proj", (m.h + 2 * m.g) * m.k, m.bias)
            q, k, v = (z.reshape(m.t, -1, m.k) for z in np.split(both, [m.h * m.k, (m.h + m.g) * m.k], 1))
        else:
            q, k, v = qkv(W, y, a, m, qkv_bias)
        if t in ("qwen3", "qwen3_moe", "gemma3_text"):
            q, k = (rms(z, plus + W(f"{a}{n}_norm.weight", m.k), m.eps) for n, z in (("q", q), ("k", k)))
        if post:
            q, k = (rms(z.reshape(m.t, -1), W(f"{a}{n}_norm.weight", z[0].size), m.eps).reshape(z.shape)
                    for n, z in (("q", q), ("k", k)))
        w = window_of(c, i)
        freq, factor = rope_of(c, m, i, w)
        o, attn[i] = attend(rotate(q, freq, factor), rotate(k, freq, factor), v, scale, w, cap)
        o = linear(W, o, a + "o_proj", m.d, m.bias and t != "phi3")
        x = x + (norm(o, p, "post_attention_layernorm") if gemma or post else o)
        y = x if post else norm(x, p, "pre_feedforward_layernorm" if gemma else "post_attention_layernorm")
        if t == "mixtral":
            s = softmax(linear(W, y, p + "block_sparse_moe.gate", c["num_local_experts"]))
            s = route(s, None, c["num_experts_per_tok"], True)
            o = experts(W, y, p + "block_sparse_moe.", s, c["intermediate_size"], m.act, ("w1", "w3", "w2"))
        elif t == "qwen3_moe" and i not in c["mlp_only_layers"] and (i + 1) % c["decoder_sparse_step"] == 0:
            s = softmax(linear(W, y, p + "mlp.gate", get(c, "num_experts", "num_local_experts")))
            s = route(s, None, c["num_experts_per_tok"], c["norm_topk_prob"])
            o = experts(W, y, p + "mlp.", s, c["moe_intermediate_size"], m.act)
        elif t == "phi3":
            gate, up = np.split(linear(W, y, p + "mlp.gate_up_proj", 2 * c["intermediate_size"]), 2, 1)
            o = linear(W, ACT[m.act](gate) * up, p + "mlp.down_proj", m.d)
        else:
            o = mlp(W, y, p + "mlp.", c["intermediate_size"], m.act, bias=c.get("mlp_bias", False))
        return x + (norm(o, p, "post_feedforward_layernorm") if gemma or post else o)

    top = c.get("final_logit_softcapping") if gemma else None
    logits, hidden = drive(c, W, ids, layer, scale=np.sqrt(m.d) if gemma else 1.0, plus=plus,
                           logits=(lambda y: np.tanh(y / top) * top) if top else (lambda y: y))
    return logits, hidden, attn, {}


def run_layer_norm(c, W, ids):
    """Phi (attention and MLP side by side, norms per head) and OLMo (norms without weights, q, k and v clipped)."""
    m, attn, phi = setup(c, ids), {}, c["model_type"] == "phi"
    freq, factor = rope_of(c, m, 0, 0)

    def norm(x, name, n):
        return layer_norm(x, W(name + ".weight", n), W(name + ".bias", n), m.eps) if phi else layer_norm(x, 1, 0, m.eps)

    def attention(i, y, a):
        q, k, v = qkv(W, y, a, m, phi or m.bias)
        if c.get("clip_qkv"):
            q, k, v = (np.clip(z, -c["clip_qkv"], c["clip_qkv"]) for z in (q, k, v))
        if c.get("qk_layernorm"):
            q, k = (norm(z, f"{a}{n}_layernorm", m.k) for n, z in (("q", q), ("k", k)))
        o, attn[i] = attend(rotate(q, freq, factor), rotate(k, freq, factor), v, m.k ** -0.5)
        return linear(W, o, a + ("dense" if phi else "o_proj"), m.d, phi or m.bias)

    def layer(i, x):
        p = f"model.layers.{i}."
        y = norm(x, p + "input_layernorm", m.d)
        o = attention(i, y, p + "self_attn.")
        if phi:
            return x + o + linear(W, ACT[m.act](linear(W, y, p + "mlp.fc1", c["intermediate_size"], True)),
                                  p + "mlp.fc2", m.d, True)
        x = x + o
        return x + mlp(W, norm(x, "", m.d), p + "mlp.", c["intermediate_size"], m.act)

    table, x = W("model.embed_tokens.weight", c["vocab_size"], m.d), None
    hidden = [table[ids]]
    for i in range(m.layers):
        hidden.append(layer(i, hidden[-1]))
    x = norm(hidden[-1], "model.final_layernorm", m.d)
    return linear(W, x, "lm_head", c["vocab_size"], phi), hidden, attn, {}


def run_internlm2(c, W, ids):
    """Llama's arithmetic; q, k and v of a KV group lie together."""
    m, attn = setup(c, ids), {}
    freq, factor = frequencies(c, m.k, m.t)

    def layer(i, x):
        p, each = f"model.layers.{i}.", m.h // m.g
        y = rms(x, W(p + "attention_norm.weight", m.d), m.eps)
        z = linear(W, y, p + "attention.wqkv", (m.h + 2 * m.g) * m.k).reshape(m.t, m.g, each + 2, m.k)
        q, k, v = z[:, :, :each].reshape(m.t, m.h, m.k), z[:, :, each], z[:, :, each + 1]
        o, attn[i] = attend(rotate(q, freq, factor), rotate(k, freq, factor), v, m.k ** -0.5)
        x = x + linear(W, o, p + "attention.wo", m.d)
        y = rms(x, W(p + "ffn_norm.weight", m.d), m.eps)
        return x + mlp(W, y, p + "feed_forward.", c["intermediate_size"], m.act, ("w1", "w3", "w2"))

    return *drive(c, W, ids, layer, embed="model.tok_embeddings", head="output"), attn, {}


def run_alibi(c, W, ids):
    """BLOOM (a norm behind the embedding, biases) and MPT (neither)."""
    bloom, t, d = c["model_type"] == "bloom", len(ids), get(c, "hidden_size", "d_model")
    n, wide, own, attn = get(c, "n_head", "n_heads"), 4 * d, c.get("attn_config", {}), {}
    names = (("self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h", "h.",
              "input_layernorm", "post_attention_layernorm") if bloom else
             ("attn.Wqkv", "attn.out_proj", "ffn.up_proj", "ffn.down_proj", "blocks.", "norm_1", "norm_2"))
    power = 1 << (n - 1).bit_length()
    rates = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    rates = slopes(n) if bloom else rates if power == n else np.concatenate([rates[1::2], rates[::2]])[:n]

    def norm(x, name):
        return layer_norm(x, W(f"transformer.{name}.weight", d), W(f"transformer.{name}.bias", d) if bloom else 0, 1e-5)

    table = W("transformer." + ("word_embeddings.weight" if bloom else "wte.weight"), c["vocab_size"], d)
    hidden = [norm(table[ids], "word_embeddings_layernorm") if bloom else table[ids]]
    for i in range(get(c, "n_layer", "n_layers")):
        x, p = hidden[-1], f"{names[4]}{i}."
        y, after = norm(x, p + names[5]), c.get("apply_residual_connection_post_layernorm")
        z = linear(W, y, f"transformer.{p}{names[0]}", 3 * d, bloom)
        z = np.clip(z, -own["clip_qkv"], own["clip_qkv"]) if own.get("clip_qkv") else z
        q, k, v = np.moveaxis(z.reshape(t, n, 3, -1), 2, 0) if bloom else np.moveaxis(z.reshape(t, 3, n, -1), 1, 0)
        o, attn[i] = attend(q, k, v, own.get("softmax_scale") or (d // n) ** -0.5, alibi=rates)
        x = (y if after else x) + linear(W, o, f"transformer.{p}{names[1]}", d, bloom)
        y = norm(x, p + names[6])
        o = ACT["gelu_new" if bloom else "gelu"](linear(W, y, f"transformer.{p}{names[2]}", wide, bloom))
        hidden.append((y if after else x) + linear(W, o, f"transformer.{p}{names[3]}", d, bloom))
    return norm(hidden[-1], "ln_f" if bloom else "norm_f") @ table.T, hidden, attn, {}


def hype_scale(c, t):
    s = c.get("attn_logits_scaling")
    if not isinstance(s, str):
        return np.full(t, 1.0 if s is None else float(s))
    words = s.split()
    a = float(words[1]) if len(words) > 1 else 362.0
    return np.log(np.arange(t) + a) / np.log(int(a))


def run_hypenet(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    nh, nkv, hd = (get(c, "lightning_" + k, default=v) for k, v in (("nh", m.h), ("nkv", m.h), ("head_dim", m.k)))
    freq, _ = frequencies(c, m.k, m.t)

    def lightning(i, y, a):
        q, k, v = (linear(W, y, f"{a}{n}_proj", h * hd, m.bias).reshape(m.t, h, hd) for n, h in (("q", nh), ("k", nkv),
                                                                                                 ("v", nkv)))
        if c.get("lightning_use_qk_norm", True):
            q, k = (rms(z, W(f"{a}{n}_norm.weight", hd), m.eps) for n, z in (("q", q), ("k", k)))
        if c.get("lightning_use_rope", True):
            q, k = rotate(q, freq), rotate(k, freq)
        k, v = np.repeat(k, nh // nkv, 1), np.repeat(v, nh // nkv, 1)
        s = {"1/sqrt(d)": hd ** -0.5, "1/d": 1 / hd}.get(c.get("lightning_scale", "1/sqrt(d)"), 1.0)
        lin[i] = implied(q * s, k, np.tile(-slopes(nh), (m.t, 1)), None, False)
        o = mix(lin[i], v)
        if c.get("lightning_use_output_norm", True):
            o = rms(o, W(a + "o_norm.weight", nh * hd), m.eps)
        if c.get("lightning_use_output_gate", True):
            o = o * sigmoid(linear(W, y, a + "z_proj", nh * hd))
        return linear(W, o, a + "o_proj", m.d, m.bias)

    def softmax_layer(i, y, a):
        q, k, v = qkv(W, y, a, m, m.bias)
        q, k = (rms(z, W(f"{a}{n}_norm.weight", m.k), m.eps) for n, z in (("q", q), ("k", k)))
        if c.get("attn_use_rope", False):
            q, k = rotate(q, freq), rotate(k, freq)
        o, attn[i] = attend(q * hype_scale(c, m.t)[:, None, None], k, v, m.k ** -0.5)
        if c.get("attn_use_output_gate", True):
            o = o * sigmoid(linear(W, y, a + "o_gate", m.h * m.k))
        return linear(W, o, a + "o_proj", m.d, m.bias)

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        x = x + (lightning if "lightning" in c["mixer_types"][i] else softmax_layer)(i, y, p + "self_attn.")
        y = rms(x, W(p + "post_attention_layernorm.weight", m.d), m.eps)
        return x + mlp(W, y, p + "mlp.", c["intermediate_size"], m.act)

    return *drive(c, W, ids, layer), attn, lin


def run_jet(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    kinds = c["layer_types"]
    if isinstance(kinds, str):
        kinds = [word.strip(" '\"") for word in kinds.strip("[] ").split(",")]
    jet = c["efficient_attention_config"]["jet"]
    n, hd, w = jet["num_heads"], jet["head_dim"], jet["conv_size"]
    vd, freq = int(hd * jet["expand_v"]), frequencies(c, m.k, m.t)[0]

    def block(i, y, a):
        q, k = (unit(ACT["silu"](linear(W, y, a + s, n * hd)).reshape(m.t, n, hd)) for s in ("q_proj", "k_proj"))
        v, values = linear(W, y, a + "v_proj", n * vd), n * vd
        g = a + "dynamic_conv1d.kernel_generator."
        kernel = ACT["silu"](linear(W, y, g + "w1", values // jet["dconv_generator_reduction"]))
        kernel = linear(W, kernel, g + "w2", values * w, True).reshape(m.t, values, w)
        past = np.concatenate([np.zeros((w - 1, values)), v])
        v = ACT["silu"](sum(kernel[:, :, j] * past[j:j + m.t] for j in range(w))).reshape(m.t, n, vd)
        decay = -np.exp(W(a + "A_log", n)) * softplus(linear(W, y, a + "a_proj", n) + W(a + "dt_bias", n))
        beta = sigmoid(linear(W, y, a + "b_proj", n))
        lin[i] = implied(q * hd ** -0.5, k, decay, beta, True)
        o = mix(lin[i], v).reshape(m.t, n, vd)
        o = rms(o, W(a + "o_norm.weight", vd), float(jet["norm_eps"])).reshape(m.t, -1)
        return linear(W, o * ACT["silu"](linear(W, y, a + "g_proj", values)), a + "o_proj", m.d)

    def softmax_layer(i, y, a):
        q, k, v = qkv(W, y, a, m, True)
        window = c["efficient_attention_config"]["swa"]["window_size"] if kinds[i] == "swa" else 0
        o, attn[i] = attend(rotate(q, freq), rotate(k, freq), v, m.k ** -0.5, window)
        return linear(W, o, a + "o_proj", m.d)

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        x = x + (block if kinds[i] == "jet" else softmax_layer)(i, y, p + "self_attn.")
        y = rms(x, W(p + "post_attention_layernorm.weight", m.d), m.eps)
        return x + mlp(W, y, p + "mlp.", c["intermediate_size"], m.act)

    return *drive(c, W, ids, layer), attn, lin


def run_minimax(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    linear_ = ([kind == "linear_attention" for kind in c["layer_types"]] if "layer_types" in c
               else [kind == 0 for kind in c["attn_type_list"]])
    freq = frequencies(c, m.k, m.t)[0]

    def lightning(i, y, a):
        z = ACT[m.act](linear(W, y, a + "qkv_proj", 3 * m.h * m.k)).reshape(m.t, m.h, 3, m.k)
        rate = 2.0 ** (-8 * np.arange(1, m.h + 1) / m.h) * (1 - i / (m.layers - 1 + 1e-5) + 1e-5)
        lin[i] = implied(z[:, :, 0], z[:, :, 1], np.tile(-rate, (m.t, 1)), None, False)
        o = rms(mix(lin[i], z[:, :, 2]), W(a + "norm.weight", m.h * m.k), 1e-6)
        return linear(W, o * sigmoid(linear(W, y, a + "output_gate", m.h * m.k)), a + "out_proj", m.d)

    def layer(i, x):
        p, a = f"model.layers.{i}.", f"model.layers.{i}.self_attn."
        kind = "linear" if linear_[i] else "full"
        y = rms(x, W(p + "input_layernorm.weight", m.d), m.eps)
        if linear_[i]:
            o = lightning(i, y, a)
        else:
            q, k, v = qkv(W, y, a, m, False)
            o, attn[i] = attend(rotate(q, freq), rotate(k, freq), v, m.k ** -0.5, c.get("sliding_window") or 0)
            o = linear(W, o, a + "o_proj", m.d)
        x = (y * get(c, f"{kind}_attn_alpha_factor", f"layernorm_{kind}_attention_alpha", default=1)
             + o * get(c, f"{kind}_attn_beta_factor", f"layernorm_{kind}_attention_beta", default=1))
        y = rms(x, W(p + "post_attention_layernorm.weight", m.d), m.eps)
        s = softmax(linear(W, y, p + "block_sparse_moe.gate", c["num_local_experts"]))
        s = route(s, None, c["num_experts_per_tok"], True)
        o = experts(W, y, p + "block_sparse_moe.", s, c["intermediate_size"], m.act, ("w1", "w3", "w2"))
        return (y * get(c, "mlp_alpha_factor", "layernorm_mlp_alpha", default=1)
                + o * get(c, "mlp_beta_factor", "layernorm_mlp_beta", default=1))

    return *drive(c, W, ids, layer), attn, lin


def run_qwen_hybrid(c, W, ids):
    m, attn, lin = setup(c, ids), {}, {}
    nk, nv, dk, dv = (c["linear_" + s] for s in ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim"))
    r, next_ = nv // nk, c["model_type"] == "qwen3_next"
    part = get(c.get("rope_parameters") or {}, "partial_rotary_factor", default=get(c, "partial_rotary_factor",
                                                                                    default=0.25))
    freq, factor = frequencies(c, int(m.k * part), m.t)
    interval = get(c, "full_attention_interval", default=4)

    def full(i):
        return c["layer_types"][i] == "full_attention" if c.get("layer_types") else (i + 1) % interval == 0

    def parts(y, a):
        """q, k, v side by side, then z, b, a."""
        if next_:
            z = linear(W, y, a + "in_proj_qkvz", nk * (2 * dk + 2 * r * dv)).reshape(m.t, nk, -1)
            q, k, v, z = (s.reshape(m.t, -1) for s in np.split(z, np.cumsum([dk, dk, r * dv]), 2))
            b, s = (s.reshape(m.t, -1) for s in np.split(linear(W, y, a + "in_proj_ba", 2 * nv).reshape(m.t, nk,
                                                                                                        2 * r), 2, 2))
            return np.concatenate([q, k, v], 1), z, b, s
        return (linear(W, y, a + "in_proj_qkv", 2 * nk * dk + nv * dv), linear(W, y, a + "in_proj_z", nv * dv),
                linear(W, y, a + "in_proj_b", nv), linear(W, y, a + "in_proj_a", nv))

    def delta(i, y, a):
        together, z, b, s = parts(y, a)
        together = conv(W, together, a + "conv1d", c["linear_conv_kernel_dim"], m.act)
        q, k, v = np.split(together, [nk * dk, 2 * nk * dk], 1)
        q, k = (np.repeat(unit(n.reshape(m.t, nk, dk)), r, 1) for n in (q, k))
        decay = -np.exp(W(a + "A_log", nv)) * softplus(s + W(a + "dt_bias", nv))
        lin[i] = implied(q * dk ** -0.5, k, decay, sigmoid(b), True)
        o = mix(lin[i], v.reshape(m.t, nv, dv)).reshape(m.t, nv, dv)
        o = rms(o, W(a + "norm.weight", dv), m.eps).reshape(m.t, -1) * ACT["silu"](z)
        return linear(W, o, a + "out_proj", m.d)

    def gated(i, y, a):
        gate = c.get("attn_output_gate", True)
        q, k, v = qkv(W, y, a, m, m.bias, gate)
        q, g = (q[..., :m.k], q[..., m.k:].reshape(m.t, -1))
        q, k = (rms(s, 1 + W(f"{a}{n}_norm.weight", m.k), m.eps) for n, s in (("q", q), ("k", k)))
        o, attn[i] = attend(rotate(q, freq, factor), rotate(k, freq, factor), v, m.k ** -0.5)
        return linear(W, o * sigmoid(g) if gate else o, a + "o_proj", m.d, m.bias)

    def feed(i, y, p):
        sparse = get(c, "num_experts", default=0) and i not in get(c, "mlp_only_layers", default=[])
        if not sparse or (i + 1) % get(c, "decoder_sparse_step", default=1):
            return mlp(W, y, p, c["intermediate_size"], m.act)
        s = softmax(linear(W, y, p + "gate", c["num_experts"]))
        s = route(s, None, c["num_experts_per_tok"], c.get("norm_topk_prob", True))
        shared = mlp(W, y, p + "shared_expert.", c["shared_expert_intermediate_size"], m.act)
        return experts(W, y, p, s, c["moe_intermediate_size"], m.act) + sigmoid(linear(W, y, p + "shared_expert_gate",
                                                                                       1)) * shared

    def layer(i, x):
        p = f"model.layers.{i}."
        y = rms(x, 1 + W(p + "input_layernorm.weight", m.d), m.eps)
        x = x + (gated(i, y, p + "self_attn.") if full(i) else delta(i, y, p + "linear_attn."))
        return x + feed(i, rms(x, 1 + W(p + "post_attention_layernorm.weight", m.d), m.eps), p + "mlp.")

    return *drive(c, W, ids, layer, plus=1), attn, lin
