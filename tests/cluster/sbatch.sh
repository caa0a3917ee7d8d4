#!/bin/sh
# Stands in for sbatch: starts the job script, its last argument, in the background and prints its number; the state is in
# $QUEUE/NUMBER, where sacct.sh looks.
number=$(($(ls "$QUEUE" | wc -l) + 1))
printf '%s\n' "$*" >>"$QUEUE.asked"
echo RUNNING >"$QUEUE/$number"
for script in "$@"; do :; done
(
    if sh "$script"; then echo COMPLETED; else echo FAILED; fi >"$QUEUE/$number.end"
    mv "$QUEUE/$number.end" "$QUEUE/$number"
) >"$QUEUE.log" 2>&1 </dev/null &
echo "$number"
