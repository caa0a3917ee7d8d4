"""What the program has, the manual has: commands, options, metrics, findings, figures, families.

    tables.py SOURCE_ROOT QKSCOPE

And what pages show of options, the program has.
"""
import json
import pathlib
import re
import subprocess
import sys

root, qkscope = pathlib.Path(sys.argv[1]), sys.argv[2]
wrong = []


def says(*args):
    return subprocess.run([qkscope, *args], capture_output=True, text=True, check=True).stdout


def expect(ok, what):
    if not ok:
        wrong.append(what)


def page(name):
    path = root / name
    expect(path.exists(), f"{name} is missing")
    return path.read_text() if path.exists() else ""


def section(text, heading):
    """What stands below a heading, up to the next of its level; empty where there is none."""
    found = re.search(rf"^## `?{re.escape(heading)}`?$\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def options(command):
    """Options as --help lists them: the name at the place where no explanation begins."""
    return re.findall(r"^ {2,6}(?:-\w, )?--([a-z][a-z-]*)", says(command, "--help").partition("\nOptions:\n")[2],
                      re.MULTILINE)


def check_commands():
    readme, index, overview = page("README.md"), page("docs/README.md"), page("docs/commands/README.md")
    rows = "\n".join(re.findall(r"^\| (.*?) \|", readme, re.MULTILINE))
    commands = says("docs", "commands").split()
    for c in commands:
        expect(re.search(rf"`{c}[` ]", rows), f"README.md: no row names {c}")
        expect(f"](commands/{c}.md)" in index, f"docs/README.md does not lead to {c}")
        expect(f"]({c}.md)" in overview, f"docs/commands/README.md does not lead to {c}")
        text = page(f"docs/commands/{c}.md")
        names = options(c)
        expect(names or c == "help", f"{c}: --help lists no options")
        for name in names:
            expect(re.search(rf"^\| (?:`-\w`, )?`--{name}(?: [^`]*)?` \| \S.{{8,}} \|$", text, re.MULTILINE),
                   f"docs/commands/{c}.md: --{name} is not explained")
    return len(commands)


def check_metrics():
    text, metrics = page("docs/metrics.md"), json.loads(says("metrics", "--json"))
    for m in metrics:
        below = section(text, m["name"])
        for what in "Definition", "Source":
            expect(re.search(rf"^\* {what}: \S", below, re.MULTILINE),
                   f"docs/metrics.md: {m['name']} has no {what.lower()}")
    return len(metrics)


def check_findings():
    text = page("docs/findings.md")
    sources = "".join(p.read_text() for p in (root / "src/advise").glob("findings_*.c"))
    ids = re.findall(r"^\s*\{\.id = \"([a-z-]+)\"", sources, re.MULTILINE)
    for name in ids:
        below = section(text, name)
        for what in "Number", "Threshold", "Advice":
            expect(re.search(rf"^\* {what}: \S", below, re.MULTILINE),
                   f"docs/findings.md: {name} has no {what.lower()}")
    return len(ids)


def check_figures():
    text, figures = page("docs/figures.md"), [line.split("\t")[0] for line in says("plot", "--list").splitlines()]
    for name in figures:
        expect(f"](figures/{name}.png)" in section(text, name), f"docs/figures.md: {name} has no picture")
    return len(figures)


def check_families():
    text = page("docs/models.md")
    types = [t for family in json.loads(says("models", "--json")) for t in family["model_types"]]
    for name in types:
        expect(f"`{name}`" in text, f"docs/models.md: no {name}")
    return len(types)


def shown_code(text):
    """Lines of fenced blocks, continued ones joined, and pieces of code in the text."""
    fence = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
    for block in fence.findall(text):
        yield from re.split(r"[;\n]", block.replace("\\\n", " "))
    for piece in re.findall(r"`([^`]+)`", fence.sub("", text)):
        yield from " ".join(piece.split()).split("; ")


def check_shown_options():
    """No page shows a command with an option that it does not have, or an option that no command has."""
    has = {c: {*options(c), "help"} for c in says("docs", "commands").split()}
    known, n = set().union(*has.values(), {"version"}), 0
    for path in [root / "README.md", *sorted(root.glob("docs/**/*.md")), *sorted(root.glob("*/README.md"))]:
        for code in shown_code(path.read_text()):
            used = re.match(r"(?:\$ )?(?:qkscope )?([a-z]+)\b([^|]*)", code)
            command, rest = used.groups() if used and used[1] in has else ("", code if code.startswith("--") else "")
            for option in re.findall(r"(?:^|(?<=\s))--([a-z][a-z-]*)", rest):
                n += 1
                expect(option in has.get(command, known), f"{path.relative_to(root)}: {command} has no --{option}")
    return n


def check_man_page():
    names = re.findall(r"[a-z-]+\.md", says("docs", "man").partition(".SH MANUAL")[2].replace("\\-", "-"))
    for name in names:
        page(f"docs/{name}")
    expect({"tutorial.md", "faq.md", "glossary.md"} <= set(names), "qkscope(1) does not name the manual")


check_man_page()
counts = {check.__name__[6:]: check()
          for check in (check_commands, check_metrics, check_findings, check_figures, check_families,
                        check_shown_options)}
expect(all(n >= 10 for n in counts.values()), f"too few to believe: {counts}")
print(*wrong, ", ".join(f"{n} {what}" for what, n in counts.items()), sep="\n")
sys.exit(bool(wrong))
