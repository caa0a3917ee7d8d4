"""Executes every notebook of notebooks/ in a temporary copy.

run.py refresh ROOT QKSCOPE    stores what the cells print and draw in ROOT/notebooks
run.py check ROOT QKSCOPE      fails when a cell fails or warns, or gives something else than is stored

Each notebook's metadata names the files that its stored outputs were made from, with their SHA-256. The comparison is
made on those bytes: as they lie in results/demo, or, where the demo has been run again since, as the last commit has
them; the notebook is then executed on the new files as well. A commit whose results are not those of its notebooks fails.
"""
import asyncio
import base64
import difflib
import hashlib
import html
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

INPUTS = ("results/demo/run.h5", "results/demo/plan.json")
MOST_BYTES = 350_000  # of all notebooks together
TOLERANCE = 1e-9      # relative, of printed numbers: they were rounded for printing, so equal or not
CELL_SECONDS = 60
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
failures = []


def fail(notebook, what):
    failures.append(notebook)
    print(f"{notebook}: {what}")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def prepare_environment(work, qkscope):
    """A kernel of this very Python, whatever is in PATH, without the user's settings of Jupyter, IPython and matplotlib."""
    kernel = work / "share/kernels/python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        os.environ[name] = str(work / "share")
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        os.environ[name] = str(work / name.lower())
        (work / name.lower()).mkdir(mode=0o700)
    os.environ.update(LC_ALL="C.UTF-8", TZ="UTC", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
                      PYTHONDONTWRITEBYTECODE="1", PYDEVD_DISABLE_FILE_VALIDATION="1",
                      PATH=f"{pathlib.Path(qkscope).resolve().parent}{os.pathsep}{os.environ['PATH']}")
    # matplotlib warns in the notebook when the list of fonts takes long to make
    subprocess.run([sys.executable, "-W", "ignore", "-c", "import matplotlib.font_manager"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_tree(where, notebooks, inputs):
    """What a notebook may read, and nothing else."""
    for name, data in inputs.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (where / "notebooks").mkdir()
    for path in notebooks:
        shutil.copy(path, where / "notebooks")
    return where


def execute(notebooks, tree, directory):
    """Executes the notebooks side by side in a directory of the tree. Gives {name: executed notebook}, None where a cell
    failed."""
    import nbformat
    from nbclient import NotebookClient
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import CellExecutionError

    async def one(path, sockets):
        book = nbformat.read(path, as_version=4)
        # sockets in a directory in place of ports: nothing to resolve, nobody else on them
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/{notebooks.index(path)}")
        client = NotebookClient(book, km=kernel, timeout=CELL_SECONDS, startup_timeout=CELL_SECONDS,
                                record_timing=False, resources={"metadata": {"path": str(tree / directory)}})
        try:
            await client.async_execute()
        except CellExecutionError as error:
            fail(path.name, re.sub(r"\x1b\[[0-9;]*m", "", str(error)))
            return path.name, None
        finally:
            if client.kc is not None:
                client.kc.stop_channels()
            await kernel.shutdown_kernel(now=True)
        return path.name, book

    async def every():
        # a socket's path has room for a hundred letters, TMPDIR may be longer
        with tempfile.TemporaryDirectory(prefix="qk-nb-", dir="/tmp" if os.path.isdir("/tmp") else None) as sockets:
            return dict(await asyncio.gather(*(one(path, sockets) for path in notebooks)))

    return asyncio.run(every())


def stored_picture(data):
    """The picture with 256 colours and without the words that matplotlib adds: a third of the bytes."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def tidy(book, inputs):
    """Leaves what is the same in every execution, in the order that a cell printed it."""
    for number, cell in enumerate((cell for cell in book.cells if cell.cell_type == "code"), 1):
        outputs = []
        for output in cell.outputs:
            if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
                outputs[-1].text += output.text
                continue
            if "execution_count" in output:
                output.execution_count = number
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": stored_picture(output.data["image/png"])}
                output.metadata = {}
            outputs.append(output)
        cell.outputs, cell.execution_count = outputs, number
    for number, cell in enumerate(book.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", {}
    book.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": {"name": "python"},
                     "qkscope": {"inputs": {name: sha256(data) for name, data in inputs.items()}}}


def text_of(output):
    """The words and numbers of an output."""
    if output.output_type == "stream":
        return output.text
    data = output.get("data", {})
    markup = data.get("text/html", "")
    return "\n".join([data.get("text/plain", ""), data.get("text/markdown", ""),
                      html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", markup, flags=re.S))])


def same_text(one, other):
    if NUMBER.sub("#", one).split() != NUMBER.sub("#", other).split():
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other))
    return all(a == b or abs(float(a) - float(b)) <= TOLERANCE * max(abs(float(a)), abs(float(b))) for a, b in pairs)


def blank(data):
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
    low, high = picture.getextrema()
    return min(picture.size) < 50 or high - low < 64


def check_outputs(name, book, tree, root):
    """What holds whatever the numbers are."""
    for number, cell in enumerate(cell for cell in book.cells if cell.cell_type == "code"):
        for output in cell.outputs:
            text = text_of(output)
            if output.output_type == "error" or output.get("name") == "stderr":
                fail(name, f"code cell {number} complains: {output.get('text') or output.get('evalue')}")
            if any(str(place) in text for place in (tree, root, tempfile.gettempdir())) or re.search(r"/(home|root|Users)/", text):
                fail(name, f"code cell {number} shows a path of this machine: {text.strip()[:200]}")
            if "image/png" in output.get("data", {}) and blank(output.data["image/png"]):
                fail(name, f"code cell {number} draws nothing")
    if not any(cell.outputs for cell in book.cells if cell.cell_type == "code"):
        fail(name, "prints and draws nothing at all")


def compare(name, book, stored):
    """The outputs of an execution with the stored ones: texts by words and numbers, pictures by their being there."""
    cells = zip((c for c in book.cells if c.cell_type == "code"), (c for c in stored.cells if c.cell_type == "code"))
    for number, (cell, before) in enumerate(cells):
        kinds = [[(o.output_type, sorted(o.get("data", {}))) for o in c.outputs] for c in (cell, before)]
        if kinds[0] != kinds[1]:
            fail(name, f"code cell {number} gives {kinds[0]}, stored are {kinds[1]}; run make notebooks")
            continue
        for now, then in zip(cell.outputs, before.outputs):
            if not same_text(text_of(now), text_of(then)):
                lines = difflib.unified_diff(text_of(then).splitlines(), text_of(now).splitlines(), "stored", "now", n=0,
                                             lineterm="")
                fail(name, f"code cell {number} prints something else; run make notebooks\n" + "\n".join(list(lines)[:20]))


def committed(root, name):
    """A file as the last commit has it, or None: not a git checkout, or not in it."""
    git = subprocess.run(["git", "-C", str(root), "show", f"HEAD:{name}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         check=False) if shutil.which("git") else None
    return git.stdout if git and git.returncode == 0 else None


def read_stored(notebooks):
    import nbformat

    stored = {}
    for path in notebooks:
        stored[path.name] = book = nbformat.read(path, as_version=4)
        nbformat.validate(book)
    total = sum(path.stat().st_size for path in notebooks)
    if total > MOST_BYTES:
        fail("notebooks", f"{total} bytes together (at most {MOST_BYTES})")
    return stored


def check(root, work, notebooks, inputs):
    stored = read_stored(notebooks)
    now = {name: sha256(data) for name, data in inputs.items()}
    last = {name: committed(root, name) for name in INPUTS}
    for path in notebooks:
        recorded = stored[path.name].metadata.get("qkscope", {}).get("inputs", {})
        if set(recorded) != set(INPUTS):
            fail(path.name, "has no stored outputs; run make notebooks")
    recorded = [dict(book.metadata.get("qkscope", {}).get("inputs", {})) for book in stored.values()]
    if any(one != recorded[0] for one in recorded):
        fail("notebooks", "their outputs were made from different files; run make notebooks")
    if failures:
        return
    fresh = recorded[0] == now
    as_committed = all(last.values()) and recorded[0] == {name: sha256(data) for name, data in last.items()}
    if not fresh and not as_committed and all(last.values()):
        fail("notebooks", f"their outputs were made from other {' and '.join(INPUTS)}; run make notebooks")
        return
    # from the root here and from notebooks/ in refresh: both are where a reader may start
    tree = make_tree(work / "now", notebooks, inputs)
    for name, book in execute(notebooks, tree, ".").items():
        if book:
            tidy(book, inputs)
            check_outputs(name, book, tree, root)
            if fresh:
                compare(name, book, stored[name])
    if not fresh and as_committed:
        print("the demo was run again since the last commit: stored outputs compared on the committed files")
        tree = make_tree(work / "last", notebooks, last)
        for name, book in execute(notebooks, tree, ".").items():
            if book:
                tidy(book, last)
                compare(name, book, stored[name])
    elif not fresh:
        print("the demo was run again, and this is no git checkout: executed, but there is nothing to compare with")


def refresh(root, work, notebooks, inputs):
    import nbformat

    tree = make_tree(work / "now", notebooks, inputs)
    for name, book in execute(notebooks, tree, "notebooks").items():
        if book:
            tidy(book, inputs)
            check_outputs(name, book, tree, root)
            if not failures:
                path = root / "notebooks" / name
                path.write_text(nbformat.writes(book) + "\n", encoding="utf-8")
                print(f"notebooks/{name}: {path.stat().st_size} bytes")
    read_stored(notebooks)


def main(mode, root, qkscope):
    root = pathlib.Path(root).resolve()
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    if not notebooks:
        fail("notebooks", "there are none")
        return
    inputs = {name: (root / name).read_bytes() for name in INPUTS}
    with tempfile.TemporaryDirectory(prefix="qk-nb-") as work:
        work = pathlib.Path(work)
        prepare_environment(work, qkscope)
        {"check": check, "refresh": refresh}[mode](root, work, notebooks, inputs)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("check", "refresh"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
    print(f"{len(set(failures))} failed" if failures else "nothing failed")
    sys.exit(bool(failures))
