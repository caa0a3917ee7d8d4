"""Restoring adapters: merged checkpoints and trimmed adapters, against numpy to the bit.

usage: check_adapter_restore.py QKSCOPE DATA
"""
import json
import os
import sys

import numpy as np

import adapter_files as af
from adapter_check import LLAMA, attention, call, expect, fixture, key, lora, made, main, run

def bits(tensor):
    return tensor[0], np.shape(tensor[1]), af.stored(*tensor)


def check_restore(qkscope, what, work, base, want, tuned, restored, *options):
    """base, want: tensors before and after merging, in the base's types; restored: {tensor: index of what is the base's
    again}. The merged checkpoint to the bit, and the trimmed adapter as the same checkpoint."""
    path, out, trimmed = (os.path.join(work, d) for d in ("base", "out", "trimmed"))
    before = {f: open(os.path.join(tuned, f), "rb").read() for f in os.listdir(tuned)}
    run(qkscope, "restore", path, tuned, "-o", out, "--force", *options)
    got = af.read_checkpoint(out)
    expect(set(got) == set(base), what + ": other tensors")
    for name, tensor in got.items():
        x = np.array(want.get(name, base[name])[1])
        for index in restored.get(name, []):
            x[index] = base[name][1][index]
        expect(bits(tensor) == bits((base[name][0], x)), f"{what}: {name} has other bytes")
    expect(call(qkscope, "inspect", "--validate", out).returncode == 0, what + ": the merged checkpoint is not valid")
    run(qkscope, "restore", path, tuned, "-o", trimmed, "--force", "--as", "adapter", *options)
    equal = call(qkscope, "compare", out, trimmed, "--tensors", "--base-model", path)
    expect(equal.returncode == 0, f"{what}: the trimmed adapter is another checkpoint: {equal.stdout.decode()[:300]}")
    for result in (out, trimmed):
        proof = call(qkscope, "compare", tuned, result, "--expect", os.path.join(result, "qkscope.json"), "--base", path)
        expect(proof.returncode == 0, f"{what}: compare does not prove {result}: {(proof.stdout + proof.stderr).decode()[:300]}")
    expect(before == {f: open(os.path.join(tuned, f), "rb").read() for f in os.listdir(tuned)}, what + ": input changed")
    a, b = af.read(os.path.join(tuned, "adapter_model.safetensors")), af.read(os.path.join(trimmed,
                                                                                          "adapter_model.safetensors"))
    expect(list(a) == list(b) and all(a[n][0] == b[n][0] and a[n][1].shape == b[n][1].shape for n in a),
           what + ": the trimmed adapter has other tensors")
    record = json.load(open(os.path.join(trimmed, "qkscope.json")))
    changed = {n for n in a if a[n][1].tobytes() != b[n][1].tobytes()}
    expect(record["format"] == "qkscope-trimmed-adapter" and {t["name"] for t in record["tensors"]} == changed,
           what + ": the record names other tensors")
    expect(all(n.endswith((".lora_B.weight", "bias", ".weight")) and ".lora_A" not in n for n in changed),
           what + ": factors A changed")
    expect(before["adapter_config.json"] == open(os.path.join(trimmed, "adapter_config.json"), "rb").read(),
           what + ": the adapter's config changed")


