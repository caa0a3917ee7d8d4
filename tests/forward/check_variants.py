"""Forward passes of made-up models against float64 numpy: the options of published configs, storage types, chunk borders.

    check_variants.py DUMP_FORWARD [NAME …]

For each row below a random checkpoint is made (its tensors are those that reference_families.py asks for), run in one pass
and token by token, and compared. Tolerances: float32 sums of some hundred terms, a few layers deep, err by about 1e-6 of
what is summed; a hundred times that is still far below what leaving out any term would do (the weights are all of order one).
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

from reference_hybrids import RUN
from reference_model import Weights

BASE = dict(vocab_size=61, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096, tie_word_embeddings=False, hidden_act="silu", rms_norm_eps=1e-5, norm_eps=1e-5,
            layer_norm_epsilon=1e-5)
BORDERS = (1, 2, 63, 64, 65, 127)
FED_AT_ONCE = 5  # as dump_forward.c feeds its sessions

MOE = dict(moe_intermediate_size=24, num_experts=5, num_experts_per_tok=2, mlp_only_layers=[], decoder_sparse_step=1)
HYPE = dict(mixer_types=["lightning-attn", "attn"], head_dim=8, rope_theta=1e4)
JET = dict(layer_types="['jet', \"attn\", 'swa']", num_hidden_layers=3, rope_theta=1e6, efficient_attention_config={
    "jet": dict(num_heads=3, head_dim=6, expand_v=2.6666666667, conv_size=4, dconv_generator_reduction=8,
                norm_eps="1e-5"),
    "swa": dict(window_size=9)})
MINI = dict(num_local_experts=4, num_experts_per_tok=2, head_dim=12, rope_theta=1e6)
NEXT = dict(head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8,
            linear_value_head_dim=12,
            linear_conv_kernel_dim=4, rope_theta=1e6)
SHARED = dict(MOE, shared_expert_intermediate_size=20)
KIMI = dict(kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=10, num_key_value_heads=4,
            first_k_dense_replace=1,
            moe_intermediate_size=24, num_experts=8, num_experts_per_token=3, num_shared_experts=1, routed_scaling_factor=1.7,
            moe_renormalize=True, num_expert_group=1, topk_group=1, model_max_length=4096,
            linear_attn_config=dict(full_attn_layers=[2], kda_layers=[1], num_heads=3, head_dim=12,
                                    short_conv_kernel_size=4))
DEEP = dict(kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=10, num_key_value_heads=4,
            first_k_dense_replace=1,
            moe_intermediate_size=24, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2, routed_scaling_factor=2.5,
            norm_topk_prob=True, n_group=4, topk_group=2, rope_theta=1e4)
MAMBA = dict(mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8, mamba_d_conv=4, mamba_expand=2, mamba_n_groups=2)
GRANITE = dict(MAMBA, layer_types=["mamba", "attention"], shared_intermediate_size=24, num_local_experts=5,
               num_experts_per_tok=2,
               embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.6, attention_multiplier=0.3)
FALCON = dict(MAMBA, head_dim=12, mamba_d_ssm=48, mamba_d_head=12, rope_theta=1e5, mamba_rms_norm=True)
NEMOTRON = dict(hybrid_override_pattern="ME*-", num_hidden_layers=4, mamba_num_heads=4, mamba_head_dim=8, n_groups=2,
                ssm_state_size=8,
                conv_kernel=4, head_dim=12, n_routed_experts=8, num_experts_per_tok=3, n_group=2, topk_group=1, moe_intermediate_size=24,
                moe_shared_expert_intermediate_size=20, n_shared_experts=1, routed_scaling_factor=1.7, norm_topk_prob=True)
JAMBA = dict(attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=0, num_experts=4,
             num_experts_per_tok=2, mamba_d_state=8, mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=4)
MODELS = pathlib.Path(__file__).resolve().parent.parent / "data" / "models"
FACTORS = dict(type="longrope", short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.5, 2.0, 3.0, 4.0])


def described(name, style="config.json"):
    """A whole config that data/models describes."""
    config = json.loads((MODELS / name / style).read_text())
    return {k: v for k, v in config.items() if k != "model_type"}


def yarn(**more):
    return dict(rope_theta=1e4, rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16, **more))


# (name, model_type, storage type, lengths, config)
VARIANTS = [
    # plain families: activations, biases, head sizes, windows, rotation
    ("llama_biases", "llama", "F32", (40,),
     dict(attention_bias=True, mlp_bias=True, head_dim=12, hidden_act="gelu", rope_theta=1e4)),
    ("llama_f16", "llama", "F16", (40,), dict(hidden_act="gelu_new", rope_theta=1e4)),
    ("llama_f64", "llama", "F64", (40,),
     dict(hidden_act="relu2", rope_theta=1e4, rope_scaling=dict(type="linear", factor=4.0))),
    ("llama_f8", "llama", "F8_E4M3", (40,), dict(hidden_act="relu", rope_theta=1e4)),
    ("llama_f8_e5", "llama", "F8_E5M2", (40,), dict(hidden_act="gelu_pytorch_tanh", rope_theta=1e4)),
    ("llama_dynamic", "llama", "F32", (24, 70),
     dict(max_position_embeddings=32, rope_theta=1e4, rope_scaling=dict(type="dynamic", factor=2.0))),
    ("llama_yarn", "llama", "F32", (40,), dict(yarn(truncate=False), head_dim=16)),
    ("llama_yarn_factor", "llama", "F32", (40,), yarn(attention_factor=1.3, beta_fast=16.0, beta_slow=2.0)),
    ("llama_yarn_mscale", "llama", "F32", (40,), yarn(mscale=0.7, mscale_all_dim=0.4)),
    ("llama_3", "llama", "F32", (40,), dict(head_dim=16, rope_theta=500.0, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))),
    ("mistral_window", "mistral", "BF16", (40,), dict(sliding_window=7, head_dim=12, rope_theta=1e4)),
    ("mistral_full", "mistral", "F32", (40,), dict(sliding_window=None, rope_theta=1e4, tie_word_embeddings=True)),
    ("mixtral", "mixtral", "F32", (40,),
     dict(sliding_window=None, num_local_experts=5, num_experts_per_tok=2, rope_theta=1e6)),
    ("qwen2_window", "qwen2", "F32", (40,),
     dict(use_sliding_window=True, sliding_window=8, max_window_layers=1, rope_theta=1e6)),
    ("qwen2_off", "qwen2", "F32", (40,),
     dict(use_sliding_window=False, sliding_window=8, max_window_layers=0, rope_theta=1e6)),
    ("qwen3_bias", "qwen3", "F32", (40,),
     dict(attention_bias=True, head_dim=12, rope_theta=1e6, tie_word_embeddings=True)),
    ("qwen3_moe", "qwen3_moe", "F32", (40,),
     dict(MOE, norm_topk_prob=False, mlp_only_layers=[1], head_dim=12, rope_theta=1e6,
          use_sliding_window=True, sliding_window=8, max_window_layers=2)),
    ("phi3_near", "phi3", "F32", (30,),
     dict(rope_theta=1e4, original_max_position_embeddings=32, rope_scaling=FACTORS, sliding_window=9)),
    ("phi3_far", "phi3", "F32", (40,), dict(rope_theta=1e4, original_max_position_embeddings=32, rope_scaling=FACTORS)),
    ("phi3_part", "phi3", "F32", (40,), dict(rope_theta=1e4, partial_rotary_factor=0.5)),
    ("gemma2_caps", "gemma2", "F32", (40,),
     dict(head_dim=12, attn_logit_softcapping=3.0, final_logit_softcapping=2.0, query_pre_attn_scalar=5,
          sliding_window=9, hidden_activation="gelu_pytorch_tanh", rope_theta=1e4, tie_word_embeddings=True)),
    ("gemma2_plain", "gemma2", "F32", (40,),
     dict(head_dim=12, attn_logit_softcapping=None, final_logit_softcapping=None, sliding_window=9,
          hidden_activation="gelu", rope_theta=1e4, tie_word_embeddings=True)),
    ("gemma3", "gemma3_text", "F32", (40,),
     dict(head_dim=12, num_hidden_layers=3, sliding_window=9, sliding_window_pattern=2, rope_theta=1e6,
          hidden_activation="gelu_pytorch_tanh", rope_local_base_freq=5000.0, tie_word_embeddings=True,
          rope_scaling=dict(rope_type="linear", factor=8.0))),
    ("olmo2", "olmo2", "F32", (40,), dict(attention_bias=True, rope_theta=5e5)),
    ("phi_norms", "phi", "F32", (40,),
     dict(qk_layernorm=True, partial_rotary_factor=0.5, rope_theta=1e4, hidden_act="gelu_new")),
    ("olmo_clip", "olmo", "F32", (40,), dict(clip_qkv=0.6, rope_theta=1e4)),
    ("internlm2", "internlm2", "BF16", (40,), dict(rope_theta=1e6, rope_scaling=dict(type="dynamic", factor=2.0))),
    ("bloom", "bloom", "F32", (70,), dict(n_head=6, hidden_size=36, n_layer=2, tie_word_embeddings=True)),
    ("bloom_behind", "bloom", "F32", (40,),
     dict(n_head=4, hidden_size=32, n_layer=2, apply_residual_connection_post_layernorm=True, tie_word_embeddings=True)),
    ("mpt", "mpt", "F32", (70,),
     dict(d_model=36, n_heads=6, n_layers=2, max_seq_len=128, tie_word_embeddings=True,
          attn_config=dict(alibi=True, clip_qkv=0.7, softmax_scale=0.2))),
    ("deepseek", "deepseek_v3", "F32", (40,), dict(DEEP, q_lora_rank=20, attention_bias=True, rope_scaling=dict(
        type="yarn", factor=8.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=1.0))),
    ("deepseek_plain", "deepseek_v3", "F32", (40,),
     dict(DEEP, q_lora_rank=None, rope_interleave=False, norm_topk_prob=False)),
    # linear mixers: their options, and lengths around the borders of chunks
    ("hypenet", "hypenet", "F32", BORDERS + (1000,), dict(HYPE, attn_logits_scaling="hype 500")),
    ("hypenet_word", "hypenet", "F32", (40,),
     dict(HYPE, attn_logits_scaling="hype", attn_use_rope=True, lightning_scale="1/d")),
    ("hypenet_factor", "hypenet", "F16", (40,),
     dict(HYPE, attn_logits_scaling=1.7, lightning_scale="none", attn_use_output_gate=False)),
    ("hypenet_bare", "hypenet", "F32", (40,),
     dict(HYPE, attn_logits_scaling=None, lightning_use_qk_norm=False, lightning_use_output_norm=False,
          lightning_use_output_gate=False, lightning_use_rope=False, attention_bias=True)),
    ("hypenet_six", "hypenet", "F32", (70,),
     dict(HYPE, num_attention_heads=6, lightning_nh=6, lightning_nkv=2, lightning_head_dim=8,
          expand_kv_proj=False, attn_logits_scaling="hype 30.5")),
    ("jet", "jet_nemotron", "BF16", BORDERS + (1000,), JET),
    ("minimax", "minimax", "F32", BORDERS,
     dict(MINI, layer_types=["linear_attention", "full_attention"], linear_attn_alpha_factor=1.3,
          full_attn_beta_factor=0.8, mlp_alpha_factor=0.9, hidden_act="gelu")),
    ("minimax_published", "minimax", "F32", (70,), dict(
        MINI, num_attention_heads=6, num_key_value_heads=3, attn_type_list=[1, 0], layernorm_full_attention_alpha=1.4,
        layernorm_linear_attention_beta=0.7, layernorm_mlp_alpha=1.2, layernorm_mlp_beta=0.6, postnorm=True, sliding_window=9)),
    ("qwen3_next", "qwen3_next", "F32", BORDERS + (1000,),
     dict({**NEXT, **SHARED}, full_attention_interval=2, norm_topk_prob=True)),
    ("qwen3_next_dense", "qwen3_next", "F32", (70,),
     dict({**NEXT, **SHARED}, layer_types=["full_attention", "linear_attention"], hidden_act="gelu",
          mlp_only_layers=[0], norm_topk_prob=False, attention_bias=True, partial_rotary_factor=0.5,
          attn_output_gate=True)),
    ("qwen3_5", "qwen3_5_text", "F32", BORDERS, dict(NEXT, full_attention_interval=2, rope_parameters=dict(
        rope_theta=1e7, rope_type="default", partial_rotary_factor=0.25, mrope_section=[1, 1,
          0], mrope_interleaved=True))),
    ("kimi", "kimi_linear", "F32", BORDERS + (1000,), KIMI),
    ("kimi_groups", "kimi_linear", "F32", (70,),
     dict(KIMI, num_expert_group=4, topk_group=2, q_lora_rank=20, moe_renormalize=False,
          first_k_dense_replace=0)),
    ("granite", "granitemoehybrid", "F32", BORDERS + (1000,),
     dict(GRANITE, position_embedding_type="rope", rope_theta=1e4)),
    ("granite_dense", "granitemoehybrid", "F32", (70,), dict(
        GRANITE, num_local_experts=0, position_embedding_type="nope", attention_bias=True, mamba_proj_bias=True, mamba_conv_bias=False,
        mamba_n_groups=1, time_step_limit=[0.05, 0.4], rope_theta=1e4)),
    ("bamba", "bamba", "F32", (70,), dict(MAMBA, attn_layer_indices=[1], rope_theta=1e4)),
    ("falcon_h1", "falcon_h1", "F32", (70,),
     dict(FALCON, mamba_norm_before_gate=True, ssm_multipliers=[0.5, 1.2, 0.7, 1.1, 0.9],
          mlp_multipliers=[0.8,
          1.2], key_multiplier=0.5, attention_in_multiplier=1.1,
          attention_out_multiplier=0.7, ssm_in_multiplier=1.3, ssm_out_multiplier=0.8,
          embedding_multiplier=3.0, lm_head_multiplier=0.5)),
    ("falcon_h1_bare", "falcon_h1", "F32", (70,),
     dict(FALCON, mamba_rms_norm=False, mamba_n_groups=1, mamba_proj_bias=True)),
    ("nemotron_h", "nemotron_h", "F32", (70,), NEMOTRON),
    ("jamba", "jamba", "F32", BORDERS + (1000,), JAMBA),
    ("jamba_bias", "jamba", "F32", (70,),
     dict(JAMBA, num_experts=1, mamba_proj_bias=True, mamba_conv_bias=False, hidden_act="gelu")),
    ("lfm2", "lfm2", "F32", BORDERS + (1000,),
     dict(layer_types=["conv", "full_attention"], conv_L_cache=3, conv_bias=True, rope_theta=1e6,
          block_auto_adjust_ff_dim=False)),
    ("lfm2_moe", "lfm2_moe", "F32", (40,),
     dict(layer_types=["conv", "full_attention"], conv_L_cache=4, conv_bias=False, rope_theta=1e6,
          num_dense_layers=1, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24,
          use_expert_bias=True, norm_topk_prob=True, routed_scaling_factor=1.4)),
    # five layers in the published order, experts beside a shared one in each, both styles of config
    ("qwen3_next_described", "qwen3_next", "F32", (203, 187), described("qwen3_next")),
    ("qwen3_next_legacy", "qwen3_next", "F32", (203, 187), described("qwen3_next", "config_legacy.json")),
]


# options that nothing computes: refused, naming the field
REFUSED = [
    ("llama", dict(hidden_act="quick_gelu", rope_theta=1e4), "hidden_act"),
    ("llama", dict(rope_theta=1e4, rope_scaling=dict(type="spiral", factor=2.0)), "rope_scaling"),
    ("gemma2", dict(head_dim=12, sliding_window=9, rope_theta=1e4, use_bidirectional_attention=True),
     "use_bidirectional_attention"),
    ("hypenet", dict(HYPE, lightning_use_short_conv=True), "lightning_use_short_conv"),
    ("minimax", dict(MINI, layer_types=["linear_attention", "full_attention"], shared_intermediate_size=8),
     "shared_intermediate_size"),
    ("kimi_linear", dict(KIMI, moe_router_activation_func="softmax"), "moe_router_activation_func"),
    ("deepseek_v3", dict(DEEP, scoring_func="softmax"), "scoring_func"),
    ("deepseek_v3", dict(DEEP, topk_method="greedy"), "topk_method"),
    ("deepseek_v3", dict(DEEP, n_group=3), "n_group"),
    ("granitemoehybrid", dict(GRANITE, position_embedding_type="alibi"), "position_embedding_type"),
    ("nemotron_h", dict(NEMOTRON, moe_latent_size=8), "moe_latent_size"),
    ("mpt", dict(d_model=32, n_heads=4, n_layers=2, tie_word_embeddings=True, attn_config=dict(alibi=True, alibi_bias_max=4)), "alibi_bias_max"),
]


# ---- storage types: values as stored, and their bytes ---------------------------------------------------------------

def float8_values(exponent, mantissa, bias, finite_top):
    """All codes of an 8-bit float; NaN where a code is no number."""
    values = np.full(256, np.nan)
    for code in range(256):
        e, m = code >> mantissa & ((1 << exponent) - 1), code & ((1 << mantissa) - 1)
        special = (m == (1 << mantissa) - 1) if finite_top else True
        if e == (1 << exponent) - 1 and special:
            continue
        size = m / 2**mantissa * 2.0 ** (1 - bias) if e == 0 else (1 + m / 2**mantissa) * 2.0 ** (e - bias)
        values[code] = -size if code >> 7 else size
    return values


FLOAT8 = {"F8_E4M3": float8_values(4, 3, 7, True), "F8_E5M2": float8_values(5, 2, 15, False)}
SCALE8 = 0.25  # what weight_scale says; decoded values are multiplied by it


def codes8(x, values):
    order = np.argsort(values)[: np.isfinite(values).sum()]
    at = np.searchsorted(values[order], x / SCALE8).clip(1, len(order) - 1)
    low, high = values[order[at - 1]], values[order[at]]
    return order[np.where(x / SCALE8 - low < high - x / SCALE8, at - 1, at)].astype(np.uint8)


def encode(x, dtype):
    """(bytes, values as read back)."""
    if dtype == "BF16":
        bits = x.astype("<f4").view("<u4")
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        return bits.astype("<u2").tobytes(), (bits.astype("<u4") << 16).view("<f4").astype(float)
    if dtype in FLOAT8:
        code = codes8(x, FLOAT8[dtype])
        return code.tobytes(), FLOAT8[dtype][code] * SCALE8
    y = x.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype])
    return y.tobytes(), y.astype(float)


def stored_as(name, x, dtype):
    """Published 8-bit checkpoints keep all but the large matrices in more bits."""
    return dtype if dtype not in FLOAT8 or (x.ndim == 2 and "proj" in name) else "F32"


def write_checkpoint(place, config, tensors, dtype):
    header, data, at = {}, [], 0
    for name, x in sorted(tensors.items()):
        kind = stored_as(name, x, dtype)
        parts = [(name, kind, list(x.shape), encode(x, kind)[0])]
        if kind in FLOAT8:
            parts.append((name + "_scale", "F32", [1], np.array([SCALE8], "<f4").tobytes()))
        for part, kind, shape, raw in parts:
            header[part] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(raw)]}
            data.append(raw)
            at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (place / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))
    (place / "config.json").write_text(json.dumps(config))


class Storing(Weights):
    """Made-up weights that are used as they come back from the file."""

    def __init__(self, dtype, seed, plus_one):
        super().__init__(seed=seed, plus_one=plus_one)
        self.dtype = dtype

    def __call__(self, name, *shape):
        if name not in self.tensors:
            x = self.make(name, shape)
            self.tensors[name] = encode(x, stored_as(name, x, self.dtype))[1].reshape(shape)
        return super().__call__(name, *shape)


# ---- comparing ------------------------------------------------------------------------------------------------------

def read_records(path):
    records, data, at = {}, path.read_bytes(), 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, rows, cols = data[at:end].decode().split()
        n = int(rows) * int(cols)
        records[name] = np.frombuffer(data, "<f8", n, end + 1).reshape(int(rows), int(cols))
        at = end + 1 + 8 * n
    return records


def by_distance(a):
    """Sums over queries of weights (H, T, T), by distance."""
    t = a.shape[1]
    d = np.arange(t)[:, None] - np.arange(t)
    return np.stack([np.bincount(d[d >= 0], w[d >= 0], t) for w in a])


class Report:
    def __init__(self):
        self.worst, self.failures, self.n = 0.0, [], 0

    def expect(self, label, found, wanted, tolerance):
        self.n += 1
        error = np.abs(found - wanted).max() if found.shape == wanted.shape else np.inf
        self.worst = max(self.worst, error / tolerance)
        if not error <= tolerance:
            self.failures.append(f"{label}: off by {error:.3g}, allowed {tolerance:.3g}")


def compare(report, label, s, got, wanted):
    logits, hidden, attn, lin = wanted
    t, scale = len(logits), max(1.0, logits.std())
    report.expect(f"{label} logits", got[f"{s}/logits"], logits, 1e-4 * scale)
    for i, x in enumerate(hidden):
        report.expect(f"{label} hidden {i}", got[f"{s}/hidden/L{i}"], x, 1e-4 * max(1.0, np.abs(x).max()))
    for i, a in attn.items():
        report.expect(f"{label} layer {i} distances", got[f"{s}/attn_hist/L{i}"] / t, by_distance(a) / t, 2e-5)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(a > 0, a * np.log(a), 0).sum((1, 2)) / t
        report.expect(f"{label} layer {i} entropy", got[f"{s}/attn_entropy/L{i}"][0], entropy, 2e-5)
    for i, a in lin.items():
        for what, x in (("lin_abs", by_distance(np.abs(a))), ("lin_signed", by_distance(a))):
            report.expect(f"{label} layer {i} {what}", got[f"{s}/{what}/L{i}"], x, 1e-4 * np.abs(x).max())
    fed = sorted({min(FED_AT_ONCE, t) - 1, *range(FED_AT_ONCE, t // 2), t - 1})
    report.expect(f"{label} token by token", got[f"{s}/session"][fed], got[f"{s}/logits"][fed], 1e-4 * scale)


def config_of(model_type, own):
    """The base's sizes, except where a family has its own names for them."""
    renamed = "n_head" in own or "n_heads" in own
    base = {k: v for k, v in BASE.items() if not renamed or not (k.startswith("num_") or "size" in k) or k == "vocab_size"}
    return {**base, "model_type": model_type, **own}


