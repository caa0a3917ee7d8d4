#!/bin/sh
# Ctrl-C, SIGTERM or a terminal that goes away during drift: exit status 130, no half-written file, an older result untouched, finished layers resumable.
#   interrupt.sh QKSCOPE SOURCE_ROOT
set -u
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
base=$2/examples/amnesia/base tuned=$2/examples/amnesia/sft
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
wrong=0
complain() {
    echo "$*"
    wrong=1
}

# a trajectory long enough to be interrupted on any machine
set -- "$base"
i=0
while [ $i -lt 16 ]; do
    set -- "$@" "t$i=$tuned"
    i=$((i + 1))
done

"$qkscope" drift "$@" -o whole.h5 >whole.txt || complain "the run itself fails"
"$qkscope" export whole.h5 >whole.tsv || complain "the run cannot be exported"

interrupted=0 signal=INT
for delay in 0.1 0.25 0.5 1 2 4 0.2 0.4 0.8 1.6; do
    [ $interrupted -lt 3 ] || break
    mkdir run
    echo "an older result" >run/run.h5
    timeout --preserve-status -s $signal "$delay" "$qkscope" drift "$@" --force -o run/run.h5 >out 2>err
    status=$?
    if [ "$status" -eq 0 ]; then
        rm -rf run
        continue
    fi
    # a signal before main ends a program without a word
    case $status$([ -s err ] && echo said) in
    130said | 130 | 143 | 129) ;;
    *) complain "after $delay s: exit status $status (expected 130)" ;;
    esac
    if [ -s err ]; then
        interrupted=$((interrupted + 1))
        case $signal in INT) signal=TERM ;; *) signal=HUP ;; esac
        grep -q '^qkscope: error: .*interrupted$' err || complain "after $delay s: $(cat err)"
    fi
    [ "$(cat run/run.h5)" = "an older result" ] || complain "after $delay s: the older result was touched"
    left=$(find run -type f ! -name run.h5 ! -name run.h5.part)
    [ -z "$left" ] || complain "after $delay s: left behind: $left"
    [ -s out ] && complain "after $delay s: it printed a summary"
    if [ -e run/run.h5.part ]; then
        grep -q '^qkscope: hint: .*run/run.h5.part; .*--resume continues$' err || complain "after $delay s: no word of --resume"
        "$qkscope" export run/run.h5.part --list >list || complain "after $delay s: the part is not readable"
        "$qkscope" drift "$@" --force --resume -q -o run/run.h5 >resumed.txt || complain "after $delay s: cannot resume"
        cmp resumed.txt whole.txt || complain "after $delay s: another summary after resuming"
        "$qkscope" export run/run.h5 | cmp - whole.tsv || complain "after $delay s: other numbers after resuming"
        [ -e run/run.h5.part ] && complain "after $delay s: the part stays after resuming"
    fi
    rm -rf run
done
echo "$interrupted runs were interrupted in time"
[ "$interrupted" -gt 0 ] || complain "no run was interrupted in time"
exit "$wrong"
