#!/bin/sh
# The demo from end to end on fewer cases, twice, into directories of its own: the same bytes, and its numbers are
# checked against numpy and scipy.
#   demo.sh QKSCOPE SOURCE_ROOT PYTHON
set -eu
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
tests=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/first" "$work/second"
cp -r "$2/examples" "$work/first/examples"
cp -r "$2/examples" "$work/second/examples"
few="--size s --tasks s3 --lengths 512 --depths 10 --passes 4"
(cd "$work/first" && sh "$2/.ci/demo" "$qkscope" demo $few >log 2>err) || { cat "$work/first/err"; exit 1; }
(cd "$work/second" && sh "$2/.ci/demo" "$qkscope" demo $few --threads 1 >log 2>err)
cd "$work/first"
for file in run.h5 verdict.txt plan.json commands.sh provenance.txt restored/model.safetensors; do
    [ -s "demo/$file" ] || { echo "no $file"; exit 1; }
done
for figure in drift-heatmap-sft distance-histogram retrieval-heads routing-loss-sft \
    routing-loss-restored drift-vs-loss-sft recommendation niah-heatmap recall-by-length recall-tradeoff; do
    for kind in pdf png; do
        [ -s "demo/figures/$figure.$kind" ] || { echo "no figure $figure.$kind"; exit 1; }
    done
done
left=$(find demo -name '*.part' -o -name '*.tmp*')
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
for file in run.h5 verdict.txt plan.json provenance.txt restored/model.safetensors; do
    cmp "demo/$file" "$work/second/demo/$file" || exit 1
done
# --threads is in the command lines and nowhere else
sed 's/ --threads 1//' "$work/second/demo/commands.sh" | cmp - demo/commands.sh
head -n 1 log | grep -q '^sft finds [0-9]* % of the needles, base found 100 %;'
"$3" "$tests/check_demo.py" examples/amnesia demo
