"""PEFT adapters as tuned checkpoints, against numpy.

usage: check_adapter.py QKSCOPE DUMP DATA values     every element of every tensor, to the bit (DoRA: to a rounding)
       check_adapter.py QKSCOPE DUMP DATA commands   drift and logits of base + adapter and of the merged checkpoint
"""
import json
import os
import sys

import h5py
import numpy as np

import adapter_files as af
from adapter_check import LLAMA, attention, call, dumped, expect, fixture, key, lora, made, main

# ---- values

def compare(what, got, base, want, rel=0.0):
    """want: {tensor: (dtype, float64 values)} of what changed; everything else as the base has it, byte for byte."""
    for name, (dtype, raw) in got.items():
        if name not in want:
            expect(raw == af.stored(*base[name]) and dtype == base[name][0], f"{what}: {name} is not the base's")
            continue
        expect(dtype == want[name][0], f"{what}: {name} is shown as {dtype}, not {want[name][0]}")
        if rel == 0.0:
            expect(raw == af.stored(*want[name]), f"{what}: {name} has other bytes")
        else:
            x = np.frombuffer(raw, af.NUMPY[dtype]).astype(np.float64).reshape(want[name][1].shape)
            error = np.abs(x - want[name][1]).max() / np.abs(want[name][1]).max()
            expect(error <= rel, f"{what}: {name} is off by {error:.3g}")
    expect(set(want) <= set(got), f"{what}: tensors are missing")


def check_types(dump, data, work):
    tensors, config = fixture(data, "weights/llama/base")
    rng = np.random.default_rng(1)
    modules = [attention(layer, name) for layer in (0, 2) for name in LLAMA] + ["model.layers.1.mlp.down_proj"]
    for base_type, lora_type, shards in (("BF16", "F32", 1), ("F16", "BF16", 3), ("F32", "F16", 1), ("F64", "F32", 2)):
        what = f"{base_type} base, {lora_type} adapter, {shards} shards"
        path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
        base = af.checkpoint(path, tensors, config, base_type, shards)
        files, parts = lora(rng, base, modules, 4, lora_type)
        af.adapter(tuned, files, r=4, lora_alpha=6, target_modules=LLAMA + ["down_proj"])
        exact = {n: af.merged(base[n][1], 1.5, a, b) for n, (a, b) in parts.items()}
        shown = "F64" if base_type == "F64" else "F32"
        got = dumped(dump, tuned, path)
        compare(what, got, base, {n: (shown, x) for n, x in exact.items()})
        expect(got == dumped(dump, tuned, path, block=4099), what + ": blocks change the bytes")
        compare(what + ", as stored", dumped(dump, tuned, path, "as-stored", 1000 * 8), base,
                {n: (base_type, x) for n, x in exact.items()})


