#!/bin/sh
# What the README shows is what the program says: every `$ qkscope …` line of its code blocks is run, and the lines below
# it are compared.
#   readme.sh QKSCOPE SOURCE_ROOT
set -eu
PATH=$(cd "$(dirname "$1")" && pwd):$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$2/examples" "$work/examples"
cd "$work"
awk '/^```/ { inside = !inside; next } inside' "$2/README.md" >blocks
awk -v dir="$work" '
    /^\$ / { n++; print substr($0, 3) >(dir "/command." n); printf "" >(dir "/expected." n); next }
    n { print >(dir "/expected." n) }' blocks
n=0
while [ -f "command.$((n + 1))" ]; do
    n=$((n + 1))
    sh "command.$n" >"found.$n" || { echo "failed: $(cat "command.$n")"; exit 1; }
    # a block of other text may follow the last command
    head -n "$(wc -l <"found.$n")" "expected.$n" >"shown.$n"
    if [ -s "expected.$n" ] && ! diff "shown.$n" "found.$n"; then
        echo "README.md does not show what this prints: $(cat "command.$n")"
        exit 1
    fi
done
# the verdict it quotes is the demo's
awk '/verdict.txt; a few minutes/ { waits = 1 } /^```/ { if (waits == 2) exit; if (waits == 1) { waits = 2; next } }
    waits == 2' "$2/README.md" >quoted
diff quoted "$2/results/demo/verdict.txt" || { echo "README.md quotes another verdict than results/demo has"; exit 1; }
[ "$n" -ge 2 ] || { echo "only $n commands found in README.md"; exit 1; }
[ -s figures/drift-heatmap.pdf ] || { echo "no figure drawn"; exit 1; }
echo "$n commands of README.md agree"
