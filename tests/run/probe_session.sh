#!/bin/sh
# Sessions with qkscope probe: a run that is interrupted or killed at several moments and continued gives the bytes of
# the run in one piece; another part's finished sequences are taken over; other inputs and options are refused by name.
#   probe_session.sh QKSCOPE SOURCE_ROOT PYTHON
set -u
qkscope=$(realpath "$1") pair=$2/examples/amnesia python=$3 bad=0
unset SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
complain() {
    echo "$*"
    bad=1
}
refuse() {
    text=$1
    shift
    "$qkscope" probe "$@" --resume -o run.h5 >out 2>err
    status=$?
    [ $status -eq 4 ] || complain "exit $status (expected 4) of: qkscope probe $*"
    grep -q -- "$text" err || complain "no '$text' in the message of: qkscope probe $*: $(cat err)"
    [ "$(grep -c error: err)" -eq 1 ] || complain "no error in one line: $(cat err)"
    [ ! -e run.h5 ] || complain "a refused run left a file"
    cmp -s run.h5.part part.h5 || complain "a refused run touched what it was to resume"
}
"$python" - "$pair/niah_cases.json" >probes.jsonl <<'EOF' || exit 1
import json, sys
for case in [c for c in json.load(open(sys.argv[1]))["cases"] if c["length"] == 512][:8:2]:
    start, n = case["needle"]
    print(json.dumps({"ids": case["ids"] + case["expect"],
                      "spans": [{"name": "needle", "start": start, "end": start + n}]}))
EOF

# enough checkpoints to be interrupted between them on any machine
set -- "$pair/base"
for i in 1 2 3 4 5; do
    set -- "$@" "t$i=$pair/sft"
done
"$qkscope" probe "$@" --tokens probes.jsonl -o whole.h5 -q >whole.txt || complain "the run itself fails"

# ---- interrupted, killed while it is continued, continued again
caught=0 saved=0
for delay in 0.2 0.5 1.0 1.7 4 9 20; do
    [ $saved -lt 2 ] || break
    rm -f run.h5 run.h5.part
    timeout --preserve-status -s INT $delay "$qkscope" probe "$@" --tokens probes.jsonl -o run.h5 >out 2>err
    status=$?
    [ $status -ne 0 ] || continue
    caught=$((caught + 1))
    [ $status -eq 130 ] || complain "after $delay s: exit status $status (expected 130)"
    [ ! -e run.h5 ] || complain "after $delay s: half a file"
    [ ! -s out ] || complain "after $delay s: it printed an answer"
    [ -e run.h5.part ] || continue
    saved=$((saved + 1))
    grep -q 'run.h5.part; the same command with --resume continues' err || complain "no word of what is kept: $(cat err)"
    "$qkscope" export run.h5.part --list >out || complain "after $delay s: what is kept is no run file"
    timeout -s KILL 0.4 "$qkscope" probe "$@" --tokens probes.jsonl --resume -o run.h5 >out 2>err
    [ -e run.h5 ] && continue
    "$qkscope" probe "$@" --tokens probes.jsonl --resume --threads 1 -o run.h5 >out 2>err ||
        complain "after $delay s: cannot resume: $(cat err)"
    grep -q 'of 24 sequences are there already' err || complain "no word of the sequences that are there: $(cat err)"
    cmp run.h5 whole.h5 || complain "after $delay s: another file after resuming"
    cmp out whole.txt || complain "after $delay s: another answer after resuming"
    [ ! -e run.h5.part ] || complain "after $delay s: the kept part stays"
done
echo "$caught runs interrupted, $saved with something to continue from"
[ $saved -gt 0 ] || complain "no run was interrupted in time"

# ---- what is finished is not computed again: forged sums of a finished sequence reach the result
rm -f run.h5 run.h5.part
base=$pair/base sft=$pair/sft
"$qkscope" probe "$base" "$sft" --tokens probes.jsonl --shard 2/2 -q -o part.h5 >out || complain "the part fails"
"$qkscope" probe "$base" "$sft" --tokens probes.jsonl -q -o pair.h5 >out || complain "the pair fails"
cp part.h5 run.h5.part
"$qkscope" probe "$base" "$sft" --tokens probes.jsonl --resume -o run.h5 >out 2>err || complain "$(cat err)"
grep -q '4 of 8 sequences are there already' err || complain "no word of the sequences: $(cat err)"
cmp run.h5 pair.h5 || complain "a continued part gives another file"
cp part.h5 run.h5.part
"$python" - <<'EOF' || complain "no h5py"
import h5py
with h5py.File("run.h5.part", "r+") as f:
    f["probe/sft/nll"][1] = 7.5
EOF
"$qkscope" probe "$base" "$sft" --tokens probes.jsonl --resume --force -q -o run.h5 >out || complain "cannot resume"
"$qkscope" export run.h5 --dataset /probe/sft/nll | cut -f 5 | grep -qx '7\.5' || complain "it was computed again"
rm -f run.h5

# ---- other inputs and options
cp part.h5 run.h5.part
refuse '/probe/base: queries: .*last:40.*all' "$base" "$sft" --tokens probes.jsonl --queries last:40
refuse '/probe/base: sink: .*expected 3, found 4' "$base" "$sft" --tokens probes.jsonl --sink 3
refuse '/probe/base: linear_queries: .*expected 3, found 64' "$base" "$sft" --tokens probes.jsonl --linear-queries 3
refuse '/probe/base: mixing' "$base" "$sft" --tokens probes.jsonl --layers 2
refuse '/probe/base: n_sequences: .*expected 3, found 4' "$base" "$sft" --tokens probes.jsonl --max-probes 3
refuse '/probe/base/sums/profile' "$base" "$sft" --tokens probes.jsonl --exact-profile
refuse '/probe/base/logits' "$base" "$sft" --tokens probes.jsonl --logits-last 1
refuse 'another --shard' "$base" "$sft" --tokens probes.jsonl --shard 1/2
refuse '/checkpoints/sft: sample_sha256' "$base" "sft=$base" --tokens probes.jsonl
refuse '/checkpoints/base: role' "$base" "$sft" --base sft --tokens probes.jsonl
refuse '/checkpoints/other: .*does not have it' "$base" "$sft" "other=$sft" --tokens probes.jsonl
sed 's/"ids": \[0, /"ids": [0, 7, /; s/, [0-9]*\], "spans"/], "spans"/' probes.jsonl >others.jsonl
refuse '/probe/base: \(set\|token_sha256\)' "$base" "$sft" --tokens others.jsonl
sed 's/"name": "needle"/"name": "other"/' probes.jsonl >moved && mkdir -p spans && mv moved spans/probes.jsonl
refuse '/probe/base: config_hash' "$base" "$sft" --tokens spans/probes.jsonl
printf 'no run file' >run.h5.part && cp run.h5.part part.h5
refuse 'run.h5.part' "$base" "$sft" --tokens probes.jsonl
exit $bad
