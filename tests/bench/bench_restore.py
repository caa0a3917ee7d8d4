"""The part "restore" of `make bench`: writing the repaired checkpoint against `cp -r` of the tuned one, same disk, same
run. restore syncs what it wrote before it gives it its name; cp does not, so cp is timed with and without a sync of the
copy's files.

usage: bench_restore.py QKSCOPE BASE TUNED WORK_DIR
"""
import os
import shutil
import subprocess
import sys
import time

N_ROUNDS = 3


def timed(argv):
    start = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def sync_files(folder):
    start = time.perf_counter()
    for path, _, files in os.walk(folder):
        for file in files:
            fd = os.open(os.path.join(path, file), os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
    return time.perf_counter() - start


def report(qkscope, base, tuned, work):
    out = os.path.join(work, "copy")
    n_bytes = sum(os.path.getsize(os.path.join(tuned, f)) for f in os.listdir(tuned))
    kinds = {"full": ["--layers", "full"], "all": ["--layers", "all"]}
    times = {"cp": [], "cp+sync": [], **{k: [] for k in kinds}}
    for _ in range(N_ROUNDS):
        os.sync()
        seconds = timed(["cp", "-r", tuned, out])
        times["cp"].append(seconds)
        times["cp+sync"].append(seconds + sync_files(out))
        shutil.rmtree(out)
        for kind, options in kinds.items():
            os.sync()
            times[kind].append(timed([qkscope, "restore", base, tuned, *options, "-o", out, "-q"]))
            shutil.rmtree(out)
    best = {k: min(v) for k, v in times.items()}
    for kind in kinds:
        print(f"restore {kind:<9} {best[kind]:.2f} s for {n_bytes / 1e9:.2f} GB "
              f"(best of {N_ROUNDS}: {', '.join(f'{t:.2f}' for t in times[kind])}); cp -r {best['cp']:.2f} s, synced "
              f"{best['cp+sync']:.2f} s: ratio {best[kind] / best['cp']:.2f}, "
              f"{best[kind] / best['cp+sync']:.2f} with the sync")
    return best


if __name__ == "__main__":
    report(*sys.argv[1:5])
