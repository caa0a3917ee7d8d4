"""qkscope report in headless Chromium: pages load without an error or a request, and what can be done on them works.

check_report.py QKSCOPE SOURCE_ROOT [DIR]    DIR keeps the pages
"""
import html.parser
import json
import os
import re
import shutil
import sys
import tempfile
import time

import h5py
import numpy as np

from browser import Browser
from runs import HOSTILE, Runs

failures = []


def check(right, what):
    if not right:
        print(f"wrong: {what}")
        failures.append(what)


class Page(html.parser.HTMLParser):
    """Elements of a page as they stand in the file: balanced, and what has which id."""

    VOID = {"meta", "br", "input", "link", "img", "hr"}

    def __init__(self, path):
        super().__init__()
        self.open, self.scripts, self.ids, self.images, self.data = [], 0, set(), 0, ""
        self.text = open(path, encoding="utf-8").read()
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.scripts += tag == "script"
        self.images += tag == "img"
        self.ids.add(attrs.get("id"))
        if tag not in self.VOID:
            self.open.append((tag, attrs.get("id")))

    def handle_endtag(self, tag):
        check(self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}")
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == ("script", "data"):
            self.data += data


def check_source(path, ids=()):
    """The file itself: markup, data, addresses, and the tables that are there without JavaScript."""
    page = Page(path)
    check(page.open == [], f"{path}: elements left open: {page.open}")
    check(page.scripts == 2 and page.images == 0, f"{path}: {page.scripts} scripts, {page.images} images")
    check(set(ids) <= page.ids, f"{path}: not in the file: {set(ids) - page.ids}")
    left = page.text.replace("&#39;{{title}}", "").replace("'{{title}}", "")  # of the hostile name
    check("{{" not in left, f"{path}: a part was not filled in")
    addresses = set(re.findall(r"https?://[^\s\"'<]*", page.text)) - {"http://www.w3.org/2000/svg"}
    check(not addresses, f"{path}: addresses {addresses}")
    return json.loads(page.data)


def load(browser, path):
    browser.requests()
    browser.open(path)
    asked = [url for url in browser.requests() if not url.startswith(("chrome:", "chrome-untrusted:", "data:"))]
    check(asked == ["file://" + path], f"{path}: requests {asked}")
    check(browser.errors() == [], f"{path}: errors in the console")
    check(browser.run("return document.documentElement.dataset.ready") == "yes", f"{path}: the scripts did not end")
    check(browser.run("return window.bad ?? null") is None, f"{path}: markup of a name was run")
    browser.requests()


def readout(browser, figure="#heads-figure"):
    return browser.text(f"{figure} .readout")


def press(browser, css, keys):
    """Keys on an element that has the focus."""
    browser.run("document.querySelector(arguments[0]).focus()", css)
    actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
    browser.post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])


def hover(browser, css):
    browser.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", css)
    origin = {"element-6066-11e4-a52e-4f735466cecf": browser.find(css)}
    browser.post("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": [
        {"type": "pointerMove", "origin": origin, "x": 0, "y": 0, "duration": 0}]}])


def choose(browser, css, value):
    browser.run("const s = document.querySelector(arguments[0]); s.value = arguments[1]; "
                "s.dispatchEvent(new Event('change'))", css, value)


RIGHT, DOWN, END, ENTER = "\ue014", "\ue015", "\ue010", "\ue007"
MAP = "#heads-figure svg.grid-map"


