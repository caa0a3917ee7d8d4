"""`make bench`: what qkscope costs, as ratios against numpy/scipy and against this machine's ceilings, in one run.

usage: bench.py BUILD_DIR [--layers N] [--dir DIR]

Makes a synthetic pair with HypeNet-9B's layer shapes, measures memory bandwidth and matrix-product rate, then times
`qkscope drift` and the numpy/scipy peer (peer_drift.py) on the same files, warm in the page cache, on all cores.
Both use the same OpenBLAS kernels (OPENBLAS_CORETYPE as qkscope would choose it). Needs about 0.9 GB of disk a layer.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

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
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dir")
    args = parser.parse_args()
    bench = os.path.join(args.build, "tests", "bench")
    qkscope = os.path.join(args.build, "src", "cli", "qkscope")
    here = os.path.dirname(os.path.abspath(__file__))
    work = tempfile.mkdtemp(prefix="qkscope-bench-", dir=args.dir)
    try:
        report(args, bench, qkscope, here, work)
    finally:
        shutil.rmtree(work)


def report(args, bench, qkscope, here, work):
    env = blas_environment(qkscope)
    subprocess.run([os.path.join(bench, "make_pair"), work, str(args.layers)], check=True)
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


main()
