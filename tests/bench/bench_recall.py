"""The part "recall" of `make bench`: `qkscope niah` on the bundled pair, in cases a minute; decoding, in tokens a second;
how much of the CPU time is in matrix products (by `perf`, where it is there); and the same model in PyTorch
(peer_forward.py), which only reads the prompts and is given the time that this alone takes.

usage: bench_recall.py BUILD_DIR
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAIR = os.path.join(os.path.dirname(os.path.dirname(HERE)), "examples", "amnesia")
CASES = {2048: 20, 8192: 6}  # of s2 and s3 each
PRODUCTS = re.compile("gemm|gemv|sdot|^rows_v|^multiply_panels|^qk_float_panels_pack|^pack_")  # and packing for them


def timed(argv, env=None):
    """Wall and CPU seconds of a child process, and what it printed."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
    out = child.stdout.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"bench: {' '.join(argv)} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, out


def cost(build, env, *words):
    _, _, out = timed([os.path.join(build, "tests", "bench", "forward_cost"), *map(str, words)], env)
    return {key: float(value) for key, value in (pair.split("=") for pair in out.split())}


def command(qkscope, name, length, n, work):
    return [qkscope, "niah", os.path.join(PAIR, name), "--template", os.path.join(PAIR, "niah.json"), "--tasks", "s2,s3",
            "--lengths", str(length), "--depths", str(n), "-o", os.path.join(work, "run.h5"), "--force", "-q", "--json"]


def product_share(argv, work):
    """Share of the samples that `perf` finds in the kernels of matrix products and their packing; None without perf."""
    record, samples = os.path.join(work, "perf.data"), {}
    if shutil.which("perf") is None:
        return None
    done = subprocess.run(["perf", "record", "-q", "-F", "499", "-e", "cpu-clock", "-o", record, *argv],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode != 0:
        return None
    out = subprocess.run(["perf", "report", "-i", record, "--stdio", "-g", "none", "--sort", "symbol"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
    for line in out.splitlines():
        found = re.match(r"\s+([0-9.]+)%\s+\[(.)\] (\S+)", line)
        if found:
            samples[found[3]] = samples.get(found[3], 0) + float(found[1])
    return sum(share for symbol, share in samples.items() if PRODUCTS.search(symbol)) / sum(samples.values())


def report(build, work):
    qkscope, model = os.path.join(build, "src", "cli", "qkscope"), os.path.join(PAIR, "base")
    version = json.loads(subprocess.run([qkscope, "version", "--json"], capture_output=True, check=True).stdout)
    kernels = {"OPENBLAS_CORETYPE": version["blas_core"]} if version.get("blas_core") else {}
    env = dict(os.environ, OPENBLAS_NUM_THREADS="1", **kernels)
    n_cores = str(os.cpu_count())
    peer_env = dict(os.environ, OPENBLAS_NUM_THREADS=n_cores, OMP_NUM_THREADS=n_cores, **kernels)
    print(f"machine           {n_cores} cores, load {os.getloadavg()[0]:.1f} before the start")
    for length, n in CASES.items():
        _, _, out = timed(["/usr/bin/python3", os.path.join(HERE, "peer_forward.py"), model, str(length), "40"], peer_env)
        peer = json.loads(out)
        for name in ("base", "sft"):
            seconds, cpu, out = timed(command(qkscope, name, length, n, work))
            answer = json.loads(out)["checkpoints"][0]
            n_cases = answer["n"]
            print(f"recall {length:5d} {name:<5}{60 * n_cases / seconds:.0f} cases a minute ({60 * n_cases / cpu:.0f} a "
                  f"core's minute; {100 * answer['score']:.0f} % of {n_cases} right), PyTorch reading the prompts alone "
                  f"{60 / peer['seconds']:.0f}: ratio {peer['seconds'] * n_cases / seconds:.2f}, by CPU time "
                  f"{peer['cpu'] * n_cases / cpu:.2f}")
        share = product_share(command(qkscope, "sft", length, n, work), work)
        print("  products        " + ("not measured: no perf" if share is None else f"{100 * share:.0f} % of the CPU time"))
    for n in (512, 8192):
        at = cost(build, env, "decode", model, n, 100)
        print(f"decoding          {at['tokens'] / at['seconds']:.0f} tokens/s behind {n} tokens")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        report(sys.argv[1], folder)
