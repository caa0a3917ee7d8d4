#!/bin/sh
# What a workflow's configuration or a part's words may have wrong is said in one line that names it, before any job starts.
#   mistakes.sh QKSCOPE SOURCE_ROOT
set -eu
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$2 bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
ln -s "$root/examples/amnesia" pair
export XDG_CACHE_HOME="$work/cache" QKSCOPE="$qkscope"
refused() { # line expected, status expected; the command behind --
    line=$1 status=0
    shift 2
    "$@" >log 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ] || ! grep -qF -e "$line" log; then
        echo "status $status, no line '$line' from: $*"
        cat log
        bad=1
    fi
}

part="sh $root/analyses/cluster/part.sh"
refused "no part: 5/4" -- $part 5/4 a.h5 drift pair/base pair/sft
refused "no part: 0/4" -- $part 0/4 a.h5 drift pair/base pair/sft
refused "no part: x/4" -- $part x/4 a.h5 drift pair/base pair/sft
refused "no part: 1/" -- $part 1/ a.h5 drift pair/base pair/sft
refused "9 parts of 8 layers" -- $part 1/9 a.h5 drift base=pair/base pair/sft
refused "how many layers is not known" -- $part 1/2 a.h5 drift nowhere pair/sft
refused "no parts of 'plot'" -- $part 1/2 a.h5 plot pair/base
refused "part.sh I/N OUTPUT.h5 COMMAND BASE" -- $part 1/2
refused "expected OUT COMMAND BASE" -- bash "$root/analyses/cluster/array.sbatch" array

if command -v snakemake >/dev/null 2>&1; then
    workflow() {
        snakemake -s "$root/analyses/cluster/Snakefile" --configfile settings.yaml --cores 1 -n
    }
    drift='measure: {drift: {parts: 2}}'
    echo "$drift" >settings.yaml
    refused "configuration: 'runs' is missing" -- workflow
    printf '%s\n' 'measure: {plot: {parts: 2}}' 'runs: {a: {base: pair/base, tuned: {sft: pair/sft}}}' >settings.yaml
    refused "run 'a': cannot measure 'plot' (expected drift, probe, niah, eval)" -- workflow
    printf '%s\n' "$drift" 'runs: {a: {base: pair/nowhere, tuned: {sft: pair/sft}}}' >settings.yaml
    refused "pair/nowhere: no checkpoint there" -- workflow
fi
[ ! -e a.h5 ] || { echo "a refused part left a file"; bad=1; }
exit "$bad"