def check_scaling(dump, data, work):
    tensors, config = fixture(data, "weights/llama/base")
    rng = np.random.default_rng(2)
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    base = af.checkpoint(path, tensors, config, "BF16")
    q = [attention(layer, "q_proj") for layer in range(4)]

    def case(what, ranks, scales, **settings):
        files, want = {}, {}
        for module, rank, scale in zip(q, ranks, scales):
            some, parts = lora(rng, base, [module], rank)
            files.update(some)
            want.update({n: ("F32", af.merged(base[n][1], scale, a, b)) for n, (a, b) in parts.items()})
        af.adapter(tuned, files, **{"target_modules": ["q_proj"], **settings})
        compare(what, dumped(dump, tuned, path), base, want)

    case("plain", [4] * 4, [2.0] * 4)
    case("defaults", [8] * 4, [1.0] * 4, r=8, lora_alpha=8, target_modules="all-linear")
    case("rslora", [4] * 4, [1.5] * 4, use_rslora=True, lora_alpha=3)
    case("rslora, odd rank", [5] * 4, [3 / np.sqrt(5)] * 4, use_rslora=True, lora_alpha=3, r=5)
    case("rank_pattern", [4, 2, 4, 4], [2.0, 4.0, 2.0, 2.0], rank_pattern={"layers.1.self_attn.q_proj": 2})
    case("rank_pattern wants whole components", [4] * 4, [2.0] * 4, rank_pattern={"1.self_attn.q_pro": 2})
    case("alpha_pattern", [4] * 4, [2.0, 2.0, 0.25, 2.0], alpha_pattern={"model.layers.2.self_attn.q_proj": 1})
    case("both by expression", [3, 3, 4, 4], [3.0, 3.0, 0.5, 0.5],
         rank_pattern={r"^model\.layers\.[01]\..*q_proj": 3},
         alpha_pattern={r"layers\.(?:0|1)\.self_attn\.\w+": 9, r".*\.layers\.\d{1,2}\..*?_proj": 2})
    case("first pattern counts", [4] * 4, [0.5] * 4, alpha_pattern={"q_proj": 2, "self_attn.q_proj": 7})
    case("rslora with patterns", [2, 4, 4, 4], [8 / np.sqrt(2), 4.0, 4.0, 4.0], use_rslora=True,
         rank_pattern={"layers.0.self_attn.q_proj": 2})
    case("regular expression as target", [4] * 4, [2.0] * 4, target_modules=r"model\.layers\.\d+\.self_attn\.q_proj")
    case("an expression that is not handled", [4] * 4, [2.0] * 4, target_modules=r"^(?!.*vision).*q_proj$")
    q = q[1:3]
    case("layers_to_transform", [4] * 2, [2.0] * 2, layers_to_transform=[1, 2])
    case("layers_pattern", [4] * 2, [2.0] * 2, layers_to_transform=[1, 2], layers_pattern="layers")
    case("exclude_modules", [4] * 2, [2.0] * 2, exclude_modules=["layers.0.self_attn.q_proj", "3.self_attn.q_proj"])
    q = q[:1]
    case("one layer", [4], [2.0], layers_to_transform=1, layers_pattern=["h", "layers"])


