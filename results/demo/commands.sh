#!/bin/sh
# written by make demo; run in the source directory
set -e
qkscope inspect examples/amnesia/sft
qkscope drift examples/amnesia/base examples/amnesia/sft -o results/demo/drift.h5 >results/demo/summary.txt
qkscope probe examples/amnesia/base examples/amnesia/sft --niah --template examples/amnesia/niah.json --tasks s2 --lengths 2k --depths 8 -o results/demo/probe.h5 >results/demo/range.txt
qkscope merge results/demo/drift.h5 results/demo/probe.h5 -o results/demo/run.h5 && rm results/demo/drift.h5 results/demo/probe.h5
qkscope plot results/demo/run.h5 -o results/demo/figures --format png --figure drift-heatmap,routing-loss,drift-vs-loss,retrieval-heads
qkscope plot results/demo/run.h5 -o results/demo/figures --format pdf --force
qkscope export results/demo/run.h5 -d '*rel_drift' >results/demo/drift.tsv
qkscope export results/demo/run.h5 -d '/routing/*' >results/demo/routing.tsv
qkscope export results/demo/run.h5 -d 'retrieval_*' >results/demo/retrieval.tsv
