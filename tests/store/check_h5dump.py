"""Runs h5dump over a run file: it must find nothing wrong, show types and links, and print the stored numbers.

Usage: check_h5dump.py STORE_SAMPLES. Exit status 77 (skipped) when h5dump is not installed.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile


def h5dump(*args):
    done = subprocess.run(["h5dump", *args], check=True, capture_output=True, text=True)
    assert done.stderr == "", done.stderr
    return done.stdout


def main():
    if shutil.which("h5dump") is None:
        print("skipped: no h5dump")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.argv[1], "write", directory], check=True)
        path = os.path.join(directory, "run.h5")
        header = h5dump("-H", path)
        types = set(re.findall(r"DATATYPE +(\S+)", header))
        assert types == {"H5T_IEEE_F64LE", "H5T_STD_I64LE", "H5T_STD_U8LE", "H5T_STRING", "H5T_VLEN", "H5T_COMPOUND"}, types
        links = re.findall(r'SOFTLINK "(\w+)" \{\s*LINKTARGET "/model/(\w+)"', header)
        assert links == [(name, name) for name in ("angle", "head", "layer", "module")], links
        order = re.findall(r'GROUP "(\w+)"', h5dump("-H", "--sort_by=creation_order", path))
        assert order == ["model", "checkpoints", "base", "sft", "drift", "sft"], order
        values = h5dump("-y", "-w", "0", "-m", "%.17g", "-d", "/drift/sft/q_rel_drift", path)
        assert f"{1 / (3 + len('/drift/sft')):.17g}" in values


main()
