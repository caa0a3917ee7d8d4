#!/bin/sh
# One part of a measurement: drift of a range of layers, or a shard of what probe, niah and eval run. `qkscope merge` of
# all N parts gives what one run gives. A part that was interrupted goes on where it stopped.
#   part.sh I/N OUTPUT.h5 COMMAND BASE [ARGUMENT of the command]...
# QKSCOPE names the program, qkscope when unset.
set -eu
qkscope=${QKSCOPE:-qkscope}
[ $# -ge 4 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
i=${1%/*} n=${1#*/} output=$2 command=$3
shift 3
case $i/$n in
*[!0-9/]* | /* | */) echo "part.sh: no part: $i/$n (expected I/N, as in 1/4)" >&2; exit 2 ;;
esac
[ "$i" -ge 1 ] && [ "$i" -le "$n" ] || { echo "part.sh: no part: $i/$n" >&2; exit 2; }

case $command in
drift)
    base=$1
    [ -e "$base" ] || base=${base#*=} # NAME=PATH
    layers=$("$qkscope" inspect --json "$base" | sed -n 's/.*"n_layers": \([0-9]*\).*/\1/p' | head -n 1)
    [ -n "$layers" ] || { echo "part.sh: $base: how many layers is not known" >&2; exit 2; }
    [ "$n" -le "$layers" ] || { echo "part.sh: $n parts of $layers layers: at most one part a layer" >&2; exit 2; }
    set -- "$@" --layers "$(((i - 1) * layers / n))-$((i * layers / n - 1))" ;;
probe | niah | eval) set -- "$@" --shard "$i/$n" ;;
*) echo "part.sh: no parts of '$command' (expected drift, probe, niah or eval)" >&2; exit 2 ;;
esac

mkdir -p "$(dirname "$output")"
exec "$qkscope" "$command" "$@" --resume -o "$output"
