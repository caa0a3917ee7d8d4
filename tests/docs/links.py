"""No link of a page leads nowhere, and every page of the manual is reached from docs/README.md.

    links.py SOURCE_ROOT

Looks at all *.md and at the Markdown cells of notebooks: files and headings that relative links name must be there
(anchors as GitHub makes them), and not be files that git leaves out. Links to other hosts are not followed.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?:(?!\1).)+\1")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\]|!\[[^\]]*\]\([^)]*\))*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]^]+\]:\s+<?([^\s>]+)", re.MULTILINE)
HTML = re.compile(r"<(?:a|img)\b[^>]*\b(?:href|src)=\"([^\"]+)\"", re.IGNORECASE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
ID = re.compile(r"<[a-z]+\b[^>]*\b(?:id|name)=\"([^\"]+)\"", re.IGNORECASE)


def pages(root):
    """All pages below root, but for build directories, hidden ones and data of tests."""
    for directory, names, files in os.walk(root):
        here = pathlib.Path(directory)
        names[:] = sorted(n for n in names if not n.startswith(".") and not n.startswith("build") and
                          here / n != root / "tests" / "data")
        yield from sorted(here / f for f in files if f.endswith((".md", ".ipynb")))


def markdown(path):
    if path.suffix == ".md":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def anchors(text):
    """Ids of the headings, as GitHub makes them."""
    found = set(ID.findall(FENCE.sub("", text)))
    seen = {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("\\", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
    return found


def links(text):
    text = CODE.sub(lambda m: "" if "](" in m[0] else m[0], FENCE.sub("", text))
    plain = text.replace("`", "")  # [`drift`](commands/drift.md) is a link
    return {*LINK.findall(plain), *REFERENCE.findall(plain), *HTML.findall(plain)}


def ignored(root, paths):
    """Those of the paths that git leaves out; none where there is no git."""
    if not (root / ".git").exists() or not paths:
        return set()
    run = subprocess.run(["git", "-C", root, "check-ignore", "--stdin", "-z"], input="\0".join(sorted(paths)),
                         capture_output=True, text=True, check=False)
    return set(run.stdout.split("\0")) - {""}


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    wrong, targets, leads, known, n = [], {}, {}, {}, 0
    for page in pages(root):
        name = str(page.relative_to(root))
        leads[name] = set()
        for link in sorted(links(markdown(page))):
            if re.match(r"[a-z][a-z0-9+.-]*:", link, re.IGNORECASE):
                continue
            n += 1
            path, _, anchor = urllib.parse.unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if root not in [target, *target.parents]:
                wrong.append(f"{name}: link leaves the tree: {link}")
            elif not target.exists():
                wrong.append(f"{name}: link to nothing: {link}")
            else:
                where = str(target.relative_to(root))
                leads[name].add(where)
                targets.setdefault(where, name)
                if anchor and target.suffix == ".md":
                    known.setdefault(where, None)
                    known[where] = known[where] or anchors(markdown(target))
                    if anchor not in known[where]:
                        wrong.append(f"{name}: no such heading: {link}")
    for path in sorted(ignored(root, {t for t in targets if t != "."})):
        wrong.append(f"{targets[path]}: link to what a clone does not have: {path}")
    reached, todo = set(), ["docs/README.md"]
    while todo:
        page = todo.pop()
        if page not in reached:
            reached.add(page)
            todo += [p for p in leads.get(page, ()) if p in leads]
    for name in sorted(leads):
        if name.startswith("docs/") and name not in reached:
            wrong.append(f"{name}: not reached from docs/README.md")
    print(*wrong, f"{n} links of {len(leads)} pages", sep="\n")
    sys.exit(bool(wrong) or n == 0)


main()
