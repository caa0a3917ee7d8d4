"""`qkscope restore` on every family: checkpoints with random weights are made from tests/data/models (config.json and
tensors.txt), and each output must be, byte for byte, the tuned checkpoint with the rows that expect.txt names taken from
the base. Blends are compared with numpy. With "types": base and tuned in different storage types and under different
scales. With "align": qk-pro and rotations of transposed, fused, gated and biased heads against numpy in float64.
usage: check_restore.py QKSCOPE PART/PARTS|types|align
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
from described import expand, read_manifest  # noqa: E402

QKSCOPE = os.path.abspath(sys.argv[1])
MODELS = os.path.join(os.environ["QK_SOURCE_ROOT"], "tests", "data", "models")
TOO_LARGE = {"deepseek_v3", "gemma3_nested"}  # published sizes: 685 GB and 6.4 GB, only their shapes are tested
DTYPES = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "F64": np.float64, "U8": np.uint8, "I32": np.int32,
          "F8_E4M3": np.uint8}
rng = np.random.default_rng(11)
checked = 0


# ---- checkpoints --------------------------------------------------------------------------------------------------
def to_bf16(x):
    u = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(u):
    return (u.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def random_tensor(dtype, shape):
    if dtype in ("U8", "I32"):
        return rng.integers(0, 100, shape).astype(DTYPES[dtype])
    x = rng.standard_normal(shape)
    return to_bf16(x) if dtype == "BF16" else x.astype(DTYPES[dtype])


def write_shard(path, names, tensors, dtypes):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        n = tensors[name].nbytes
        header[name] = {"dtype": dtypes[name], "shape": list(tensors[name].shape), "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(tensors[name].tobytes() for name in names))


def write_checkpoint(path, config, tensors, dtypes, n_shards):
    os.makedirs(os.path.join(path, "assets"))
    shutil.copy(config, os.path.join(path, "config.json"))
    for name, text in (("tokenizer.json", "{}"), ("assets/note.txt", "kept"), ("qkscope.json", "an older record")):
        with open(os.path.join(path, name), "w") as f:
            f.write(text)
    names = list(tensors)
    if n_shards == 1:
        write_shard(os.path.join(path, "model.safetensors"), names, tensors, dtypes)
        return
    files = {}
    for s in range(n_shards):
        part = names[s::n_shards]
        file = f"model-{s + 1:05}-of-{n_shards:05}.safetensors"
        write_shard(os.path.join(path, file), part, tensors, dtypes)
        files.update(dict.fromkeys(part, file))
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {}, "weight_map": files}, f)


def read_checkpoint(path):
    """Header texts and tensors by name."""
    headers, tensors = {}, {}
    for file in sorted(os.listdir(path)):
        if file.endswith(".safetensors"):
            data = open(os.path.join(path, file), "rb").read()
            n = struct.unpack("<Q", data[:8])[0]
            headers[file] = data[: 8 + n]
            for name, v in json.loads(data[8 : 8 + n]).items():
                if name != "__metadata__":
                    a, b = v["data_offsets"]
                    tensors[name] = np.frombuffer(data[8 + n + a : 8 + n + b], DTYPES[v["dtype"]]).reshape(v["shape"])
    return headers, tensors


# ---- what expect.txt says -----------------------------------------------------------------------------------------
def parse_layer(text, prefix, index):
    def full(name):
        return name if name.startswith(prefix) else f"{prefix}{index}.{name}"

    fields = text.split(" | ")
    kind, _, h, g = fields[0].split()[:4]
    layer = {"kind": kind, "H": int(h[1:]), "G": int(g[1:]), "Q": [], "K": [], "latent": {"Q": [], "K": []}}
    for f in fields[1:]:
        words = f.split()
        if words[0] in ("Q", "K"):
            name, count = words[1].rsplit("+", 1)
            starts = []
            rest = words[2:]
            while rest and rest[0].isdigit():
                starts.append(int(rest.pop(0)))
            part = {"tensor": full(name.replace("^T", "")), "transposed": name.endswith("^T"), "count": int(count),
                    "starts": starts, "adapter": []}
            if rest and rest[0] == "plus":
                part["adapter"] = [full(rest[1].rsplit("+", 1)[0]), full(rest[3])]
            if rest and rest[0] == "through":
                first, count = map(int, rest[2].split("+"))
                layer["latent"][words[0]] = [(full(rest[1]), first, count), (full(rest[4]), 0, None)]
            layer[words[0]].append(part)
        elif words[0] == "qk" and words[1] != "none":
            layer["norms"] = [full(words[2]), full(words[3])]
        elif words[0] == "bias" and words[1] != "none":
            layer["bias"] = {"Q": full(words[1]), "K": full(words[2])}
    return layer


def read_expectation(path):
    lines = open(path).read().splitlines()
    prefix = re.search(r"prefix (\S+)", lines[0])[1]
    layers = {}
    for line in lines[1:]:
        braces, text = re.match(r"(\{[^}]*\}) (.*)", line).groups()
        for index in expand(braces):
            layers[int(index)] = parse_layer(text, prefix, int(index))
    return layers


# ---- the prediction -----------------------------------------------------------------------------------------------
def rows_of(tensor, transposed):
    """The logical matrix as a view."""
    m = tensor.reshape(-1, tensor.shape[-1]) if tensor.ndim > 1 else tensor.reshape(-1, 1)
    return m.T if transposed else m


def predict(layers, tuned, base, chosen, roles, group, with_names, put):
    out = {k: v.copy() for k, v in tuned.items()}

    def change(name, first, count, transposed=False):
        to, a, b = (rows_of(t[name], transposed) for t in (out, base, tuned))
        end = len(to) if count is None else first + count
        to[first:end] = put(name, a[first:end], b[first:end])

    for index in chosen:
        layer = layers[index]
        for role in roles:
            n = layer["H"] if role == "Q" else layer["G"]
            per_group = n // layer["G"]
            heads = [h for h in range(n) if group is None or h // per_group == group]
            for part in layer[role]:
                shared = len(set(part["starts"])) < len(part["starts"])
                if shared and len(heads) < n:
                    continue
                for h in heads:
                    change(part["tensor"], part["starts"][h], part["count"], part["transposed"])
                    if "bias" in layer and layer["bias"][role] != "-":
                        change(layer["bias"][role], part["starts"][h], part["count"])
                for name in part["adapter"]:
                    change(name, 0, None)
            if "latent" in with_names:
                for name, first, count in layer["latent"][role]:
                    change(name, first, count)
        if "norms" in layer:
            for name, norm in zip(("q_norm", "k_norm"), layer["norms"]):
                if name in with_names:
                    out[norm] = base[norm]
    return out


# ---- one case -----------------------------------------------------------------------------------------------------
def restore(base, tuned, out, *options):
    return subprocess.run([QKSCOPE, "restore", base, tuned, "-o", out, "-q", *options], capture_output=True, text=True)


def check_output(what, tuned_path, out_path, expected):
    global checked
    tuned_headers, _ = read_checkpoint(tuned_path)
    headers, tensors = read_checkpoint(out_path)
    assert headers == tuned_headers, f"{what}: headers differ"
    assert list(tensors) == [n for n in tensors if n in expected] and len(tensors) == len(expected), f"{what}: tensors"
    for name in expected:
        assert tensors[name].tobytes() == expected[name].tobytes(), f"{what}: {name} is not as planned"
    for path, _, files in os.walk(tuned_path):
        for file in files:
            rel = os.path.relpath(os.path.join(path, file), tuned_path)
            if not file.endswith(".safetensors") and rel != "qkscope.json":
                a, b = (open(os.path.join(d, rel), "rb").read() for d in (tuned_path, out_path))
                assert a == b, f"{what}: {rel} differs"
    record = json.load(open(os.path.join(out_path, "qkscope.json")))
    assert record["format"] == "qkscope-restore" and record["plan"]["format"] == "qkscope-plan", what
    checked += 1


def check_model(name, work):
    folder = os.path.join(MODELS, name)
    layers = read_expectation(os.path.join(folder, "expect.txt"))
    shapes = read_manifest(os.path.join(folder, "tensors.txt"))
    dtypes = {k: v[0] for k, v in shapes.items()}
    base, tuned = ({k: random_tensor(*v) for k, v in shapes.items()} for _ in range(2))
    config = os.path.join(folder, "config.json")
    paths = {}
    for side, tensors in (("base", base), ("tuned", tuned)):
        for n_shards in (1, 3):
            paths[side, n_shards] = os.path.join(work, name, f"{side}{n_shards}")
            write_checkpoint(paths[side, n_shards], config, tensors, dtypes, n_shards)
    every = [i for i, l in layers.items() if l["H"] > 0]
    full = [i for i in every if layers[i]["kind"] == "full"]
    some = every[-1:]
    adapted = any(p["adapter"] for i in every for p in layers[i]["Q"]) and layers[every[-1]]["G"] > 1
    norms = [n for i in every if "norms" in layers[i] for n in ("q_norm", "k_norm")]
    latent = any(layers[i]["latent"]["K"] for i in every)
    copy = lambda tensor, a, b: a

    def blend(tensor, a, b):
        if dtypes[tensor] == "BF16":
            return to_bf16_exact(0.75 * from_bf16(b) + 0.25 * from_bf16(a))
        x = 0.75 * b.astype(np.float64) + 0.25 * a.astype(np.float64)
        return x.astype(b.dtype)

    cases = [
        (1, ["--layers", "all"], every, "QK", None, [], copy),
        (3, ["--layers", "all"], every, "QK", None, [], copy),
        (1, ["--layers", "all", "--only", "q"], every, "Q", None, [], copy),
        (3, ["--layers", str(some[0]), "--only", "k"], some, "K", None, [], copy),
        (1, ["--layers", str(some[0]), "--kv-groups", "0"], some, "QK", 0, [], copy),
        (1, ["--layers", "all", "--mode", "blend", "--alpha", "0.25"], every, "QK", None, [], blend),
    ]
    if full:
        cases.append((1, ["--layers", "full"], full, "QK", None, [], copy))
    if norms:
        cases.append((3, ["--layers", "all", "--with", "q_norm,k_norm"], every, "QK", None, norms, copy))
    if latent:
        cases.append((1, ["--layers", "all", "--with", "latent"], every, "QK", None, ["latent"], copy))
    for i, (n_shards, options, chosen, roles, group, with_names, put) in enumerate(cases):
        what = f"{name}: {' '.join(options)}"
        out = os.path.join(work, name, f"out{i}")
        ran = restore(paths["base", n_shards], paths["tuned", n_shards], out, *options)
        if group is not None and layers[chosen[0]]["kind"] == "full" and adapted:
            assert ran.returncode == 4 and "adapter is shared" in ran.stderr, f"{what}: {ran.stderr}"
            assert not os.path.exists(out), what
            continue
        assert ran.returncode == 0, f"{what}: {ran.stderr}"
        check_output(what, paths["tuned", n_shards], out,
                     predict(layers, tuned, base, chosen, roles, group, with_names, put))
    for (side, n_shards), path in paths.items():  # inputs are as they were
        _, there = read_checkpoint(path)
        assert all(there[k].tobytes() == v.tobytes() for k, v in (base if side == "base" else tuned).items()), name
    shutil.rmtree(os.path.join(work, name))


def to_bf16_exact(x):
    """Doubles to BF16, nearest even, without going through float32."""
    m, e = np.frexp(x)
    scaled = np.ldexp(m, 8)
    return to_bf16(np.ldexp(np.rint(scaled), e - 8))


# ---- storage types ------------------------------------------------------------------------------------------------
def e4m3_values():
    codes = np.arange(256)
    s, e, m = codes >> 7, (codes >> 3) & 15, codes & 7
    x = np.where(e == 0, m / 8 * 2.0**-6, (1 + m / 8) * 2.0 ** (e.astype(np.float64) - 7))
    x = np.where(s == 1, -x, x)
    x[[127, 255]] = np.nan
    return x


def to_e4m3(x):
    """Nearest, ties to the even code, by looking at all codes of the sign."""
    values = e4m3_values()[:127]
    distance = np.abs(np.abs(x)[..., None] - values)
    best = distance.min(axis=-1, keepdims=True)
    even = np.where(distance == best, np.arange(127) % 2, 2)
    code = even.argmin(axis=-1)
    return np.where(np.signbit(x), code + 128, code).astype(np.uint8)


def decode(tensor, dtype, scale):
    if dtype == "F8_E4M3":
        return e4m3_values()[tensor] * scale
    return from_bf16(tensor) if dtype == "BF16" else tensor.astype(np.float64)


def encode(x, dtype, scale):
    if dtype == "F8_E4M3":
        return to_e4m3(x / scale)
    return to_bf16_exact(x) if dtype == "BF16" else x.astype(DTYPES[dtype])


def typed_checkpoint(path, config, shapes, dtype, scale, large=False):
    """A checkpoint whose Q and K are of a type of their own."""
    tensors, dtypes = {}, {}
    for name, (own, shape) in shapes.items():
        routed = re.search(r"\.[qk]_proj\.weight$", name) is not None
        dtypes[name] = dtype if routed else own
        tensors[name] = random_tensor(own, shape)
        if routed:
            x = rng.standard_normal(shape)
            x.flat[:4] = [1e6 if large else 3.0, -0.0, 0.0, 2.0**-130 if dtype in ("BF16", "F32") else 2.0**-8]
            tensors[name] = encode(x, dtype, scale)
        if routed and dtype == "F8_E4M3":
            tensors[name + "_scale"], dtypes[name + "_scale"] = np.float32([scale]), "F32"
    write_checkpoint(path, config, tensors, dtypes, 1)
    return tensors, dtypes


def check_types(work):
    global checked
    folder = os.path.join(MODELS, "llama")
    shapes = read_manifest(os.path.join(folder, "tensors.txt"))
    config = os.path.join(folder, "config.json")
    cases = [("F32", 1, "BF16", 1), ("BF16", 1, "F32", 1), ("F32", 1, "F16", 1), ("F64", 1, "F32", 1),
             ("F8_E4M3", 0.5, "BF16", 1), ("BF16", 1, "F8_E4M3", 0.0625), ("F8_E4M3", 0.25, "F8_E4M3", 0.0625),
             ("F8_E4M3", 0.1, "F8_E4M3", 0.1)]
    for i, (base_type, base_scale, type_, scale) in enumerate(cases):
        base_scale, scale = float(np.float32(base_scale)), float(np.float32(scale))
        paths = [os.path.join(work, f"{side}{i}") for side in ("base", "tuned", "out")]
        base, base_types = typed_checkpoint(paths[0], config, shapes, base_type, base_scale)
        tuned, dtypes = typed_checkpoint(paths[1], config, shapes, type_, scale)
        for options, alpha in (([], 1.0), (["--mode", "blend", "--alpha", "0.25"], 0.25)):
            expected = dict(tuned)
            for name in tuned:
                if re.search(r"\.[qk]_proj\.weight$", name):
                    x = decode(base[name], base_types[name], base_scale)
                    if alpha < 1:
                        x = (1 - alpha) * decode(tuned[name], dtypes[name], scale) + alpha * x
                    expected[name] = encode(x, type_, scale)
            ran = restore(*paths, "--layers", "all", "--force", *options)
            what = f"{base_type} to {type_} {options}"
            assert ran.returncode == 0, f"{what}: {ran.stderr}"
            check_output(what, paths[1], paths[2], expected)
    for base_type, type_ in (("F32", "F16"), ("BF16", "F8_E4M3")):
        paths = [os.path.join(work, f"{side}-{type_}") for side in ("base", "tuned", "out")]
        typed_checkpoint(paths[0], config, shapes, base_type, 1.0, large=True)
        typed_checkpoint(paths[1], config, shapes, type_, 1.0)
        ran = restore(*paths, "--layers", "all")
        assert ran.returncode == 4 and "cannot hold a restored value" in ran.stderr, ran
        assert not os.path.exists(paths[2])
    print(f"{checked} outputs in other types are as numpy rounds them; values that do not fit are refused")


# ---- aligned heads ------------------------------------------------------------------------------------------------
def head_matrix(layer, tensors, role, head):
    """(K, D), the bias as one more column where there is one."""
    parts, column = [], []
    for part in layer[role]:
        first = part["starts"][head]
        parts.append(rows_of(tensors[part["tensor"]], part["transposed"])[first : first + part["count"]])
        if "bias" in layer:
            column.append(tensors[layer["bias"][role]].reshape(-1, 1)[first : first + part["count"]])
    return np.hstack([np.vstack(parts)] + ([np.vstack(column)] if column else [])).astype(np.float64)


def put_matrix(layer, tensors, role, head, w):
    row = 0
    for part in layer[role]:
        first, n = part["starts"][head], part["count"]
        m = rows_of(tensors[part["tensor"]], part["transposed"])
        m[first : first + n] = w[row : row + n, : m.shape[1]]
        if "bias" in layer:
            tensors[layer["bias"][role]].reshape(-1, 1)[first : first + n] = w[row : row + n, m.shape[1] :]
        row += n


def aligned(q0, q1, k0, side, lam):
    a = k0 @ k0.T
    a1 = a + lam * np.trace(a) / len(a) * np.eye(len(a))
    if side == "head":
        return q1 + a @ np.linalg.solve(a1, q0 - q1)
    return q1 + (q0 - q1) @ k0.T @ np.linalg.solve(a1, k0)


def rotated(w0, w1):
    u, _, vt = np.linalg.svd(w0 @ w1.T)
    return u @ vt @ w1


def check_aligned(work):
    global checked
    worst = 0.0
    for name in ("gpt2", "qwen2", "phi3", "gpt_neox", "qwen3_next", "bloom", "olmo_hybrid"):
        folder = os.path.join(MODELS, name)
        layers = read_expectation(os.path.join(folder, "expect.txt"))
        shapes = {t: ("F32", shape) for t, (_, shape) in read_manifest(os.path.join(folder, "tensors.txt")).items()}
        base = {k: random_tensor(*v) for k, v in shapes.items()}
        tuned = {k: v + np.float32(0.2) * random_tensor("F32", v.shape) for k, v in base.items()}
        paths = [os.path.join(work, name, side) for side in ("base", "tuned", "out")]
        for path, tensors in zip(paths, (base, tuned)):
            write_checkpoint(path, os.path.join(folder, "config.json"), tensors, dict.fromkeys(shapes, "F32"), 1)
        full = [i for i, l in layers.items() if l["kind"] == "full"]
        free = name in ("gpt2", "bloom")  # no rotary dimensions: any rotation
        for mode in [("qk-pro", "input"), ("qk-pro", "head")] + [("rotate", None)] * free:
            options = ["--mode", mode[0]] + (["--side", mode[1], "--lambda", "0.1"] if mode[1] else [])
            ran = restore(*paths, "--layers", "full", "--force", *options)
            assert ran.returncode == 0, f"{name} {mode}: {ran.stderr}"
            expected = {k: v.astype(np.float64) for k, v in tuned.items()}
            for i in full:
                layer = layers[i]
                for h in range(layer["H"]):
                    q0, q1 = (head_matrix(layer, t, "Q", h) for t in (base, tuned))
                    k0 = head_matrix(layer, base, "K", h // (layer["H"] // layer["G"]))
                    new = rotated(q0, q1) if mode[0] == "rotate" else aligned(q0, q1, k0, mode[1], 0.1)
                    put_matrix(layer, expected, "Q", h, new)
                for g in range(layer["G"]):
                    k0, k1 = (head_matrix(layer, t, "K", g) for t in (base, tuned))
                    put_matrix(layer, expected, "K", g, rotated(k0, k1) if mode[0] == "rotate" else k0)
            _, out = read_checkpoint(paths[2])
            for k, v in expected.items():
                # nearest float32 up to the rounding of two ways to compute it
                error = np.abs(out[k].astype(np.float64) - v) / np.spacing(np.maximum(np.abs(v), 1).astype(np.float32))
                assert error.max() <= 0.51, f"{name} {mode}: {k} is {error.max()} units in the last place away"
                worst = max(worst, float(error.max()))
                unchanged = np.array_equal(v, tuned[k].astype(np.float64))
                assert not unchanged or out[k].tobytes() == tuned[k].tobytes(), f"{name} {mode}: {k} changed"
            checked += 1
    print(f"{checked} outputs of aligned heads, at most {worst:.3f} float32 units from float64 numpy")


def scratch():
    """In memory where there is room: hundreds of runs would mostly wait for a disk to sync."""
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 256 << 20
    return tempfile.mkdtemp(prefix="qk-restore-", dir=memory if roomy else None)


def main():
    if sys.argv[2] in ("types", "align"):
        work = scratch()
        try:
            check_types(work) if sys.argv[2] == "types" else check_aligned(work)
        finally:
            shutil.rmtree(work)
        return
    part, parts = map(int, sys.argv[2].split("/"))
    names = sorted(n for n in os.listdir(MODELS) if os.path.isdir(os.path.join(MODELS, n)))
    assert TOO_LARGE < set(names)
    mine = [n for n in names if n not in TOO_LARGE][part - 1 :: parts]
    work = scratch()
    try:
        for name in mine:
            check_model(name, work)
    finally:
        shutil.rmtree(work)
    print(f"{checked} outputs of {len(mine)} models are as planned, byte for byte; not made: {', '.join(TOO_LARGE)}")
    assert checked >= 6 * len(mine) - 2


main()
