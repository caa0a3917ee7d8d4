"""`make bench`: what qkscope costs, as ratios against its peers and against this machine's ceilings, in one run.

usage: bench.py BUILD_DIR [--part drift|forward|restore|recall] [--layers N] [--dir DIR]

drift: makes a synthetic pair with HypeNet-9B's layer shapes, measures memory bandwidth and matrix-product rate, then
times `qkscope drift` and the numpy/scipy peer (peer_drift.py) on the same files, warm in the page cache, on all cores.
Needs about 0.9 GB of disk a layer.

forward: two lightning layers and a softmax layer of HypeNet-2B's shapes by qkscope and by PyTorch (peer_forward.py),
which must agree on the losses; projections against large matrix products; attention alone, with histogram, and its
matrix products; the bundled pair; peak memory of `qkscope probe`. Needs 0.35 GB of disk.

All sides use the same OpenBLAS kernels (OPENBLAS_CORETYPE as qkscope would choose it). Where CPU time is given it is
that of all threads, and what to go by on a busy machine.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import bench_recall
import bench_restore

K, HIDDEN, HEADS, KV_HEADS = 128, 4096, 32, 8


def run(argv, env=None):
    """Wall seconds, peak resident bytes and standard output of a child process."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"bench: {' '.join(argv)} failed")
    return seconds, usage.ru_maxrss * 1024, out.decode()


def blas_environment(qkscope):
    """The environment in which both sides load the kernels that this CPU can run."""
    version = json.loads(subprocess.run([qkscope, "version", "--json"], capture_output=True, check=True).stdout)
    env = dict(os.environ)
    if version.get("blas_core"):
        env["OPENBLAS_CORETYPE"] = version["blas_core"]
    return env


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--part", choices=PARTS, help="only this part")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dir")
    args = parser.parse_args()
    bench = os.path.join(args.build, "tests", "bench")
    qkscope = os.path.join(args.build, "src", "cli", "qkscope")
    here = os.path.dirname(os.path.abspath(__file__))
    work = tempfile.mkdtemp(prefix="qkscope-bench-", dir=args.dir)
    try:
        for name, report in PARTS.items():
            if args.part in (None, name):
                part = os.path.join(work, name)
                os.mkdir(part)
                report(args, bench, qkscope, here, part)
                shutil.rmtree(part)
    finally:
        shutil.rmtree(work)


def report_drift(args, bench, qkscope, here, work):
    env = blas_environment(qkscope)
    subprocess.run([os.path.join(bench, "make_pair"), work, str(args.layers), "9b"], check=True)
    pair = [os.path.join(work, "base"), os.path.join(work, "tuned")]
    n_bytes = sum(os.path.getsize(os.path.join(p, "model.safetensors")) for p in pair)
    _, _, ceilings = run([os.path.join(bench, "ceilings")], env)
    bandwidth, gemm, core = ceilings.split()
    bandwidth, gemm = float(bandwidth) * 1e9, float(gemm) * 1e9

    times, peak = [], 0
    for attempt in range(3):
        # as a user starts it: qkscope chooses the kernels by itself, the restart is part of its time
        seconds, memory, _ = run([qkscope, "drift", *pair, "-o", os.path.join(work, "run.h5"), "--force", "-q"])
        times.append(seconds)
        peak = max(peak, memory)
    ours = min(times)
    _, _, out = run(["/usr/bin/python3", os.path.join(here, "peer_drift.py"), work], env)
    peer = json.loads(out)

    heads = peer["heads"]
    # two stacked Grams a head (raw, and with norms folded in): (2K)² D multiply-adds each, half of them by symmetry
    flops = heads * 2 * (2 * K) * (2 * K + 1) * HIDDEN
    floor = max(n_bytes / bandwidth, flops / gemm)
    print(f"machine           {os.cpu_count()} cores, OpenBLAS core {core}")
    print(f"ceilings          memory read {bandwidth / 1e9:.1f} GB/s, dgemm {gemm / 1e9:.1f} GF/s (all cores)")
    print(f"input             {args.layers} layers of HypeNet-9B's shape, {heads} heads, {n_bytes / 1e9:.2f} GB (both sides)")
    print(f"qkscope drift     {ours:.2f} s (best of {len(times)}: {', '.join(f'{t:.2f}' for t in times)}), "
          f"{ours / heads * 1e3:.2f} ms a head, {n_bytes / ours / 1e9:.2f} GB/s, peak memory {peak / 1e6:.0f} MB")
    print(f"floor             {floor:.2f} s (bytes {n_bytes / bandwidth:.2f} s, flops {flops / gemm:.2f} s): "
          f"qkscope takes {ours / floor:.2f} times the floor")
    print(f"numpy/scipy       {peer['seconds']:.2f} s, {peer['seconds'] / heads * 1e3:.1f} ms a head: "
          + ", ".join(f"{part} {t:.1f}" for part, t in sorted(peer["parts"].items(), key=lambda x: -x[1])))
    print(f"ratio             {peer['seconds'] / ours:.1f} times faster than numpy/scipy")


