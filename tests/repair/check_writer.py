"""What `qkscope restore` promises about files: killed at random moments the target is absent or complete and inputs are
unchanged; a full disk gives a clear error and leaves nothing; what a killed run left does not stay; links, folders and
modes of the copy. usage: check_writer.py QKSCOPE kill|files
"""
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

QKSCOPE = os.path.abspath(sys.argv[1])
PAIR = os.path.join(os.environ["QK_SOURCE_ROOT"], "examples", "amnesia")
N_KILLS, N_INTERRUPTS = 200, 20


def contents(folder):
    """Every file by its place."""
    out = {}
    for path, _, files in os.walk(folder):
        for file in files:
            full = os.path.join(path, file)
            out[os.path.relpath(full, folder)] = open(full, "rb").read()
    return out


def command(base, tuned, out, *options):
    return [QKSCOPE, "restore", base, tuned, "--layers", "full", "-o", out, "-q", *options]


def run(*args, **kw):
    return subprocess.run(command(*args), capture_output=True, text=True, **kw)


def leftovers(folder):
    return [n for n in os.listdir(folder) if ".qkscope-" in n]


def make_pair(work, extra):
    base, tuned = os.path.join(work, "base"), os.path.join(work, "tuned")
    shutil.copytree(os.path.join(PAIR, "base"), base)
    shutil.copytree(os.path.join(PAIR, "sft"), tuned)
    with open(os.path.join(tuned, "extra.bin"), "wb") as f:
        f.write(os.urandom(extra))
    return base, tuned


# ---- killed at any moment -----------------------------------------------------------------------------------------
def stop_after(seconds, sig, argv):
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    child.send_signal(sig)
    return child.wait()


def check_kills(work):
    base, tuned = make_pair(work, 8 << 20)
    inputs = contents(base), contents(tuned)
    where = os.path.join(work, "there")
    os.mkdir(where)
    out = os.path.join(where, "out")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert run(base, tuned, out, "--force").returncode == 0
        times.append(time.perf_counter() - start)
    whole = sorted(times)[2]
    shutil.rmtree(out)
    assert run(base, tuned, out).returncode == 0
    complete = contents(out)
    shutil.rmtree(out)
    rng = random.Random(3)
    halfway = finished = absent = replaced = 0
    for i in range(N_KILLS):
        over = i % 2 == 1  # over an older output
        if over and not os.path.exists(out):
            shutil.copytree(os.path.join(PAIR, "sft"), out)
        if not over and os.path.exists(out):
            shutil.rmtree(out)
        older = contents(out) if over else None
        stop_after(rng.uniform(0, whole * 1.5), signal.SIGKILL, command(base, tuned, out, *(["--force"] if over else [])))
        halfway += bool(leftovers(where))
        if over:
            now = contents(out)
            assert now in (older, complete) or {k: v for k, v in now.items() if k != "qkscope.json"} == {
                k: v for k, v in complete.items() if k != "qkscope.json"}, f"kill {i}: neither the old one nor the new"
            replaced += now != older
        elif os.path.exists(out):
            assert contents(out) == complete, f"kill {i}: incomplete"
            finished += 1
        else:
            absent += 1
        assert len(leftovers(where)) <= 1, f"kill {i}: {leftovers(where)}"
    assert (contents(base), contents(tuned)) == inputs, "an input changed"
    assert halfway >= N_KILLS // 10, f"only {halfway} of {N_KILLS} kills came during a write"
    assert run(base, tuned, out, "--force").returncode == 0
    assert not leftovers(where), "the next run leaves what a killed one left"
    shutil.rmtree(out)
    stopped = 0
    for i in range(N_INTERRUPTS):
        status = stop_after(rng.uniform(0.3 * whole, whole), signal.SIGINT, command(base, tuned, out))
        assert status in (0, 130, -signal.SIGINT), f"interrupt {i}: exit status {status}"
        assert not leftovers(where), f"interrupt {i}: {leftovers(where)}"
        stopped += status == 130
        assert os.path.exists(out) == (status == 0), f"interrupt {i}"
        shutil.rmtree(out, ignore_errors=True)
    assert stopped > 0, "no interrupt came in time"
    print(f"{N_KILLS} kills ({halfway} during the write): {absent} times absent, {finished} complete, {replaced} "
          f"replaced; {stopped} of {N_INTERRUPTS} interrupts in time")


# ---- files --------------------------------------------------------------------------------------------------------
def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def check_full_disk(work, base, tuned):
    out = os.path.join(work, "full", "out")
    os.mkdir(os.path.dirname(out))
    ran = run(base, tuned, out, preexec_fn=limit_files)
    assert ran.returncode == 3 and ran.stderr.startswith("qkscope: error: ") and "File too large" in ran.stderr, ran
    assert os.listdir(os.path.dirname(out)) == [], "a failed write leaves something"
    free = os.statvfs(work)
    with open(os.path.join(tuned, "large.bin"), "wb") as f:
        f.truncate(free.f_bavail * free.f_frsize + (1 << 30))
    ran = run(base, tuned, out)
    assert ran.returncode == 3 and "not enough free space (expected " in ran.stderr, ran
    assert os.listdir(os.path.dirname(out)) == []
    os.unlink(os.path.join(tuned, "large.bin"))


