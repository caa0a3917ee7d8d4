"""qkscope recommend --measure where there is little to do: nothing lost, a budget too small, every set of units, groups
that make up layers; what it says of its steps and of what it left out.

usage: check_measure_ends.py QKSCOPE SOURCE_ROOT
"""
import json
import pathlib
import subprocess
import sys
import tempfile

qkscope, root = sys.argv[1], pathlib.Path(sys.argv[2])
pair = root / "examples" / "amnesia"
checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def measure(*args, base="base", tuned="sft", status=0):
    result = subprocess.run(
        [qkscope, "recommend", "--measure", "--base", pair / base, "--tuned", pair / tuned, "--template",
         pair / "niah.json", "--lengths", "256", "--test-samples", "4", *map(str, args)], capture_output=True, text=True)
    if result.returncode != status:
        raise SystemExit(f"{args}: status {result.returncode}, not {status}: {result.stderr}")
    return result


def words(text):
    return " ".join(text.split())


def nothing_lost(work):
    """Equal weights, the pair the other way round, and a task that kept its recall."""
    for base, tuned, task in (("base", "base", "s3"), ("sft", "base", "s3"), ("base", "sft", "s1")):
        plan = work / f"{base}-{tuned}-{task}.json"
        result = measure("--tasks", task, "--depths", 4, "--units", "all", "-o", plan, base=base, tuned=tuned)
        text, name = words(result.stdout), f"{base} {tuned} {task}"
        expect("No recall was lost on these cases beyond chance." in text, f"{name}: {text[:200]}")
        expect("search: 0 variants measured; not needed, since nothing was lost" in text, f"{name}: a search")
        expect("plan: nothing; nothing was lost that it could bring back" in text, f"{name}: a plan")
        expect("fell from" not in text, f"{name}: recall is said to have fallen")
        doc = json.loads(plan.read_text())
        expect(len(doc["units"]) == 8 and {u["action"] for u in doc["units"]} == {"keep"}, f"{name}: {doc['units']}")
        expect(all("nothing was lost" in u["reason"] for u in doc["units"]), f"{name}: reasons")
        expect(doc["measured"]["verdict"]["cause"] == "nothing_lost", f"{name}: cause")


def small_budget(work):
    """Says what it did not try, and what it would take to know the price."""
    result = measure("--tasks", "s3", "--depths", 6, "--budget-passes", 3)
    text = words(result.stdout)
    expect("search: 3 variants measured; the budget was spent" in text, text[:200])
    expect("every unit was tried; further modes and combinations were not" in text, "budget 3: nothing left out")
    expect("12 controls, 3 variants of 3 units" in words(result.stderr), f"budget: {result.stderr}")
    result = measure("--tasks", "s3", "--depths", 6, "--budget-passes", 1, "--json")
    doc = json.loads(result.stdout)
    expect(doc["untried"] == "2, 5, 7", f"budget 1: {doc['untried']}")
    expect([s["step"] for s in doc["steps"]] == ["begin", "choose"], f"budget 1: {doc['steps']}")
    text = words(measure("--tasks", "s3", "--depths", 6, "--budget-passes", 1).stdout)
    expect("search: 1 variant measured" in text and "left untried: 2, 5, 7, and further modes" in text, "budget 1: words")


def every_set(work):
    """Eight sets of three layers; groups that are a whole layer are named, and measured, as the layer."""
    plan = work / "sets.json"
    result = measure("--tasks", "s3", "--depths", 6, "--exhaustive", "--json", "-o", plan)
    doc = json.loads(result.stdout)
    labels = [v["variant"] for v in doc["variants"] if v["stage"] in ("search", "control")]
    sets = [label for label in labels if label == "5 restore" or label.endswith(", 7 restore") or label == "2 restore"]
    expect(len(sets) == 4 and len(set(labels)) == len(labels), f"sets: {labels}")
    last = doc["steps"][-1]
    expect(last["step"] == "choose" and last["gain"] >= 0.01 and last["reasoning_loss"] is None, f"{last}")
    chosen = [u["layer"] for u in doc["plan"]["units"] if u["action"] != "keep"]
    expect(last["variant"] == ", ".join(f"{n} restore" for n in chosen), f"{last['variant']} {chosen}")
    for unit in json.loads(plan.read_text())["units"]:
        evidence = unit["evidence"]
        expect(set(evidence) == {"alone_gain", "alone_gain_se"}, f"evidence {evidence}")
        expect(f"{100 * evidence['alone_gain']:+.1f} ±" in unit["reason"], f"{unit['reason']}")
    refused = work / "refused.json"
    text = measure("--tasks", "s3", "--depths", 6, "--units", "all", "--exhaustive", "-o", refused, status=2).stderr
    expect("256 sets of 8 units (expected at most --budget-passes, 150)" in text, text)
    expect(list(work.glob("refused*")) == [] and "--resume" not in text, "a refusal leaves a file")

    result = measure("--tasks", "s3", "--depths", 6, "--by", "kv-group", "--budget-passes", 2, "--json")
    doc = json.loads(result.stdout)
    labels = [v["variant"] for v in doc["variants"]]
    expect(labels.count("softmax Q/K") == 2 and not any(".0 restore" in label for label in labels), f"groups: {labels}")
    expect(doc["untried"] == "", f"groups: {doc['untried']}")
    text = words(measure("--tasks", "s3", "--depths", 6, "--by", "kv-group", "--budget-passes", 1).stdout)
    expect("left untried: 2.0, 2.1, 2.2, 5.0" in text and "5.1 is KV group 1 of layer 5" in text, f"groups: {text[-900:]}")
    for unit in doc["plan"]["units"]:
        expect(unit["action"] == "restore" and unit["kv_groups"] == "all", f"groups: {unit}")


def nothing_allowed(work):
    """No loss allowed at all: no plan, and what there would have been at what price."""
    problems = work / "problems.jsonl"
    lines = (pair / "reasoning_calibration.jsonl").read_text().splitlines()[:24]
    problems.write_text("\n".join(lines) + "\n")
    result = measure("--tasks", "s3", "--depths", 6, "--exhaustive", "--reasoning", problems, "--max-reasoning-loss", 0)
    text = words(result.stdout)
    expect("plan: nothing no variant that was tried is better" in text and "at a loss of at most 0 points" in text,
           text[-400:])
    expect("most recall was with" in text and "points of reasoning" in text, f"no price: {text[-300:]}")


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        nothing_lost(work)
        small_budget(work)
        every_set(work)
        nothing_allowed(work)
    print(f"{checked} checks, {len(failures)} failed")
    for text in failures:
        print("  " + text)
    return 1 if failures or checked < 36 else 0


sys.exit(main())
