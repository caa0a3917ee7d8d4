"""qkscope niah on the bundled pair: stored outcomes, scores and intervals of what is stored, parts, resume, probe --niah.

usage: check_niah.py QKSCOPE SOURCE_ROOT outcomes|whole
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np
import scipy.stats

qkscope, root, what = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
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


def texts(dataset):
    return [t.decode() for t in dataset[:]]


# ---- prompts in the form that RULER writes, against stored outcomes ----

def decoder():
    """Bytes of a token of the pair's byte-level vocabulary."""
    vocab = json.loads((pair / "base" / "tokenizer.json").read_text())["model"]["vocab"]
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(b): b for b in plain}
    byte_of.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)})
    return {i: bytes(byte_of[c] for c in piece if c in byte_of) for piece, i in vocab.items()}


def check_outcomes(work):
    pieces, cases = decoder(), json.loads((pair / "niah_cases.json").read_text())["cases"]
    cases = [c for c in cases if c["length"] == 512][::2]
    prompts = work / "prompts.jsonl"
    with open(prompts, "w") as file:
        for c in cases:
            text, value = (b"".join(pieces[i] for i in ids).decode() for ids in (c["ids"][1:], c["expect"]))
            file.write(json.dumps({"index": 0, "input": text, "outputs": [value.strip()], "length": 512}) + "\n")
    out = work / "prompts.h5"
    succeed("niah", pair / "base", pair / "sft", "--prompts", prompts, "--max-new", 50, "-o", out)
    with h5py.File(out) as file:
        for name in "base", "sft":
            group = file[f"niah/{name}/cases"]
            expect(list(group["n_prompt"][:]) == [len(c["ids"]) for c in cases], f"{name}: other tokens")
            expect(list(group["hit"][:]) == [float(c[name]["ok"]) for c in cases],
                   f"{name}: hits {list(group['hit'][:])}, stored {[c[name]['ok'] for c in cases]}")
            check_scores(file[f"niah/{name}"])
        expect(0 < file["niah/sft/cases/hit"][:].mean() < 1, "the tuned model misses some and finds some")


# ---- what is stored ----

def check_scores(group):
    """Scores and intervals from the cases alone."""
    cases = group["cases"]
    task, length, depth = texts(cases["task"]), cases["length"][:], cases["depth"][:]
    scales = [[d.decode() if isinstance(d, bytes) else d for d in group["score"].dims[k][0][:]] for k in range(3)]
    expected, answer, hit, exact = texts(cases["expected"]), texts(cases["answer"]), cases["hit"][:], cases["exact"][:]
    for i in range(len(task)):
        wanted = expected[i].split("\n")
        share = np.mean([w.lower() in answer[i].lower() for w in wanted])
        expect(hit[i] == share, f"{group.name} case {i}: hit {hit[i]}, answer {answer[i]!r} to {expected[i]!r}")
        expect(exact[i] == float(answer[i].strip() == expected[i]), f"{group.name} case {i}: exact {exact[i]}")
    for at in np.ndindex(group["score"].shape):
        here = [i for i in range(len(task)) if task[i] == scales[0][at[0]] and length[i] == scales[1][at[1]]
                and (depth[i] == scales[2][at[2]] or np.isnan(depth[i]))]
        expect(group["n"][at] == len(here), f"{group.name} n {at}")
        for score, values in ("score", hit), ("exact", exact):
            if not here:
                expect(np.isnan(group[score][at]), f"{group.name} {score} {at} of nothing")
                continue
            hits = int(values[here].sum())
            want = scipy.stats.binomtest(hits, len(here)).proportion_ci(method="wilson")
            got = group[score][at], group[f"{score}_lo"][at], group[f"{score}_hi"][at]
            expect(np.allclose(got, (hits / len(here), want.low, want.high), atol=1e-12), f"{group.name} {at} {got}")


def check_margins(group):
    """A positive margin everywhere is the greedy answer; probabilities are none above 1."""
    cases = group["cases"]
    margin, exact, logprob = cases["margin"][:], cases["exact"][:], cases["logprob"][:]
    expect(((margin > 0) <= (exact == 1)).all(), f"{group.name}: margins {margin}, exact {exact}")
    expect((logprob < 0).all() and np.isfinite(margin).all(), f"{group.name}: log-probabilities {logprob}")


