#!/bin/sh
# The workflow of analyses/cluster on the bundled pair: four jobs at a time, one of which fails once, give the file of the
# single runs byte for byte; a part that is missing is computed alone, by way of the SLURM profile; the job array gives the
# same parts.
#   workflow.sh QKSCOPE SOURCE_ROOT
set -eu
QKSCOPE_REAL=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$2 here=$(cd "$(dirname "$0")" && pwd)
command -v snakemake >/dev/null 2>&1 || { echo "snakemake is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
complain() {
    echo "$*"
    cat "$work"/log 2>/dev/null || :
    exit 1
}

export REAL="$QKSCOPE_REAL" CALLS="$work/calls" FAILED="$work/failed" FAIL_ONCE="--shard 2/3"
export SOURCE_DATE_EPOCH=1700000000 XDG_CACHE_HOME="$work/cache" QUEUE="$work/queue"
ln -s "$root/examples/amnesia" pair
probe_options='--niah --template pair/niah.json --tasks s2 --lengths 256 --depths 3 --queries last:16'
niah_options='--template pair/niah.json --tasks s2 --lengths 256 --depths 2'
cat >settings.yaml <<END
qkscope: $here/fails_once.sh
out: out
threads: 1
retries: 1
measure:
  drift: {parts: 4, options: "--metrics '*rel_drift'"}
  probe: {parts: 3, options: "$probe_options"}
  niah: {parts: 2, options: "$niah_options"}
runs:
  pair:
    base: pair/base
    tuned: {sft: pair/sft}
END
workflow() {
    snakemake -s "$root/analyses/cluster/Snakefile" --configfile settings.yaml "$@" >log 2>&1 </dev/null
}
calls() { # lines of $CALLS about a command
    grep -c "^$1 " "$CALLS" || :
}
expect() { # what, found, expected
    [ "$2" = "$3" ] || complain "$1: $2 (expected $3)"
}

workflow --cores 4 || complain "the workflow failed"
[ -d "$FAILED" ] || complain "no job failed"
expect "drift jobs" "$(calls drift)" 4
expect "probe jobs, one of them twice" "$(calls probe)" 4
expect "calls of the part that failed" "$(grep -c -e '--shard 2/3' "$CALLS")" 2
expect "niah jobs" "$(calls niah)" 2
expect "merges" "$(calls merge)" 1

"$REAL" drift base=pair/base sft=pair/sft --metrics '*rel_drift' -q -o drift.h5 >/dev/null
"$REAL" probe base=pair/base sft=pair/sft $probe_options -q -o probe.h5 >/dev/null
"$REAL" niah base=pair/base sft=pair/sft $niah_options -q -o niah.h5 >/dev/null
"$REAL" merge drift.h5 probe.h5 niah.h5 -o one.h5
cmp one.h5 out/pair.h5 || complain "the joined file is not the single one"

# one part is lost: it alone is computed again, on a queue
mkdir queue bin
ln -s "$here/sbatch.sh" bin/sbatch
ln -s "$here/sacct.sh" bin/sacct
rm out/parts/pair/drift-3of4.h5 out/pair.h5
: >"$CALLS"
# CI=true: snakemake asks for finished jobs every second instead of every tenth
CI=true PATH=$work/bin:$PATH workflow --profile "$root/analyses/cluster/slurm" --latency-wait 5 --max-status-checks-per-second 10 ||
    complain "the workflow failed on the queue"
expect "drift jobs of one part" "$(calls drift)" 1
expect "probe jobs of one part" "$(calls probe)" 0
expect "the layers of that part" "$(grep -c -e '--layers 4-5' "$CALLS")" 1
expect "jobs on the queue" "$(wc -l <queue.asked)" 2
grep -q -e '--cpus-per-task=1 --mem=4000 --time=240 ' queue.asked || complain "what the queue was asked for: $(cat queue.asked)"
cmp one.h5 out/pair.h5 || complain "the file joined on the queue is not the single one"

# the job array, two of its tasks
for task in 1 2; do
    QKSCOPE=$REAL QKSCOPE_CLUSTER=$root/analyses/cluster SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=2 \
        bash "$root/analyses/cluster/array.sbatch" array drift base=pair/base sft=pair/sft --metrics '*rel_drift' >log 2>&1 ||
        complain "task $task of the array"
done
"$REAL" merge array/drift-2of2.h5 array/drift-1of2.h5 -o array.h5
cmp drift.h5 array.h5 || complain "the array's file is not the single one"