def check_unreadable(work, base, tuned):
    """A file that cannot be copied is named, and nothing stays."""
    out = os.path.join(work, "unreadable", "out")
    os.mkdir(os.path.dirname(out))
    for make in (os.mkfifo, lambda p: os.symlink("nowhere", p), lambda p: os.symlink("..", p)):
        path = os.path.join(tuned, "odd")
        make(path)
        ran = run(base, tuned, out)
        assert ran.returncode == 3 and "odd" in ran.stderr, ran
        assert os.listdir(os.path.dirname(out)) == []
        os.unlink(path)


def check_copy(work, base, tuned):
    """A cache directory: links to shards elsewhere, folders, hidden files and folders, read-only files."""
    blobs, snapshot = os.path.join(work, "blobs"), os.path.join(work, "snapshot")
    os.mkdir(blobs)
    os.mkdir(snapshot)
    for i, name in enumerate(sorted(os.listdir(tuned))):
        shutil.copy(os.path.join(tuned, name), os.path.join(blobs, str(i)))
        os.chmod(os.path.join(blobs, str(i)), 0o444)
        os.symlink(os.path.join("..", "blobs", str(i)), os.path.join(snapshot, name))
    os.makedirs(os.path.join(snapshot, "original", "deep"))
    os.mkdir(os.path.join(snapshot, ".git"))
    for name in ("original/params.json", "original/deep/x", ".gitattributes", ".git/config"):
        open(os.path.join(snapshot, name), "w").write(name)
    os.symlink("original", os.path.join(snapshot, "linked"))
    shutil.copy(os.path.join(tuned, "model.safetensors"), os.path.join(snapshot, "original"))
    before, held = contents(snapshot), contents(blobs)
    out = os.path.join(work, "new", "parent", "out")
    ran = run(base, snapshot, out + "/")
    assert ran.returncode == 0, ran.stderr
    after = contents(out)
    changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    assert changed == {"model.safetensors", "qkscope.json", ".git/config", "linked/params.json", "linked/deep/x",
                       "linked/model.safetensors"}, changed
    assert after["linked/deep/x"] == before["original/deep/x"]
    assert not any(os.path.islink(os.path.join(p, f)) for p, d, fs in os.walk(out) for f in fs + d)
    assert os.access(os.path.join(out, "model.safetensors"), os.W_OK)
    assert (contents(snapshot), contents(blobs)) == (before, held)
    assert run(base, snapshot, os.path.join(work, "blobs"), "--force").returncode == 2, "a place that holds inputs"
    again = os.path.join(work, "again")
    assert run(base, snapshot, again).returncode == 0
    same = contents(again)
    del after["qkscope.json"], same["qkscope.json"]  # they name the output
    assert after == same, "equal inputs, other bytes"


def check_targets(work, base, tuned):
    def refused(out, *options):
        ran = run(base, tuned, out, *options)
        assert ran.returncode == 2, (out, ran)
        assert ran.stderr.count("qkscope: error: ") == 1, ran

    others = os.path.join(work, "others")
    os.mkdir(others)
    open(os.path.join(others, "thesis.tex"), "w").close()
    inputs = contents(base), contents(tuned)
    link = os.path.join(work, "link")
    os.symlink(base, link)
    for out in (base, tuned, base + "/new", tuned + "/a/b/c", link, link + "/new", work, "/", "", ".", others):
        refused(out)
        refused(out, "--force")
    assert (contents(base), contents(tuned)) == inputs and os.path.exists(os.path.join(others, "thesis.tex"))
    assert not os.path.exists(tuned + "/a")
    empty = os.path.join(work, "empty")
    os.mkdir(empty)
    refused(empty)
    assert run(base, tuned, empty, "--force").returncode == 0
    older = contents(empty)
    open(os.path.join(empty, "older"), "w").close()
    assert run(base, tuned, empty, "--force").returncode == 0
    assert contents(empty) == older, "the older output is replaced as a whole"
    abandoned = os.path.join(work, ".empty.qkscope-abcdef.part")
    os.mkdir(abandoned)
    open(os.path.join(abandoned, "half"), "w").close()
    kept = os.path.join(work, ".empty.qkscope-abc.part")  # not a name that a writer makes
    os.mkdir(kept)
    assert run(base, tuned, empty, "--force").returncode == 0
    assert not os.path.exists(abandoned) and os.path.exists(kept)


def main():
    # in memory where there is room: hundreds of runs would mostly wait for a disk to sync
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 256 << 20
    work = tempfile.mkdtemp(prefix="qk-writer-", dir=memory if roomy and sys.argv[2] == "kill" else None)
    try:
        if sys.argv[2] == "kill":
            check_kills(work)
        else:
            base, tuned = make_pair(work, 100)
            for check in (check_full_disk, check_unreadable, check_copy, check_targets):
                check(work, base, tuned)
            print("full disk, odd files, copies and targets: as promised")
    finally:
        shutil.rmtree(work)


main()
