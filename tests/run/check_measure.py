"""qkscope recommend --measure on the bundled pair: what it writes against what its variants say, threads, resume, the
plan restored and run by niah and eval, refusals.

usage: check_measure.py QKSCOPE SOURCE_ROOT
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

qkscope, root = sys.argv[1], pathlib.Path(sys.argv[2])
pair = root / "examples" / "amnesia"
checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def run(*args):
    env = dict(os.environ, SOURCE_DATE_EPOCH="0")
    return subprocess.run([qkscope, *map(str, args)], capture_output=True, text=True, env=env)


def succeed(*args):
    result = run(*args)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, args))}: status {result.returncode}: {result.stderr}")
    return result


def wilson(hits, n):
    z = 1.959963984540054
    p, d = hits / n, 1 + z * z / n
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    middle = (p + z * z / (2 * n)) / d
    return middle - half, middle + half


def check_file(path, plan):
    with h5py.File(path) as file:
        g = file["recommend/measured"]
        stage, chosen, n = g["stage"][:], g["chosen"][:], g["recall_n"][:]
        recall, reasoning = g["recall"][:], g["reasoning"][:]
        labels = [t.decode() for t in g["variant"][:]]
        expect(list(g["stage"].attrs["flag_meanings"].split()) == ["control", "search", "held_out"], "stages")
        expect(set(stage) == {0, 1, 2}, f"stages {stage}")
        expect(set(stage[chosen == 1]) >= {2}, "the plan is held out")
        for i in range(len(labels)):
            lo, hi = wilson(round(recall[i] * n[i]), n[i])
            expect(abs(g["recall_lo"][i] - lo) < 1e-12 and abs(g["recall_hi"][i] - hi) < 1e-12, f"{labels[i]}: interval")
            by_length = g["recall_by_length"][i]
            expect(abs(np.nanmean(by_length) - recall[i]) < 1e-12, f"{labels[i]}: lengths")
        held = {labels[i]: i for i in range(len(labels)) if stage[i] == 2}
        measured = json.loads(plan)["measured"]
        for key, label in (("base", "base"), ("tuned", "tuned")):
            expect(measured["recall"][key] == recall[held[label]], f"{key}: recall in the plan")
            expect(measured["reasoning"][key] == reasoning[held[label]], f"{key}: reasoning in the plan")
        at = int(np.nonzero((chosen == 1) & (stage == 2))[0][0])
        expect(measured["recall"]["plan"] == recall[at] and measured["reasoning"]["plan"] == reasoning[at], "plan's rates")
        control = [i for i in range(len(labels)) if stage[i] == 0]
        names = [labels[i] for i in control]
        for name in "base", "tuned", "softmax Q/K", "all Q/K", "all Q", "all K", "all but Q/K", "V", "O":
            expect(name in names, f"no control '{name}'")
        expect("MLP" not in names, "MLP was not tuned")
        allq = control[names.index("all Q/K")]
        expect(recall[allq] > recall[control[names.index("tuned")]], "all Q/K bring recall back")
        expect(reasoning[allq] < reasoning[control[names.index("tuned")]] - 0.2, "at a cost")
        units = json.loads(g["plan"][at].decode())["units"]
        kept = [u for u in json.loads(plan)["units"] if u["action"] != "keep"]
        expect([u["layer"] for u in units] == [u["layer"] for u in kept], "the chosen variant is the plan")
        return recall[at], reasoning[at], kept


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        problems = (pair / "reasoning_calibration.jsonl").read_text().splitlines()
        (work / "choose.jsonl").write_text("\n".join(problems[:12]) + "\n")
        (work / "prove.jsonl").write_text("\n".join(problems[24:34]) + "\n")
        cases = ["--tasks", "s3", "--lengths", "256", "--depths", 6, "--test-samples", 6, "--template", pair / "niah.json"]
        common = ["recommend", "--measure", "--base", pair / "base", "--tuned", pair / "sft", *cases, "--reasoning",
                  work / "choose.jsonl", "--reasoning-test", work / "prove.jsonl", "--units", "all",
                  "--max-reasoning-loss", 20, "--budget-passes", 9]
        outputs, link = [], work / "kept"
        for threads in 1, 3:
            out, store = work / f"{threads}.json", work / f"{threads}.h5"
            if threads == 1:
                pathlib.Path(f"{out}.part").write_text("")
                os.link(f"{out}.part", link)
            result = succeed(*common, "--threads", threads, "-o", out, "--store", store)
            outputs.append((out.read_bytes(), store.read_bytes(), result.stdout))
            expect("at most 21 forward passes" in result.stderr, "no budget beforehand")
            expect(not pathlib.Path(f"{out}.part").exists(), "what was kept for --resume is still there")
        expect(outputs[0][:2] == outputs[1][:2], "files depend on the threads")
        expect(outputs[0][2] == outputs[1][2], "the answer depends on the threads")
        recall, reasoning, kept = check_file(work / "1.h5", outputs[0][0].decode())

        # interrupted: a kept file that ends in the middle of a line
        out, part = work / "again.json", work / "again.json.part"
        lines = link.read_bytes().splitlines(keepends=True)
        expect(len(lines) > 18, f"{len(lines)} lines kept")
        part.write_bytes(b"".join(lines[:12]) + lines[12][:40])
        result = succeed(*common, "-o", out, "--store", work / "again.h5", "--resume")
        expect("11 variants are there already" in result.stderr, f"resume: {result.stderr}")
        expect((out.read_bytes(), (work / "again.h5").read_bytes()) == outputs[0][:2], "a resumed run gives other files")
        part.write_bytes(lines[0].replace(b'"config": "', b'"config": "0') + lines[1])
        result = run(*common, "-o", out, "--resume", "--force")
        expect(result.returncode == 4 and "cannot resume" in result.stderr, f"other configuration: {result.stderr}")

        # the plan, written by restore, does what was promised
        succeed("restore", pair / "base", pair / "sft", "--plan", work / "1.json", "-o", work / "fixed")
        succeed("niah", work / "fixed", "-o", work / "niah.h5", "--tasks", "s3", "--lengths", 256, "--depths", 6, "--seed",
                1 + 1000003, "--template", pair / "niah.json")
        with h5py.File(work / "niah.h5") as file:
            expect(file["niah/fixed/cases/exact"][:].mean() == recall, "niah of the restored checkpoint")
        succeed("eval", work / "fixed", "--data", work / "prove.jsonl", "-o", work / "eval.h5")
        with h5py.File(work / "eval.h5") as file:
            accuracy = file["eval/fixed/prove/accuracy"][()]
            expect(abs(accuracy - reasoning) < 1e-12, f"eval of the restored checkpoint: {accuracy}, measured {reasoning}")

        # refusals
        for args, text in (
            (["recommend", "--measure"], "--base"),
            (["recommend"], "RUN.h5"),
            (["recommend", "run.h5", "--tasks", "s1"], "--tasks"),
            ([*common, "--budget", 2], "--budget"),
            ([*common[:-2], "--budget-passes", 0], "--budget-passes"),
            ([*common, "--max-reasoning-loss", -1], "--max-reasoning-loss"),
            ([*common, "--exhaustive", "--by", "kv-group"], "--exhaustive"),
        ):
            result = run(*args)
            expect(result.returncode == 2 and text in result.stderr, f"{args[-2:]}: {result.returncode} {result.stderr}")
    print(f"{checked} checks, {len(failures)} failed")
    for text in failures:
        print("  " + text)
    return 1 if failures or checked < 60 else 0


sys.exit(main())
