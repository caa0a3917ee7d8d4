"""PEFT adapters as tuned checkpoints, against numpy.

usage: check_adapter.py QKSCOPE DUMP DATA values     every element of every tensor, to the bit (DoRA: to a rounding)
       check_adapter.py QKSCOPE DUMP DATA commands   drift and logits of base + adapter and of the merged checkpoint
       check_adapter.py QKSCOPE DUMP DATA restore    merged and trimmed adapters, rows of Q and K the base's again
       check_adapter.py QKSCOPE DUMP DATA refusals   adapters that must be refused, each with its line
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import adapter_files as af

checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def call(*words):
    return subprocess.run([str(w) for w in words], capture_output=True, timeout=100)


def dumped(dump, adapter, base, how="as-is", block=0):
    result = call(dump, adapter, base, how, block)
    if result.returncode != 0:
        sys.exit(f"{adapter}: exit {result.returncode}\n{result.stderr.decode()}")
    out, raw = {}, result.stdout
    while raw:
        line, raw = raw.split(b"\n", 1)
        name, dtype, n = line.decode().split(" ")
        out[name], raw = (dtype, raw[:int(n)]), raw[int(n):]
    return out


# ---- models: where modules are and how their tensors are stored

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj"]


def fixture(data, name):
    path = os.path.join(data, name)
    return af.read_checkpoint(path), os.path.join(path, "config.json")


def key(module, part):
    return f"base_model.model.{module}.{part}"


def attention(layer, name):
    return f"model.layers.{layer}.self_attn.{name}"


def lora(rng, base, modules, rank=4, dtype="F32", turned=False, stored_as=lambda m: m, size=0.05):
    """Adapter tensors for modules, and {tensor: (a, b)} of the base's names."""
    tensors, parts = {}, {}
    for module in modules:
        name = stored_as(module) + ".weight"
        a, b = af.factors(rng, base[name][1].shape, rank, dtype, turned, size)
        tensors[key(module, "lora_A.weight")] = (dtype, a)
        tensors[key(module, "lora_B.weight")] = (dtype, b)
        parts[name] = (a, b)
    return tensors, parts


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
    source, config = fixture(data, "forward/qwen3_next")
    fused = sorted(n[:-7] for n in source if n.endswith(("in_proj_qkvz.weight", "self_attn.q_proj.weight")))
    check_model(qkscope, source, config, work, fused)
    # one run over the base's three faces: several threads, and a drift of the adapter that names its base
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    one = call(qkscope, "drift", path, tuned, "-o", os.path.join(work, "x.h5"), "--threads", "1", "-q")
    two = call(qkscope, "drift", path, tuned, "-o", os.path.join(work, "y.h5"), "--threads", "3", "-q")
    expect(one.returncode == two.returncode == 0 and
           open(os.path.join(work, "x.h5"), "rb").read() == open(os.path.join(work, "y.h5"), "rb").read(),
           "threads change the result")
    guarded = call(qkscope, "drift", path, tuned, "--force", "-o", os.path.join(tuned, "adapter_model.safetensors"))
    expect(guarded.returncode == 2 and b"is an input" in guarded.stderr, "an adapter is overwritten")


# ---- restore

def run(qkscope, *words):
    result = call(qkscope, *words)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {result.returncode}\n{result.stderr.decode()}")
    return result.stdout


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


def restore(qkscope, dump, data, work):
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
    source, config = fixture(data, "forward/qwen3_next")
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


# ---- refusals