def check(dump, seed, name, model_type, dtype, lengths, own):
    config = config_of(model_type, own)
    plus_one = model_type.startswith("gemma") or model_type.startswith("qwen3_next") or model_type.startswith("qwen3_5")
    weights, rng, report = Storing(dtype, seed, plus_one), np.random.default_rng(seed), Report()
    sequences = [rng.integers(0, config["vocab_size"], n) for n in lengths]
    wanted = [RUN[model_type](config, weights, ids) for ids in sequences]
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        (place / "checkpoint").mkdir()
        write_checkpoint(place / "checkpoint", config, weights.tensors, dtype)
        (place / "ids").write_text("".join(" ".join(map(str, ids)) + "\n" for ids in sequences))
        run = subprocess.run([dump, place / "checkpoint", place / "ids", place / "out"], capture_output=True, text=True)
        if run.returncode:
            report.failures.append(f"{name}: {run.stderr.strip()}")
        else:
            got = read_records(place / "out")
            for s, (ids, w) in enumerate(zip(sequences, wanted)):
                compare(report, f"{name} ({len(ids)} tokens)", f"s{s}", got, w)
    return report


def check_refusal(dump, model_type, own, field):
    config = config_of(model_type, own)
    plain = {k: v for k, v in config.items() if k != field}
    weights, report = Storing("F32", 0, False), Report()
    if field in ("rope_scaling", "hidden_act", "position_embedding_type", "n_group"):
        plain = {**config, field: {"n_group": 4, "hidden_act": "silu", "position_embedding_type": "nope"}.get(field)}
    RUN[model_type](plain, weights, np.arange(4))
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        write_checkpoint(place, config, weights.tensors, "F32")
        (place / "ids").write_text("1 2 3\n")
        run = subprocess.run([dump, place, place / "ids", place / "out"], capture_output=True, text=True)
    report.n = 1
    if run.returncode != 1 or field not in run.stderr:
        report.failures.append(f"{model_type} with {field}: exit {run.returncode}, {run.stderr.strip()!r}")
    return report


def main():
    n, failures = 0, []
    for seed, variant in enumerate(VARIANTS):
        if sys.argv[2:] and variant[0] not in sys.argv[2:]:
            continue
        report = check(sys.argv[1], seed, *variant)
        n += report.n
        failures += report.failures
        print(f"{variant[0]}: {'FAILED' if report.failures else 'ok'}; {report.n} comparisons, largest error {report.worst:.2g} of the allowed")
    for refusal in REFUSED if not sys.argv[2:] else []:
        report = check_refusal(sys.argv[1], *refusal)
        n += report.n
        failures += report.failures
    print("\n".join(failures[:40]))
    print(f"{n} comparisons, {len(failures)} failed")
    return bool(failures) or n == 0


sys.exit(main())