def check_map(browser, run):
    """Every cell of the first map against the file; keyboard and pointer."""
    with h5py.File(run) as f:
        drift = f["drift/sft/qk_rel_drift"][:]
    labels = browser.run("return [...document.querySelectorAll(arguments[0] + ' [role=gridcell]')].map(c => "
                         "[+c.dataset.row, +c.dataset.column, c.getAttribute('aria-label')])", MAP)
    check(len(labels) == drift.size, f"{len(labels)} cells in the map (expected {drift.size})")
    for layer, head, label in labels:
        shown = float(label.rsplit(" ", 1)[1].replace("−", "-"))
        check(abs(shown - drift[layer, head]) <= 1e-3 * drift[layer, head], f"cell {layer}, {head}: {label}")
    before = browser.text("#head-panel h3")
    place = browser.run("return document.querySelector(arguments[0] + ' .picked') !== null", MAP)
    check(place, "no head is picked at first")
    choose(browser, "#heads-metric", "drift/q_rel_drift")
    press(browser, MAP, [END])
    layer = int(readout(browser).split()[1])
    press(browser, MAP, [DOWN])
    check(int(readout(browser).split()[1]) == layer + 1, f"Down from layer {layer}: {readout(browser)}")
    check(", head 5: Relative drift of W_Q" in readout(browser), f"after End and Down: {readout(browser)}")
    press(browser, MAP, [ENTER])
    after = browser.text("#head-panel h3")
    check(after != before and after.startswith("Layer ") and "head 5" in after, f"Enter picks: {before} to {after}")
    check(browser.run("return document.activeElement === document.querySelector(arguments[0])", MAP),
          "the keyboard left the map after Enter")
    hover(browser, f"{MAP} [data-row='1'][data-column='2']")
    check(readout(browser).startswith("Layer 1 (linear), head 2:"), f"hover: {readout(browser)}")
    browser.click(f"{MAP} [data-row='7'][data-column='0']")
    check(browser.text("#head-panel h3") == "Layer 7, head 0 · full", "a click picks the head")


def check_choices(browser, run):
    with h5py.File(run) as f:
        before, after = (f[f"probe/{name}/mean_distance_nosink"][5, 1] for name in ("base", "sft"))
        tail = f["probe/sft/tail_mass"][5, 1, 1]
    cell = f"{MAP} [data-row='5'][data-column='1']"
    label = "return document.querySelector(arguments[0]).getAttribute('aria-label')"
    choose(browser, "#heads-metric", "probe/mean_distance_nosink")
    check(f"in base {before:.4g}" in browser.run(label, cell), f"the base's value: {browser.run(label, cell)}")
    browser.click("#heads-difference")
    shown = float(browser.run(label, cell).rsplit(" ", 1)[1].replace("−", "-"))
    check(abs(shown - (after - before)) <= 1e-3 * abs(before), f"difference to the base {shown} (expected {after - before})")
    browser.click("#heads-difference")
    choose(browser, "#heads-metric", "probe/tail_mass")
    choose(browser, "#heads-depth", "1")
    shown = float(re.search(r"([-−\d.e]+), in base", browser.run(label, cell))[1].replace("−", "-"))
    check(abs(shown - tail) <= 1e-3 * tail, f"tail mass of the second window {shown} (expected {tail})")
    choose(browser, "#heads-metric", "drift/module_rel_drift")
    check("module q_proj" in browser.run(label, f"{MAP} [data-row='5'][data-column='0']")
          or "module q" in browser.run(label, f"{MAP} [data-row='5'][data-column='0']"), "modules in the map")
    choose(browser, "#heads-checkpoint", "base")
    check(browser.errors() == [], "errors while choosing")
    legends = browser.run("return [...document.querySelectorAll('#head-panel .tile')].map(t => t.textContent)")
    check(any("base" in text and "sft" in text for text in legends), f"curves of both checkpoints: {legends}")


def column_of(browser, table, column):
    return browser.run("return [...document.querySelector(arguments[0]).tBodies[0].rows]"
                       ".map(r => r.cells[arguments[1]].dataset.value ?? r.cells[arguments[1]].textContent)", table, column)


