"""Checks the demo's run file and summary against numpy and scipy, computed from the checkpoints anew.

usage: check_demo.py PAIR_DIR DEMO_DIR
"""
import json
import re
import struct
import sys

import h5py
import numpy
import scipy.linalg


def tensors(directory):
    with open(f"{directory}/model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    out = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "BF16", name
            begin, end = entry["data_offsets"]
            raw = numpy.frombuffer(data[begin:end], "<u2").astype("<u4") << 16
            out[name] = raw.view("<f4").astype(float).reshape(entry["shape"])
    return out


def main():
    pair, demo = sys.argv[1:]
    base, tuned = tensors(f"{pair}/base"), tensors(f"{pair}/sft")
    run = h5py.File(f"{demo}/run.h5", "r")
    drift = run["drift/sft"]
    n = 0
    for layer in range(8):
        heads = {}
        for side in "qk":
            name = f"model.layers.{layer}.self_attn.{side}_proj.weight"
            heads[side] = [(base[name][r:r + 32], tuned[name][r:r + 32]) for r in range(0, len(base[name]), 32)]
            for head, (w0, w1) in enumerate(heads[side]):
                relative = numpy.linalg.norm(w1 - w0) / numpy.linalg.norm(w0)
                angles = scipy.linalg.subspace_angles(w0.T, w1.T)
                u, s, vt = numpy.linalg.svd(w0 @ w1.T)
                residual = numpy.linalg.norm((u @ vt) @ w1 - w0) / numpy.linalg.norm(w0)
                assert abs(drift[f"{side}_rel_drift"][layer, head] / relative - 1) < 1e-9
                assert numpy.allclose(drift[f"{side}_principal_angles"][layer, head], angles, rtol=1e-6, atol=1e-9)
                assert abs(drift[f"{side}_procrustes"][layer, head] - residual) < 1e-8
                n += 1
            assert numpy.isnan(drift[f"{side}_rel_drift"][layer, len(heads[side]):]).all()
        group = len(heads["q"]) // len(heads["k"])
        for head, (q0, q1) in enumerate(heads["q"]):
            k0, k1 = heads["k"][head // group]
            m0, m1 = q0.T @ k0, q1.T @ k1
            relative = numpy.linalg.norm(m1 - m0) / numpy.linalg.norm(m0)
            assert abs(drift["qk_rel_drift"][layer, head] / relative - 1) < 1e-9
    assert n == 5 * 12 + 3 * 9

    summary = open(f"{demo}/summary.txt").read()
    top = re.search(r"heads +(\d+)\.(\d+) \(([\d.]+)\)", summary)
    qk = drift["qk_rel_drift"][:]
    assert (int(top[1]), int(top[2])) == numpy.unravel_index(numpy.nanargmax(qk), qk.shape)
    assert abs(float(top[3]) - numpy.nanmax(qk)) < 1e-3
    print(f"{n} heads agree")


main()
