"""What is wrong with a notebook is found: each of these is wrong in one way, and one is right.

can_fail.py QKSCOPE
"""
import pathlib
import sys
import tempfile

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

import run

PICTURE = """
import matplotlib.pyplot as plt
%matplotlib inline
%config InlineBackend.print_figure_kwargs = {'bbox_inches': None}
figure = plt.figure(figsize=(2, 2))
DRAW
plt.show()
"""
EMPTY = [new_output("display_data", {"image/png": ""})]


def printed(text):
    return [new_output("stream", name="stdout", text=text)]


# name: cell, its stored outputs, what the check says (empty: nothing)
BOOKS = {
    "right": ("print('0.1 + 0.2 =', 0.1 + 0.2)", printed("0.1 + 0.2 = 0.3\n"), ""),
    "drawn": (PICTURE.replace("DRAW", "plt.plot([0, 1], 'k', linewidth=5)"), EMPTY, ""),
    "fails": ("print(1)\n1 / 0", printed("1\n"), "ZeroDivisionError"),
    "warns": ("import warnings\nwarnings.warn('careful')", printed(""), "complains"),
    "number": ("print('mean 0.31')", printed("mean 0.32\n"), "prints something else"),
    "word": ("print('layer five')", printed("layer six\n"), "prints something else"),
    "silent": ("x = 1", printed("1\n"), "gives"),
    "blank": (PICTURE.replace("DRAW", "plt.axes().axis('off')"), EMPTY, "draws nothing"),
    "where": ("import os\nprint(os.getcwd())", printed("here\n"), "shows a path"),
}


def write(root, name, cell, outputs, inputs):
    book = new_notebook(cells=[new_code_cell(cell, outputs=outputs)])
    book.metadata["qkscope"] = {"inputs": inputs}
    (root / "notebooks" / f"{name}.ipynb").write_text(nbformat.writes(book), encoding="utf-8")


def said(root, qkscope):
    """The complaints of a check, by notebook."""
    complaints = {}
    run.fail = lambda name, what: (complaints.setdefault(name.removesuffix(".ipynb"), []).append(what), run.failures.append(name))
    run.failures.clear()
    run.main("check", root, qkscope)
    return complaints


def main(qkscope):
    wrong = []
    with tempfile.TemporaryDirectory(prefix="qk-nb-") as where:
        root = pathlib.Path(where)
        (root / "notebooks").mkdir()
        (root / "results/demo").mkdir(parents=True)
        inputs = {}
        for name in run.INPUTS:
            (root / name).write_bytes(name.encode())
            inputs[name] = run.sha256(name.encode())
        for name, (cell, outputs, _) in BOOKS.items():
            write(root, name, cell, outputs, inputs)
        complaints = said(root, qkscope)
        for name, (_, _, expected) in BOOKS.items():
            found = " ".join(complaints.get(name, []))
            if (expected not in found) if expected else found:
                wrong.append(f"{name}: expected '{expected}', found '{found}'")
        # one whose outputs were made from other files than its neighbours', and one never executed
        for name, other in (("right", dict.fromkeys(run.INPUTS, "0" * 64)), ("drawn", {})):
            write(root, name, *BOOKS[name][:2], other)
        complaints = said(root, qkscope)
        for name, expected in (("notebooks", "different files"), ("drawn", "no stored outputs")):
            if expected not in " ".join(complaints.get(name, [])):
                wrong.append(f"{name}: expected '{expected}', found {complaints}")
    print("\n".join(wrong) if wrong else f"{len(BOOKS)} notebooks judged rightly")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(sys.argv[1])
