"""Forward passes against stored results of the reference implementations.

    check_oracle.py DUMP_FORWARD DIRECTORY [WEIGHTS]

Every DIRECTORY/NAME holds oracle.h5 and a checkpoint; where it has no weights, they are those of a pair below WEIGHTS that
the table says. Both styles of config are run (config.json; config_legacy.json where there is one). Tolerances are ten times
what two runs of the reference, with different versions on different machines, differ by.
"""
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

SAME_WEIGHTS = {"hypenet_rope": "hypenet/base", "llama": "llama/base", "qwen3": "qwen3/base"}
FED_AT_ONCE = 5  # as dump_forward.c feeds its sessions
SESSION = 1e-4  # of the logits' scale: one pass against token by token
worst = {}
failures = []


def read_records(path):
    records = {}
    data = path.read_bytes()
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, rows, cols = data[at:end].decode().split()
        n = int(rows) * int(cols)
        records[name] = np.frombuffer(data, "<f8", n, end + 1).reshape(int(rows), int(cols))
        at = end + 1 + 8 * n
    return records


def expect(label, what, found, wanted, tolerance):
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    if found.shape != wanted.shape:
        failures.append(f"{label}: {what}: shape {found.shape}, expected {wanted.shape}")
        return
    error = np.abs(found - wanted).max() if found.size else 0.0
    ratio = error / tolerance
    worst[what.split("/")[0]] = max(worst.get(what.split("/")[0], 0), ratio)
    if not ratio <= 1:
        failures.append(f"{label}: {what}: off by {error:.3g}, allowed {tolerance:.3g}")


def check_sequence(label, s, oracle, got):
    ids = oracle["input_ids"][:]
    n = len(ids)
    logits = got[f"{s}/logits"]
    scale = max(1.0, float(logits.std()))
    expect(label, "logits", logits[-8:], oracle["logits_last8"][:], 1e-3 * scale)
    expect(label, "nll", got[f"{s}/nll"][0, :-1], oracle["nll"][:], 1e-3 * scale)
    expect(label, "argmax", got[f"{s}/argmax"][0], oracle["argmax"][:], 0.5)
    at = oracle["hidden_pos"][:]
    for layer, wanted in enumerate(oracle["hidden"][:]):
        expect(label, f"hidden/L{layer}", got[f"{s}/hidden/L{layer}"][at], wanted, 5e-4)
    expect(label, "final_norm", got[f"{s}/final_norm"][at], oracle["final_norm"][:], 5e-4)
    for layer in oracle["attn_layers"][:] if "attn_layers" in oracle else []:
        expect(label, f"attn_hist/L{layer}", got[f"{s}/attn_hist/L{layer}"] / n, oracle[f"attn_hist/L{layer}"][:] / n, 2e-4)
        for what, tolerance in (("attn_meandist", 2e-4), ("attn_entropy", 2e-5)):
            wanted = oracle[f"{what}/L{layer}"][:]
            expect(label, f"{what}/L{layer}", got[f"{s}/{what}/L{layer}"][0], wanted, tolerance)
    for layer in oracle["lin_layers"][:] if "lin_layers" in oracle else []:
        for what in ("lin_abs", "lin_signed"):
            wanted = oracle[f"{what}/L{layer}"][:]
            expect(label, f"{what}/L{layer}", got[f"{s}/{what}/L{layer}"], wanted, 1e-4 * np.abs(wanted).max())
    fed = [FED_AT_ONCE - 1, *range(FED_AT_ONCE, n // 2), n - 1]
    expect(label, "session", got[f"{s}/session"][fed], logits[fed], SESSION * scale)


def check(dump, model, checkpoint, config, scratch):
    label = f"{model.name}/{config.name}"
    worst.clear()
    before = len(failures)
    place = scratch / "checkpoint"
    place.mkdir()
    (place / "config.json").symlink_to(config)
    for f in [*checkpoint.glob("*.safetensors"), *checkpoint.glob("*.index.json")]:
        (place / f.name).symlink_to(f)
    with h5py.File(model / "oracle.h5") as oracle:
        sequences = sorted(k for k in oracle if k.startswith("s"))
        (scratch / "ids").write_text("".join(" ".join(map(str, oracle[s]["input_ids"][:])) + "\n" for s in sequences))
        run = subprocess.run([dump, place, scratch / "ids", scratch / "out"], capture_output=True, text=True)
        if run.returncode:
            failures.append(f"{label}: {run.stderr.strip()}")
            print(f"{label}: {run.stderr.strip()}")
            return
        got = read_records(scratch / "out")
        for s in sequences:
            check_sequence(label, s, oracle[s], got)
    state = "ok" if len(failures) == before else "FAILED"
    print(f"{label}: {state}; largest error over allowed:", ", ".join(f"{k} {v:.2g}" for k, v in worst.items()))


def main():
    dump, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    n = 0
    for model in sorted(p for p in root.iterdir() if (p / "oracle.h5").exists()):
        checkpoint = model
        if not any(model.glob("*.safetensors")):
            checkpoint = pathlib.Path(sys.argv[3]).resolve() / SAME_WEIGHTS[model.name]
        for style in ("config.json", "config_legacy.json"):
            config = next((p / style for p in (model, checkpoint) if (p / style).exists()), None)
            if config:
                with tempfile.TemporaryDirectory() as scratch:
                    check(dump, model, checkpoint, config, pathlib.Path(scratch))
                n += 1
    print("\n".join(failures))
    return 1 if failures or n == 0 else 0


sys.exit(main())
