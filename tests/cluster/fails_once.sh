#!/bin/sh
# The program, as a job sees it on a bad day: writes down every call, and dies the first time that a call has the words of
# $FAIL_ONCE in it.
#   REAL, CALLS (file), FAIL_ONCE, FAILED (file that tells that it happened)
printf '%s\n' "$*" >>"$CALLS"
case " $* " in
*" $FAIL_ONCE "*)
    if mkdir "$FAILED" 2>/dev/null; then
        echo "the node went away" >&2
        exit 3
    fi ;;
esac
exec "$REAL" "$@"
