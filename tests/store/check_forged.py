"""Makes files that qkscope never writes, and asks for the one line that says what is wrong with each.

Usage: check_forged.py STORE_SAMPLES SANITIZERS (the build's b_sanitize; "none" lets memory be limited). Exit status 77 (skipped) when h5py is not installed.
"""
import os
import resource
import shutil
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

FORMAT, UNSUPPORTED = "4", "5"  # enum qk_code


def run(f):
    f.attrs["format"] = "qkscope-run"
    f.attrs["format_version"] = np.int64(1)


def scale(f, path, n=3):
    f[path] = np.arange(n)
    f[path].make_scale(path.split("/")[-1])
    return f[path]


def no_format(f):
    f["x"] = 1.0


def other_format(f):
    run(f)
    f.attrs["format"] = "netcdf"


def format_is_a_number(f):
    run(f)
    f.attrs["format"] = np.int64(3)


def later_version(f):
    run(f)
    f.attrs["format_version"] = np.int64(2)


def huge(f):
    run(f)
    f.create_dataset("big", (10**6, 10**6), "f8")


def huge_scale(f):
    run(f)
    f.create_dataset("big", (10**12,), "i8")
    f["big"].make_scale("big")


def overflowing(f):
    run(f)
    f.create_dataset("big", (2**31, 2**31, 2**31), "u1", chunks=(1, 1, 2**20))


def chunked(f):
    run(f)
    f.create_dataset("z", data=np.zeros(100), chunks=(10,), compression="gzip")


def external(f):
    run(f)
    f.create_dataset("e", (4,), "f8", external=[("/dev/zero", 0, 32)])


def no_scale(f):
    run(f)
    f["bare"] = np.zeros(3)


def scale_of_other_length(f):
    run(f)
    f["x"] = np.zeros(4)
    f["x"].dims[0].attach_scale(scale(f, "/s", 3))


def scale_of_rank_two(f):
    run(f)
    f["s"] = np.zeros((2, 2))
    f["s"].make_scale("s")


def five_axes(f):
    run(f)
    f["x"] = np.zeros((1, 1, 1, 1, 1))


def compound(f):
    run(f)
    f["x"] = np.zeros((), [("a", "f8"), ("b", "i4")])


def short_integers(f):
    run(f)
    f["x"] = np.int16(3)


def fixed_strings(f):
    run(f)
    f["x"] = np.bytes_("abc")


def attribute_type(f):
    run(f)
    f.attrs["flag"] = np.float32(1)


def attribute_rank(f):
    run(f)
    f.attrs["matrix"] = np.zeros((2, 2), "i8")


def attribute_null(f):
    run(f)
    f.attrs["none"] = h5py.Empty("i8")


def deep(f):
    run(f)
    f.create_group("/".join("g" * 40))


def circle(f):
    run(f)
    f.create_group("a/b")
    f["a/b/a"] = f["a"]


def named_type(f):
    run(f)
    f["t"] = np.dtype("f8")


def control_characters(f):
    run(f)
    f.create_group("a\x1b[31m")


def outside(f):
    run(f)
    f["link"] = h5py.ExternalLink("/etc/passwd", "/x")
    f["soft"] = h5py.SoftLink("/nowhere")


def own_addition(f):
    run(f)
    f.attrs["comment"] = "added by hand"
    f["x"] = np.zeros(3)
    f["x"].dims[0].attach_scale(scale(f, "/s", 3))


# maker, expected code, words of the message
FORGED = [
    (no_format, FORMAT, "not a qkscope run: no attribute 'format'"),
    (other_format, FORMAT, "expected qkscope-run, found netcdf"),
    (format_is_a_number, FORMAT, "found no text"),
    (later_version, UNSUPPORTED, "expected 1, found 2"),
    (huge, FORMAT, "/big: claims more values than the file can hold"),
    (huge_scale, FORMAT, "/big: claims more values than the file can hold"),
    (overflowing, UNSUPPORTED, "/big: chunked"),
    (chunked, UNSUPPORTED, "/z: chunked, compressed or external"),
    (external, UNSUPPORTED, "/e: chunked, compressed or external"),
    (no_scale, FORMAT, "/bare: axis 0 has no dimension scale"),
    (scale_of_other_length, FORMAT, "/x: axis 0 has no dimension scale of its length"),
    (scale_of_rank_two, FORMAT, "/s: a dimension scale of rank 2 (expected 1)"),
    (five_axes, FORMAT, "/x: a type or rank that is never written"),
    (compound, FORMAT, "/x: a type or rank that is never written"),
    (short_integers, FORMAT, "/x: a type or rank that is never written"),
    (fixed_strings, FORMAT, "/x: a type or rank that is never written"),
    (attribute_type, FORMAT, "attribute 'flag' has a type or shape"),
    (attribute_rank, FORMAT, "attribute 'matrix' has a type or shape"),
    (attribute_null, FORMAT, "attribute 'none' has a type or shape"),
    (deep, FORMAT, "groups too deep"),
    (circle, FORMAT, "groups too deep"),
    (named_type, FORMAT, "/t: neither group nor dataset"),
    (control_characters, FORMAT, "unfit name"),
    (outside, "0", "1 nodes"),
    (own_addition, "0", "3 nodes"),
]


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))


def read(samples, path):
    limit = limit_memory if sys.argv[2] == "none" else None
    done = subprocess.run([samples, "read", path], capture_output=True, text=True, preexec_fn=limit, timeout=60)
    assert done.stderr == "" and done.returncode in (0, 1), (path, done)
    code, text, hint = done.stdout.rstrip("\n").split("\t")
    return code, text, hint


def check_edited(samples, directory):
    """A file that someone changed with h5py has lost its seal and can still be read; one that was only copied has it."""
    subprocess.run([samples, "write", directory], check=True)
    path, edited = os.path.join(directory, "run.h5"), os.path.join(directory, "edited.h5")
    shutil.copyfile(path, edited)
    with h5py.File(edited, "r+") as f:
        f["drift/sft/q_rel_drift"][0, 0] = 7
        f.attrs["comment"] = "looked at"
        f["drift/sft/own"] = np.zeros(6)
        f["drift/sft/own"].dims[0].attach_scale(f["model/layer"])
        f["drift/sft/q_rel_drift"].dims[0].detach_scale(f["model/layer"])
        f["drift/sft/q_rel_drift"].dims[0].attach_scale(f["model/layer"])
    for name in (path, edited):
        code, text, _ = read(samples, name)
        assert code == "0", text
    with open(path, "rb") as a, open(edited, "rb") as b:
        assert b"\nqkscope-run sha256 " in b"\n" + a.read()[-84:] and b"sha256" not in b.read()[-84:]


def main():
    samples = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        for maker, code, words in FORGED:
            path = os.path.join(directory, maker.__name__ + ".h5")
            with h5py.File(path, "w") as f:
                maker(f)
            found, text, hint = read(samples, path)
            assert found == code and words in text, (maker.__name__, found, text)
            assert code == "0" or text.startswith(path + ": "), text
            assert maker is not chunked or "h5repack" in hint
        check_edited(samples, directory)


main()