def check_tables(browser, run):
    header = "#heads-all thead th:nth-child(5) button"
    browser.click(header)
    values = [float(v) for v in column_of(browser, "#heads-all", 4)]
    check(values == sorted(values) and len(values) == 48, "sorted upwards")
    browser.click(header)
    values = [float(v) for v in column_of(browser, "#heads-all", 4)]
    check(values == sorted(values, reverse=True), "sorted downwards")
    with h5py.File(run) as f:
        most = np.nanmax(f["drift/sft/qk_rel_drift"][:])
    check(abs(values[0] - most) < 1e-5 * most, f"largest drift {values[0]} (expected {most})")
    browser.run("document.querySelector('#heads-all').closest('.scroll').previousSibling.querySelector('input').id = 'f'")
    browser.type("#f", "layer=5 drift>0.3 full")
    layers, drifts = column_of(browser, "#heads-all", 1), column_of(browser, "#heads-all", 4)
    check(set(layers) == {"5"} and drifts and min(map(float, drifts)) > 0.3, f"filtered: {layers} {drifts}")
    browser.run("document.querySelector('#f').closest('.table-tools').querySelector('.save').click()")
    saved = os.path.join(browser.downloads, "heads-all.tsv")
    for _ in range(100):
        if os.path.exists(saved):
            break
        time.sleep(0.05)
    check(os.path.exists(saved), "the TSV is saved")
    if os.path.exists(saved):
        lines = open(saved, encoding="utf-8").read().splitlines()
        check(lines[0].split("\t")[:5] == ["checkpoint", "layer", "head", "kind", "drift"], f"TSV: {lines[0]}")
        check(len(lines) == 1 + len(layers) and all(line.count("\t") == lines[0].count("\t") for line in lines), "TSV rows")
    check(browser.errors() == [], "errors of the tables")


def check_looks(browser, path):
    colour = "return getComputedStyle(document.body).backgroundColor"
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = browser.run(colour)
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    light = browser.run(colour)
    check(light == "rgb(255, 255, 255)" and dark != light, f"system's look: {light}, {dark}")
    browser.click("#theme")
    check(browser.run(colour) == dark, "the switch to dark")
    browser.open(path)
    check(browser.run(colour) == dark, "the choice is kept")
    browser.click("#theme")
    check(browser.run(colour) == light, "the switch back")
    for width in (360, 800, 1400):
        browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        check(wide == 0, f"{wide} pixels too wide at {width}")
    browser.cdp("Emulation.clearDeviceMetricsOverride")
    check(len(browser.cdp("Page.printToPDF", printBackground=True)["data"]) > 20000, "printing")


def check_terms(browser, run):
    """What a number or a word means is on the page."""
    names = browser.run("return [...document.querySelectorAll('#plan-table .evidence span')].map(s => [s.textContent, s.title])")
    check(len(names) > 20 and all(title for _, title in names), f"not explained: {sorted({n for n, t in names if not t})}")
    check("what fine-tuning was for" in browser.run("return document.querySelector('#reasoning-table th:nth-child(3) button').title"),
          "the heading of the reasoning table")
    check("attention on the needle (or of the retrieval score)" in browser.text(".findings .number-of"), "the number of a finding")
    with h5py.File(run) as f:
        layer, head = map(int, re.findall(r"\d+", browser.text("#head-panel h3")))
        shown = [f"{name} {f[f'probe/{name}/retrieval_mass'][layer, head]:.2f}" for name in ("base", "sft")]
    check(browser.text("#head-panel .needle") == "Attention on the needle: " + ", ".join(shown), browser.text("#head-panel .needle"))