def refusals(qkscope, dump, data, work):
    source, config = fixture(data, "weights/llama/base")
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    base = af.checkpoint(path, source, config)
    module = attention(1, "q_proj")
    good, _ = lora(np.random.default_rng(7), base, [module])
    weights = os.path.join(tuned, "adapter_model.safetensors")
    settings = os.path.join(tuned, "adapter_config.json")
    a, b = key(module, "lora_A.weight"), key(module, "lora_B.weight")
    dims = base[module + ".weight"][1].shape
    zeros = {n: ("F32", np.zeros(s, np.float32)) for n, s in
             (("long A", (4, dims[1] + 1)), ("rank 3", (3, dims[1])), ("wide B", (dims[0], 5)), ("tall B", (dims[0] + 1, 4)),
              ("cube", (4, 4, 4)), ("none", (0, dims[1])), ("dims", dims), ("out", (dims[0],)), ("row", (dims[0] + 1,)))}

    def refused(what, status, line, tensors=None, hint="", alter=None, **more):
        af.adapter(tuned, good if tensors is None else tensors, **{"target_modules": ["q_proj"], **more})
        if alter is not None:
            alter()
        result = call(qkscope, "inspect", tuned, "--base-model", path)
        error = result.stderr.decode()
        first = error.split("\n")[0]
        expect(result.returncode == status and line in first and first.startswith("qkscope: error: " + tuned),
               f"{what}: exit {result.returncode}, {error!r}")
        expect(hint in error, f"{what}: no hint '{hint}' in {error!r}")
        expect(error.count("\n") <= 2, f"{what}: more than an error and a hint: {error!r}")

    af.adapter(tuned, good, target_modules=["q_proj"])
    expect(call(qkscope, "inspect", tuned, "--base-model", path).returncode == 0, "the good adapter is refused")

    def edit(**changes):
        return {n: t for n, t in {**good, **changes.get("put", {})}.items() if n not in changes.get("drop", ())}

    # the file of weights
    refused("A alone", 4, f"{a}: partner is missing (expected the factor B", edit(drop=[b]))
    refused("B alone", 4, f"{b}: partner is missing (expected the factor A", edit(drop=[a]))
    refused("A too long", 4, f"{a}: wrong shape (expected (4, {dims[1]})", edit(put={a: zeros["long A"]}))
    refused("A of rank 3", 4, f"{a}: wrong shape (expected (4, …) by r and rank_pattern", edit(put={a: zeros["rank 3"]}))
    refused("B of rank 5", 4, f"{b}: wrong shape (expected (…, 4)", edit(put={b: zeros["wide B"]}))
    refused("B too tall", 4, f"{b}: wrong shape (expected ({dims[0]}, 4)", edit(put={b: zeros["tall B"]}))
    refused("A of three dimensions", 4, f"{a}: wrong shape", edit(put={a: zeros["cube"]}))
    refused("A empty", 4, f"{a}: no elements", edit(put={a: zeros["none"]}))
    refused("other rank by pattern", 4, f"{a}: wrong shape (expected (2, …)", rank_pattern={"q_proj": 2})
    refused("no such module", 4, "the base has no such module (expected a tensor 'model.layers.9.self_attn.q_proj.weight'",
            {n.replace("layers.1", "layers.9"): t for n, t in good.items()}, hint="is this the base")
    refused("a head that is tied", 4, "the base has no such module",
            edit(put={"base_model.model.lm_head.weight" if "lm_head.weight" not in base else
                      "base_model.model.other.lm_head.weight": zeros["dims"]}), hint="ties")
    refused("two adapters", 4, "more than one adapter",
            edit(put={key(module, "lora_A.x.weight"): good[a], key(module, "lora_B.x.weight"): good[b]}))
    refused("twice", 4, "given twice (the other is", edit(put={a.replace("base_model.model.", ""): good[a]}))
    refused("not chosen", 4, "the config does not choose module", hint="does not belong", target_modules=["v_proj"])
    refused("not in these layers", 4, "the config does not choose module", layers_to_transform=[0, 2])
    refused("excluded", 4, "the config does not choose module", exclude_modules=["q_proj"])
    refused("excluded by expression", 4, "the config does not choose module", exclude_modules=r".*\.1\..*")
    refused("norm is no matrix", 4, "only linear layers and embeddings",
            {n.replace("self_attn.q_proj", "input_layernorm"): t for n, t in good.items()},
            target_modules=["input_layernorm"])
    refused("saved of another shape", 4, "wrong shape (expected (",
            edit(put={"base_model.model.model.embed_tokens.weight": zeros["dims"]}), hint="vocabulary was resized")
    refused("8-bit factors", 4, "no type for an adapter (expected F32, BF16, F16 or F64, found I8)", alter=lambda: (
        open(weights, "wb").write((lambda t: len(t).to_bytes(8, "little") + t + b"\0" * 4)(json.dumps(
            {a: {"dtype": "I8", "shape": [4, 1], "data_offsets": [0, 4]}}).encode()))))
    refused("nothing", 4, "changes nothing", {})
    refused("bias of A", 4, "a bias of lora_A is not known", edit(put={key(module, "lora_A.bias"): zeros["out"]}))
    refused("bias where there is none", 4, "the base has no such module",
            edit(put={key(module, "lora_B.bias"): zeros["out"]}))
    refused("trained tokens", 4, "another kind of adapter",
            edit(put={"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": zeros["dims"]}))
    refused("another lora", 4, "another kind of adapter", edit(put={key(module, "lora_C.weight"): zeros["dims"]}))
    refused("DoRA without magnitude", 4, "DoRA's magnitude is missing", use_dora=True)
    magnitude = key(module, "lora_magnitude_vector")
    refused("magnitude without DoRA", 4, "does not say use_dora", edit(put={magnitude: zeros["out"]}))
    refused("magnitude of wrong length", 4, f"{magnitude}: wrong shape", edit(put={magnitude: zeros["row"]}), use_dora=True)
    refused("magnitude alone", 4, "a magnitude without its factors", {magnitude: zeros["out"]}, use_dora=True)
    refused("DoRA of an embedding", 4, "DoRA of an embedding", {
        key("model.embed_tokens", "lora_embedding_A"): zeros["dims"],
        key("model.embed_tokens", "lora_embedding_B"): zeros["dims"]}, use_dora=True)
    refused("truncated", 4, "adapter_model.safetensors", alter=lambda: os.truncate(weights, 300))
    refused("no weights", 4, "adapter weights are missing (expected adapter_model.safetensors, found none)",
            alter=lambda: os.remove(weights))
    refused("pickle", 4, "adapter weights are missing (expected adapter_model.safetensors, found adapter_model.bin)",
            hint="safe_serialization", alter=lambda: os.rename(weights, os.path.join(tuned, "adapter_model.bin")))
    refused("a pointer", 4, "Git-LFS", alter=lambda: open(weights, "w").write(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"))
    # the config
    refused("no JSON", 4, "adapter_config.json", alter=lambda: open(settings, "w").write("{"))
    refused("no object", 4, "adapter_config.json", alter=lambda: open(settings, "w").write("[]"))
    refused("another method", 4, "peft_type: not a LoRA adapter (expected LORA, found IA3)", peft_type="IA3")
    refused("no method", 4, "peft_type: not a LoRA adapter (expected LORA, found none)", peft_type=None)
    refused("rank 0", 4, "r: no rank (expected an integer from 1", r=0)
    refused("rank as text", 4, ": r:", r="4")
    refused("huge rank", 4, "r: no rank", r=10 ** 9)
    refused("alpha as text", 4, "lora_alpha", lora_alpha="8")
    refused("alpha not finite", 4, "lora_alpha: not finite", lora_alpha=float("inf"))
    refused("rank pattern of another type", 4, "rank_pattern: no table of patterns", rank_pattern=[4])
    refused("rank pattern 0", 4, "rank_pattern: 'q_proj' has no usable value (expected an integer", rank_pattern={"q_proj": 0})
    refused("alpha pattern text", 4, "alpha_pattern: 'q_proj' has no usable value", alpha_pattern={"q_proj": "x"})
    refused("bad expression", 4, "alpha_pattern: '(q_proj': no regular expression: '('", alpha_pattern={"(q_proj": 1})
    refused("lookahead", 4, "alpha_pattern: '(?=q)q_proj': '(?' with lookaround", alpha_pattern={"(?=q)q_proj": 1})
    refused("endless expression", 4, "too many steps", alpha_pattern={"((a{100}){100}){100}": 1})
    refused("bad targets", 4, "target_modules: of another type", target_modules=[1])
    refused("bad target expression", 4, "target_modules: no regular expression", target_modules="q_proj)")
    refused("bad layers", 4, "layers_to_transform: of another type", layers_to_transform="x")
    refused("bad pattern of layers", 4, "layers_pattern: of another type", layers_pattern=[3], layers_to_transform=[1])
    for init in ("pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"):
        refused(init, 4, f"init_lora_weights: '{init}' changes the base's weights", init_lora_weights=init,
                hint="path_initial_model_for_weight_conversion")
    for field, value in (("alora_invocation_tokens", [1]), ("arrow_config", {"top_k": 1}), ("kasa_config", {"beta": 1}),
                         ("layer_replication", [[0, 2]]), ("monteclora_config", {"x": 1}), ("target_parameters", ["w"]),
                         ("trainable_token_indices", [3]), ("use_bdlora", {"nblocks": 2}), ("use_qalora", True)):
        refused(field, 4, f"adapter_config.json: {field}: ", **{field: value})
    # the base
    af.adapter(tuned, good, target_modules=["q_proj"], base_model_name_or_path="meta-llama/none")
    for words in (["inspect", tuned], ["generate", tuned, "--ids", "3"]):
        result = call(qkscope, *words)
        expect(result.returncode == 2 and b"base_model_name_or_path: the adapter's base is needed (expected a local "
               b"directory, found 'meta-llama/none')" in result.stderr and b"--base-model" in result.stderr,
               f"{words[0]} without base: {result.stderr.decode()!r}")
    result = call(qkscope, "inspect", tuned, "--base-model", os.path.join(work, "nowhere"))
    expect(result.returncode == 3 and b"nowhere" in result.stderr, f"a base that is not there: {result.stderr!r}")
    result = call(qkscope, "inspect", tuned, "--base-model", tuned)
    expect(result.returncode == 4 and b"PEFT adapter" in result.stderr, f"an adapter as base: {result.stderr!r}")


def main():
    qkscope, dump, data, what = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        {"values": values, "commands": commands, "restore": restore, "refusals": refusals}[what](qkscope, dump, data, work)
    for failure in failures[:40]:
        print("FAIL", failure)
    print(f"{checked} checks, {len(failures)} failures")
    sys.exit(1 if failures or checked == 0 else 0)


main()