def probe_memory(qkscope, model, n, work):
    """Peak resident bytes and seconds of a probe of n tokens."""
    tokens = os.path.join(work, "tokens.jsonl")
    with open(tokens, "w") as file:
        json.dump({"ids": [(i * 2654435761 >> 7) % 1024 for i in range(n)]}, file)
    seconds, peak, _ = run([qkscope, "probe", "m=" + model, "--tokens", tokens, "-o", os.path.join(work, "probe.h5"),
                            "--force", "-q"])
    return peak, seconds


def report_forward(_args, bench, qkscope, here, work):
    env = dict(blas_environment(qkscope), OPENBLAS_NUM_THREADS="1")
    threads = dict(OPENBLAS_NUM_THREADS=str(os.cpu_count()), OMP_NUM_THREADS=str(os.cpu_count()))
    peer_env, as_installed = dict(env, **threads), dict(os.environ, **threads)
    root = os.path.dirname(os.path.dirname(here))
    small = os.path.join(root, "examples", "amnesia", "base")
    model = os.path.join(work, "two", "base")
    os.mkdir(os.path.dirname(model))
    subprocess.run([os.path.join(bench, "make_pair"), os.path.dirname(model), "3", "2b"], check=True)

    def cost(*words):
        _, _, out = run([os.path.join(bench, "forward_cost"), *map(str, words)], env)
        return {key: float(value) for key, value in (pair.split("=") for pair in out.split())}

    def rate(at):
        return f"{at['flops'] / at['seconds'] / 1e9:.0f} GF/s ({at['flops'] / at['cpu'] / 1e9:.0f} a core's second)"

    sgemm = cost("sgemm")
    print(f"machine           {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    print(f"ceiling           sgemm {rate(sgemm)}")
    for n in (1024, 4096):
        peer = json.loads(run(["/usr/bin/python3", os.path.join(here, "peer_forward.py"), model, str(n), "16"],
                              peer_env)[2])
        ours = cost("prefill", model, 1, n, 16)
        if peer["threads"] != os.cpu_count() or not abs(ours["sum"] / peer["sum"] - 1) < 1e-4:
            sys.exit(f"bench: PyTorch on {peer['threads']} threads gives {peer['sum']}, qkscope {ours['sum']}")
        plain = json.loads(run(["/usr/bin/python3", os.path.join(here, "peer_forward.py"), model, str(n), "16"],
                               as_installed)[2])
        print(f"prefill {n:5d}     {n / ours['seconds']:.0f} tokens/s, PyTorch {n / peer['seconds']:.0f}: "
              f"{peer['seconds'] / ours['seconds']:.2f} times as fast ({peer['cpu'] / ours['cpu']:.2f} by CPU time)")
        print(f"                  PyTorch with the BLAS kernels it chooses by itself: {n / plain['seconds']:.0f} tokens/s, "
              f"qkscope is {plain['seconds'] / ours['seconds']:.2f} times as fast")
        projections = cost("project", model, n)
        share = projections["flops"] / projections["seconds"] / (sgemm["flops"] / sgemm["seconds"])
        share_cpu = projections["flops"] / projections["cpu"] / (sgemm["flops"] / sgemm["cpu"])
        print(f"  projections     {rate(projections)}: {100 * share:.0f} % of sgemm's ({100 * share_cpu:.0f} %)")
    for heads, d, n in ((16, 128, 4096), (16, 128, 1024), (8, 64, 4096), (8, 64, 1024), (6, 32, 4096), (6, 32, 1024),
                        (1, 128, 32768)):
        at = cost("attention", heads, d, n)
        print(f"attention         {heads} x {d}, {n} tokens: {1e3 * at['bare']:.1f} ms; with histogram "
              f"{100 * (at['histogram_cpu'] / at['bare_cpu'] - 1):+.0f} % of CPU time, "
              f"{at['histogram_cpu'] / at['products_cpu']:.2f} times its two matrix products")
    for n_sequences, n in ((1, 2048), (8, 512), (1, 8192)):
        at = cost("prefill", small, n_sequences, n, 40)
        print(f"bundled pair      prefill {n_sequences} x {n}: {at['tokens'] / at['seconds']:.0f} tokens/s "
              f"({at['tokens'] / at['cpu']:.0f} a core's second)")
    at = cost("decode", small, 512, 100)
    print(f"                  decoding {at['tokens'] / at['seconds']:.0f} tokens/s")
    for name, path, n in (("bundled pair", small, 32768), ("HypeNet-2B's", model, 8192)):
        peak, seconds = probe_memory(qkscope, path, n, work)
        print(f"probe memory      {name} shape, {n} tokens: {peak / 1e6:.0f} MB peak, {seconds:.1f} s")


def report_restore(_args, bench, qkscope, _here, work):
    for n_layers in ("2", "12"):  # 0.9 GB, which the page cache takes at once, and 5.3 GB, which it does not
        subprocess.run([os.path.join(bench, "make_pair"), work, n_layers, "9b"], check=True)
        bench_restore.report(qkscope, os.path.join(work, "base"), os.path.join(work, "tuned"), work)


def report_recall(args, _bench, _qkscope, _here, work):
    bench_recall.report(args.build, work)


PARTS = {"drift": report_drift, "forward": report_forward, "restore": report_restore, "recall": report_recall}

if __name__ == "__main__":
    main()
