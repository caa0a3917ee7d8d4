#!/bin/sh
# The first example of each command's help works as it stands, on the bundled pair and in the order of the pages' story.
#   help_examples.sh QKSCOPE SOURCE_ROOT
set -u
qkscope=$(cd "$(dirname "$1")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
ln -s "$2/examples" examples
PATH=$qkscope:$PATH
unset COLUMNS
export PATH
wrong=0 run=0

for command in help version models metrics inspect tokenize generate drift probe niah eval merge export recommend restore \
    compare plot report; do
    example=$(qkscope help $command | sed -n '/^Examples:/,$s/^  \(qkscope .*\)/\1/p' | head -n 1)
    [ -n "$example" ] || {
        echo "$command: no example"
        wrong=1
        continue
    }
    echo "\$ $example"
    sh -c "$example" >out 2>err || {
        echo "$command: exit status $?"
        cat err
        wrong=1
    }
    [ -s out ] || [ "$command" = merge ] || [ "$command" = export ] || [ "$command" = report ] || {
        echo "$command: says nothing"
        wrong=1
    }
    run=$((run + 1))
done
for file in drift.h5 probe.h5 recall.h5 reasoning.h5 run.h5 run.tsv plan.json restored/qkscope.json \
    figures/drift-heatmap.pdf report.html; do
    [ -s "$file" ] || {
        echo "$file: was not made"
        wrong=1
    }
done
echo "$run examples"
exit "$wrong"
