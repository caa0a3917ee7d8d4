"""qkscope compare on checkpoints of every family, against what was changed in them.

Usage: check_compare.py QKSCOPE TEST_DATA. Every model below TEST_DATA/models is filled with random bytes and copied; in
the copy some elements are changed. compare must name exactly the changed tensors, rows, first bytes, largest differences,
layers, roles and heads (heads from expect.txt), with any number of threads; the same tensors spread over several files
are equal with --tensors and differ in layout alone without. With --expect, planned rows must hold the base's bytes and
all others the tuned ones. Truncated and damaged files give an error line, never a crash."""
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

BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "I64": 64, "I32": 32, "I16": 16,
        "I8": 8, "U8": 8, "BOOL": 8, "F4": 4}
MAX_BYTES = 24 << 20
rng = np.random.default_rng(4)
failures = []


def expect(what, holds):
    if not holds:
        failures.append(what)


def n_bytes(dtype, shape):
    return int(np.prod(shape, dtype=np.int64)) * BITS[dtype] // 8


def fill(tensors):
    """Random numbers of moderate size, so that differences are finite."""
    data = {}
    for name, (dtype, shape) in tensors.items():
        raw = rng.integers(0, 256, n_bytes(dtype, shape), dtype=np.uint8)
        if dtype in ("BF16", "F16", "F32", "F64"):
            raw[BITS[dtype] // 8 - 1::BITS[dtype] // 8] &= 0x3f
        data[name] = raw
    return data


def write(directory, tensors, data, config, n_shards=1, metadata=None):
    os.makedirs(directory)
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as f:
        f.write(config)
    names = sorted(tensors)
    weight_map = {}
    for shard in range(n_shards):
        mine = names[shard * len(names) // n_shards:(shard + 1) * len(names) // n_shards]
        file = "model.safetensors" if n_shards == 1 else f"model-{shard + 1:05}-of-{n_shards:05}.safetensors"
        header, at = {"__metadata__": metadata} if metadata else {}, 0
        for name in mine:
            header[name] = {"dtype": tensors[name][0], "shape": tensors[name][1],
                            "data_offsets": [at, at + len(data[name])]}
            at += len(data[name])
            weight_map[name] = file
        text = json.dumps(header).encode()
        with open(os.path.join(directory, file), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for name in mine:
                f.write(data[name].tobytes())
    if n_shards > 1:
        total = sum(len(d) for d in data.values())
        with open(os.path.join(directory, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, f)


def run(qkscope, *args):
    return subprocess.run([qkscope, "compare", *args], capture_output=True, text=True, check=False)


def as_json(result, what):
    try:
        return json.loads(result.stdout)
    except ValueError:
        expect(f"{what}: no JSON, status {result.returncode}: {result.stderr.strip()}", False)
        return {"tensors": [], "layout": [], "files": [], "equal": None}


def rows_of(shape, transposed):
    """Logical rows, and the row of each element."""
    n = int(np.prod(shape, dtype=np.int64))
    last = shape[-1] if len(shape) >= 2 else 1
    return (last, lambda e: e % last) if transposed else (n // last, lambda e: e // last)


def decode(dtype, raw):
    if dtype == "BF16":
        return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(float)
    return raw.view({"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype]).astype(float)


def change(tensors, data, transposed, how_many):
    """Changed data, and per tensor the expected rows, first byte and largest difference."""
    changed, expected = dict(data), {}
    names = [n for n in tensors if len(data[n]) > 0]
    for name in rng.choice(names, min(how_many, len(names)), replace=False):
        dtype, shape = tensors[name]
        size = BITS[dtype] // 8
        raw = data[name].copy()
        where = np.unique(rng.integers(0, len(raw) // size, rng.integers(1, 6)))
        for e in where:
            raw[e * size + rng.integers(0, size)] ^= 1 + rng.integers(0, 31)
        _, row = rows_of(shape, transposed(name, shape))
        most = None
        if dtype in ("BF16", "F16", "F32", "F64"):
            most = float(np.max(np.abs(decode(dtype, raw) - decode(dtype, data[name]))))
        first = int(np.flatnonzero(raw != data[name])[0])
        expected[name] = (sorted({int(row(int(e))) for e in where}), first, most)
        changed[name] = raw
    return changed, expected


def check_differences(what, answer, expected, has_model):
    found = {t["name"]: t for t in answer["tensors"]}
    expect(f"{what}: tensors {sorted(found)} instead of {sorted(expected)}", set(found) == set(expected))
    for name, (rows, first, most) in expected.items():
        t = found.get(name)
        if t is None:
            continue
        got = [r for low, high in t["rows"] for r in range(low, high)]
        expect(f"{what}: {name}: rows {got} instead of {rows}", got == rows and t["n_rows"] == len(rows))
        expect(f"{what}: {name}: first byte {t['first_byte']} instead of {first}", t["first_byte"] == first)
        expect(f"{what}: {name}: largest difference {t['max_abs_difference']} instead of {most}",
               most is None or t["max_abs_difference"] == most)
        parts = sum(p["n_rows"] for p in t["parts"])
        expect(f"{what}: {name}: parts have {parts} rows of {len(rows)}", not has_model or parts == len(rows))


def heads_in(expect_path):
    """(layer, 'q' or 'k', tensor's end) -> [(first row, count)] for layers whose line gives them plainly."""
    heads = {}
    with open(expect_path, encoding="utf-8") as f:
        for line in f:
            layers = re.match(r"(\{[^}]*\}|\d+) ", line)
            for side, module, count, starts in re.findall(r"\| ([QK]) ([^\s^+]+)(?:\^T)?\+(\d+) ([\d ]+) (?=\|)", line):
                for layer in expand(layers[1]) if layers else []:
                    heads[int(layer), side.lower(), module] = [(int(s), int(count)) for s in starts.split()]
    return heads


def check_heads(what, answer, heads):
    checked = 0
    for t in answer["tensors"]:
        for part in t["parts"]:
            for (layer, role, module), places in heads.items():
                plain = layer == part["layer"] and role == part["role"] and t["name"].endswith(f".{layer}.{module}")
                if not plain:
                    continue
                rows = {r for low, high in t["rows"] for r in range(low, high)}
                due = [h for h, (s, n) in enumerate(places) if rows & set(range(s, s + n))]
                expect(f"{what}: {t['name']}: heads {part['heads']} instead of {due}", part["heads"] == due)
                checked += 1
    return checked


def check_family(qkscope, models, name, work):
    tensors = read_manifest(os.path.join(models, name, "tensors.txt"))
    if sum(n_bytes(*t) for t in tensors.values()) > MAX_BYTES:
        return None
    with open(os.path.join(models, name, "config.json"), encoding="utf-8") as f:
        config = f.read()
    gpt2 = json.loads(config)["model_type"] == "gpt2"
    transposed = lambda n, shape: gpt2 and n.endswith("c_attn.weight")  # the others count as they are stored
    data = fill(tensors)
    changed, due = change(tensors, data, transposed, max(6, len(tensors) * 2 // 3))
    a, b, s, t = (os.path.join(work, name, x) for x in ("a", "b", "sharded", "sharded-b"))
    write(a, tensors, data, config)
    write(b, tensors, changed, config)
    write(s, tensors, data, config, n_shards=3)
    write(t, tensors, changed, config, n_shards=3)
    plain = run(qkscope, a, b, "--json", "--threads", "1")
    answer = as_json(plain, name)
    expect(f"{name}: exit status {plain.returncode}", plain.returncode == 1)
    expect(f"{name}: layout or files differ", answer["layout"] == [] and answer["files"] == [])
    has_model = "unknown" not in name
    check_differences(name, answer, due, has_model)
    checked = check_heads(name, answer, heads_in(os.path.join(models, name, "expect.txt")))
    other = as_json(run(qkscope, a, t, "--json", "--tensors", "--threads", "3"), name)
    expect(f"{name}: another answer for other files and threads", other["tensors"] == answer["tensors"])
    expect(f"{name}: sharded is not equal", run(qkscope, a, s, "--tensors").returncode == 0)
    layout = run(qkscope, a, s, "--json")
    other = as_json(layout, name)
    expect(f"{name}: layout is no difference",
           layout.returncode == 1 and other["tensors"] == [] and len(other["layout"]) == 1 and
           other["files"] == [{"name": "model.safetensors.index.json", "how": "only-b"}])
    shutil.rmtree(os.path.join(work, name))
    return checked


def check_forms(qkscope, work):
    """Tensors of one side, other types and shapes, chunk borders, elements smaller than a byte, other files."""
    config = json.dumps({"model_type": "nothing-known"})
    tensors = {"big": ("F32", [1000, 700]), "small": ("U8", [4, 3]), "tiny": ("F4", [4, 3]), "flat": ("I64", [9]),
               "scalar": ("BF16", []), "empty": ("F32", [0, 5])}
    data = fill(tensors)
    a = os.path.join(work, "forms-a")
    write(a, tensors, data, config)
    due, changed = {}, {n: d.copy() for n, d in data.items()}
    chunk = 1 << 20
    for at in (chunk - 1, chunk, 2 * chunk + 5, len(data["big"]) - 1):
        changed["big"][at] ^= 1
    rows = sorted({at // 2800 for at in (chunk - 1, chunk, 2 * chunk + 5, len(data["big"]) - 1)})
    most = float(np.max(np.abs(decode("F32", changed["big"]) - decode("F32", data["big"]))))
    due["big"] = (rows, chunk - 1, most)
    changed["tiny"][1] ^= 0x10  # elements 2 and 3: the end of row 0 and the start of row 1
    due["tiny"] = ([0, 1], 1, None)
    changed["scalar"][0] ^= 1
    due["scalar"] = ([0], 0, None)
    changed["flat"][8 * 3] ^= 1
    due["flat"] = ([3], 24, None)
    b = os.path.join(work, "forms-b")
    write(b, tensors, changed, config)
    result = run(qkscope, a, b, "--json", "--tensors")
    expect("forms: no notice that layers are unknown", "qkscope: notice: compared without" in result.stderr)
    check_differences("forms", as_json(result, "forms"), due, False)
    other = dict(tensors, more=("F32", [2]), flat=("I64", [3, 3]), small=("I8", [4, 3]))
    del other["tiny"]
    c = os.path.join(work, "forms-c")
    write(c, other, fill({n: other[n] for n in ("more",)}) | {n: data[n] for n in other if n != "more"}, config,
          metadata={"format": "pt"})
    for name, content in (("tokenizer.json", "x"), ("notes/a.txt", "1")):
        os.makedirs(os.path.dirname(os.path.join(c, name)), exist_ok=True)
        with open(os.path.join(c, name), "w", encoding="utf-8") as f:
            f.write(content)
    with open(os.path.join(c, "config.json"), "a", encoding="utf-8") as f:
        f.write("\n")
    os.makedirs(os.path.join(c, ".cache"))
    shutil.copy(os.path.join(c, "config.json"), os.path.join(c, ".cache", "config.json"))
    answer = as_json(run(qkscope, a, c, "--json"), "forms")
    got = {t["name"]: (t["a"] is not None, t["b"] is not None) for t in answer["tensors"]}
    expect(f"forms: {got}", got == {"flat": (True, True), "more": (False, True), "small": (True, True),
                                    "tiny": (True, False)})
    expect(f"forms: {answer['layout']}", len(answer["layout"]) == 1 and "header differs" in answer["layout"][0])
    expect(f"forms: {answer['files']}", answer["files"] == [
        {"name": "config.json", "how": "differs"}, {"name": "notes/a.txt", "how": "only-b"},
        {"name": "tokenizer.json", "how": "only-b"}])
    os.symlink(".", os.path.join(c, "circle"))
    r = run(qkscope, c, c)
    expect(f"forms: a link that leads back: status {r.returncode}", r.returncode == 4 and "lead back" in r.stderr)


def plan_of(qkscope, base, tuned, units):
    def side(path):
        with open(os.path.join(path, "model.safetensors"), "rb") as f:
            n = f.read(8)
            header = n + f.read(struct.unpack("<Q", n)[0])
        import hashlib
        return {"name": os.path.basename(path), "header_sha256": hashlib.sha256(header).hexdigest()}
    return {"format": "qkscope-plan", "version": 1, "base": side(base), "tuned": side(tuned), "units": units}


def check_expect(qkscope, models, name, work):
    """Restores by hand what expect.txt calls the heads of layer `layer`, and breaks the result in one byte."""
    tensors = read_manifest(os.path.join(models, name, "tensors.txt"))
    with open(os.path.join(models, name, "config.json"), encoding="utf-8") as f:
        config = f.read()
    heads = heads_in(os.path.join(models, name, "expect.txt"))
    layer = max(key[0] for key in heads)
    transposed = json.loads(config)["model_type"] == "gpt2"
    where = os.path.join(work, "expect-" + name)
    base, tuned, out = (os.path.join(where, x) for x in ("base", "tuned", "out"))
    base_data, tuned_data = fill(tensors), fill(tensors)
    write(base, tensors, base_data, config)
    write(tuned, tensors, tuned_data, config)
    units = [{"layer": layer, "kv_groups": "all", "tensors": ["q", "k"], "action": "restore"}]
    plan = os.path.join(where, "plan.json")
    with open(plan, "w", encoding="utf-8") as f:
        json.dump(plan_of(qkscope, base, tuned, units), f)
    made, planned = {n: d.copy() for n, d in tuned_data.items()}, {}
    for (l, _, module), places in heads.items():
        if l != layer:
            continue
        full = next(n for n in tensors if n.endswith(f".{layer}.{module}"))
        dtype, shape = tensors[full]
        cells = made[full].reshape(shape + [BITS[dtype] // 8])
        source = base_data[full].reshape(cells.shape)
        for start, count in places:
            rows = slice(start, start + count)
            if transposed:
                cells[:, rows] = source[:, rows]
            else:
                cells[rows] = source[rows]
            planned.setdefault(full, set()).update(range(start, start + count))
    biases = {n for n in tensors if f".{layer}." in n and n.endswith(".bias")}
    for full in planned:
        bias = full[:-len("weight")] + "bias"
        if bias in biases:
            size = BITS[tensors[bias][0]] // 8
            for row in planned[full]:
                made[bias][row * size:(row + 1) * size] = base_data[bias][row * size:(row + 1) * size]
    write(out, tensors, made, config)
    with open(os.path.join(out, "qkscope.json"), "w", encoding="utf-8") as f:
        f.write("{}\n")
    words = ["--expect", plan, "--base", base, "--json"]
    good = run(qkscope, tuned, out, *words)
    answer = as_json(good, name)
    expect(f"{name}: not as planned: {good.stdout[:400]}{good.stderr}", good.returncode == 0 and answer["equal"])
    seen = as_json(run(qkscope, tuned, out, "--json"), name)
    expect(f"{name}: qkscope.json is no difference without a plan",
           seen["files"] == [{"name": "qkscope.json", "how": "only-b"}])
    full = sorted(planned)[0]
    dtype, shape = tensors[full]
    n_rows, row_of = rows_of(shape, transposed)
    size = BITS[dtype] // 8
    inside = next(e for e in range(len(made[full]) // size) if row_of(e) == max(planned[full]))
    outside = [(full, e) for e in range(len(made[full]) // size) if row_of(e) not in planned[full]][:1]
    outside += [(n, 0) for n in tensors if n not in planned and n not in biases and len(made[n]) > 0][:1]
    for at_name, e in [(full, inside)] + outside:
        broken = {n: d.copy() for n, d in made.items()}
        broken[at_name][e * size] ^= 1
        shutil.rmtree(out)
        write(out, tensors, broken, config)
        bad = run(qkscope, tuned, out, *words)
        answer = as_json(bad, name)
        rows = [r for t in answer["tensors"] for low, high in t["rows"] for r in range(low, high)]
        _, row = rows_of(tensors[at_name][1], transposed and at_name == full)
        got = [t["name"] for t in answer["tensors"]]
        expect(f"{name}: a changed byte of {at_name} gives {got} rows {rows}",
               bad.returncode == 1 and got == [at_name] and rows == [row(e)])
    other = dict(plan_of(qkscope, base, tuned, units), tuned={"name": "x", "header_sha256": "0" * 64})
    with open(plan, "w", encoding="utf-8") as f:
        json.dump(other, f)
    refused = run(qkscope, tuned, out, *words)
    expect(f"{name}: another pair's plan is not refused", refused.returncode == 4 and "header_sha256" in refused.stderr)
    expect(f"{name}: --force does not go on", run(qkscope, tuned, out, *words, "--force").returncode == 1)


def check_damaged(qkscope, data, work):
    source = os.path.join(data, "weights", "llama", "base")
    damaged = os.path.join(work, "damaged")
    shutil.copytree(source, damaged)
    os.chmod(damaged, 0o755)
    path = os.path.join(damaged, "model.safetensors")
    with open(path, "rb") as f:
        whole = f.read()
    os.chmod(path, 0o644)
    header = struct.unpack("<Q", whole[:8])[0]
    cuts = [0, 1, 7, 8, 9, header // 2, header + 7, header + 8, header + 9, len(whole) // 2, len(whole) - 1]
    for cut in cuts:
        with open(path, "wb") as f:
            f.write(whole[:cut])
        for pair in ((source, damaged), (damaged, source)):
            r = run(qkscope, *pair)
            lines = r.stderr.strip().split("\n")
            expect(f"cut at {cut}: status {r.returncode}, {r.stderr.strip()}",
                   r.returncode in (3, 4) and r.stdout == "" and lines[0].startswith("qkscope: error: ") and
                   path in lines[0] and all(line.startswith("qkscope: hint") for line in lines[1:]))
    for _ in range(25):
        at, bit = int(rng.integers(0, header + 64)), 1 << int(rng.integers(0, 8))
        with open(path, "wb") as f:
            f.write(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1:])
        r = run(qkscope, source, damaged)
        expect(f"bit {bit} of byte {at}: status {r.returncode}", r.returncode in (1, 3, 4))


def main(qkscope, data):
    models = os.path.join(data, "models")
    n_families, n_heads, skipped = 0, 0, []
    with tempfile.TemporaryDirectory() as work:
        for name in sorted(os.listdir(models)):
            if not os.path.isdir(os.path.join(models, name)):
                continue
            checked = check_family(qkscope, models, name, work)
            if checked is None:
                skipped.append(name)
            else:
                n_families, n_heads = n_families + 1, n_heads + checked
        check_forms(qkscope, work)
        for name in ("llama", "gpt2", "qwen2", "phi3", "gpt_neox", "qwen3_next"):
            check_expect(qkscope, models, name, work)
        check_damaged(qkscope, data, work)
    for f in failures[:40]:
        print(f)
    print(f"{n_families} models, {n_heads} lists of heads, {len(failures)} failures; too large to be filled: "
          f"{', '.join(skipped) or 'none'}")
    return 1 if failures or n_families < 50 or n_heads < 200 else 0


sys.exit(main(sys.argv[1], sys.argv[2]))
