"""qkscope probe against a float64 model in numpy and the definitions as they read; parts, threads, bad probes.

usage: check_probe.py QKSCOPE SOURCE_ROOT metrics|parts|refusals
"""
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import hypenet_reference

# float32 forward pass against float64: ten times what the two reference runs of the fixtures differ by
MASS, TOKENS, NATS = 2e-5, 2e-3, 2e-5
SINK, WINDOWS = 4, [64, 128]

checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def close(what, got, want, tolerance):
    got, want = np.asarray(got, float), np.asarray(want, float)
    same = (np.abs(got - want) <= tolerance) | (np.isnan(got) & np.isnan(want))
    expect(got.shape == want.shape and same.all(),
           f"{what}: {got.shape} {want.shape} largest difference {np.nanmax(np.abs(got - want), initial=0)}")


def probe(args, **kwargs):
    env = dict(os.environ, SOURCE_DATE_EPOCH="0")
    return subprocess.run([qkscope, *args], capture_output=True, text=True, env=env, **kwargs)


def succeed(args):
    run = probe(args)
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(args)}: status {run.returncode}: {run.stderr}")
    return run


def recall_probe(n):
    """A stored recall case cut down to n tokens: what stands around the needle, the question, the answer."""
    with open(f"{root}/examples/amnesia/niah_cases.json") as f:
        case = next(c for c in json.load(f)["cases"] if c["task"] == "s2" and c["needle"][0] > 200)
    ids, answer, question = case["ids"], case["expect"], 28
    needle = next(i for i in range(len(ids)) if ids[i:i + len(answer)] == answer)
    room = n - 1 - question - len(answer)
    short = [0] + ids[needle - room // 2:needle - room // 2 + room] + ids[-question:] + answer
    at = 1 + room // 2
    return {"ids": short, "spans": [{"name": "needle", "start": at, "end": at + len(answer)},
                                    {"name": "answer", "start": n - len(answer), "end": n}]}


def write_probes(path):
    """Four sequences: tokens of the model's world, some with a needle; lengths around the bins' edges."""
    rng = random.Random(4)
    with open(f"{root}/examples/amnesia/niah_cases.json") as f:
        text = json.load(f)["cases"][20]["ids"]
    probes = []
    for i, n in enumerate([150, 65, 2, 131]):
        at = rng.randrange(len(text) - n)
        item = {"ids": [0] + text[at:at + n - 1]}
        if i == 0:
            item = recall_probe(n)
        if i == 3:
            item["spans"] = [{"name": "needle", "start": 5, "end": 7}, {"name": "other", "start": 0, "end": 131}]
        probes.append(item)
    with open(path, "w") as f:
        f.write("\n".join(json.dumps(p) for p in probes) + "\n\n")
    return probes


# ---- the definitions ----

def selected(n, rule):
    name, _, count = rule.partition(":")
    back = n - 1 - np.arange(n)
    return {"all": back >= 0, "last": back < int(count or 0), "every": back % int(count or 1) == 0}[name]


def sampled(chosen, most):
    """most of the chosen queries, counted back from the last."""
    from_end = np.flatnonzero(chosen)[::-1]
    most = min(most, len(from_end))
    keep = from_end[[i * len(from_end) // most for i in range(most)]]
    out = np.zeros(len(chosen), bool)
    out[keep] = True
    return out


def bin_of(d):
    return np.where(d == 0, 0, np.floor(np.log2(np.maximum(d, 1))).astype(int) + 1)


def sums_of(a, chosen, n_bins, needle, answer):
    """Sums over the chosen rows of (H, T, T) weights."""
    t = np.arange(a.shape[1])
    d = np.maximum(t[:, None] - t[None, :], 0)
    row = a * chosen[None, :, None]
    far = row * (t >= SINK)[None, None, :]
    mass, later = far.sum(-1), chosen & (t >= 1)
    safe = np.where(mass > 0, mass, 1)
    plog = np.where(a > 0, -a * np.log(np.where(a > 0, a, 1)), 0).sum(-1)
    out = {
        "n": chosen.sum(), "n_later": later.sum(), "n_far": (mass > 0).sum(-1),
        "histogram": np.stack([(row * (bin_of(d) == b)).sum((1, 2)) for b in range(n_bins)], -1),
        "profile": np.stack([(row * (d == x) * (t[:, None] >= t[None, :])).sum((1, 2)) for x in range(len(t))], -1),
        "mean": (row * d).sum((1, 2)), "log": (row * np.log2(1 + d)).sum((1, 2)),
        "far": ((far * d).sum(-1) / safe).sum(-1), "sink": (row - far).sum((1, 2)),
        "relative": ((a * d).sum(-1)[:, 1:] / t[1:] * later[1:]).sum(-1),
        "tail": np.stack([(far * (d > w)).sum((1, 2)) for w in WINDOWS], -1),
        "entropy": (plog * chosen).sum(-1), "entropy_n": (plog[:, 1:] / np.log(t[1:] + 1) * later[1:]).sum(-1),
    }
    if needle is not None:
        out["needle"] = (a * needle[None, None, :]).sum(-1)[:, answer].mean(-1)
    return out


def copied_of(a, ids, said, needle, answer):
    """Share of the needle's tokens that each head copies: Wu et al. 2024, with the true answer fed in."""
    copied = [set() for _ in a]
    for head, row in enumerate(a):
        for t in answer:
            s = int(row[t, :t + 1].argmax())
            if needle[s] and ids[s] == said[t] and (t + 1 == len(ids) or ids[t + 1] == said[t]):
                copied[head].add(s)
    return np.array([len(c) for c in copied]) / needle.sum()


def reference(model, probes, rule, linear_queries):
    """Per layer the sums of every probe, logits and nll of every probe."""
    longest = max(len(p["ids"]) for p in probes)
    n_bins = int(bin_of(np.array(longest - 1))) + 1
    sums, scores = [[] for _ in model.kinds], []
    for p in probes:
        n = len(p["ids"])
        spans = {s["name"]: (s["start"], s["end"]) for s in p.get("spans", [])}
        needle = answer = None
        if "needle" in spans:
            needle = np.zeros(n)
            needle[slice(*spans["needle"])] = 1
            answer = np.arange(spans["answer"][0] - 1, spans["answer"][1] - 1) if "answer" in spans else [n - 1]
        weights, logits, nll = model.run(np.array(p["ids"]))
        scores.append((logits, nll))
        for layer, a in enumerate(weights):
            chosen = selected(n, rule)
            if model.kinds[layer] == "linear":
                a = np.abs(a) / np.abs(a).sum(-1, keepdims=True)
                chosen = sampled(chosen, linear_queries)
            sums[layer].append(sums_of(a, chosen, n_bins, needle, answer))
            if needle is not None:
                sums[layer][-1]["copied"] = copied_of(a, p["ids"], logits.argmax(-1), needle, answer)
    return sums, scores


def total(sums, key):
    width = max(np.shape(s[key])[-1] if np.ndim(s[key]) > 1 else 0 for s in sums)
    pad = [np.pad(s[key], ((0, 0), (0, width - s[key].shape[1]))) if width else s[key] for s in sums]
    return sum(pad)


def check_entry(where, group, model, sums, scores):
    n_copied = 0
    for layer, per_probe in enumerate(sums):
        def per(key, by="n"):
            value, count = total(per_probe, key), total(per_probe, by)
            return value / (count[:, None] if np.ndim(value) > 1 and np.ndim(count) else count)
        here = f"{where} layer {layer}"
        close(f"{here} distance_histogram", group["distance_histogram"][layer], per("histogram"), MASS)
        close(f"{here} rows sum to one", group["distance_histogram"][layer].sum(-1), np.ones(6), 1e-6)
        close(f"{here} distance_profile", group["distance_profile"][layer], per("profile"), MASS)
        close(f"{here} tail_mass", group["tail_mass"][layer], per("tail"), MASS)
        close(f"{here} sink_mass", group["sink_mass"][layer], per("sink"), MASS)
        close(f"{here} mean_distance", group["mean_distance"][layer], per("mean"), TOKENS)
        close(f"{here} mean_distance_nosink", group["mean_distance_nosink"][layer], per("far", "n_far"), TOKENS)
        close(f"{here} mean_log_distance", group["mean_log_distance"][layer], per("log"), MASS)
        close(f"{here} relative_distance", group["relative_distance"][layer], per("relative", "n_later"), MASS)
        close(f"{here} entropy", group["entropy"][layer], per("entropy"), NATS)
        close(f"{here} entropy_normalised", group["entropy_normalised"][layer], per("entropy_n", "n_later"), NATS)
        needle = [s["needle"] for s in per_probe if "needle" in s]
        close(f"{here} retrieval_mass", group["retrieval_mass"][layer], sum(needle) / len(needle), MASS)
        copied = [s["copied"] for s in per_probe if "copied" in s]
        close(f"{here} retrieval_score", group["retrieval_score"][layer], sum(copied) / len(copied), 1e-12)
        n_copied += sum(c.sum() for c in copied)
        half = np.log(2) / model.slopes if model.kinds[layer] == "linear" else np.full(6, np.nan)
        close(f"{here} decay_half_life", group["decay_half_life"][layer] / half, half / half, 1e-12)
    expect(n_copied > 0, f"{where}: no head copies the needle: nothing was tested")
    for i, (logits, nll) in enumerate(scores):
        close(f"{where} probe {i} nll", group["nll"][i], nll, 1e-4)
        n = min(3, len(logits))
        close(f"{where} probe {i} logits", group["logits"][i, 3 - n:], logits[-n:], 1e-3 * max(1, logits.std()))


def weighted(sums, key, times):
    """Mean per query with every probe counted so many times."""
    again = [{k: np.asarray(p[k]) * w for k in (key, "n")} for p, w in zip(sums, times)]
    return total(again, key) / total(again, "n")


def losses(base, tuned, window, times):
    """tail_loss, distance_shift and emd of one layer's heads."""
    m0, m1 = weighted(base, "tail", times), weighted(tuned, "tail", times)
    tail = [(m0[h, w] - m1[h, w]) / m0[h, w] if w >= 0 and m0[h, w] > 0 else np.nan for h, w in enumerate(window)]
    ahead = np.cumsum(weighted(tuned, "histogram", times) - weighted(base, "histogram", times), -1)
    return (np.array(tail), weighted(tuned, "log", times) - weighted(base, "log", times),
            np.abs(ahead[:, :-1]).sum(-1))


def all_draws(n):
    """Every draw of n probes out of n, as counts: the bootstrap's distribution without chance."""
    return [np.bincount(draw, minlength=n) for draw in itertools.product(range(n), repeat=n)]


def check_metrics(work):
    probes = write_probes(f"{work}/probes.jsonl")
    names = ["base", "sft"]
    models = {n: hypenet_reference.Model(f"{root}/examples/amnesia/{n}") for n in names}
    for rule, linear_queries in [("all", 1000), ("last:40", 7), ("every:3", 5)]:
        out = f"{work}/{rule.replace(':', '-')}.h5"
        succeed(["probe", *(f"{root}/examples/amnesia/{n}" for n in names), "--tokens", f"{work}/probes.jsonl",
                 "--queries", rule, "--linear-queries", str(linear_queries), "--exact-profile", "--logits-last", "3",
                 "-o", out])
        sums = {}
        with h5py.File(out) as f:
            expect(list(f["model/window"]) == WINDOWS, f"windows {list(f['model/window'])}")
            for n in names:
                sums[n], scores = reference(models[n], probes, rule, linear_queries)
                check_entry(f"{n} {rule}", f[f"probe/{n}"], models[n], sums[n], scores)
                mixing = list(f[f"probe/{n}"].attrs["mixing"])
                kinds = {"linear": "implicit", "softmax": "softmax"}
                expect(mixing == [kinds[k] for k in models[n].kinds], f"mixing {mixing}")
            check_routing(f"routing {rule}", f["routing/sft"], sums)


def check_routing(where, group, sums):
    for layer in range(len(sums["base"])):
        base, tuned = sums["base"][layer], sums["sft"][layer]
        far = weighted(base, "tail", [1] * len(base)) >= 0.01
        window = [max(np.flatnonzero(row), default=-1) for row in far]
        here = f"{where} layer {layer}"
        close(f"{here} tail_window", group["tail_window"][layer], [WINDOWS[w] if w >= 0 else np.nan for w in window], 0)
        names, tolerances = ["tail_loss", "distance_shift", "emd"], [100 * MASS, 2 * MASS, 10 * MASS]
        for name, want, tolerance in zip(names, losses(base, tuned, window, [1] * len(base)), tolerances):
            close(f"{here} {name}", group[name][layer], want, tolerance)
        draws = [losses(base, tuned, window, times) for times in all_draws(len(base))]
        for k, name in enumerate(names):
            for h in range(6):
                values = np.array([d[k][h] for d in draws])
                values = np.sort(values[~np.isnan(values)])
                lo, hi = group[f"{name}_lo"][layer, h], group[f"{name}_hi"][layer, h]
                if len(values) == 0:
                    expect(np.isnan(lo) and np.isnan(hi), f"{here} {name} head {h}: an interval of nothing")
                    continue
                # of 1000 draws the 2.5 % point has a standard error of half a percent
                slack = tolerances[k]
                within = [np.quantile(values, q) for q in (0.005, 0.05, 0.95, 0.995)]
                expect(within[0] - slack <= lo <= within[1] + slack and within[2] - slack <= hi <= within[3] + slack,
                       f"{here} {name} head {h}: interval {lo} to {hi}, all draws {within}")


# ---- parts ----

def read(path):
    with open(path, "rb") as f:
        return f.read()


def check_parts(work):
    write_probes(f"{work}/probes.jsonl")
    common = ["probe", f"{root}/examples/amnesia/base", f"{root}/examples/amnesia/sft", "--tokens",
              f"{work}/probes.jsonl", "--exact-profile", "--logits-last", "1", "--linear-queries", "9"]
    for threads in "1", "2", "3":
        succeed([*common, "--threads", threads, "-o", f"{work}/whole{threads}.h5"])
    expect(read(f"{work}/whole1.h5") == read(f"{work}/whole2.h5") == read(f"{work}/whole3.h5"), "depends on threads")
    for n in 2, 3, 5:
        parts = [f"{work}/part{i}of{n}.h5" for i in range(1, n + 1)]
        for i, part in enumerate(parts):
            succeed([*common, "--shard", f"{i + 1}/{n}", "-o", part])
        for order, name in (parts, "forward"), (parts[::-1], "backward"):
            succeed(["merge", *order, "-o", f"{work}/{name}{n}.h5"])
            expect(read(f"{work}/{name}{n}.h5") == read(f"{work}/whole1.h5"), f"{n} parts {name} give another file")
        missing = probe(["merge", *parts[:-1], "-o", f"{work}/gap.h5"])
        # the fifth of five parts of four probes is empty
        expect((missing.returncode == 4 and "no part computed" in missing.stderr) if n < 5 else
               missing.returncode == 0, f"a missing part of {n}: {missing.returncode} {missing.stderr}")
    twice = probe(["merge", parts[0], parts[1], parts[0], "-o", f"{work}/twice.h5"])
    expect(twice.returncode == 4 and "overlap" in twice.stderr, f"a part twice: {twice.stderr}")
    succeed([*common, "--sink", "3", "--shard", "1/2", "-o", f"{work}/other.h5"])
    other = probe(["merge", f"{work}/other.h5", f"{work}/part2of2.h5", "-o", f"{work}/mixed.h5"])
    expect(other.returncode == 4 and not os.path.exists(f"{work}/mixed.h5"), f"other options: {other.stderr}")
    check_layers(work)


def check_layers(work):
    """--layers, a base that is not the first, no linear layers, one probe."""
    text = f"{root}/examples/amnesia/haystack.txt"
    succeed(["probe", f"b={root}/examples/amnesia/base", f"a={root}/examples/amnesia/sft", "--base", "a", "--text", text,
             "--length", "90", "--max-probes", "1", "--layers", "2,4,5", "--linear-queries", "0", "-o",
             f"{work}/layers.h5"])
    with h5py.File(f"{work}/layers.h5") as f:
        expect(list(f["routing"]) == ["b"] or "b" in f["routing"] and "a" not in f["routing"], f"{list(f['routing'])}")
        done = ~np.isnan(f["probe/a/mean_distance"][:]).all(-1)
        expect(list(np.flatnonzero(done)) == [2, 5], f"layers {np.flatnonzero(done)}")
        expect((f["probe/a/mean_distance_state"][3] == 4).all(), "a layer left out is 'not computed'")
        expect((f["probe/a/mean_distance_state"][4] == 4).all(), "a linear layer left out is 'not computed'")
        expect(np.isnan(f["routing/b/emd_lo"][:]).all() and (f["routing/b/emd_lo_state"][5] == 3).all(),
               "one probe has no interval")
        expect(list(f["probe/a"].attrs["lengths"]) == [90], f"lengths {f['probe/a'].attrs['lengths']}")
        expect("logits" not in f["probe/a"] and "distance_profile" not in f["probe/a"], "unasked datasets")


# ---- refusals ----

def refuse(work, lines, status, *words, args=()):
    with open(f"{work}/bad.jsonl", "w") as f:
        f.write(lines)
    run = probe(["probe", f"{root}/examples/amnesia/base", "--tokens", f"{work}/bad.jsonl", "-o", f"{work}/bad.h5", *args])
    text = run.stderr
    expect(run.returncode == status and all(w in text for w in words) and not os.path.exists(f"{work}/bad.h5"),
           f"{lines[:60]!r} {args}: status {run.returncode} (expected {status}): {text}")


def check_refusals(work):
    good = '{"ids": [0, 5, 6]}\n'
    refuse(work, "", 4, "no probes")
    refuse(work, "\n \n", 4, "no probes")
    refuse(work, good + '{"ids": []}\n', 4, "line 2", "without tokens")
    refuse(work, good + '{"ids": [0, 2048]}\n', 4, "line 2", "2048", "vocabulary")
    refuse(work, '{"ids": [0, 4294967296]}\n', 4, "line 1", "entry 1")
    refuse(work, '{"ids": [0, -1]}\n', 4, "line 1", "entry 1")
    refuse(work, '{"ids": [0, 1.5]}\n', 4, "line 1", "entry 1")
    refuse(work, '{"ids": [0], "text": "a"}\n', 4, "line 1", "either")
    refuse(work, '{"id": [0]}\n', 4, "line 1", "either")
    refuse(work, '[1, 2]\n', 4, "line 1")
    refuse(work, '{"ids": [0\n', 4, "line 1")
    for spans in ('[{"name": "needle", "start": 1, "end": 4}]', '[{"name": "needle", "start": 2, "end": 2}]',
                  '[{"name": "needle", "start": 3, "end": 2}]', '[{"name": "needle", "start": 1}]', '{}', '[3]'):
        refuse(work, '{"ids": [0, 5, 6], "spans": %s}\n' % spans, 4, "line 1", "spans")
    refuse(work, '{"text": "short", "spans": [{"name": "needle", "start": 2, "end": 9}]}\n', 4, "line 1", "characters")
    for bad in ("--queries", "none"), ("--queries", "last:0"), ("--queries", "every:x"), ("--shard", "0/2"), \
            ("--shard", "3/2"), ("--shard", "1"), ("--base", "nobody"), ("--layers", "8"), \
            ("--text", f"{root}/examples/amnesia/haystack.txt"):
        refuse(work, good, 2, bad[0] if bad[0] != "--text" else "probes", args=bad)
    none = probe(["probe", f"{root}/examples/amnesia/base", "-o", f"{work}/none.h5"])
    expect(none.returncode == 2 and "no probes" in none.stderr, none.stderr)
    check_notices(work)


def check_notices(work):
    """A context beyond the model's is run, with a word about it; characters become tokens."""
    with open(f"{work}/long.jsonl", "w") as f:
        f.write('{"text": "The vault code of sound is 7974183.", "spans": '
                '[{"name": "needle", "start": 27, "end": 34}]}\n')
    os.makedirs(f"{work}/short", exist_ok=True)
    config = json.load(open(f"{root}/examples/amnesia/base/config.json"))
    config["max_position_embeddings"] = 4
    json.dump(config, open(f"{work}/short/config.json", "w"))
    for name in "model.safetensors", "tokenizer.json":
        os.symlink(f"{root}/examples/amnesia/base/{name}", f"{work}/short/{name}")
    run = succeed(["probe", f"{work}/short", "--tokens", f"{work}/long.jsonl", "-o", f"{work}/long.h5"])
    expect("longer than the context" in run.stderr, f"no notice of the context: {run.stderr}")
    tokens = json.loads(succeed(["tokenize", f"{work}/short", "--json", f"{work}/text"]).stdout) if write_text(work) else {}
    with h5py.File(f"{work}/long.h5") as f:
        expect(list(f["probe/short"].attrs["lengths"]) == [len(tokens["ids"])], "another number of tokens")
        mass = f["probe/short/retrieval_mass"][:]
        expect(np.isfinite(mass).all() and (mass > 0).any(), "no attention on the marked characters")


def write_text(work):
    with open(f"{work}/text", "w") as f:
        f.write("The vault code of sound is 7974183.")
    return True


qkscope, root = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
with tempfile.TemporaryDirectory() as directory:
    {"metrics": check_metrics, "parts": check_parts, "refusals": check_refusals}[sys.argv[3]](directory)
for failure in failures[:20]:
    print("FAILED", failure)
print(f"{checked} checks, {len(failures)} failed")
sys.exit(1 if failures or checked == 0 else 0)
