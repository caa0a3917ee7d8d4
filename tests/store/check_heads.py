"""Head scores of the bundled pair as DuoAttention and Retrieval_Head read them, against h5py and numpy.

Usage: check_heads.py QKSCOPE SOURCE_ROOT
"""
import io
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np


def main():
    with tempfile.TemporaryDirectory() as work:
        check(*(os.path.abspath(path) for path in sys.argv[1:]), f"{work}/run.h5")


def check(qkscope, root, run):
    pair = f"{root}/examples/amnesia"
    subprocess.run([qkscope, "probe", f"{pair}/base", f"{pair}/sft", "--niah", "--template", f"{pair}/niah.json", "--tasks",
                    "s2", "--lengths", "256", "--depths", "3", "--queries", "last:16", "-q", "-o", run],
                   check=True, stdout=subprocess.DEVNULL)

    def export(*args, status=0):
        done = subprocess.run([qkscope, "export", run, *args], capture_output=True, text=True)
        assert done.returncode == status, (args, done)
        return done.stdout if status == 0 else done.stderr

    with h5py.File(run) as f:
        n_heads, n_kv_heads = f["model/n_heads"][:], f["model/n_kv_heads"][:]
        names = list(f["model/probe_sum"].asstr())
        for checkpoint in ("base", "sft"):
            mass = f[f"probe/{checkpoint}/retrieval_mass"][:]
            # what DuoAttention does with its full_attention_heads.tsv
            duo = np.loadtxt(io.StringIO(export("--heads", "duo-attention", "-d", f"/probe/{checkpoint}/retrieval_mass")),
                             dtype=float, delimiter="\t")
            assert duo.shape == (len(n_heads), n_kv_heads.max()), duo.shape
            for layer, (n, g) in enumerate(zip(n_heads, n_kv_heads)):
                expected = np.clip(mass[layer, :n].reshape(g, n // g).max(axis=1), 0, 1)
                assert np.array_equal(duo[layer, :g], expected), (layer, duo[layer], expected)
                assert np.isnan(duo[layer, g:]).all(), (layer, duo[layer])

            # what Retrieval_Head does with its head_score/MODEL.json: one line, the mean of each list
            sums = f[f"probe/{checkpoint}/sums/scalar"][:]
            for metric, part, whole in (("retrieval_mass", "answer_needle", "answer_queries"),
                                        ("retrieval_score", "needle_copied", "needle_tokens")):
                text = export("--heads", "retrieval-head", "-d", f"/probe/{checkpoint}/{metric}")
                assert text.count("\n") == 1 and text.endswith("\n")
                lists = json.loads(text)
                scores = f[f"probe/{checkpoint}/{metric}"][:]
                assert len(lists) == np.isfinite(scores).sum()
                for key, values in lists.items():
                    layer, head = (int(i) for i in key.split("-"))
                    ratio = sums[:, layer, head, names.index(part)] / sums[:, layer, head, names.index(whole)]
                    assert values == list(ratio), (key, values, ratio)
                    # the mean of n numbers in another order: n half units in the last place
                    assert abs(np.mean(values) - scores[layer, head]) <= len(values) * 2.0**-53, (key, metric)

    for status, words, *args in (
        (2, "--heads needs --dataset", "--heads", "duo-attention"),
        (2, "goes with none of", "--heads", "duo-attention", "-d", "entropy", "--json"),
        (2, "found 2 datasets", "--heads", "retrieval-head", "-d", "retrieval_score"),
        (2, "duo-attention", "--heads", "duo", "-d", "retrieval_score"),
    ):
        told = export(*args, status=status)
        assert told.startswith("qkscope: error: ") and words in told, (args, told)


main()
