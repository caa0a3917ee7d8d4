#!/bin/sh
# Sessions with qkscope drift: parts joined are the run in one piece, byte for byte; the same inputs give the same bytes
# whatever the threads; an interrupted run is continued and gives the same bytes; other options are refused.
#   drift_session.sh QKSCOPE DATA
set -u
qkscope=$(realpath "$1") data=$2 bad=0
unset SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
complain() {
    echo "$*"
    bad=1
}
run() {
    "$qkscope" "$@" >out 2>err || complain "exit $? of: qkscope $*: $(cat err)"
}
refuse() {
    want=$1 text=$2
    shift 2
    "$qkscope" "$@" >out 2>err
    status=$?
    [ $status -eq "$want" ] || complain "exit $status (expected $want) of: qkscope $*"
    grep -q -- "$text" err || complain "no '$text' in the message of: qkscope $*: $(cat err)"
}
cp -r "$data/weights/hypenet/base" base && cp -r "$data/weights/hypenet/sft" sft && cp -r sft later && chmod -R u+w . || exit 1
# the later checkpoint differs from sft in its last weights
dd if=/dev/zero of=later/model.safetensors bs=1 seek=949000 count=64 conv=notrunc 2>dd.err || exit 1

run drift base sft -o whole.h5 --threads 1
for threads in 2 8; do
    run drift base sft -o threads.h5 --force --threads $threads
    cmp whole.h5 threads.h5 || complain "$threads threads give other bytes"
done
run drift base sft -o a.h5 --layers 0,3
run drift base sft -o b.h5 --layers 1-2
run drift base sft -o c.h5 --layers 4 --threads 3
run merge b.h5 c.h5 a.h5 -o merged.h5
cmp whole.h5 merged.h5 || complain "parts joined give other bytes"
refuse 4 'no part computed' merge a.h5 b.h5 -o gap.h5
run drift base sft -o other.h5 --layers 4 --kinds linear
refuse 4 config_hash merge a.h5 b.h5 other.h5 -o options.h5

run drift base sft later -o both.h5
run drift base later -o second.h5
run merge whole.h5 second.h5 -o trajectory.h5
cmp both.h5 trajectory.h5 || complain "checkpoints joined give other bytes"

# a partial run lies where an interrupted one leaves it
mv b.h5 run.h5.part
run drift base sft -o run.h5 --resume
grep -q '2 of 5 layers' err || complain "no word of the layers that are there: $(cat err)"
cmp whole.h5 run.h5 || complain "a continued run gives other bytes"
[ ! -e run.h5.part ] || complain "the sidecar is left behind"
cp a.h5 run2.h5.part
refuse 4 'cannot resume' drift base later -o run2.h5 --resume
refuse 4 'cannot resume' drift base sft -o run2.h5 --resume --metrics 'q_*'
[ ! -e run2.h5 ] || complain "a refused run left a file"

SOURCE_DATE_EPOCH=86400 "$qkscope" drift base sft -o dated.h5 -q >out 2>err || complain "$(cat err)"
grep -q 1970-01-02T00:00:00Z dated.h5 || complain "SOURCE_DATE_EPOCH is not respected"

refuse 2 'exists already' drift base sft -o whole.h5
refuse 2 'no output' drift base sft
refuse 2 'qk_rel_drift' drift base sft -o x.h5 --metrics qk_rel_drfit
refuse 4 model_type drift base "$data/weights/llama/sft" -o x.h5
[ ! -e x.h5 ] || complain "a refused run left a file"
run drift base base sft -o names.h5 --json
grep -q '"name": "base-2"' out || complain "names are not made unique: $(cat out)"
exit $bad
