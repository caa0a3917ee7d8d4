#!/bin/sh
# written by make demo; run in the source directory
set -e
qkscope inspect examples/amnesia/sft
qkscope drift examples/amnesia/base examples/amnesia/sft -o results/demo/run.h5 >results/demo/summary.txt
qkscope plot results/demo/run.h5 -o results/demo/figures
qkscope export results/demo/run.h5 >results/demo/run.tsv
