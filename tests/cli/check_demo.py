"""Checks the demo's run file, texts and verdict against numpy and scipy, computed from the checkpoints anew.

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

    summary = open(f"{demo}/steps/drift.txt").read()
    top = re.search(r"heads +(\d+)\.(\d+) \(([\d.]+)\)", summary)
    qk = drift["qk_rel_drift"][:]
    assert (int(top[1]), int(top[2])) == numpy.unravel_index(numpy.nanargmax(qk), qk.shape)
    assert abs(float(top[3]) - numpy.nanmax(qk)) < 1e-3
    check_range(run, open(f"{demo}/steps/probe.txt").read())
    check_restored(run, " ".join(open(f"{demo}/verdict.txt").read().split()))
    check_verdict(run, " ".join(open(f"{demo}/verdict.txt").read().split()))
    print(f"{n} heads agree")


# attention on the needle at the answer, base and tuned, of the heads that read it (64 documents of the same kind)
RETRIEVAL_HEADS = {0: (1.00, 0.94), 4: (0.97, 0.65), 3: (0.78, 0.45), 2: (0.60, 0.26)}


def check_range(run, text):
    """The retrieval heads are named, with the numbers of the file; these are near those known of many documents."""
    named = re.findall(r"(\d+)\.(\d+) has ([\d.]+) of its attention on the needle, now ([\d.]+)", text)
    assert [int(head) for layer, head, _, _ in named[:4] if layer == "5"] == list(RETRIEVAL_HEADS), named
    for layer, head, before, after in named:
        cell = int(layer), int(head)
        assert abs(float(before) - run["probe/base/retrieval_mass"][cell]) < 0.006
        assert abs(float(after) - run["probe/sft/retrieval_mass"][cell]) < 0.006
        if cell[0] == 5:
            known = RETRIEVAL_HEADS[cell[1]]
            assert abs(float(before) - known[0]) < 0.1 and abs(float(after) - known[1]) < 0.15, (cell, before, after)
    lost = re.findall(r"(\d+)\.(\d+) looks ([\d.]+) times as far: distance shift (\S+) log2 tokens \((\S+) to (\S+)\)", text)
    shift = run["routing/sft/distance_shift"][:]
    assert [tuple(map(int, row[:2])) for row in lost] == \
        [tuple(numpy.unravel_index(i, shift.shape)) for i in numpy.argsort(shift, axis=None)[:len(lost)]], lost
    for layer, head, ratio, value, low, high in lost:
        cell = int(layer), int(head)
        assert abs(float(ratio) - 2.0 ** shift[cell]) < 0.006 and abs(float(value) - shift[cell]) < 0.006
        assert abs(float(low) - run["routing/sft/distance_shift_lo"][cell]) < 0.006
        assert abs(float(high) - run["routing/sft/distance_shift_hi"][cell]) < 0.006
    assert lost[0][:2] == ("5", "3") and float(lost[0][5]) < 0, "head 5.3 lost most, beyond doubt"


def check_restored(run, text):
    """What the verdict says of the heads in the restored checkpoint is what the probes measured."""
    tables = [run[f"probe/{name}/retrieval_mass"][:] for name in ("base", "sft", "restored")]
    named = re.findall(r"(\d+)\.(\d+) \(([\d.]+) -> ([\d.]+) -> ([\d.]+)\)", text)
    assert len(named) > 2, text
    for layer, head, *values in named:
        for value, table in zip(values, tables):
            assert abs(float(value) - table[int(layer), int(head)]) < 0.006, (layer, head, values)
    sums = {name: run[f"probe/{name}/distance_histogram"][:].sum(axis=2) for name in ("base", "sft", "restored")}
    for name, total in sums.items():
        assert numpy.nanmax(abs(total - 1)) < 1e-6, name
    shift = run["routing/restored/distance_shift"][:]
    said = re.findall(r"(\d+)\.(\d+) by \d+ % \(\d+ to \d+\), in restored (?:by (\d+) %|no more)", text)
    for layer, head, value in said:
        shorter = 100 * (1 - 2.0 ** shift[int(layer), int(head)])
        assert abs(float(value or 0) - max(shorter, 0)) < 0.6, (layer, head, value, shorter)
    assert said and said[0][:2] == ("5", "3")
    regained = re.search(r"In restored, (\w+) of these (\d+) heads ha(?:s|ve)", text)
    assert regained and int(regained[2]) >= len(named), text


def rate(run, name):
    hits = run[f"niah/{name}/cases/hit"][:]
    return 100 * hits.mean(), len(hits)


def check_verdict(run, text):
    """The rates that the verdict states are those of the cases; its cause is what the controls say."""
    assert " ".join(run["verdict"].asstr()[()].split()) == text
    for name, before in (("base", "recall fell from "), ("sft", ") to "), ("restored", "has recall ")):
        value, n = rate(run, name)
        assert f"{before}{value:.1f} % (" in text, (name, value)
    assert f", {n} cases each." in text
    measured = run["recommend/measured"]
    recall = {label: value for label, value, stage in zip(measured["variant"].asstr()[:], measured["recall"][:],
                                                          measured["stage"][:]) if stage == 0}
    lost = recall["base"] - recall["tuned"]
    for control in "all Q/K", "all but Q/K":
        assert f"returns {100 * (recall[control] - recall['tuned']) / lost:.0f} % (" in text, control
    half = recall["all Q/K"] - recall["tuned"] >= lost / 2
    assert ("is drift of Q and K the main cause? No" not in text) == half, text
    answer = {"qk": "Yes", "partly_qk": "In part", "not_qk": "No"}[measured.attrs["cause"]]
    assert f"is drift of Q and K the main cause? {answer}:" in text, text
    reasoning = [100 * run[f"eval/{name}/{run[f'eval/{name}'].attrs['set']}/hit"][:].mean() for name in ("base", "sft")]
    assert f"it rose from {reasoning[0]:.1f} % (" in text and f") to {reasoning[1]:.1f} % (" in text


main()
