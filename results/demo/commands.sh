#!/bin/sh
# the steps of a qkscope diagnosis; run in the directory that it was run in
set -e
qkscope drift examples/amnesia/base examples/amnesia/sft -o results/demo/steps/drift.h5 --force
qkscope probe examples/amnesia/base examples/amnesia/sft --niah --tasks s2 --lengths 2k --depths 8 --template examples/amnesia/niah.json --seed 2001 -o results/demo/steps/probe.h5 --force
qkscope merge results/demo/steps/drift.h5 results/demo/steps/probe.h5 -o results/demo/steps/measured.h5 --force
qkscope recommend results/demo/steps/measured.h5 --measure --base examples/amnesia/base --tuned examples/amnesia/sft --units all --by layer --max-reasoning-loss 3 --lengths 512,1k --depths 12 --samples 1 --test-samples 16 --template examples/amnesia/niah.json --seed 1001 --reasoning examples/amnesia/reasoning_calibration.jsonl --reasoning-test examples/amnesia/reasoning.jsonl --budget-passes 40 --store results/demo/steps/recommend.h5 -o results/demo/plan.json --force
qkscope restore examples/amnesia/base examples/amnesia/sft --plan results/demo/plan.json -o results/demo/restored --force
qkscope drift examples/amnesia/base restored=results/demo/restored -o results/demo/steps/restored-drift.h5 --force
qkscope probe examples/amnesia/base restored=results/demo/restored --niah --tasks s2 --lengths 2k --depths 8 --template examples/amnesia/niah.json --seed 2001 -o results/demo/steps/restored-probe.h5 --force
qkscope niah examples/amnesia/base examples/amnesia/sft restored=results/demo/restored --tasks s1,s2,s3 --lengths 512,1k,2k --depths 8 --samples 1 --template examples/amnesia/niah.json --seed 1 -o results/demo/steps/niah.h5 --force
qkscope eval examples/amnesia/base examples/amnesia/sft restored=results/demo/restored --data examples/amnesia/reasoning.jsonl -o results/demo/steps/eval.h5 --force
qkscope merge results/demo/steps/recommend.h5 results/demo/steps/restored-drift.h5 results/demo/steps/restored-probe.h5 results/demo/steps/niah.h5 results/demo/steps/eval.h5 -o results/demo/steps/all.h5 --force
qkscope plot results/demo/run.h5 --format pdf,png -o results/demo/figures --force
qkscope report results/demo/run.h5 -o results/demo/report.html --force
