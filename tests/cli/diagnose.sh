#!/bin/sh
# A diagnosis that is interrupted again and again, or killed, ends up with the files of one that was not.
#   diagnose.sh QKSCOPE SOURCE_ROOT
set -u
qkscope=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
pair=$2/examples/amnesia
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
wrong=0
complain() {
    echo "$*"
    wrong=1
}
cp "$pair/niah.json" "$pair/keys.txt" "$pair/haystack.txt" .
mkdir whole parts killed
diagnose="$qkscope diagnose base=$pair/base sft=$pair/sft -o out -q --size xs --tasks s3 --lengths 256 --depths 4 \
    --passes 1 --template ../niah.json"
compare() {
    for file in run.h5 plan.json verdict.txt commands.sh steps/state steps/niah.h5; do
        cmp "whole/out/$file" "$1/out/$file" || complain "$1: $file is another one"
    done
    left=$(find "$1/out" -name '*.part' -o -name '*.tmp*' -o -name '.*' ! -name .)
    [ -z "$left" ] || complain "$1: left behind: $left"
}

(cd whole && $diagnose >answer) || complain "the run itself fails"

interrupted=0 rounds=0 delay=1
while rounds=$((rounds + 1)); [ $rounds -le 9 ]; do
    (cd parts && timeout --preserve-status -s INT $delay $diagnose --resume >answer 2>err)
    status=$?
    [ $status -ne 0 ] || break
    [ $status -eq 130 ] || complain "interrupted after $delay s: exit status $status (expected 130): $(cat parts/err)"
    interrupted=$((interrupted + 1))
    [ -s parts/answer ] && complain "interrupted after $delay s: it printed a verdict"
    # the machine may be slow: steps that keep nothing need their time in one piece
    delay=$((2 * delay))
done
[ $status -eq 0 ] || complain "it does not come to an end: $(cat parts/err)"
[ $interrupted -gt 0 ] || complain "no run was interrupted in time"
cmp whole/answer parts/answer || complain "another verdict after resuming"
compare parts

# a program killed outright leaves its step at work, which holds the lock until it ends
(cd killed && exec $diagnose >answer 2>err) &
pid=$!
sleep 1
kill -9 $pid
wait $pid 2>/dev/null
rounds=0
while rounds=$((rounds + 1)); [ $rounds -le 200 ]; do
    (cd killed && $diagnose --resume >answer 2>err)
    status=$?
    [ $status -eq 2 ] || break
    grep -q 'a diagnosis is at work here' killed/err || complain "killed: $(cat killed/err)"
    sleep 0.1
done
[ $status -eq 0 ] || complain "killed: exit status $status: $(cat killed/err)"
cmp whole/answer killed/answer || complain "another verdict after being killed"
compare killed
# other documents, under the name that the template gives them: not a diagnosis to go on with
sed 's/the/that/g' haystack.txt >other.txt && mv other.txt haystack.txt
(cd whole && $diagnose --resume >answer 2>err)
status=$?
[ $status -eq 4 ] || complain "resumed with other prose: exit status $status (expected 4)"
grep -q 'documents: cannot resume a diagnosis of other inputs' whole/err || complain "resumed with other prose: $(cat whole/err)"
echo "$interrupted interruptions and a kill left no trace"
exit $wrong
