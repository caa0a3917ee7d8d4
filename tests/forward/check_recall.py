"""The bundled pair against its stored float32 outcomes: logits behind the first token of an answer, and whole answers.

    check_recall.py QKSCOPE EXAMPLES/amnesia

Logits come from one pass (probe), answers from decoding token by token (generate).
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

LOGITS = 1e-3  # of max(1, their standard deviation): ten times what two runs of the reference differ by
qkscope, pair = sys.argv[1], pathlib.Path(sys.argv[2])
stored = json.loads((pair / "niah_cases.json").read_text())
failures = []
n_checked = 0


def run(*args):
    result = subprocess.run([qkscope, *map(str, args)], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{args[0]}: exit {result.returncode}: {result.stderr}")
    return result.stdout


def check_logits(work, name, firsts):
    global n_checked
    tokens, out = work / "tokens.jsonl", work / f"{name}.h5"
    tokens.write_text("".join(json.dumps({"ids": c["ids"] + c["expect"][:1]}) + "\n" for c in firsts))
    run("probe", f"m={pair / name}", "--tokens", tokens, "--logits-last", 1, "--linear-queries", 0, "-q", "-o", out)
    with h5py.File(out) as file:
        found = file["probe/m/logits"][:, -1]
    for i, case in enumerate(firsts):
        wanted = np.array(stored["ref_logits"][name][case["task"]])
        error = np.abs(found[i] - wanted).max() / max(1, wanted.std())
        print(f"{name} {case['task']}: logits within {error:.2g} of their deviation")
        n_checked += 1
        if not error <= LOGITS:
            failures.append(f"{name} {case['task']}: logits off by {error:.3g}")


def check_answer(name, case):
    """pred is what each position answers to the true ones before it: decoding agrees up to the first wrong one."""
    global n_checked
    expect, pred = case["expect"], case[name]["pred"]
    wrong = next((i for i, (p, e) in enumerate(zip(pred, expect)) if p != e), len(expect) - 1)
    text = run("generate", pair / name, "--ids", ",".join(map(str, case["ids"])), "--max-new", wrong + 1, "--json")
    found = json.loads(text)["ids"]
    n_checked += 1
    if found != pred[: wrong + 1] or (found == expect) != case[name]["ok"]:
        failures.append(f"{name} {case['task']} {case['length']}: answered {found}, stored {pred}")


with tempfile.TemporaryDirectory() as directory:
    cases = stored["cases"]
    shortest = min(c["length"] for c in cases)
    firsts = [next(c for c in cases if c["task"] == t and c["length"] == shortest) for t in ("s1", "s2", "s3")]
    for name in ("base", "sft"):
        check_logits(pathlib.Path(directory), name, firsts)
        for case in cases:
            if case["length"] == shortest:
                check_answer(name, case)
print(f"{n_checked - len(failures)} of {n_checked} agree")
print("\n".join(failures))
sys.exit(1 if failures or n_checked < 6 + 2 * 3 else 0)
