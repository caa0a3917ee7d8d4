"""qkscope merge of drift and probe files: one file, whatever the order; the same axes; other checkpoints are refused.

usage: check_merge.py QKSCOPE SOURCE_ROOT
"""
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
from described import random_weights  # noqa: E402

checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def qkscope_run(*args):
    return subprocess.run([qkscope, *args, "--force"], capture_output=True, text=True)


def succeed(*args):
    run = qkscope_run(*args)
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(args)}: status {run.returncode}: {run.stderr}")


def refuse(parts, *words):
    run = qkscope_run("merge", *parts, "-o", "refused.h5")
    expect(run.returncode == 4 and all(w in run.stderr for w in words) and not os.path.exists("refused.h5"),
           f"merge {parts}: status {run.returncode}, expected {words}: {run.stderr}")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def merged(*parts):
    succeed("merge", *parts, "-o", "merged.h5")
    return read("merged.h5")


def write_probes():
    rng = random.Random(1)
    with open("probes.jsonl", "w") as f:
        for n in 9, 70, 33:
            f.write(json.dumps({"ids": [rng.randrange(3, 300) for _ in range(n)]}) + "\n")


def check_any_order():
    base, sft = (f"{name}={data}/weights/hypenet/{name}" for name in ("base", "sft"))
    for name, layers in ("whole", "0-4"), ("low", "0,3"), ("high", "1-2,4"):
        succeed("drift", base, sft, "--layers", layers, "-o", f"{name}.h5")
    probe = ["probe", base, sft, "--tokens", "probes.jsonl", "--exact-profile"]
    succeed(*probe, "-o", "probe.h5")
    for i in 1, 2:
        succeed(*probe, "--shard", f"{i}/2", "-o", f"probe{i}.h5")
    whole = merged("whole.h5", "probe.h5")
    shutil.copy("merged.h5", "run.h5")
    expect(merged("probe.h5", "whole.h5") == whole, "the order of the files matters")
    expect(merged("run.h5") == whole, "merging one file changes it")
    for parts in itertools.permutations(["low.h5", "high.h5", "probe1.h5", "probe2.h5"]):
        expect(merged(*parts) == whole, f"{parts} give another file")
    with h5py.File("run.h5") as f, h5py.File("whole.h5") as d, h5py.File("probe.h5") as p:
        for source in d, p:
            for path in datasets(source):
                expect(path in f and same(f[path], source[path]), f"{path} is another in the whole")
        lines = list(f.attrs["history"])
        expect(lines == [*d.attrs["history"], *p.attrs["history"]], f"history {lines}")
        expect(list(f["checkpoints"]) == ["base", "sft"], f"checkpoints {list(f['checkpoints'])}")
    check_differing(base, sft)


def datasets(f):
    paths = []
    f.visititems(lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None)
    return paths


def same(a, b):
    x, y = a[()], b[()]
    return a.dtype == b.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f") and \
        [s[0].name for s in a.dims if len(s)] == [s[0].name for s in b.dims if len(s)]


def check_differing(base, sft):
    """Other names, other weights, other bases, missing parts."""
    place = {name: f"{data}/weights/hypenet/{name}" for name in ("base", "sft")}
    one = ["--tokens", "probes.jsonl", "--max-probes", "1"]
    succeed("probe", f"base={place['sft']}", f"sft={place['base']}", *one, "-o", "swapped.h5")
    refuse(["whole.h5", "swapped.h5"], "/checkpoints/base: sample_sha256", "swapped.h5", "whole.h5")
    succeed("probe", base, f"tuned={place['sft']}", *one, "-o", "renamed.h5")
    refuse(["renamed.h5", "whole.h5"], "/checkpoints/tuned", "another name", "/checkpoints/sft", "NAME=PATH")
    succeed("probe", base, sft, "--base", "sft", *one, "-o", "roles.h5")
    refuse(["whole.h5", "roles.h5"], "/checkpoints/base: role")
    os.makedirs("other", exist_ok=True)
    shutil.copy(f"{place['base']}/config.json", "other")
    weights = bytearray(read(f"{place['base']}/model.safetensors"))
    weights[-64:] = bytes(64)
    with open("other/model.safetensors", "wb") as f:
        f.write(weights)
    succeed("probe", "other", *one, "-o", "stranger.h5")
    refuse(["whole.h5", "stranger.h5"], "/checkpoints/other: role: is a second base", "/checkpoints/base")
    refuse(["low.h5", "probe.h5"], "/drift/sft: layers: no part computed")
    refuse(["whole.h5", "probe1.h5"], "/probe/base: sequences: no part computed")
    refuse(["whole.h5", "probe.h5", "low.h5"], "overlap")
    # a further checkpoint that only the probes saw
    succeed("probe", base, sft, "third=other", *one, "-o", "three.h5")
    merged("three.h5", "whole.h5")
    with h5py.File("merged.h5") as f:
        expect(sorted(f["checkpoints"]) == ["base", "sft", "third"] and list(f["drift"]) == ["sft"] and
               sorted(f["routing"]) == ["sft", "third"], "a checkpoint that only probes saw")


def save(path, tensors):
    header, at = {}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in tensors.values()))


def check_head_axis():
    """Softmax layers of two query heads beside linear layers of four value heads: both files have four places."""
    size = 16
    tensors, config = random_weights("qwen3_next")
    config = json.load(open(config))
    config["num_attention_heads"] = 2
    for name, a in tensors.items():
        if name.endswith("q_proj.weight"):
            tensors[name] = np.ascontiguousarray(a[:2 * 2 * size])
        elif name.endswith("o_proj.weight"):
            tensors[name] = np.ascontiguousarray(a[:, :2 * size])
    for name, factor in ("wide0", 1), ("wide1", 0.5):
        os.makedirs(name, exist_ok=True)
        json.dump(config, open(f"{name}/config.json", "w"))
        save(f"{name}/model.safetensors", {k: a * np.float32(factor if "q_proj" in k else 1) for k, a in tensors.items()})
    succeed("drift", "wide0", "wide1", "-o", "wide-drift.h5")
    succeed("probe", "wide0", "wide1", "--tokens", "probes.jsonl", "-o", "wide-probe.h5")
    merged("wide-probe.h5", "wide-drift.h5")
    with h5py.File("merged.h5") as f:
        drift, state = f["drift/wide1/q_rel_drift"][:], f["drift/wide1/q_rel_drift_state"][:]
        linear = f["model/layer_kind"].asstr()[:] == "linear"
        expect(f["model/head"].shape == (4,) and linear.sum() == 3, f"heads {f['model/head'].shape}")
        expect(np.isnan(drift[:, 2:]).all() and (state[:, 2:] == 3).all(), "drift of heads that are not there")
        expect((np.abs(drift[~linear, :2] - 0.5) < 1e-6).all() and (state[:, :2] == 0).all(), f"drift {drift}")
        distance = f["probe/wide1/mean_distance"][:]
        expect(np.isfinite(distance[linear]).all() and np.isnan(distance[~linear, 2:]).all() and
               np.isfinite(distance[~linear, :2]).all(), f"distances {distance}")


qkscope, data = os.path.abspath(sys.argv[1]), os.path.join(os.path.abspath(sys.argv[2]), "tests", "data")
with tempfile.TemporaryDirectory() as directory:
    os.chdir(directory)
    write_probes()
    check_any_order()
    check_head_axis()
    os.chdir("/")
for failure in failures[:20]:
    print("FAILED", failure)
print(f"{checked} checks, {len(failures)} failed")
sys.exit(1 if failures or checked == 0 else 0)
