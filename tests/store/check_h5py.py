"""Checks a run file with h5py, and the exports against it with csv and json: names, types, scales, order, values.

Usage: check_h5py.py STORE_SAMPLES. Exit status 77 (skipped) when h5py is not installed.
"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

STATES = ["defined", "undefined", "not_converged", "not_applicable", "not_computed"]


def check_strings(obj):
    for name in obj.attrs:
        kind = obj.attrs.get_id(name).dtype
        if name in ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"):
            continue
        text = h5py.check_string_dtype(kind)
        assert kind in (np.dtype("<i8"), np.dtype("<f8")) or (text.encoding == "utf-8" and text.length is None), name


def check_dataset(f, name, data):
    for attribute in ("title", "units", "long_name", "definition"):
        assert isinstance(data.attrs[attribute], str), (name, attribute)
    text = h5py.check_string_dtype(data.dtype)
    assert data.dtype in (np.dtype("<f8"), np.dtype("<i8"), np.dtype("u1")) or text.encoding == "utf-8", name
    assert data.chunks is None
    for dim, size in zip(data.dims, data.shape):
        if h5py.h5ds.is_scale(data.id):
            continue
        assert len(dim) == 1, name
        assert dim[0].shape == (size,)
        assert dim[0].name.startswith("/model/"), dim[0].name
        assert data.parent.get(dim[0].name.split("/")[-1]) == dim[0], "no link to the scale in the group"


def check_file(path):
    with h5py.File(path) as f:
        assert f.attrs["format"] == "qkscope-run" and f.attrs["format_version"] == 1
        assert list(f.attrs) == ["format", "format_version", "title", "history", "created", "nothing"]
        assert list(f.attrs["history"]) == ["qkscope drift base sft -o run.h5", ""]
        assert list(f["/"]) == ["model", "checkpoints", "drift"], "creation order"
        assert list(f["drift/sft"]) == ["layer", "head", "angle", "module", "q_rel_drift", "q_rel_drift_state",
                                        "q_principal_angles", "outer_rel_drift", "way", "note"]
        names = []
        f.visititems(lambda name, obj: names.append(name))
        assert len(names) == len(set(names)) == 17, names
        for name in names + ["/"]:
            obj = f[name]
            check_strings(obj)
            if isinstance(obj, h5py.Dataset):
                check_dataset(f, name, obj)
            else:
                flags = obj.id.get_create_plist().get_link_creation_order()
                assert flags == h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
            assert h5py.h5g.get_objinfo(obj.id).mtime == 0, "object times"
        back = [(f[reference].name, axis) for reference, axis in f["model/head"].attrs["REFERENCE_LIST"]]
        assert back == [(f"/drift/sft/{name}", 1)
                        for name in ("q_rel_drift", "q_rel_drift_state", "q_principal_angles")], back
        assert list(f["model/module"].asstr()) == ["q", "größe"]
        drift = f["drift/sft/q_rel_drift"][:]
        assert math.isclose(drift[0, 0], 1 / (3 + len("/drift/sft")), rel_tol=0)
        assert np.isnan(drift[5]).all() and np.isnan(drift[2, 1]) and np.isnan(drift).sum() == 4
        assert f["drift/sft/q_rel_drift_state"][5].tolist() == [4, 4, 4]
        assert f["drift/sft/note"].asstr()[()] == 'line one\nline two\t"quoted"'
        assert f["drift/sft/q_rel_drift"].attrs["definition"] == "‖Δ‖_F / ‖W0‖_F"


def expected_cells(path, missing):
    """What a complete export must hold: {(path, coordinates): (value, state)}, found by h5py alone."""
    cells = {}
    with h5py.File(path) as f:
        def visit(name, data):
            if not isinstance(data, h5py.Dataset) or h5py.h5ds.is_scale(data.id) or name.endswith("_state"):
                return
            values = data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]
            for index in np.ndindex(data.shape):
                value = values[index] if data.shape else values
                gone = isinstance(value, float) and math.isnan(value) or value == data.attrs.get("missing", "")
                if gone and not missing:
                    continue
                coordinates = []
                for dim, i in zip(data.dims, index):
                    scale = dim[0]
                    text = h5py.check_string_dtype(scale.dtype)
                    coordinates.append((scale.name.split("/")[-1], scale.asstr()[i] if text else int(scale[i])))
                state = f.get(name + "_state")
                state = STATES[state[index[:2]]] if state is not None else ""
                cells["/" + name, tuple(sorted(coordinates))] = (value, state)
        f.visititems(visit)
    return cells


def same(a, b):
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def check_rows(rows, cells):
    seen = set()
    for dataset, coordinates, value, state in rows:
        key = dataset, tuple(sorted(coordinates))
        assert key not in seen, f"{key} twice"
        seen.add(key)
        assert same(cells[key][0], value), (key, cells[key], value)
        assert cells[key][1] == state, (key, cells[key], state)
    assert seen == set(cells), set(cells) - seen


def coordinate(name, text):
    return (name, text if name == "module" else int(text))


def tsv_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, delimiter="\t", strict=True)
        fields = reader.fieldnames
        assert fields[:3] == ["dataset", "checkpoint", "metric"] and fields[-1] == "state", fields
        for row in reader:
            assert None not in row and None not in row.values(), row
            assert row["metric"] == row["dataset"].split("/")[-1]
            assert row["checkpoint"] == ("sft" if row["dataset"].startswith("/drift/sft/") else "")
            axes = [c for c in fields[3:] if c not in ("value", "text", "state") and row[c] != ""]
            if row["value"] == "":
                value = row["text"]
            else:
                value = float(row["value"]) if row["metric"] != "way" else int(row["value"])
                if row["metric"] == "way":
                    assert row["text"] == {0: "gram", 1: "householder", 255: ""}[value]
            yield row["dataset"], [coordinate(c, row[c]) for c in axes], value, row["state"]


def json_rows(path):
    with open(path, encoding="utf-8") as file:
        for row in json.load(file):
            dataset, metric, value = row.pop("dataset"), row.pop("metric"), row.pop("value")
            assert metric == dataset.split("/")[-1]
            assert row.pop("checkpoint", "") == ("sft" if dataset.startswith("/drift/sft/") else "")
            state = row.pop("state", "")
            text = row.pop("text", None)
            assert metric != "way" or text == {0: "gram", 1: "householder", 255: None}[value]
            yield dataset, list(row.items()), math.nan if value is None else value, state


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def main():
    with tempfile.TemporaryDirectory() as directory:
        def at(name):
            return os.path.join(directory, name)
        subprocess.run([sys.argv[1], "write", directory], check=True)
        check_file(at("run.h5"))
        for missing, name in ((False, "all"), (True, "missing")):
            cells = expected_cells(at("run.h5"), missing)
            check_rows(tsv_rows(at(name + ".tsv")), cells)
            check_rows(json_rows(at(name + ".json")), cells)
        rel = read_lines(at("rel.tsv"))
        assert rel[0] == "dataset\tcheckpoint\tmetric\tlayer\thead\tvalue\tstate", "state arrays come with their metric"
        assert len(rel) == 1 + 18
        assert rel[8] == "/drift/sft/q_rel_drift\tsft\tq_rel_drift\t2\t1\tnan\tundefined"
        state = read_lines(at("state.tsv"))
        assert state[0].split("\t")[-3:] == ["value", "text", "state"] and len(state) == 19
        assert state[18].split("\t")[-3:] == ["4", "not_computed", ""]
        listed = read_lines(at("list.tsv"))
        assert "/drift/sft/q_principal_angles\tfloat64\t6x3x2\tlayer,head,angle\trad\tPrincipal angles" in listed
        assert len(listed) == 1 + 6
        matrix = np.loadtxt(at("matrix.tsv"), delimiter="\t")
        with h5py.File(at("run.h5")) as f:
            assert np.array_equal(matrix, f["drift/sft/q_rel_drift"][:], equal_nan=True)


main()