def check_keys(dump, data, work):
    """Names of adapters, saved modules, biases, magnitudes; other prefixes."""
    tensors, config = fixture(data, "weights/llama/base")
    rng = np.random.default_rng(3)
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    base = af.checkpoint(path, tensors, config, "BF16")
    module = attention(1, "k_proj")
    name = module + ".weight"
    files, parts = lora(rng, base, [module])
    a, b = parts[name]
    want = {name: ("F32", af.merged(base[name][1], 2.0, a, b))}
    for what, names in (("named adapter", ("lora_A.default.weight", "lora_B.default.weight")),
                        ("parameters", ("lora_A.mine", "lora_B.mine"))):
        af.adapter(tuned, {key(module, names[0]): ("F32", a), key(module, names[1]): ("F32", b)},
                   target_modules=["k_proj"])
        compare(what, dumped(dump, tuned, path), base, want)
    af.adapter(tuned, {k.replace("base_model.model.", ""): t for k, t in files.items()}, target_modules=["k_proj"])
    compare("without prefix", dumped(dump, tuned, path), base, want)
    bare = af.checkpoint(os.path.join(work, "bare"), {n.replace("model.", "", 1): t for n, t in tensors.items()}, config,
                         "BF16")
    af.adapter(tuned, files, target_modules=["k_proj"])
    compare("bare base", dumped(dump, tuned, os.path.join(work, "bare")), bare,
            {name.replace("model.", "", 1): want[name]})
    nested = {n.replace("model.", "model.language_model.", 1): t for n, t in tensors.items()}
    nested = af.checkpoint(os.path.join(work, "nested"), nested, config, "BF16")
    compare("nested base", dumped(dump, tuned, os.path.join(work, "nested")), nested,
            {name.replace("model.", "model.language_model.", 1): want[name]})
    # whole modules: in a type of their own, with factors on top, and the base's copy beside them
    norm, embed = rng.standard_normal(base["model.norm.weight"][1].shape), base["model.embed_tokens.weight"][1] + 1
    af.adapter(tuned, {**files, "base_model.model.model.norm.weight": ("F32", norm.astype(np.float32)),
                       "base_model.model.model.embed_tokens.modules_to_save.default.weight": ("F16", embed),
                       "base_model.model.model.embed_tokens.original_module.weight": ("BF16", embed),
                       key(module, "base_layer.weight"): ("F32", np.full(base[name][1].shape, 0.25, np.float32))},
               target_modules=["k_proj"], modules_to_save=["norm", "embed_tokens"])
    whole = {"model.norm.weight": ("F32", norm.astype(np.float32)), "model.embed_tokens.weight": ("F16", embed),
             name: ("F32", af.merged(np.full(base[name][1].shape, 0.25), 2.0, a, b))}
    compare("modules_to_save", dumped(dump, tuned, path), base, whole)
    compare("modules_to_save as stored", dumped(dump, tuned, path, "as-stored"), base,
            {n: ("BF16", af.rounded(*t) if t[0] == "F16" else t[1]) for n, t in whole.items()})
    # an embedding's factors are the other way round
    ea = rng.standard_normal((4, embed.shape[0])).astype(np.float32)
    eb = rng.standard_normal((embed.shape[1], 4)).astype(np.float32)
    for end in ("", ".default"):
        af.adapter(tuned, {key("model.embed_tokens", "lora_embedding_A" + end): ("F32", ea),
                           key("model.embed_tokens", "lora_embedding_B" + end): ("F32", eb)},
                   target_modules=["embed_tokens"])
        compare("embedding", dumped(dump, tuned, path), base, {"model.embed_tokens.weight": (
            "F32", af.merged(base["model.embed_tokens.weight"][1], 2.0, ea, eb, True))})
    # DoRA
    m = (np.linalg.norm(base[name][1], axis=1) * rng.uniform(0.5, 2, base[name][1].shape[0])).astype(np.float32)
    for end in ("", ".weight", ".default.weight"):
        af.adapter(tuned, {**files, key(module, "lora_magnitude_vector" + end): ("F32", m)},
                   target_modules=["k_proj"], use_dora=True) if end != ".default.weight" else af.adapter(
            tuned, {key(module, "lora_A.default.weight"): ("F32", a), key(module, "lora_B.default.weight"): ("F32", b),
                    key(module, "lora_magnitude_vector" + end): ("F32", m)}, target_modules=["k_proj"], use_dora=True)
        dora = af.merged(base[name][1], 2.0, a, b, magnitude=m)
        # one rounding to float32, and sums of squares in another order
        compare("DoRA", dumped(dump, tuned, path), base, {name: ("F32", dora)}, rel=2.0 ** -23)
        expect(dumped(dump, tuned, path) == dumped(dump, tuned, path, block=60), "DoRA: blocks change the bytes")


def check_turned(dump, data, work):
    """GPT-2 stores [in, out]; biases, saved and added."""
    tensors, config = fixture(data, "forward/gpt2")
    rng = np.random.default_rng(4)
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    base = af.checkpoint(path, tensors, config)
    prefix = "" if "h.0.attn.c_attn.weight" in base else "transformer."

    def stored_as(module):
        return module.replace("transformer.", prefix, 1)
    modules = [f"transformer.h.{i}.attn.{m}" for i in (0, 3) for m in ("c_attn", "c_proj")]
    files, parts = lora(rng, base, modules, 4, "F32", True, stored_as)
    settings = {"target_modules": ["attn.c_attn", "attn.c_proj"], "fan_in_fan_out": True}
    want = {n: ("F32", af.merged(base[n][1], 2.0, a, b, True)) for n, (a, b) in parts.items()}
    af.adapter(tuned, files, **settings)
    compare("Conv1D", dumped(dump, tuned, path), base, want)
    wte = base[prefix + "wte.weight"]
    other = af.rounded("F16", rng.standard_normal(wte[1].shape))
    for what, saved in (("an output layer that repeats the embedding", {"lm_head": wte}),
                        ("both saved", {"lm_head": ("F32", other), "transformer.wte": ("F16", other)})):
        af.adapter(tuned, {**files, **{f"base_model.model.{m}.weight": t for m, t in saved.items()}}, **settings)
        compare(what, dumped(dump, tuned, path), base,
                {**want, **({prefix + "wte.weight": ("F16", other)} if len(saved) > 1 else {})})
    bias, extra = stored_as(modules[0]) + ".bias", rng.standard_normal(base[stored_as(modules[0]) + ".bias"][1].shape)
    extra = extra.astype(np.float32)
    af.adapter(tuned, {**files, key(modules[0], "lora_B.bias"): ("F32", extra)}, lora_bias=True, **settings)
    added = base[bias][1].astype(np.float64) + 2.0 * extra.astype(np.float64)
    compare("lora_bias", dumped(dump, tuned, path), base, {**want, bias: ("F32", added)})
    for form in (modules[0] + ".base_layer.bias", modules[0] + ".bias"):
        af.adapter(tuned, {**files, "base_model.model." + form: ("F32", extra)}, bias="all", **settings)
        compare("saved bias", dumped(dump, tuned, path), base, {**want, bias: ("F32", extra)})
    m = rng.uniform(0.5, 2, base[stored_as(modules[0]) + ".weight"][1].shape[1]).astype(np.float32)
    name = stored_as(modules[0]) + ".weight"
    a, b = parts[name]
    af.adapter(tuned, {key(modules[0], "lora_A.weight"): ("F32", a), key(modules[0], "lora_B.weight"): ("F32", b),
                       key(modules[0], "lora_magnitude_vector"): ("F32", m)}, use_dora=True, **settings)
    compare("DoRA of Conv1D", dumped(dump, tuned, path), base,
            {name: ("F32", af.merged(base[name][1], 2.0, a, b, True, m))}, rel=2.0 ** -23)


