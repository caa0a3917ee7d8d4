"""What the checks of adapters share: running programs, counting, adapters for the fixtures."""
import os
import subprocess
import sys
import tempfile

import adapter_files as af

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
from described import random_weights  # noqa: E402

checked = 0
failures = []


def expect(ok, text):
    global checked
    checked += 1
    if not ok:
        failures.append(text)


def call(*words):
    return subprocess.run([str(w) for w in words], capture_output=True, timeout=100)


def dumped(dump, adapter, base, how="as-is", block=0):
    result = call(dump, adapter, base, how, block)
    if result.returncode != 0:
        sys.exit(f"{adapter}: exit {result.returncode}\n{result.stderr.decode()}")
    out, raw = {}, result.stdout
    while raw:
        line, raw = raw.split(b"\n", 1)
        name, dtype, n = line.decode().split(" ")
        out[name], raw = (dtype, raw[:int(n)]), raw[int(n):]
    return out


LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj"]


def fixture(data, name):
    path = os.path.join(data, name)
    return af.read_checkpoint(path), os.path.join(path, "config.json")


def made(name):
    """As fixture, of random weights for what data/models describes."""
    tensors, config = random_weights(name)
    return {n: ("F32", x) for n, x in tensors.items()}, config


def key(module, part):
    return f"base_model.model.{module}.{part}"


def attention(layer, name):
    return f"model.layers.{layer}.self_attn.{name}"


def lora(rng, base, modules, rank=4, dtype="F32", turned=False, stored_as=lambda m: m, size=0.05):
    """Adapter tensors for modules, and {tensor: (a, b)} of the base's names."""
    tensors, parts = {}, {}
    for module in modules:
        name = stored_as(module) + ".weight"
        a, b = af.factors(rng, base[name][1].shape, rank, dtype, turned, size)
        tensors[key(module, "lora_A.weight")] = (dtype, a)
        tensors[key(module, "lora_B.weight")] = (dtype, b)
        parts[name] = (a, b)
    return tensors, parts


def run(qkscope, *words):
    result = call(qkscope, *words)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {result.returncode}\n{result.stderr.decode()}")
    return result.stdout


def main(check, *words):
    """check(*words, scratch directory), then the tally."""
    with tempfile.TemporaryDirectory() as work:
        check(*words, work)
    for failure in failures[:40]:
        print("FAIL", failure)
    print(f"{checked} checks, {len(failures)} failures")
    sys.exit(1 if failures or checked == 0 else 0)
