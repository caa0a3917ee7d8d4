"""Small run files of the bundled pair, and what qkscope does not write today put into copies of them."""
import os
import shutil
import subprocess

import h5py
import numpy as np

HOSTILE = '<img src=x onerror="window.bad=1">&\'{{title}}'
VERDICT = "Recall fell from 100 % to 40 %.\nWhere: layer 5 <b>head</b> 3.\nCertainty: 8 cases & no more."


class Runs:
    def __init__(self, qkscope, source, work):
        self.qkscope, self.work = qkscope, work
        self.pair = os.path.join(source, "examples", "amnesia")
        self.names = [f"base={self.pair}/base", f"sft={self.pair}/sft"]

    def path(self, name):
        return os.path.join(self.work, name)

    def call(self, *words, status=0):
        done = subprocess.run([self.qkscope, *words], cwd=self.work, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{words}: status {done.returncode}: {done.stderr}"
        return done

    def report(self, run, page, *words):
        self.call("report", run, "-o", page, "--force", *words)
        return self.path(page)

    def make(self):
        template = ["--template", f"{self.pair}/niah.json"]
        self.call("drift", *self.names, "-o", "drift.h5", "-q")
        self.call("probe", *self.names, "--niah", *template, "--tasks", "s2", "--lengths", "256", "--depths", "3",
                  "-o", "probe.h5", "-q")
        self.call("niah", *self.names, *template, "--tasks", "s1,s3", "--lengths", "128,256", "--depths", "3",
                  "--samples", "1", "-o", "niah.h5", "-q")
        with open(f"{self.pair}/reasoning.jsonl", encoding="utf-8") as problems, \
                open(self.path("problems.jsonl"), "w", encoding="utf-8") as few:
            few.writelines(line for line, _ in zip(problems, range(4)))
        self.call("eval", *self.names, "--data", "problems.jsonl", "-o", "eval.h5", "-q")
        self.call("merge", "drift.h5", "probe.h5", "niah.h5", "eval.h5", "-o", "all.h5")
        self.call("recommend", "all.h5", "--units", "all", "--store", "run.h5", "-q")

    def hostile(self):
        """A checkpoint whose name, path and verdict are markup."""
        shutil.copy(self.path("run.h5"), self.path("hostile.h5"))
        with h5py.File(self.path("hostile.h5"), "r+") as f:
            for group in ("checkpoints", "drift", "probe", "routing", "niah", "eval"):
                f.move(f"{group}/sft", f"{group}/{HOSTILE}")
            entry = f[f"checkpoints/{HOSTILE}"]
            entry.attrs.modify("path", "</script><script>window.bad=2</script><!--")
            f["recommend"].attrs.modify("checkpoint", HOSTILE)
        return "hostile.h5"

    def measured(self):
        """A verdict, and variants that were measured."""
        shutil.copy(self.path("run.h5"), self.path("measured.h5"))
        text = h5py.string_dtype("utf-8")
        with h5py.File(self.path("measured.h5"), "r+") as f:
            described(f.create_dataset("verdict", data=VERDICT, dtype=text), "Verdict")
            group = f.create_group("recommend/measured", track_order=True)
            group.attrs.create("verdict", "Restoring Q and K brings back most of it.", dtype=text)
            labels = ["base", "tuned", "L5 restore", "L5 restore"]
            axis = group.create_dataset("variant", data=labels, dtype=text)
            described(axis, "Variant")
            axis.make_scale("variant")
            columns = {"recall": [1, 0.4, 0.8, 0.75], "recall_lo": [0.9, 0.3, 0.7, 0.6], "recall_hi": [1, 0.5, 0.9, 0.85],
                       "reasoning": [0.2, 0.97, 0.95, 0.94], "reasoning_lo": [0.1, 0.9, 0.9, 0.88],
                       "reasoning_hi": [0.3, 1, 0.99, 0.98]}
            for name, values in columns.items():
                column(group, axis, name, np.array(values, "<f8"))
            column(group, axis, "chosen", np.array([0, 0, 1, 1], "u1"))
            column(group, axis, "stage", np.array([0, 0, 1, 2], "u1"))
        return "measured.h5"


def described(dataset, title):
    for name in ("title", "units", "long_name", "definition"):
        dataset.attrs.create(name, "1" if name == "units" else title, dtype=h5py.string_dtype("utf-8"))


def column(group, axis, name, values):
    dataset = group.create_dataset(name, data=values)
    described(dataset, name)
    dataset.dims[0].attach_scale(axis)
