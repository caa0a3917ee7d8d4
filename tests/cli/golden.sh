#!/bin/sh
# Runs the sessions of a .t file and compares exit status, standard output and standard error with what it expects.
#   golden.sh QKSCOPE SOURCE_ROOT FILE.t
#
# A .t file has, per command:
#   $ COMMAND      run by sh in an empty directory shared by the whole file; qkscope is on PATH, $SRC the source root
#   ? N            its exit status (0 when left out)
#   > LINE         a line of standard output
#   ! LINE         a line of standard error
# All lines must be there, in order; streams without lines must be empty. In an expected line <*> stands for any text,
# <V~T> for a number within T of V, <SRC> for the source root; a line that is only ... stands for any number of lines.
# Lines that start with # and empty lines are comments.
set -u
[ -x "$1" ] || { echo "$1: no such program"; exit 1; }
qkscope=$(cd "$(dirname "$1")" && pwd)
SRC=$2
file=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/dir"
PATH=$qkscope:$PATH LC_ALL=C TERM=dumb
unset COLUMNS OPENBLAS_CORETYPE QKSCOPE_BLAS_CORE_CHOSEN
export SRC PATH LC_ALL TERM
failures=0 sessions=0

# compare STREAM ACTUAL EXPECTED
compare() {
    awk -v src="$SRC" -v stream="$1" '
        function fits(text, want,    at, end, token, parts, i, number) {
            while ((at = index(want, "<")) > 0) {
                if (substr(text, 1, at - 1) != substr(want, 1, at - 1)) return 0
                text = substr(text, at); want = substr(want, at)
                end = index(want, ">")
                token = end > 0 ? substr(want, 2, end - 2) : ""
                if (token == "*") {
                    want = substr(want, end + 1)
                    if (want == "") return 1
                    for (i = 1; i <= length(text) + 1; i++) if (fits(substr(text, i), want)) return 1
                    return 0
                }
                if (token == "SRC") {
                    if (substr(text, 1, length(src)) != src) return 0
                    text = substr(text, length(src) + 1); want = substr(want, end + 1)
                    continue
                }
                if (split(token, parts, "~") == 2 && token ~ /^[-+0-9.e~]+$/) {
                    if (!match(text, /^[-+]?[0-9]+\.?[0-9]*([eE][-+]?[0-9]+)?/)) return 0
                    number = substr(text, 1, RLENGTH) + 0
                    if (number - parts[1] > parts[2] + 0 || parts[1] - number > parts[2] + 0) return 0
                    text = substr(text, RLENGTH + 1); want = substr(want, end + 1)
                    continue
                }
                if (substr(text, 1, 1) != "<") return 0
                text = substr(text, 2); want = substr(want, 2)
            }
            return text == want
        }
        # do actual lines a.. fit expected lines e..?
        function match_from(a, e,    i) {
            while (e <= n_want) {
                if (want_line[e] == "...") {
                    if (e == n_want) return 1
                    for (i = a; i <= n_got + 1; i++) if (match_from(i, e + 1)) return 1
                    return 0
                }
                if (a > n_got || !fits(got_line[a], want_line[e])) {
                    if (a >= worst) { worst = a; worst_want = want_line[e] }
                    return 0
                }
                a++; e++
            }
            if (a <= n_got && a >= worst) { worst = a; worst_want = "(end)" }
            return a > n_got
        }
        FILENAME == ARGV[1] { got_line[++n_got] = $0; next }
        { want_line[++n_want] = $0 }
        END {
            if (match_from(1, 1)) exit 0
            printf "  %s, line %d\n    expected: %s\n    found:    %s\n", stream, worst, worst_want,
                (worst > n_got ? "(end)" : got_line[worst])
            exit 1
        }' "$2" "$3"
}

finish() {
    [ -n "$command" ] || return 0
    sessions=$((sessions + 1))
    (cd "$work/dir" && exec sh -c "$command" </dev/null >"$work/out" 2>"$work/err")
    status=$?
    bad=
    if [ "$status" -ne "$want_status" ]; then
        bad="  exit status $status (expected $want_status)
"
    fi
    report=$(compare "standard output" "$work/out" "$work/want_out") || bad="$bad$report
"
    report=$(compare "standard error" "$work/err" "$work/want_err") || bad="$bad$report
"
    if [ -n "$bad" ]; then
        failures=$((failures + 1))
        printf '%s: $ %s\n%s' "$(basename "$file")" "$command" "$bad"
        sed 's/^/    out| /' "$work/out" | head -n 40
        sed 's/^/    err| /' "$work/err" | head -n 10
    fi
}

command="" want_status=0
: >"$work/want_out"
: >"$work/want_err"
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    '$ '*)
        finish
        command=${line#??} want_status=0
        : >"$work/want_out"
        : >"$work/want_err"
        ;;
    '? '*) want_status=${line#??} ;;
    '> '*) printf '%s\n' "${line#??}" >>"$work/want_out" ;;
    '>') echo >>"$work/want_out" ;;
    '! '*) printf '%s\n' "${line#??}" >>"$work/want_err" ;;
    '#'* | '') ;;
    *)
        echo "$file: not a line of a session: $line"
        failures=$((failures + 1))
        ;;
    esac
done <"$file"
finish
echo "$sessions sessions, $failures failed"
[ "$failures" -eq 0 ] && [ "$sessions" -gt 0 ]
