"""qkscope drift against numpy and scipy.

usage: check_drift.py QKSCOPE DATA oracle   the fixture pairs against their oracle.h5 and against drift_reference.py
       check_drift.py QKSCOPE DATA made     pairs made here: tiny drifts, heads zeroed, negated, scaled, rotated, bf16
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import drift_reference as ref

# Tolerances of what a double-precision evaluation of the same definition can hold; kinds of comparison below.
REL = 1e-9            # norms, cosines, forms: relative
ANGLE_REL = 1e-6      # principal angles: relative …
ANGLE_ABS = 1e-7      # … or, where the drift is almost a rotation, radians
ANGLE_FLOOR = 5e-8    # of the head's largest angle: the square root of eps, below which sin^2 of an angle is rounding
REFERENCE = 2e-14     # radians: what scipy leaves of an angle that is zero
PROCRUSTES = 1e-8     # of the base norm
PROCRUSTES_ROTATED = 2e-6  # of the base norm, where float32 storage noise is all that is left

checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def close(name, where, got, want, rel=REL, absolute=0.0):
    got, want = np.asarray(got, float), np.asarray(want, float)
    bad = ~(np.abs(got - want) <= rel * np.abs(want) + absolute)
    expect(not bad.any(), f"{name} {where}: {got[bad][:3]} expected {want[bad][:3]}" if bad.any() else "")


def compare(name, where, got, want, alignable, base_rel):
    """One head's value of one metric. base_rel: what rounding of the two forms leaves, relative to the base."""
    short = name.split("_", 1)[1]
    if short == "principal_angles":
        if alignable is not None and alignable > 0.99:
            close(name, where, got, want, 0, ANGLE_ABS)
        else:
            close(name, where, got, want, ANGLE_REL, ANGLE_FLOOR * np.max(want) + REFERENCE)
    elif short == "grassmann":
        close(name, where, got, want, ANGLE_REL, ANGLE_ABS if alignable is not None and alignable > 0.99 else REFERENCE)
    elif short == "procrustes":
        rotated = alignable is not None and alignable > 0.99
        close(name, where, got, want, 0, PROCRUSTES_ROTATED if rotated else PROCRUSTES)
    elif short == "alignable":
        close(name, where, got, want, 0, 1e-6)
    elif short == "cosine":
        close(name, where, got, want, REL, 1e-15)
    elif short == "stable_rank_delta":
        close(name, where, got, want, 1e-8)
    elif short in ("rel_drift", "eff_rel_drift", "distance_drift", "band_drift") and name.startswith("qk"):
        close(name, where, got, want, REL, base_rel)
    else:
        close(name, where, got, want)


def compare_layer(run, layer, a, b, tau):
    wanted = ref.layer_metrics(a, b, tau)
    for name, heads in wanted.items():
        values, states = run[name][layer], run[name + "_state"][layer]
        for h, want in enumerate(heads):
            where = f"layer {layer} head {h}"
            if name[2:] == "principal_angles" or name[2:] == "grassmann":
                if want is None:
                    expect(run[name[:2] + "angle_method"][layer, h] in (3, 4), f"{name} {where}: rank not decided")
                    continue
            if want is None:
                expect(states[h] != 0 and np.all(np.isnan(values[h])), f"{name} {where}: {values[h]} expected no value")
                continue
            expect(states[h] == 0, f"{name} {where}: state {states[h]}")
            got = values[h][: np.size(want)] if np.ndim(values[h]) else values[h]
            alignable = wanted[name[:2] + "alignable"][h] if name[:2] in ("q_", "k_") else None
            compare(name, where, got, want, alignable, 1e-15)
            if np.ndim(values[h]):
                expect(np.all(np.isnan(values[h][np.size(want) :])), f"{name} {where}: values beyond the head")
        for h in range(len(heads), len(states)):
            expect(states[h] == 3, f"{name} layer {layer} head {h}: state {states[h]} expected not applicable")
    modules = ref.module_metrics(a, b)
    for m, module in enumerate(run.file["/model/module"].asstr()[:]):
        got, state = run["module_rel_drift"][layer, m], run["module_rel_drift_state"][layer, m]
        if module in modules:
            close("module_rel_drift", f"layer {layer} {module}", got, modules[module])
        else:
            expect(state == 3 and np.isnan(got), f"module_rel_drift layer {layer} {module}: {got} expected none")


