"""qkscope eval on the bundled pair: what is stored against what it says, a float64 model, parts, threads, resume; where
answers end; how prompt and answer join.

usage: check_eval.py QKSCOPE SOURCE_ROOT stored|parts|answers
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

qkscope, root, what = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
pair = root / "examples" / "amnesia"
data = pair / "reasoning.jsonl"
problems = [json.loads(line) for line in open(data)]
checked = 0
failures = []
Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


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


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def wilson(hits, n):
    p = hits / n
    middle, half = p + Z * Z / (2 * n), Z * (p * (1 - p) / n + Z * Z / (4 * n * n)) ** 0.5
    return (middle - half) / (1 + Z * Z / n), (middle + half) / (1 + Z * Z / n)


def tokens(text, *more):
    out = subprocess.run([qkscope, "tokenize", pair / "base", "-", "--json", *more], input=text.encode(),
                         stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)["ids"]


# ---- what is stored ----

def check_rates(group, shown):
    hit, logprob, n_tokens = group["hit"][:], group["logprob"][:], group["n_expected"][:]
    lo, hi = wilson(hit.sum(), len(hit))
    want = {"accuracy": hit.mean(), "accuracy_lo": lo, "accuracy_hi": hi, "mean_logprob": logprob.mean(),
            "mean_token_logprob": logprob.sum() / n_tokens.sum(), "n": len(hit)}
    for key, value in want.items():
        expect(abs(group[key][()] - value) < 1e-12 * max(1, abs(value)), f"{group.name}/{key}: {group[key][()]}, not {value}")
        expect(abs(shown[key] - value) < 1e-12 * max(1, abs(value)), f"{group.name}/{key}: printed {shown[key]}, not {value}")
    expect(np.allclose(group["token_logprob"][:], logprob / n_tokens, rtol=1e-14), f"{group.name}: per token")
    expect(((group["margin"][:] > 0) <= (hit == 1)).all(), f"{group.name}: the model's own choice is no hit")


def check_by_model(group, name, which):
    """Log-probability and least margin by the model in float64."""
    from hypenet_reference import Model
    model = Model(pair / name)
    for i in which:
        prompt, whole = tokens(problems[i]["prompt"]), tokens(problems[i]["prompt"] + problems[i]["answer"])
        expect(whole[:len(prompt)] == prompt and group["n_prompt"][i] == len(prompt)
               and group["n_expected"][i] == len(whole) - len(prompt), f"problem {i}: tokens")
        logits = model.run(np.array(whole))[1][len(prompt) - 1:-1]
        answer = np.array(whole[len(prompt):])
        own = logits[np.arange(len(answer)), answer]
        top = logits.max(1)
        logprob = (own - top - np.log(np.exp(logits - top[:, None]).sum(1))).sum()
        logits[np.arange(len(answer)), answer] = -np.inf
        margin = (own - logits.max(1)).min()
        # float32 logits of about 20 with a relative error of a few 1e-6, summed over 60 tokens
        expect(abs(group["logprob"][i] - logprob) < 5e-3, f"{name} {i}: logprob {group['logprob'][i]}, not {logprob}")
        expect(abs(group["margin"][i] - margin) < 1e-3, f"{name} {i}: margin {group['margin'][i]}, not {margin}")


def check_stored(work):
    n, out = 16, work / "run.h5"
    args = ["eval", pair / "base", pair / "sft", "--data", data, "--max-problems", n, "-o", out, "--json"]
    shown = json.loads(succeed(*args).stdout)
    with h5py.File(out) as file:
        for i, name in enumerate(("base", "sft")):
            group = file[f"eval/{name}/reasoning"]
            answers, expected = texts(group["answers"]), texts(group["expected"])
            expect(texts(group["id"]) == [p["id"] for p in problems[:n]], "ids")
            expect(expected == [p["answer"] for p in problems[:n]], "expected answers")
            expect(list(group["hit"][:]) == [float(a.strip() == e.strip()) for a, e in zip(answers, expected)],
                   f"{name}: hits {group['hit'][:]}: {answers}")
            check_rates(group, shown["checkpoints"][i])
            check_by_model(group, name, (0, 5))
            expect(list(file[f"eval/{name}"].attrs["problems"]) == list(range(n)), "list of problems")
        hits = [file[f"eval/{name}/reasoning/hit"][:].sum() for name in ("base", "sft")]
        expect(0 < hits[0] < n / 2 < hits[1], f"fine-tuning taught it: {hits}")
        generated = succeed("generate", pair / "base", "--prompt", problems[0]["prompt"]).stdout
        said = texts(file["eval/base/reasoning/answers"])[0]
        expect(generated.startswith(said), f"generate says {generated!r}, eval {said!r}")


# ---- parts, threads, interruptions ----

def stopped_once(args, out, delay):
    """Started and stopped by SIGINT after a while; whether it left some answers."""
    env = dict(os.environ, SOURCE_DATE_EPOCH="0")
    process = subprocess.Popen([qkscope, *map(str, args), "-o", out], stderr=subprocess.PIPE, env=env,
                               stdout=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate()
    if process.returncode == 0:
        os.remove(out)
        return False
    # before the program listens to the signal it ends by it
    expect(process.returncode in (130, -signal.SIGINT) and not os.path.exists(out), f"interrupt: {process.returncode}: {text}")
    return os.path.exists(f"{out}.part")


def interrupted(args, out):
    left = any(stopped_once(args, out, delay) for delay in (1.2, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1))
    expect(left, "no interruption left a part of the answers")
    other = run(*args, "--stop", "x", "-o", out, "--resume")
    expect(other.returncode == 4 and "cannot resume" in other.stderr, f"other options: {other.stderr}")
    result = succeed(*args, "-o", out, "--resume")
    expect("are there already" in result.stderr, f"resumed: {result.stderr}")
    expect(not os.path.exists(f"{out}.part"), "the partial file is removed")


def check_parts(work):
    args = ["eval", pair / "base", pair / "sft", "--data", data, "--max-problems", 12]
    whole = work / "whole.h5"
    succeed(*args, "-o", whole, "--threads", 1)
    parts = [work / f"part{i}.h5" for i in (1, 2, 3)]
    for i, part in enumerate(parts):
        result = succeed(*args, "--shard", f"{i + 1}/3", "-o", part, "--threads", i + 1)
        expect("qkscope merge" in result.stdout, result.stdout)
    succeed("merge", parts[2], parts[0], parts[1], "-o", work / "merged.h5")
    expect((work / "merged.h5").read_bytes() == whole.read_bytes(), "parts give another file")
    gap = run("merge", parts[0], parts[1], "-o", work / "gap.h5")
    expect(gap.returncode == 4 and "no part computed" in gap.stderr, f"a missing part: {gap.stderr}")
    succeed(*args[:1], pair / "base", *args[3:], "--match", "number", "-o", work / "number.h5")
    mixed = run("merge", work / "number.h5", parts[0], "-o", work / "mixed.h5")
    expect(mixed.returncode == 4 and not (work / "mixed.h5").exists(), f"other rules: {mixed.stderr}")
    interrupted(args, work / "resumed.h5")
    expect((work / "resumed.h5").read_bytes() == whole.read_bytes(), "a resumed run gives another file")
    succeed("niah", pair / "base", pair / "sft", "--tasks", "s1", "--lengths", 256, "--depths", 1, "-o", work / "niah.h5")
    succeed("merge", whole, work / "niah.h5", "-o", work / "both.h5")
    succeed("merge", work / "niah.h5", whole, "-o", work / "same.h5")
    expect((work / "both.h5").read_bytes() == (work / "same.h5").read_bytes(), "order of recall and reasoning")
    with h5py.File(work / "both.h5") as file, h5py.File(whole) as single:
        same = file["eval/sft/reasoning/accuracy"][()] == single["eval/sft/reasoning/accuracy"][()]
        expect(same and "niah/sft/score" in file, "recall and reasoning in one file")


# ---- where answers end, how texts join ----

def answer(work, row, *options, name="sft"):
    """Answer and hit to one problem, and the rest of its row."""
    out = work / "one.h5"
    result = succeed("eval", f"m={pair / name}", "--data", write(work / "one.jsonl", [row]), "-o", out, "--force", *options)
    with h5py.File(out) as file:
        group = file["eval/m/one"]
        values = {key: group[key][0] for key in ("answers", "hit", "n_said", "n_prompt", "n_expected", "id")}
    return values["answers"].decode(), values["hit"] == 1, values, result.stderr


def check_ends(work, prompt, text):
    """text is what the model says to prompt."""
    number = text.split("The answer is ")[1].split(".")[0]
    expect(len(number) >= 2, f"a number of two digits: {text}")
    open_prompt = prompt + text.split(" " + number + ".\n")[0]
    said, hit, _, _ = answer(work, {"prompt": open_prompt, "answer": " " + number})
    expect(hit and said == " " + number, f"{number}: {said!r}")
    for rule, want in ("exact", False), ("number", False), ("contains", True):
        said, hit, _, _ = answer(work, {"prompt": open_prompt, "answer": " " + number[:-1]}, "--match", rule)
        expect(hit == want and (want or number in said), f"{rule}: {number[:-1]} is no {number}: {said!r} {hit}")
    said, hit, _, _ = answer(work, {"prompt": open_prompt, "answer": f" {number}.0"}, "--match", "number")
    expect(hit and said == f" {number}.\n", f"number to its end: {said!r}")
    said, hit, values, _ = answer(work, {"prompt": open_prompt, "answer": " " + number}, "--max-new", 1)
    expect(not hit and values["n_said"] == 1, f"--max-new 1: {said!r}")
    for stop in "he answ", "wer is " + number[0], ". ", "T", "\n":
        said, hit, _, _ = answer(work, {"prompt": prompt, "answer": "#### " + number}, "--match", "number", "--stop",
                                 stop.replace("\n", "\\n"), "--stop", "never said")
        expect(said == text.split(stop)[0], f"stop {stop!r}: {said!r}")
        expect(hit == (re.findall(r"\d+", said)[-1:] == [number]), f"stop {stop!r}: hit {hit}")
    said, hit, _, _ = answer(work, {"prompt": prompt, "answer": text}, "--stop", "\\n")
    expect(hit and said == text.rstrip("\n"), f"a stop at the expected answer's end: {said!r}")
    said, hit, _, _ = answer(work, {"prompt": prompt, "answer": text}, "--stop", "Think")
    expect(not hit and said == "", f"a stop inside the expected answer: {said!r}")


def check_joins(work):
    row = {"prompt": "Größe: ", "answer": "ünf 北京 \U0001f600.\nzwei", "id": "π \U0001f600", "other": [1, {}]}
    said, hit, values, notes = answer(work, row)
    joint, alone = tokens(row["prompt"] + row["answer"]), tokens(row["prompt"])
    apart = joint[:len(alone)] != alone
    expect(values["id"].decode() == row["id"] and values["n_prompt"] == len(alone), f"{row}: {values}")
    expect(values["n_expected"] == (len(tokens(row["answer"], "--no-special")) if apart else len(joint) - len(alone)),
           f"{row}: {values}")
    said, hit, values, notes = answer(work, {"prompt": "The answer is ", "answer": "is 7."})
    expect("tokenised alone" in notes and values["n_expected"] == len(tokens("is 7.", "--no-special")), f"{notes} {values}")
    rows = [{"prompt": "a", "answer": "b", "id": 3}, {"prompt": "", "answer": "b"}]
    out = work / "lines.h5"
    (work / "lines.v2.jsonl").write_text("\n" + "\r\n \n".join(json.dumps(r) for r in rows))
    succeed("eval", pair / "base", "--data", work / "lines.v2.jsonl", "-o", out)
    with h5py.File(out) as file:
        expect(texts(file["eval/base/lines.v2/id"]) == ["2", "4"], "lines as ids")
        expect(list(file["eval/base/lines.v2/n_prompt"][:]) == [2, 1], "an empty prompt is the token in front of texts")


def check_answers(work):
    out = work / "sft.h5"
    succeed("eval", pair / "sft", "--data", data, "--max-problems", 3, "-o", out)
    with h5py.File(out) as file:
        said = texts(file["eval/sft/reasoning/answers"])
    i = next(i for i in range(3) if said[i] == problems[i]["answer"])
    check_ends(work, problems[i]["prompt"], said[i])
    check_joins(work)


with tempfile.TemporaryDirectory() as directory:
    {"stored": check_stored, "parts": check_parts, "answers": check_answers}[what](pathlib.Path(directory))
print(f"{checked} checks, {len(failures)} failed")
print("\n".join(failures))
sys.exit(1 if failures or checked < 9 else 0)
