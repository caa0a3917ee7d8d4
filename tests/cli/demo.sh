#!/bin/sh
# The demo from end to end, into a directory of its own; its numbers are checked against numpy and scipy.
#   demo.sh QKSCOPE SOURCE_ROOT PYTHON
set -eu
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$2"
sh .ci/demo "$qkscope" "$work/demo" >"$work/log"
for file in run.h5 run.tsv summary.txt commands.sh provenance.txt; do
    [ -s "$work/demo/$file" ] || { echo "no $file"; exit 1; }
done
for figure in drift-heatmap drift-by-layer principal-angles qk-distance-drift noise-floor; do
    for kind in pdf png gp; do
        [ -s "$work/demo/figures/$figure.$kind" ] || { echo "no figure $figure.$kind"; exit 1; }
    done
done
grep -q 'most drifted by qk_rel_drift' "$work/log"
"$3" "$(dirname "$0")/check_demo.py" examples/amnesia "$work/demo"
