#!/bin/sh
# The demo from end to end, into a directory of its own; its numbers are checked against numpy and scipy.
#   demo.sh QKSCOPE SOURCE_ROOT PYTHON
set -eu
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$2"
sh .ci/demo "$qkscope" "$work/demo" >"$work/log"
for file in run.h5 drift.tsv routing.tsv retrieval.tsv summary.txt range.txt commands.sh provenance.txt; do
    [ -s "$work/demo/$file" ] || { echo "no $file"; exit 1; }
done
for figure in drift-heatmap drift-by-layer principal-angles qk-distance-drift noise-floor distance-histogram \
    distance-histogram-heads retrieval-heads routing-loss drift-vs-loss; do
    for kind in pdf dat gp; do
        [ -s "$work/demo/figures/$figure.$kind" ] || { echo "no figure $figure.$kind"; exit 1; }
    done
done
for figure in drift-heatmap retrieval-heads routing-loss drift-vs-loss; do
    [ -s "$work/demo/figures/$figure.png" ] || { echo "no figure $figure.png"; exit 1; }
done
left=$(find "$work/demo" -name '*.part' -o -name 'drift.h5' -o -name 'probe.h5')
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
grep -q 'most drifted by qk_rel_drift' "$work/log"
grep -q 'heads that lost most range' "$work/log"
"$3" "$(dirname "$0")/check_demo.py" examples/amnesia "$work/demo"
