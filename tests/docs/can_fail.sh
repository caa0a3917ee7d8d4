#!/bin/sh
# The tests of the manual must report what they are there for: each breach below, put into a copy of it, has to be found.
#   can_fail.sh QKSCOPE SOURCE_ROOT PYTHON
set -u
qkscope=$1 root=$2 python=$3 wrong=0
here=$root/tests/docs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

verdict() { # must pass|fail, what the output has to name, name of the case, command…
    must=$1 names=$2 case=$3
    shift 3
    if "$python" "$@" >"$work/log" 2>&1; then got=pass; else got=fail; fi
    if [ "$got" != "$must" ] || ! grep -q -- "$names" "$work/log"; then
        echo "$case: $got (expected $must and '$names')"
        cat "$work/log"
        wrong=1
    fi
}

# ---- links
tree() { # a small clean manual
    rm -rf "$work/tree"
    mkdir -p "$work/tree/docs" "$work/tree/notebooks"
    printf '# A\n\n[index](docs/README.md)\n\n```\n[code](nowhere.md)\n```\n' >"$work/tree/README.md"
    printf '# Index\n\n[page](page.md#a-part-of-it) and [`up`](../README.md)\n' >"$work/tree/docs/README.md"
    printf '# Page\n\n## A part, of it\n\n`[code](nowhere.md)` <https://example.org/x>\n' >"$work/tree/docs/page.md"
    printf '{"cells": [{"cell_type": "markdown", "source": ["[page](../docs/page.md)\\n"]}]}' >"$work/tree/notebooks/one.ipynb"
}
breach() { # what the output has to name, file, line
    tree
    printf '%s\n' "$3" >>"$work/tree/$2"
    verdict fail "$1" "$2: $3" "$here/links.py" "$work/tree"
}
tree
verdict pass '4 links' 'a clean tree' "$here/links.py" "$work/tree"
breach 'link to nothing: gone.md' docs/page.md '[x](gone.md)'
breach 'link to nothing: gone.png' README.md '![x](gone.png)'
breach 'link to nothing: gone.md' README.md '[`x`](gone.md)'
breach 'link to nothing: gone.md' README.md '[x][1]
[1]: gone.md'
breach 'no such heading: #gone' docs/page.md '[x](#gone)'
breach 'no such heading: docs/page.md#a-part' README.md '[x](docs/page.md#a-part)'
breach 'link leaves the tree' README.md '[x](../elsewhere.md)'
tree
printf '# Lost\n' >"$work/tree/docs/lost.md"
verdict fail 'docs/lost.md: not reached' 'a page that no page leads to' "$here/links.py" "$work/tree"
tree
printf '{"cells": [{"cell_type": "markdown", "source": ["[page](gone.md)\\n"]}]}' >"$work/tree/notebooks/one.ipynb"
verdict fail 'one.ipynb: link to nothing' 'a link of a notebook' "$here/links.py" "$work/tree"
if command -v git >/dev/null; then
    tree
    git -C "$work/tree" init -q
    printf '/docs/out.md\n' >"$work/tree/.gitignore"
    printf '# Out\n' >"$work/tree/docs/out.md"
    printf '[x](out.md)\n' >>"$work/tree/docs/README.md"
    verdict fail 'a clone does not have: docs/out.md' 'a link to an ignored file' "$here/links.py" "$work/tree"
fi

# ---- tables
manual() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/src"
    cp -r "$root/README.md" "$root/docs" "$work/tree/"
    cp -r "$root/src/advise" "$work/tree/src/"
}
missing() { # what the output has to name, file, sed script
    manual
    sed "$3" "$root/$2" >"$work/tree/$2"
    verdict fail "$1" "$2 after $3" "$here/tables.py" "$work/tree" "$qkscope"
}
manual
verdict pass 'figures' 'the manual as it is' "$here/tables.py" "$work/tree" "$qkscope"
missing 'no row names niah' README.md '/^| `niah/d'
missing 'does not lead to probe' docs/README.md 's/commands\/probe.md/x.md/'
missing 'drift.md: --kinds is not explained' docs/commands/drift.md '/--kinds/d'
missing 'drift.md: --kinds is not explained' docs/commands/drift.md 's/\(`--kinds[^|]*|\).*/\1 |/'
missing 'tail_mass has no definition' docs/metrics.md 's/^## `tail_mass`$/## `other`/'
missing 'needle-lost has no advice' docs/findings.md '/^## `needle-lost`/,/^## `far/s/^\* Advice.*//'
missing 'emd has no\|drift-heatmap has no picture' docs/figures.md '/^!\[.*drift-heatmap/d'
missing 'no `hypenet`\|no hypenet' docs/models.md 's/`hypenet`/x/'
missing 'tutorial.md: probe has no --depth$' docs/tutorial.md 's/--depths 4/--depth 4/'
missing 'faq.md: drift has no --lengths' docs/faq.md '1s/$/ `drift a b --lengths 1k`/'
missing 'faq.md:  has no --gpu' docs/faq.md '1s/$/ `--gpu`/'

# ---- pages
page() { # must, what the output has to name, name of the case, text of the page
    rm -rf "$work/tree"
    mkdir -p "$work/tree/examples" "$work/tree/results"
    printf 'One 1.\n\nTwo 2.\n' >"$work/tree/results/two.txt"
    printf '%s\n' "$4" >"$work/tree/page.md"
    verdict "$1" "$2" "$3" "$here/pages.py" check "$qkscope" "$work/tree" page.md
}
block() { # must, names, case, lines of a block
    page "$1" "$2" "$3" "$(printf '```console\n%s\n```' "$4")"
}
block pass '3 commands' 'right output' '$ echo "qkscope: progress: 42 %"
$ echo a \
    b; echo 2.345 in 1.2 s
a b
2.346 in 99 s
$ cat results/two.txt | head -n 1
One 1.'
block fail 'page.md:3' 'another number' '$ echo 2.345
2.347'
block fail 'page.md:3' 'another count' '$ echo 12
13'
block fail 'page.md:3' 'another word' '$ echo a
b'
block fail 'page.md:4' 'a line too many' '$ echo a
a
b'
block fail 'page.md:3' 'a line too few' '$ echo a'
block fail 'exit status 1' 'a command that fails' '$ false'
page fail 'nothing to check' 'a page without commands' 'text'
quote() { # must, case, line of the quote
    page "$1" page.md "$2" "$(printf '<!-- paragraphs: results/two.txt Two -->\n```\n%s\n```' "$3")"
}
quote pass 'a right quote' 'Two 2.'
quote fail 'a wrong quote' 'Two 3.'
exit "$wrong"