def check_full(browser, runs):
    page = runs.report("run.h5", "run.html")
    again = open(page, "rb").read()
    runs.report("run.h5", "run.html")
    check(open(page, "rb").read() == again, "the same run gives the same bytes")
    data = check_source(page, ("plan-layers", "plan-json", "recall-table", "reasoning-table", "layers",
                               "checkpoints-table", "provenance-table", "commands"))
    with h5py.File(runs.path("run.h5")) as f:
        stored = f["probe/sft/distance_histogram"][:].ravel()
    shown = np.array(data["arrays"]["/probe/sft/distance_histogram"]["values"], float)
    check(np.allclose(shown, stored, rtol=6e-6, atol=0, equal_nan=True), "histogram in the page")
    load(browser, page)
    check(browser.text("h1") == "sft against base", browser.text("h1"))
    check("measurements of sft show" in browser.text("#verdict"), "whose findings they are")
    check("needle-lost" in browser.text(".findings"), browser.text(".findings"))
    plan = json.loads(browser.text("#plan-json pre"))
    check(len(column_of(browser, "#plan-table", 0)) == len(plan["units"]), "a row for each unit of the plan")
    check(column_of(browser, "#plan-table", 5) == [unit["reason"] for unit in plan["units"]], "reasons of the plan")
    check(browser.run("return document.querySelectorAll('#recall-figure svg.grid-map').length") == 4, "recall maps")
    press(browser, "#recall-figure svg.grid-map", [RIGHT])
    check("base, length 256, depth 16.7 %" in readout(browser, "#recall-figure"), readout(browser, "#recall-figure"))
    check(browser.run("return document.querySelectorAll('#trade-off-figure circle').length") == 2, "two checkpoints")
    check_terms(browser, runs.path("run.h5"))
    check_map(browser, runs.path("run.h5"))
    check_choices(browser, runs.path("run.h5"))
    check_tables(browser, runs.path("run.h5"))
    check_looks(browser, page)


def check_parts(browser, runs):
    """Runs that hold only a part: its figure is there, a sentence in the place of the others."""
    figures = ["heads-figure", "plan-units", "recall-figure", "reasoning-table", "trade-off-figure"]
    for part, there in (("drift", ["heads-figure"]), ("probe", ["heads-figure"]), ("niah", ["recall-figure"]),
                        ("eval", ["reasoning-table"])):
        page = runs.report(f"{part}.h5", f"{part}.html")
        check_source(page)
        load(browser, page)
        found = [i for i in figures if browser.run("return document.getElementById(arguments[0]) !== null", i)]
        check(found == there, f"{part}: {found}")
        said = browser.run("return document.querySelectorAll('p.absent').length")
        check(said >= len(figures) - len(there), f"{part}: {said} sentences")


def check_strange(browser, runs):
    page = runs.report(runs.hostile(), "hostile.html")
    data = check_source(page)
    check(f"/drift/{HOSTILE}/qk_rel_drift" in data["arrays"], "the name in the data")
    load(browser, page)
    check(browser.text("h1") == f"{HOSTILE} against base", browser.text("h1"))
    check(browser.run("return document.querySelectorAll('img').length") == 0, "an image came of a name")
    check("window.bad=2" in browser.text("#checkpoints-table"), "the path is shown")
    page = runs.report(runs.measured(), "measured.html")
    check_source(page)
    load(browser, page)
    check(browser.text("p.verdict") == "Recall fell from 100 % to 40 %.", browser.text("p.verdict"))
    check("layer 5 <b>head</b> 3" in browser.text("#verdict"), "the verdict's text is text")
    check("Restoring Q and K brings back" in browser.text("#plan"), "what the measurement says")
    check(browser.run("return document.querySelectorAll('#trade-off-figure svg').length") == 2, "two trade-offs")
    check(column_of(browser, "#variants", 4) == ["", "", "yes", "yes"], "variants")


def check_command(runs):
    check("expected -o" in runs.call("report", "run.h5", status=2).stderr, "without -o")
    check("exists already" in runs.call("report", "run.h5", "-o", "run.html", status=2).stderr, "an existing page")
    runs.call("report", "run.h5", "-o", "run.h5", "--force", status=2)
    runs.call("report", "run.html", "-o", "x.html", status=4)
    check("no tuned checkpoint" in runs.call("report", "run.h5", "-o", "x.html", "--checkpoint", "no", status=2).stderr,
          "an unknown checkpoint")
    check(not os.path.exists(runs.path("x.html")), "a page was left behind")


def main():
    if not shutil.which("chromedriver"):
        print("chromedriver is missing (package chromium-driver): the page is not tested")
        return 77
    work = sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp()
    runs = Runs(os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(work))
    try:
        runs.make()
        with Browser() as browser:
            check_full(browser, runs)
            check_parts(browser, runs)
            check_strange(browser, runs)
        check_command(runs)
    finally:
        if len(sys.argv) <= 3:
            shutil.rmtree(work)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
