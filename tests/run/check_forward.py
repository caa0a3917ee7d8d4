"""The forward pass against the reference implementations' numbers: logits, losses, attention by distance, entropies.

usage: check_forward.py QKSCOPE DATA [MODEL_DIR …]    MODEL_DIR: config.json, model.safetensors (or shards), oracle.h5

Without MODEL_DIR the fixtures of DATA/forward; three of them have their weights in DATA/weights. Both styles of config
(config_legacy.json, where there is one) must give the same. Tolerances are ten times the disagreement of two runs of the
reference on different machines: logits 1e-3 of max(1, standard deviation), distance sums 2e-4 of the length, mean
distances 2e-4, entropies 2e-5.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np

WEIGHTS = {"hypenet_rope": "hypenet", "llama": "llama", "qwen3": "qwen3"}

checked = 0
failures = []


def expect(name, error, tolerance):
    global checked
    checked += 1
    if not error <= tolerance:
        failures.append(f"{name}: off by {error:.3g} (at most {tolerance:.3g})")


def probe(qkscope, model, ids, work):
    tokens, out = os.path.join(work, "tokens.jsonl"), os.path.join(work, "run.h5")
    with open(tokens, "w") as file:
        json.dump({"ids": ids}, file)
    command = [qkscope, "probe", "m=" + model, "--tokens", tokens, "--exact-profile", "--sink", "0", "--logits-last", "8",
               "--force", "-q", "-o", out]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {result.returncode}\n{result.stderr}")
    return h5py.File(out)


def compare(name, oracle, run, n_tokens):
    got = run["probe/m"]
    logits = oracle["logits_last8"][:]
    expect(name + " logits", np.abs(got["logits"][0] - logits).max(), 1e-3 * max(1, logits.std()))
    expect(name + " loss", abs(got["nll"][0] - oracle["nll"][:].mean()), 1e-4)
    for layer in oracle["attn_layers"][:]:
        where = f"{name} layer {layer}"
        histogram = oracle[f"attn_hist/L{layer}"][:]
        n = len(histogram)
        expect(where + " distances", np.abs(got["distance_profile"][layer, :n] * n_tokens - histogram).max(),
               2e-4 * n_tokens)
        expect(where + " mean distance",
               np.abs(got["mean_distance"][layer, :n] - oracle[f"attn_meandist/L{layer}"][:]).max(), 2e-4)
        expect(where + " entropy", np.abs(got["entropy"][layer, :n] - oracle[f"attn_entropy/L{layer}"][:]).max(), 2e-5)


def check(qkscope, source, weights, work):
    with h5py.File(os.path.join(source, "oracle.h5")) as oracle:
        for config in ("config.json", "config_legacy.json"):
            path = next((p for p in (os.path.join(d, config) for d in (source, weights)) if os.path.exists(p)), None)
            if path is None:
                continue
            model = os.path.join(work, "model")
            shutil.rmtree(model, ignore_errors=True)
            os.mkdir(model)
            for file in os.listdir(weights):
                if "safetensors" in file:
                    os.symlink(os.path.abspath(os.path.join(weights, file)), os.path.join(model, file))
            shutil.copy(path, os.path.join(model, "config.json"))
            for sequence in ("s0", "s1"):
                ids = oracle[sequence + "/input_ids"][:].tolist()
                run = probe(qkscope, model, ids, work)
                compare(f"{os.path.basename(source)} {config} {sequence}", oracle[sequence], run, len(ids))


def main():
    qkscope, data = sys.argv[1:3]
    fixtures = os.path.join(data, "forward")
    sources = sys.argv[3:] or [os.path.join(fixtures, m) for m in sorted(os.listdir(fixtures))]
    with tempfile.TemporaryDirectory() as work:
        for source in sources:
            name = os.path.basename(source.rstrip("/"))
            shared = not any("safetensors" in f for f in os.listdir(source))
            weights = os.path.join(data, "weights", WEIGHTS[name], "base") if shared else source
            check(qkscope, source.rstrip("/"), weights, work)
    print(f"{checked - len(failures)} of {checked} comparisons hold")
    for text in failures[:20]:
        print(text)
    return bool(failures) or checked < 8 * len(sources)


sys.exit(main())
