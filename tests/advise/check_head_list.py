"""recommend --heads on the bundled pair: lists that export writes of a probe run decide as their numbers say.

Usage: check_head_list.py QKSCOPE SOURCE_ROOT
"""
import json
import math
import os
import subprocess
import sys
import tempfile

import h5py


def main():
    qkscope, root = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    pair = f"{root}/examples/amnesia"
    with tempfile.TemporaryDirectory() as work:
        def call(*args, status=0):
            done = subprocess.run([qkscope, *args], cwd=work, capture_output=True, text=True)
            assert done.returncode == status, (args, done)
            return done.stdout if status == 0 else done.stderr

        call("drift", f"{pair}/base", f"{pair}/sft", "-q", "-o", "drift.h5")
        call("probe", f"{pair}/base", f"{pair}/sft", "--niah", "--template", f"{pair}/niah.json", "--tasks", "s2",
             "--lengths", "512", "--depths", "3", "--queries", "last:16", "-q", "-o", "probe.h5")
        f = h5py.File(f"{work}/probe.h5")
        n_heads, n_kv_heads = f["model/n_heads"][:], f["model/n_kv_heads"][:]
        kinds = f["model/layer_kind"].asstr()[:]
        for form, metric in (("retrieval-head", "retrieval_score"), ("duo-attention", "retrieval_mass")):
            scores = f[f"probe/base/{metric}"][:]
            with open(f"{work}/heads", "w") as file:
                file.write(call("export", "probe.h5", "--heads", form, "-d", f"/probe/base/{metric}"))
            answer = json.loads(call("recommend", "drift.h5", "--heads", "heads", "--json", "-o", "plan.json", "--force"))
            assert answer["scored_by"] == "list of heads and drift"
            units = {unit["layer"]: unit for unit in answer["plan"]["units"]}
            assert sorted(units) == [i for i, kind in enumerate(kinds) if kind == "full"]
            for layer, unit in units.items():
                row, evidence = scores[layer, :n_heads[layer]], unit["evidence"]
                if form == "duo-attention":
                    group = n_heads[layer] // n_kv_heads[layer]
                    row = row.reshape(-1, group).max(axis=1).clip(0, 1).repeat(group)
                assert math.isclose(evidence["listed_score"], row[evidence["head"]], abs_tol=1e-15), (layer, evidence)
                assert math.isclose(unit["score"], math.sqrt(evidence["listed_score"] * evidence["drift"]), rel_tol=1e-14)
                assert unit["action"] == ("restore" if row.max() >= 0.1 else "keep"), (layer, row, unit)
            assert {unit["action"] for unit in units.values()} == {"restore", "keep"}
            assert " --heads heads" in json.load(open(f"{work}/plan.json"))["provenance"]["command"]
        assert "for runs without probes" in call("recommend", "probe.h5", "--heads", "heads", status=2)
        assert "takes no --heads" in call("recommend", "--measure", "--base", f"{pair}/base", "--tuned", f"{pair}/sft",
                                          "--heads", "heads", status=2)


main()
