"""What a page of the manual shows is what the program says.

    pages.py check QKSCOPE SOURCE_ROOT PAGE...      runs what the pages show and compares
    pages.py refresh QKSCOPE SOURCE_ROOT PAGE...    runs it and writes what it says into the pages

Pages are paths below SOURCE_ROOT. Commands are the lines `$ …` of blocks ```console, continued behind a backslash and
by lines `> …`. They are run in order, each page in a directory of its own that holds examples/ and results/; below a
command stands all it prints. Numbers with decimals may differ by a unit of the last place that is shown (sums are
ordered otherwise on other CPUs), times may be any.

A block behind <!-- paragraphs: FILE WORD... --> shows the paragraphs of FILE (below SOURCE_ROOT) that begin with these
words; `1` is the first one. A refresh takes them from the file.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

NUMBER = re.compile(r"(?<![A-Za-z0-9_])-?\d+\.\d+(?:e[-+]?\d+)?|(?<![A-Za-z0-9_])-?\d+e[-+]?\d+")
TIME = re.compile(r"\b\d+(?:\.\d+)?( ?(?:ms|s|min))\b")
MARK = re.compile(r"^<!-- paragraphs: (\S+) (.+) -->$")
PROGRESS = "qkscope: progress: "  # on a slow machine only
ITEM_SECONDS = 200


def place(number):
    """What a unit of the last place of a written number is worth."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def agrees(shown, found):
    """Whether two lines say the same."""
    shown, found = (" ".join(TIME.sub(r"T\1", line).split()) for line in (shown, found))
    if NUMBER.sub("#", shown) != NUMBER.sub("#", found):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(found))
    return all(abs(float(a) - float(b)) <= 1.001 * max(place(a), place(b)) for a, b in pairs)


def blocks(lines):
    """(first line, line behind the last, info, line in front) of every fenced block."""
    start = None
    for i, line in enumerate(lines):
        if line.startswith("```"):
            if start is None:
                start = i
            else:
                yield start + 1, i, lines[start][3:].strip(), lines[start - 1] if start else ""
                start = None


def sessions(lines, first, last):
    """(command, line behind it, line behind its output) of a block ```console."""
    i = first
    while i < last:
        if not lines[i].startswith("$ "):
            raise SystemExit(f"line {i + 1}: output without a command: {lines[i]}")
        command = lines[i][2:]
        while command.endswith("\\") or lines[i + 1].startswith("> "):
            i += 1
            command += "\n" + lines[i].removeprefix("> ")
        begin = i + 1
        i = begin
        while i < last and not lines[i].startswith("$ "):
            i += 1
        yield command, begin, i


class Page:
    def __init__(self, qkscope, root, name):
        self.root, self.name = root, name
        self.lines = (root / name).read_text().split("\n")
        self.env = dict(os.environ, PATH=f"{qkscope.parent}:{os.environ['PATH']}", SOURCE_DATE_EPOCH="0")
        self.edits, self.wrong, self.n_commands, self.times = [], [], 0, []

    def compare(self, begin, end, found, what):
        shown = self.lines[begin:end]
        self.edits.append((begin, end, found))
        if len(shown) == len(found) and all(map(agrees, shown, found)):
            return
        odd = next((i for i, (a, b) in enumerate(zip(shown, found)) if not agrees(a, b)), min(len(shown), len(found)))
        sides = [side[odd] if odd < len(side) else "(nothing)" for side in (shown, found)]
        self.wrong.append(f"{self.name}:{begin + odd + 1}: {what}\n  shown: {sides[0]}\n  found: {sides[1]}")

    def run(self, work):
        for first, last, info, front in blocks(self.lines):
            mark = MARK.match(front)
            if mark:
                self.compare(first, last, self.paragraphs(*mark.groups()), f"{mark[1]} says otherwise")
            if info != "console":
                continue
            for command, begin, end in sessions(self.lines, first, last):
                start = time.monotonic()
                done = subprocess.run(["sh", "-c", command], cwd=work, env=self.env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=ITEM_SECONDS)
                self.times.append((time.monotonic() - start, command))
                self.n_commands += 1
                if done.returncode != 0:
                    self.wrong.append(f"{self.name}:{begin}: exit status {done.returncode}: {command}\n{done.stdout}")
                    return
                said = [line for line in done.stdout.split("\n")[:-1] if not line.startswith(PROGRESS)]
                self.compare(begin, end, said, "prints otherwise: " + command)

    def paragraphs(self, path, words):
        found = []
        texts = (self.root / path).read_text().rstrip("\n").split("\n\n")
        for word in words.split():
            text = [texts[0]] if word == "1" else [t for t in texts if t.startswith(word)]
            if len(text) != 1:
                raise SystemExit(f"{self.name}: {path} has {len(text)} paragraphs that begin with {word}")
            found += [*([""] if found else []), *text[0].split("\n")]
        return found

    def refresh(self):
        for begin, end, found in reversed(self.edits):
            if not (len(found) == end - begin and all(map(agrees, self.lines[begin:end], found))):
                self.lines[begin:end] = found
        (self.root / self.name).write_text("\n".join(self.lines))


def main():
    if len(sys.argv) < 5 or sys.argv[1] not in ("check", "refresh"):
        sys.exit(__doc__)
    mode, qkscope, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve()
    wrong = 0
    for name in sys.argv[4:]:
        page = Page(qkscope, root, name)
        with tempfile.TemporaryDirectory() as work:
            for tree in "examples", "results":
                shutil.copytree(root / tree, pathlib.Path(work) / tree,
                                ignore=shutil.ignore_patterns("restored", "steps"))
            page.run(work)
        slow = max(page.times, default=(0, ""))
        total = sum(t for t, _ in page.times)
        print(f"{name}: {page.n_commands} commands in {total:.1f} s, the longest {slow[0]:.1f} s: {slow[1]}")
        if mode == "refresh":
            page.refresh()
            page.wrong = [w for w in page.wrong if ": exit status" in w]
        print(*page.wrong, sep="\n")
        if not page.edits:
            print(f"{name}: nothing to check")
        wrong += len(page.wrong) + (not page.edits)
    sys.exit(wrong > 0)


main()