def check_named_base(dump, data, work):
    """The base by the config's own word: absolute, beside the adapter."""
    tensors, config = fixture(data, "weights/llama/base")
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    base = af.checkpoint(path, tensors, config)
    files, parts = lora(np.random.default_rng(5), base, [attention(0, "q_proj")])
    want = {n: ("F32", af.merged(base[n][1], 2.0, a, b)) for n, (a, b) in parts.items()}
    for named in (path, "../base"):
        af.adapter(tuned, files, target_modules=["q_proj"], base_model_name_or_path=named)
        compare("named base", dumped(dump, tuned, "-"), base, want)


def values(qkscope, dump, data, work):
    check_types(dump, data, work)
    check_scaling(dump, data, work)
    check_keys(dump, data, work)
    check_turned(dump, data, work)
    check_named_base(dump, data, work)


# ---- commands

def run_h5(qkscope, out, *words):
    result = call(qkscope, *words, "--force", "-q", "-o", out)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {result.returncode}\n{result.stderr.decode()}")
    return h5py.File(out, "r")


def datasets(group):
    found = {}
    group.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def same_numbers(what, got, want, rel):
    numbers = {n for n in want if want[n].dtype.kind == "f"}
    expect(set(got) == set(want) and len(numbers) > 0, what + ": other datasets")
    for name in numbers:
        g, w = got[name], want[name]
        expect((np.isnan(g) == np.isnan(w)).all(), f"{what}: {name}: other gaps")
        scale = np.nanmax(np.abs(w)) if np.isfinite(w).any() else 0.0
        error = np.nanmax(np.abs(g - w)) if np.isfinite(w).any() else 0.0
        expect(error <= rel * scale, f"{what}: {name}: off by {error:.3g} of {scale:.3g}")