# ---- a grid, in parts, interrupted, with other numbers of threads ----

def interrupted(args, out):
    """Started, stopped by SIGINT once some cases are kept, resumed."""
    env = dict(os.environ, SOURCE_DATE_EPOCH="0")
    process = subprocess.Popen([qkscope, *map(str, args), "-o", out], stderr=subprocess.PIPE, env=env,
                               stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate()
    if process.returncode == 0:
        return  # it was faster
    expect(process.returncode == 130 and not os.path.exists(out), f"interrupt: status {process.returncode}: {text}")
    if os.path.exists(f"{out}.part"):
        other = run(*args, "--max-new", 9, "-o", out, "--resume")
        expect(other.returncode == 4 and "cannot resume" in other.stderr, f"other options: {other.stderr}")
    succeed(*args, "-o", out, "--resume")


def check_whole(work):
    args = ["niah", pair / "base", pair / "sft", "--template", pair / "niah.json", "--lengths", "256,600", "--depths",
            3, "--samples", 2, "--seed", 5]
    whole = work / "whole.h5"
    shown = json.loads(succeed(*args, "-o", whole, "--json").stdout)
    with h5py.File(whole) as file:
        for i, name in enumerate(("base", "sft")):
            group = file[f"niah/{name}"]
            check_scores(group)
            check_margins(group)
            cases = group["cases"]
            expect(len(set(texts(cases["expected"]))) == 36, "values are drawn anew for every case")
            expect((cases["n_prompt"][:] < cases["length"][:]).all(), "documents are no longer than their length")
            expect(abs(shown["checkpoints"][i]["score"] - cases["hit"][:].mean()) < 1e-12, f"{name}: printed score")
        expect(list(file["niah/base"].attrs["cases"]) == list(range(36)), "list of cases")
    parts = [work / f"part{i}.h5" for i in (1, 2, 3)]
    for i, part in enumerate(parts):
        succeed(*args, "--shard", f"{i + 1}/3", "-o", part, "--threads", i + 1)
    succeed("merge", parts[2], parts[0], parts[1], "-o", work / "merged.h5")
    expect((work / "merged.h5").read_bytes() == whole.read_bytes(), "parts give another file")
    gap = run("merge", parts[0], parts[1], "-o", work / "gap.h5")
    expect(gap.returncode == 4 and "no part computed" in gap.stderr, f"a missing part: {gap.stderr}")
    interrupted(args, work / "resumed.h5")
    expect((work / "resumed.h5").read_bytes() == whole.read_bytes(), "a resumed run gives another file")
    check_with_drift(work, whole)
    check_probes(work)


def check_with_drift(work, whole):
    """One file of drift and recall."""
    succeed("drift", pair / "base", pair / "sft", "--metrics", "q_rel_drift", "-o", work / "drift.h5")
    succeed("merge", work / "drift.h5", whole, "-o", work / "both.h5")
    with h5py.File(work / "both.h5") as file, h5py.File(whole) as single:
        same = (file["niah/sft/score"][:] == single["niah/sft/score"][:]).all()
        expect(same and "q_rel_drift" in file["drift/sft"], "drift and recall in one file")


def check_probes(work):
    out = work / "probe.h5"
    succeed("probe", pair / "base", pair / "sft", "--niah", "--template", pair / "niah.json", "--tasks", "s2", "--lengths",
            512, "--depths", 3, "-o", out)
    with h5py.File(out) as file:
        mass, score = file["probe/base/retrieval_mass"][:], file["probe/base/retrieval_score"][:]
        expect(file["probe/base"].attrs["n_sequences"] == 3, "three probes")
        expect(np.nanargmax(mass) == 5 * 6 and mass[5, 0] > 0.95 and score[5, 0] > 0.9,
               f"head 5.0 reads the needle: {mass[5, 0]}, copies it: {score[5, 0]}")
        expect(file["probe/sft/retrieval_score"][5, 3] < score[5, 3] or score[5, 3] == 0, "head 5.3 copies less")


with tempfile.TemporaryDirectory() as directory:
    {"outcomes": check_outcomes, "whole": check_whole}[what](pathlib.Path(directory))
print(f"{checked} checks, {len(failures)} failed")
print("\n".join(failures))
sys.exit(1 if failures or checked < 20 else 0)