def restore(qkscope, data, work):
    rng = np.random.default_rng(8)
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    source, config = fixture(data, "weights/llama/base")
    k = json.load(open(config))["head_dim"]
    for dtype, shards in (("BF16", 2), ("F16", 1)):
        base = af.checkpoint(path, source, config, dtype, shards)
        modules = [attention(layer, name) for layer in range(4) for name in LLAMA]
        files, parts = lora(rng, base, modules)
        af.adapter(tuned, files, target_modules=LLAMA)
        want = {n: (dtype, af.rounded(dtype, af.merged(base[n][1], 2.0, a, b))) for n, (a, b) in parts.items()}
        every = [np.s_[:]]
        check_restore(qkscope, dtype + " layers", work, base, want, tuned,
                      {attention(layer, m) + ".weight": every for layer in (0, 2) for m in LLAMA[:2]}, "--layers", "0,2")
        check_restore(qkscope, dtype + " k alone", work, base, want, tuned,
                      {attention(3, "k_proj") + ".weight": every}, "--layers", "3", "--only", "k")
        check_restore(qkscope, dtype + " one group", work, base, want, tuned,
                      {attention(1, "k_proj") + ".weight": [np.s_[k:2 * k]],
                       attention(1, "q_proj") + ".weight": [np.s_[2 * k:4 * k]]}, "--layers", "1", "--kv-groups", "1")
    # a module that is saved in full, rows of it again the base's
    name = attention(0, "q_proj") + ".weight"
    whole = af.rounded("F32", rng.standard_normal(base[name][1].shape))
    files["base_model.model." + name] = ("F32", whole)
    for part in ("lora_A.weight", "lora_B.weight"):
        del files[key(attention(0, "q_proj"), part)]
    af.adapter(tuned, files, target_modules=LLAMA, modules_to_save=["layers.0.self_attn.q_proj"])
    want[name] = (dtype, af.rounded(dtype, whole))
    check_restore(qkscope, "saved module", work, base, want, tuned,
                  {attention(0, "k_proj") + ".weight": [np.s_[:k]], name: [np.s_[:2 * k]]},
                  "--layers", "0", "--kv-groups", "0")
    # GPT-2: fused, stored [in, out], with biases added and replaced
    source, config = fixture(data, "forward/gpt2")
    base = af.checkpoint(path, source, config, "BF16")
    prefix = "" if "h.0.attn.c_attn.weight" in base else "transformer."
    modules = [f"transformer.h.{i}.attn.c_attn" for i in range(4)]
    files, parts = lora(rng, base, modules, 4, "F32", True, lambda m: m.replace("transformer.", prefix, 1))
    want = {n: ("BF16", af.rounded("BF16", af.merged(base[n][1], 2.0, a, b, True))) for n, (a, b) in parts.items()}
    width = base[prefix + "h.0.attn.c_proj.weight"][1].shape[0]
    added = [af.rounded("F32", rng.standard_normal(3 * width)) for _ in range(2)]
    files[key(modules[1], "lora_B.bias")] = ("F32", added[0])
    files["base_model.model." + modules[2] + ".base_layer.bias"] = ("F32", added[1])
    bias = [prefix + f"h.{i}.attn.c_attn.bias" for i in (1, 2)]
    want[bias[0]] = ("BF16", af.rounded("BF16", base[bias[0]][1].astype(np.float64) + 2.0 * added[0].astype(np.float64)))
    want[bias[1]] = ("BF16", af.rounded("BF16", added[1]))
    af.adapter(tuned, files, target_modules=["c_attn"], fan_in_fan_out=True, bias="all")
    head = width // 4
    qk = {}
    for i in (1, 2):
        weight = prefix + f"h.{i}.attn.c_attn.weight"
        qk[weight], qk[weight[:-6] + "bias"] = [np.s_[:, :2 * width]], [np.s_[:2 * width]]
    check_restore(qkscope, "gpt2", work, base, want, tuned, qk, "--layers", "1-2")
    one = {n: [tuple([*np.index_exp[:][:len(x[0]) - 1 if isinstance(x[0], tuple) else 0], s])
               for s in (np.s_[head:2 * head], np.s_[width + head:width + 2 * head])] for n, x in qk.items()}
    check_restore(qkscope, "gpt2, one head", work, base, want, tuned, one, "--layers", "1-2", "--kv-groups", "1")
    # fused with other things in the rows between
    source, config = made("qwen3_next")
    base = af.checkpoint(path, source, config, "BF16")
    fused = sorted(n[:-7] for n in source if n.endswith(("in_proj_qkvz.weight", "self_attn.q_proj.weight",
                                                         "self_attn.k_proj.weight")))
    files, parts = lora(rng, base, fused)
    af.adapter(tuned, files, target_modules=["in_proj_qkvz", "q_proj", "k_proj"])
    want = {n: ("BF16", af.rounded("BF16", af.merged(base[n][1], 2.0, a, b))) for n, (a, b) in parts.items()}
    layers = json.loads(run(qkscope, "inspect", path, "--json"))["layers"]
    rows = {}
    for layer in layers:
        for piece in layer["q"] + layer["k"]:
            for first, end in piece["rows"]:
                if piece["tensor"] in want:
                    rows.setdefault(piece["tensor"], []).append(np.s_[first:end])
    expect(set(rows) == set(want), "qwen3_next: Q and K lie elsewhere")
    check_restore(qkscope, "qwen3_next", work, base, want, tuned, rows, "--layers", "all")
    restore_refusals(qkscope, work, tuned, path, base, fused)


def restore_refusals(qkscope, work, tuned, path, base, fused):
    out = os.path.join(work, "refused")

    def refused(what, status, text, *words):
        result = call(qkscope, "restore", *words)
        expect(result.returncode == status and text in result.stderr.decode(), f"{what}: {result.stderr.decode()!r}")
        expect(not os.path.exists(out), what + ": something was written")

    refused("blend", 4, "cannot be said by an adapter", path, tuned, "-o", out, "--as", "adapter", "--layers", "all",
            "--mode", "blend", "--alpha", "0.5")
    refused("no adapter", 2, "no adapter", path, path, "-o", out, "--as", "adapter", "--layers", "all")
    refused("into the adapter", 2, "lies in an input", path, tuned, "-o", os.path.join(tuned, "x"), "--layers", "all")
    refused("over the adapter", 2, "input", path, tuned, "-o", tuned, "--force", "--layers", "all")
    refused("trimmed over the adapter", 2, "input", path, tuned, "-o", tuned, "--force", "--layers", "all", "--as",
            "adapter")
    other = os.path.join(work, "other")
    af.checkpoint(other, base, os.path.join(path, "config.json"))
    refused("another base", 2, "another base than the one to restore", path, tuned, "-o", out, "--as", "adapter",
            "--layers", "all", "--base-model", other)
    af.adapter(tuned, *dora(base, fused), target_modules=["in_proj_qkvz", "q_proj", "k_proj"], use_dora=True)
    refused("DoRA", 4, "DoRA's magnitudes", path, tuned, "-o", out, "--as", "adapter", "--layers", "all")
    run(qkscope, "restore", path, tuned, "-o", out, "--layers", "all")
    rows = json.loads(run(qkscope, "restore", path, tuned, "--layers", "all", "--dry-run", "--json"))["rows"]
    expect(rows > 0, "DoRA can be merged")


def dora(base, modules):
    rng = np.random.default_rng(9)
    files, _ = lora(rng, base, modules)
    for module in modules:
        files[key(module, "lora_magnitude_vector")] = ("F32", af.rounded("F32", rng.uniform(
            0.5, 2.0, base[module + ".weight"][1].shape[0])))
    return (files,)


main(restore, *sys.argv[1:3])
