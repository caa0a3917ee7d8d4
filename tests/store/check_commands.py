"""Runs `qkscope export` and `qkscope merge` as a user would: what they print, what they leave, how they refuse.

Usage: check_commands.py STORE_SAMPLES QKSCOPE. Needs nothing but Python.
"""
import json
import os
import subprocess
import sys
import tempfile


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Runner:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory

    def run(self, *args, status=0):
        done = subprocess.run([self.program, *args], cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == status, (args, done)
        return done

    def prints(self, *args):
        done = self.run(*args)
        assert done.stderr == "", done.stderr
        return done.stdout

    def refuses(self, status, words, *args):
        done = self.run(*args, status=status)
        assert done.stdout == "", done.stdout
        assert done.stderr.startswith("qkscope: error: "), done.stderr
        for word in words:
            assert word in done.stderr, (word, done.stderr)


def check_export(cli, at):
    for name, args in {
        "all.tsv": [], "missing.tsv": ["--missing"], "all.json": ["--json"], "missing.json": ["--json", "--missing"],
        "rel.tsv": ["--dataset", "q_rel_*", "--missing"], "list.tsv": ["--list"],
        "matrix.tsv": ["--matrix", "/drift/sft/q_rel_drift"], "state.tsv": ["-d", "drift/*/q_rel_drift_state"],
    }.items():
        assert cli.prints("export", "run.h5", *args).encode() == contents(at(name)), name
    assert json.loads(cli.prints("export", "low.h5", "-d", "way", "--json"))[0] == {
        "dataset": "/drift/sft/way", "checkpoint": "sft", "metric": "way", "layer": 0, "value": 0, "text": "gram"}
    cli.refuses(2, ["run.h5: ", "no dataset matches 'q_rel_drif'", "q_rel_drift"], "export", "run.h5", "-d", "q_rel_drif")
    cli.refuses(2, ["--matrix"], "export", "run.h5", "--matrix", "way", "--json")
    cli.refuses(2, ["two axes"], "export", "run.h5", "--matrix", "way")
    cli.refuses(2, ["--list"], "export", "run.h5", "--list", "--json")
    cli.refuses(3, ["nothere.h5"], "export", "nothere.h5")
    cli.refuses(4, ["all.tsv", "not an HDF5 file"], "export", "all.tsv")
    cli.refuses(2, [], "export")


def check_merge(cli, at):
    cli.prints("merge", "low.h5", "high.h5", "-o", "joined.h5")
    assert contents(at("joined.h5")) == contents(at("whole.h5"))
    cli.refuses(2, ["joined.h5", "--force"], "merge", "high.h5", "low.h5", "-o", "joined.h5")
    cli.prints("merge", "high.h5", "low.h5", "-o", "joined.h5", "--force")
    assert contents(at("joined.h5")) == contents(at("whole.h5"))
    cli.refuses(4, ["/drift/sft", "3, 4, 5"], "merge", "low.h5", "-o", "x.h5")
    cli.refuses(4, ["whole.h5", "low.h5", "overlap"], "merge", "low.h5", "whole.h5", "-o", "x.h5")
    cli.refuses(4, ["other.h5", "low.h5", "config_hash"], "merge", "low.h5", "other.h5", "-o", "x.h5")
    cli.refuses(3, ["nothere.h5"], "merge", "low.h5", "nothere.h5", "-o", "x.h5")
    cli.refuses(2, ["-o"], "merge", "low.h5", "high.h5")
    cli.refuses(2, [], "merge", "-o", "x.h5")
    assert not [name for name in os.listdir(cli.directory) if name.startswith(("x.h5", ".x.h5"))]


def main():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.argv[1], "write", directory], check=True)
        cli = Runner(os.path.abspath(sys.argv[2]), directory)
        check_export(cli, lambda name: os.path.join(directory, name))
        check_merge(cli, lambda name: os.path.join(directory, name))


main()