def drift(qkscope, base, tuned, out, *options):
    command = [qkscope, "drift", base, tuned, "-o", out, "-q", "--force", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {result.returncode}\n{result.stderr}")
    return h5py.File(out)


def against_reference(qkscope, base, tuned, out):
    file = drift(qkscope, base, tuned, out)
    run = file["/drift/" + os.path.basename(tuned)]
    tau = file["/model/tau"][:].astype(float)
    (_, base_tensors, a), (_, tuned_tensors, b) = ref.load(base), ref.load(tuned)
    expect([x for x in file["/model/layer_kind"].asstr()[:]] == [x.kind for x in a], "layer kinds")
    windows = file["/model/sliding_window"][:]
    expect([bool(w) for w in windows] == [x.kind == "sliding" for x in a], f"windows {windows}")
    for layer in range(len(a)):
        compare_layer(run, layer, a[layer], b[layer], tau)
        if a[layer].freq is not None:
            close("qk_band_wavelength", f"layer {layer}", file["/model/qk_band_wavelength"][layer, : len(a[layer].freq)],
                  2 * np.pi / a[layer].freq)
        else:
            expect(np.all(np.isnan(file["/model/qk_band_wavelength"][layer])), f"wavelength of NoPE layer {layer}")
    known = {*ref.layer_metrics(a[0], b[0], tau[:1]), "module_rel_drift", "outer_rel_drift",
             *(f"{s}_{n}" for s in "qk" for n in ("angle_method", "principal_angles", "grassmann"))}
    own = [n for n in run if isinstance(run.get(n, getlink=True), h5py.HardLink)]  # soft links lead to the axes
    made = {n for n in own if not n.endswith("_state")}
    expect(made == known, f"metrics without an independent computation, or the reverse: {sorted(made ^ known)}")
    outer = {"embedding": "model.embed_tokens.weight", "final_norm": "model.norm.weight", "lm_head": "lm_head.weight"}
    for i, role in enumerate(file["/model/outer"].asstr()[:]):
        name = outer.get(role)
        if name in base_tensors:
            x, y = base_tensors[name][0], tuned_tensors[name][0]
            close("outer_rel_drift", role, run["outer_rel_drift"][i], ref.relative(x, y))
        else:
            expect(np.isnan(run["outer_rel_drift"][i]), f"outer_rel_drift {role}")
    return run


def exact_zeros(run, layer, heads, keys):
    """Byte-identical heads give zeros, not small numbers."""
    for side, n in (("q", heads), ("k", keys)):
        for name in ("norm_delta", "rel_drift", "spectral_delta", "principal_angles", "grassmann", "procrustes"):
            values = run[f"{side}_{name}"][layer][:n]
            expect(np.all(values[~np.isnan(values)] == 0), f"{side}_{name} of identical layer {layer}: {values}")
        expect(np.all(run[f"{side}_cosine"][layer][:n] == 1), f"{side}_cosine of identical layer {layer}")
        expect(np.all(run[f"{side}_angle_method"][layer][:n] == 0), f"{side}_angle_method of identical layer {layer}")
    for name in ("qk_rel_drift", "qk_distance_drift", "qk_eff_rel_drift"):
        expect(np.all(run[name][layer][:heads] == 0), f"{name} of identical layer {layer}: {run[name][layer][:heads]}")


ORACLE = {"fro_base": "norm_base", "fro_delta": "norm_delta", "rel": "rel_drift", "cos": "cosine",
          "spec_delta": "spectral_delta", "stable_rank_delta": "stable_rank_delta", "angles": "principal_angles"}


def oracle(qkscope, data, work):
    for pair in ("hypenet", "llama", "qwen3"):
        base, tuned = (os.path.join(data, "weights", pair, x) for x in ("base", "sft"))
        run = against_reference(qkscope, base, tuned, os.path.join(work, pair + ".h5"))
        with h5py.File(os.path.join(data, "weights", pair, "oracle.h5")) as file:
            for layer in range(len(file)):
                group = file[f"L{layer}"]
                heads, keys, dim = group["dims"][:]
                for side, n in (("q", heads), ("k", keys)):
                    alignable = run[f"{side}_alignable"][layer]
                    for theirs, ours in ORACLE.items():
                        for h in range(n):
                            got, want = run[f"{side}_{ours}"][layer][h], group[f"{side}/{theirs}"][h]
                            got = got[:dim] if np.ndim(got) else got
                            if np.any(np.isnan(want)):
                                expect(np.all(np.isnan(got)), f"{side}_{ours} L{layer}")
                            else:
                                compare(f"{side}_{ours}", f"oracle {pair} L{layer}", got, want, alignable[h], 0)
                    ours = run[f"{side}_procrustes"][layer][:n] * group[f"{side}/fro_base"][:]
                    loose = np.where(alignable[:n] > 0.99, PROCRUSTES_ROTATED, PROCRUSTES) * group[f"{side}/fro_base"][:]
                    close(f"{side}_procrustes", f"oracle {pair} L{layer}", ours - group[f"{side}/proc_res"][:], 0, 0, loose)
                for h in range(heads):
                    # the oracle's own double-precision forms hold about 1e-15 of the base
                    close("qk_rel_drift", f"oracle {pair} L{layer}", run["qk_rel_drift"][layer][h], group["qk/rel"][h], REL, 1e-15)
                    close("qk_cosine", f"oracle {pair} L{layer}", run["qk_cosine"][layer][h], group["qk/cos"][h], REL)
            exact_zeros(run, 1, *file["L1/dims"][:2])


def orthogonal(rng, k):
    return np.linalg.qr(rng.standard_normal((k, k)))[0]


def make(path, config_from, tensors):
    os.makedirs(path)
    with open(os.path.join(config_from, "config.json")) as source, open(os.path.join(path, "config.json"), "w") as f:
        f.write(source.read())
    ref.write_safetensors(os.path.join(path, "model.safetensors"), tensors)
    return path


def moved(tensors, rng, size, dtype):
    """All tensors moved by about size, relative, stored as dtype."""
    return {n: (t * (1 + size * rng.standard_normal(t.shape)), dtype) for n, (t, _) in tensors.items()}


def special_heads(base_layer, tensors, rng, prefix):
    """Layer with heads zeroed, negated, scaled, rotated, turned with their key; each a case of its own."""
    k = base_layer.k
    q, d = tensors[prefix + "self_attn.q_proj.weight"]
    q, kk = q.copy().reshape(-1, k, q.shape[1]), tensors[prefix + "self_attn.k_proj.weight"][0].copy()
    kk = kk.reshape(-1, k, kk.shape[1])
    r = orthogonal(rng, k)
    q[0] = 0
    q[1] = -q[1]
    q[2] = r @ q[2]
    q[3] = 1.3 * (r @ q[3])
    kk[0] *= 0.7
    kk[1] = r @ kk[1]
    tensors[prefix + "self_attn.q_proj.weight"] = (q.reshape(-1, q.shape[2]), d)
    tensors[prefix + "self_attn.k_proj.weight"] = (kk.reshape(-1, kk.shape[2]), d)


def extreme(qkscope, source, tensors, layers, work, rng):
    """Heads that grew beyond what sums of fourth powers can hold: right, or without a value; never a silent zero."""
    name, k = "model.layers.0.self_attn.{}_proj.weight", layers[0].k
    grown = dict(tensors)
    q, keys = (grown[name.format(s)][0].copy() for s in "qk")
    q[:k] *= 1e8
    q[k : 2 * k] = 1e8 * (q[k : 2 * k] + 0.05 * rng.standard_normal(q[k : 2 * k].shape))
    q[-k:] *= 1e150
    keys[-k:] *= 1e150
    grown[name.format("q")], grown[name.format("k")] = (q, "F64"), (keys, "F64")
    base = make(os.path.join(work, "extreme", "base"), source, {n: (t, "F64") for n, (t, _) in tensors.items()})
    tuned = make(os.path.join(work, "extreme", "tuned"), source, grown)
    run = drift(qkscope, base, tuned, os.path.join(work, "extreme.h5"))["/drift/tuned"]
    close("q_cosine", "scaled by 1e8", run["q_cosine"][0, 0], 1.0)
    w0, w1 = (t[name.format("q")][0][k : 2 * k] for t in (tensors, grown))
    close("q_cosine", "grown by 1e8", run["q_cosine"][0, 1], ref.cosine(w0, w1))
    k0 = tensors[name.format("k")][0][:k]
    close("qk_cosine", "scaled by 1e8", run["qk_cosine"][0, 0], 1.0)
    close("qk_cosine", "grown by 1e8", run["qk_cosine"][0, 1], ref.cosine(ref.form(w0, k0), ref.form(w1, k0)))
    last = layers[0].heads - 1
    close("q_cosine", "scaled by 1e150", run["q_cosine"][0, last], 1.0)
    close("q_rel_drift", "scaled by 1e150", run["q_rel_drift"][0, last], 1e150)
    for metric in ("qk_rel_drift", "qk_cosine", "qk_distance_drift"):
        state, value = run[metric + "_state"][0, last], run[metric][0, last]
        expect(state == 2 and np.all(np.isnan(value)), f"{metric} beyond float64: state {state}, {value}")


FAMILIES = {
    "partial": {"model_type": "llama", "rope_theta": 10000.0, "partial_rotary_factor": 0.75},
    "olmo2": {"model_type": "olmo2", "rope_theta": 500000.0},
    "gemma3_text": {"model_type": "gemma3_text", "rope_theta": 1e6, "rope_local_base_freq": 1e4, "sliding_window": 16,
                    "sliding_window_pattern": 2, "query_pre_attn_scalar": 8},
}


def family_tensors(family, rng):
    """Six query heads on two key heads of 8, hidden size 48: sizes that no two axes share."""
    config = {**FAMILIES[family], "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6, "head_dim": 8,
              "num_key_value_heads": 2, "intermediate_size": 20, "vocab_size": 30, "max_position_embeddings": 300,
              "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "attention_bias": False}
    shapes = {"self_attn.q_proj": (48, 48), "self_attn.k_proj": (16, 48), "self_attn.v_proj": (16, 48),
              "self_attn.o_proj": (48, 48), "mlp.gate_proj": (20, 48), "mlp.up_proj": (20, 48), "mlp.down_proj": (48, 20),
              "post_attention_layernorm": (48,)}
    if family == "partial":
        shapes.update({"input_layernorm": (48,)})
    elif family == "olmo2":
        shapes.update({"self_attn.q_norm": (48,), "self_attn.k_norm": (16,), "post_feedforward_layernorm": (48,)})
    else:
        shapes.update({"self_attn.q_norm": (8,), "self_attn.k_norm": (8,), "input_layernorm": (48,),
                       "pre_feedforward_layernorm": (48,), "post_feedforward_layernorm": (48,)})
    shapes = {f"model.layers.{i}.{n}.weight": s for i in range(2) for n, s in shapes.items()}
    shapes.update({"model.embed_tokens.weight": (30, 48), "model.norm.weight": (48,)})
    return config, {n: (0.3 * rng.standard_normal(s) + (len(s) == 1), "F64") for n, s in shapes.items()}


def families(qkscope, work, rng):
    """Norms over all heads together, norms stored as w of 1 + w, layers with frequencies of their own, heads that turn in part."""
    for family in FAMILIES:
        config, tensors = family_tensors(family, rng)
        source = os.path.join(work, family)
        os.makedirs(source)
        with open(os.path.join(source, "config.json"), "w") as f:
            json.dump(config, f)
        base = make(os.path.join(source, "base"), source, tensors)
        for case, size in (("near", 1e-6), ("far", 0.1)):
            tuned = make(os.path.join(source, case, "tuned"), source, moved(tensors, rng, size, "F64"))
            against_reference(qkscope, base, tuned, os.path.join(source, case + ".h5"))


def made(qkscope, data, work):
    families(qkscope, work, np.random.default_rng(7))
    rng = np.random.default_rng(20260611)
    for pair in ("hypenet", "llama", "qwen3"):
        source = os.path.join(data, "weights", pair, "base")
        _, tensors, layers = ref.load(source)
        tensors = {n: (rng.standard_normal(t.shape) * 0.05 + (n.endswith("norm.weight") * 1.0), "F64")
                   for n, (t, _) in tensors.items()}
        cases = [("f64_1e-6", "F64", 1e-6), ("f64_1e-2", "F64", 1e-2), ("f32", "F32", 1e-3), ("bf16", "BF16", 0.05),
                 ("floor", "BF16", 1e-3)]
        for case, dtype, size in cases:
            base = make(os.path.join(work, pair, case, "base"), source, {n: (t, dtype) for n, (t, _) in tensors.items()})
            rounded = ref.read_safetensors(os.path.join(base, "model.safetensors"))
            tuned = make(os.path.join(work, pair, case, "tuned"), source, moved(rounded, rng, size, dtype))
            run = against_reference(qkscope, base, tuned, os.path.join(work, pair, case + ".h5"))
            if case == "floor":
                expect(np.any(run["q_at_noise_floor"][:] == 1), f"{pair}: no head at the rounding floor")
        base = make(os.path.join(work, pair, "special", "base"), source, tensors)
        special = dict(tensors)
        special_heads(layers[0], special, rng, "model.layers.0.")
        special_heads(layers[1], special, rng, "model.layers.1.")
        tuned = make(os.path.join(work, pair, "special", "tuned"), source, special)
        run = against_reference(qkscope, base, tuned, os.path.join(work, pair, "special.h5"))
        exact_zeros(run, 2, layers[2].heads, layers[2].kv)
        if pair == "llama":
            extreme(qkscope, source, tensors, layers, work, rng)
        expect(run["q_alignable"][0, 2] > 1 - 1e-12, f"{pair}: a rotated head is not alignable")
        mixed = make(os.path.join(work, pair, "mixed", "tuned"), source, moved(tensors, rng, 0.01, "BF16"))
        against_reference(qkscope, base, mixed, os.path.join(work, pair, "mixed.h5"))


def main():
    qkscope, data, what = sys.argv[1:4]
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as work:
        {"oracle": oracle, "made": made}[what](qkscope, data, work)
    for text in failures[:40]:
        print("FAIL", text)
    print(f"{checked - len(failures)} of {checked} comparisons hold")
    sys.exit(1 if failures or checked < 1000 else 0)


main()
