#!/bin/sh
# A diagnosis whose tuned checkpoint is an adapter of rank 8, made of the bundled pair; directories have blanks in their
# names, checkpoints have names of their own, no problems are given.
#   diagnose_adapter.sh QKSCOPE SOURCE_ROOT PYTHON
set -eu
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
source=$2 python=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp -r "$source/examples/amnesia/base" 'the base'
"$python" - "$source" <<'END'
import json, os, sys
import numpy
sys.path.insert(0, f"{sys.argv[1]}/tests/run")
import adapter_files as af

pair = f"{sys.argv[1]}/examples/amnesia"
base, tuned = af.read_checkpoint(f"{pair}/base"), af.read_checkpoint(f"{pair}/sft")
factors = {}
for name, (_, x) in base.items():
    if x.ndim == 2 and "_proj" in name and (x != tuned[name][1]).any():
        u, s, v = numpy.linalg.svd(tuned[name][1].astype(float) - x, full_matrices=False)
        module = "base_model.model." + name[:-len(".weight")]
        factors[module + ".lora_A.weight"] = ("F32", v[:8])
        factors[module + ".lora_B.weight"] = ("F32", u[:, :8] * s[:8])
os.mkdir("an adapter")
af.write("an adapter/adapter_model.safetensors", factors)
modules = sorted({name.split(".")[-3] for name in factors})
config = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "bias": "none", "target_modules": modules}
json.dump(config, open("an adapter/adapter_config.json", "w"))
END
cp "$source/examples/amnesia/niah.json" "$source/examples/amnesia/keys.txt" "$source/examples/amnesia/haystack.txt" .
"$qkscope" diagnose 'before=the base' 'after=an adapter' -o 'the diagnosis' --template niah.json --size xs --tasks s3 \
    --lengths 512 --depths 4 --passes 2 -q >answer
for file in run.h5 verdict.txt plan.json report.html commands.sh; do
    [ -s "the diagnosis/$file" ] || { echo "no $file"; exit 1; }
done
cmp answer 'the diagnosis/verdict.txt'
grep -q 'after finds\|Nothing was lost: the recall of after\|No loss was shown' answer || { cat answer; exit 1; }
if [ -d 'the diagnosis/restored' ]; then
    "$qkscope" compare 'an adapter' 'the diagnosis/restored' --base 'the base' --expect 'the diagnosis/plan.json' >/dev/null
    "$qkscope" export 'the diagnosis/run.h5' --list | grep -q '^/probe/restored/distance_histogram'
fi
# the command lines can be run again as they are
grep '^qkscope niah' 'the diagnosis/commands.sh' >again.sh
cp 'the diagnosis/steps/niah.h5' before.h5
PATH=$(dirname "$qkscope"):$PATH sh again.sh >/dev/null 2>&1
cmp before.h5 'the diagnosis/steps/niah.h5'
