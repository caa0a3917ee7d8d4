"""recommend on the bundled pair: drift, probe, both; what the plan says against an own reading of the numbers.

    check_recommend.py QKSCOPE SOURCE_ROOT
"""
import json
import math
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import scipy.stats

qkscope, root = os.path.abspath(sys.argv[1]), sys.argv[2]
pair = os.path.join(root, "examples", "amnesia")
failures = []


def check(ok, what):
    if not ok:
        failures.append(what)


def run(*args, status=0):
    done = subprocess.run([qkscope, *args], capture_output=True, text=True, check=False)
    check(done.returncode == status, f"{args}: status {done.returncode}, expected {status}: {done.stderr}")
    return done.stdout


def write_probes(path, n):
    """Needle documents of the shortest length, with needle and answer marked."""
    cases = json.load(open(os.path.join(pair, "niah_cases.json")))["cases"]
    chosen = [c for c in cases if c["length"] == 512 and c["task"] != "s1"][:n]
    with open(path, "w") as f:
        for c in chosen:
            ids, (start, length) = c["ids"] + c["expect"], c["needle"]
            spans = [{"name": "needle", "start": start, "end": start + length},
                     {"name": "answer", "start": len(c["ids"]), "end": len(ids)}]
            f.write(json.dumps({"ids": ids, "spans": spans}) + "\n")


def needle_loss(f, layer, n_heads):
    """Lower end of Student's interval of the fall of retrieval_mass or retrieval_score, whichever is higher."""
    names = list(f["model/probe_sum"].asstr()[:])
    ends = []
    for part, whole in (("answer_needle", "answer_queries"), ("needle_copied", "needle_tokens")):
        share = [f[f"probe/{c}/sums/scalar"][:, layer, :n_heads, names.index(part)] /
                 f[f"probe/{c}/sums/scalar"][:, layer, :n_heads, names.index(whole)] for c in ("base", "sft")]
        fall = share[0] - share[1]
        ends.append(fall.mean(axis=0) - scipy.stats.t.ppf(0.975, len(fall) - 1) * scipy.stats.sem(fall, axis=0))
    return np.fmax(*ends)


def score_of(f, layer):
    """The definition of the score, in numpy, over the heads of a layer."""
    drift, routing = f["drift/sft"], f["routing/sft"]
    n_heads, n_kv = int(f["model/n_heads"][layer]), int(f["model/n_kv_heads"][layer])
    group = np.arange(n_heads) // (n_heads // n_kv)
    fall = needle_loss(f, layer, n_heads)
    far = routing["tail_loss_lo"][layer, :n_heads]
    shift = np.where(routing["tail_loss_hi"][layer, :n_heads] < 0, 0,
                     1 - 2.0 ** routing["distance_shift_hi"][layer, :n_heads])
    loss = np.clip(np.nanmax([fall, far, shift], axis=0), 0, 1)
    dq, dk = drift["q_norm_delta"][layer, :n_heads] ** 2, (drift["k_norm_delta"][layer] ** 2)[group]
    share = (dq * drift["q_alignable"][layer, :n_heads] + dk * drift["k_alignable"][layer][group]) / (dq + dk)
    x = drift["qk_eff_rel_drift"][layer, :n_heads] * np.sqrt(1 - share)
    return np.max(np.sqrt(loss * x / (1 + x)))


def main():
    base, sft = os.path.join(pair, "base"), os.path.join(pair, "sft")
    write_probes("probes.jsonl", 6)
    run("drift", base, sft, "-o", "drift.h5")
    run("probe", base, sft, "--tokens", "probes.jsonl", "-o", "probe.h5")
    run("merge", "drift.h5", "probe.h5", "-o", "both.h5")

    answer = json.loads(run("recommend", "both.h5", "-o", "plan.json", "--store", "stored.h5", "--json"))
    plan = json.load(open("plan.json"))
    check(answer["plan"] == plan, "--json holds another plan than the file")
    scores = {u["layer"]: u["score"] for u in plan["units"]}
    check(sorted(scores) == [2, 5, 7], f"units: {sorted(scores)}")
    check(max(scores, key=scores.get) == 5, f"the retrieval heads' layer is not first: {scores}")
    with h5py.File("both.h5") as f:
        for layer, score in scores.items():
            check(math.isclose(score, score_of(f, layer), rel_tol=2e-4), f"score of layer {layer}")  # t to three decimals
        for side in ("base", "tuned"):
            name = plan[side]["name"]
            for hash in ("header_sha256", "sample_sha256"):
                check(plan[side][hash] == f[f"checkpoints/{name}"].attrs[hash], f"{hash} of {name}")
    action = {u["layer"]: u["action"] for u in plan["units"]}
    check(action[5] == "restore", f"actions: {action}")
    check(all(u["evidence"] and u["reason"].endswith(".") for u in plan["units"]), "evidence or reason is missing")
    ids = {finding["id"] for finding in answer["findings"]}
    check({"needle-lost", "linear-layers-moved"} <= ids, f"findings: {ids}")
    check(not ids & {"rest-moved-too", "model-broken", "nothing-drifted", "no-probe-data", "pure-softmax-model"},
          f"findings: {ids}")
    with h5py.File("stored.h5") as f:
        check(json.loads(f["recommend/plan"].asstr()[()]) == plan, "/recommend/plan is another plan")
        check(math.isclose(f["recommend/score"][5], scores[5]), "/recommend/score")
        check(f["recommend/score"].dims[0][0].name == "/model/layer", "/recommend/score has no scale")

    run("recommend", "both.h5", "-o", "again.json", "--store", "again.h5")
    for a, b in (("plan.json", "again.json"), ("stored.h5", "again.h5")):
        check(open(a, "rb").read() == open(b, "rb").read(), f"{a} differs between two runs")
    contents = []
    for _ in range(2):
        run("recommend", "stored.h5", "--store", "stored.h5", "--force")
        contents.append(open("stored.h5", "rb").read())
    check(contents[0] == contents[1], "storing again changes the file")
    run("recommend", "stored.h5", "--store", "stored.h5", status=2)
    run("recommend", "stored.h5", "-o", "stored.h5", "--force", status=2)

    groups = json.loads(run("recommend", "both.h5", "--by", "kv-group", "--budget", "1", "--json"))["plan"]["units"]
    check(len(groups) == 9 and [u["layer"] for u in groups if u["action"] != "keep"] == [5], "one KV group")
    alone = json.loads(run("recommend", "drift.h5", "--units", "all", "--json"))
    check("no-probe-data" in {finding["id"] for finding in alone["findings"]}, "drift alone does not say so")
    check([u["layer"] for u in alone["plan"]["units"] if u["action"] == "restore"] == [2, 5, 7], "the paper's set")
    run("recommend", "both.h5", "--fail-on", "alarm", status=1)
    run("recommend", "drift.h5", "--fail-on", "alarm")
    run("recommend", "drift.h5", "--fail-on", "warning", status=1)


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    main()
    os.chdir(root)
for line in failures:
    print(line)
sys.exit(bool(failures))