def check_model(qkscope, source, config, work, modules, turned=False, stored_as=lambda m: m, settings=None,
                dtype="F32"):
    what = os.path.basename(os.path.dirname(config)) + " " + modules[0]
    rng = np.random.default_rng(6)
    path, tuned, whole = (os.path.join(work, d) for d in ("base", "adapter", "merged"))
    base = af.checkpoint(path, source, config, dtype)
    files, parts = lora(rng, base, modules, 4, "F32", turned, stored_as)
    af.adapter(tuned, files, **(settings or {"target_modules": [m.rsplit(".", 1)[1] for m in modules]}))
    result = {n: ("F32", af.merged(base[n][1], 2.0, *parts[n], turned)) if n in parts else t for n, t in base.items()}
    af.checkpoint(whole, result, config)
    drifts = [datasets(run_h5(qkscope, os.path.join(work, name + ".h5"), "drift", path, "t=" + tuned_path)["drift/t"])
              for name, tuned_path in (("a", tuned), ("m", whole))]
    same_numbers(what + ": drift", drifts[0], drifts[1], 0.0)
    tokens = os.path.join(work, "tokens.jsonl")
    with open(tokens, "w") as file:
        json.dump({"ids": [int(i) for i in rng.integers(3, 250, 48)]}, file)
    words = ["probe", path, "t=" + tuned, "--tokens", tokens, "--logits-last", "8"]
    probe = datasets(run_h5(qkscope, os.path.join(work, "pa.h5"), *words)["probe/t"])
    words[2] = "t=" + whole
    same_numbers(what + ": probe", probe, datasets(run_h5(qkscope, os.path.join(work, "pm.h5"), *words)["probe/t"]), 0.0)
    words[2:3] = []
    alone = datasets(run_h5(qkscope, os.path.join(work, "pb.h5"), *words)["probe"])
    name = next(n for n in alone if n.endswith("/logits"))
    expect(np.abs(alone[name] - probe["logits"]).max() > 1e-4, what + ": the adapter changes nothing")
    answers = [call(qkscope, "generate", p, "--ids", "5,9,12,40", "--max-new", "5", "--json", *more)
               for p, more in ((tuned, ["--base-model", path]), (whole, []))]
    expect(answers[0].returncode == 0 and answers[0].stdout == answers[1].stdout,
           what + ": generate: " + answers[0].stderr.decode())
    shown = call(qkscope, "inspect", tuned, "--base-model", path, "--json")
    parsed = json.loads(shown.stdout) if shown.returncode == 0 else {}
    expect([p["tensor"] for p in parsed.get("adapter", {}).get("parts", [])] == sorted(parts),
           what + ": inspect: " + shown.stderr.decode())


def commands(qkscope, dump, data, work):
    source, config = fixture(data, "weights/llama/base")
    modules = [attention(layer, name) for layer in range(4) for name in LLAMA]
    check_model(qkscope, source, config, work, modules)
    check_model(qkscope, source, config, work, modules[3:9], dtype="BF16")
    source, config = fixture(data, "forward/gpt2")
    prefix = "" if "h.0.attn.c_attn.weight" in source else "transformer."
    check_model(qkscope, source, config, work, [f"transformer.h.{i}.attn.c_attn" for i in range(4)], True,
                lambda m: m.replace("transformer.", prefix, 1), {"target_modules": ["c_attn"], "fan_in_fan_out": True})
    source, config = made("qwen3_next")
    fused = sorted(n[:-7] for n in source if n.endswith(("in_proj_qkvz.weight", "self_attn.q_proj.weight")))
    check_model(qkscope, source, config, work, fused)
    # one run over the base's three faces: several threads, and a drift of the adapter that names its base
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    one = call(qkscope, "drift", path, tuned, "-o", os.path.join(work, "x.h5"), "--threads", "1", "-q")
    two = call(qkscope, "drift", path, tuned, "-o", os.path.join(work, "y.h5"), "--threads", "3", "-q")
    expect(one.returncode == two.returncode == 0 and
           open(os.path.join(work, "x.h5"), "rb").read() == open(os.path.join(work, "y.h5"), "rb").read(),
           "threads change the result")
    other = os.path.join(work, "other")
    af.checkpoint(other, source, config)
    settings = os.path.join(tuned, "adapter_config.json")
    with open(settings) as file:
        named = {**json.load(file), "base_model_name_or_path": other}
    with open(settings, "w") as file:
        json.dump(named, file)
    for words, told in (([], True), (["--base-model", path], False), (["--base-model", other], False)):
        result = call(qkscope, "drift", path, tuned, "-o", os.path.join(work, "z.h5"), "--force", *words)
        expect(result.returncode == 0 and told == (b"notice: %s: put on" % tuned.encode() in result.stderr),
               f"the other base: {result.stderr.decode()!r}")
    guarded = call(qkscope, "drift", path, tuned, "--force", "-o", os.path.join(tuned, "adapter_model.safetensors"))
    expect(guarded.returncode == 2 and b"is an input" in guarded.stderr, "an adapter is overwritten")


main({"values": values, "commands": commands}[sys.argv[4]], *sys.argv[1:4])
