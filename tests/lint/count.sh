#!/bin/sh
# .ci/count on junit files as meson writes them: its line, its exit status, and that nothing run is a failure.
#   count.sh SOURCE_ROOT
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
check() { # junit text, last line expected, exit status expected
    printf '%s' "$1" >"$work/junit.xml"
    sh "$root/.ci/count" "$work/junit.xml" >"$work/out"
    status=$?
    line=$(tail -n 1 "$work/out")
    if [ "$line" != "$2" ] || [ "$status" -ne "$3" ]; then
        echo "found '$line', status $status (expected '$2', $3) for: $1"
        wrong=1
    fi
}

root=$1
head='<?xml version="1.0" encoding="utf-8"?><testsuites tests="3" errors="0" failures="1"><testsuite name="x" tests="3">'
tail='</testsuite></testsuites>'
good='<testcase name="a" classname="a" time="0.1" />'
long='<testcase name="b" classname="b" time="0.1"><system-out>failure 1 &lt;failure&gt;</system-out></testcase>'
bad='<testcase name="c" classname="c" time="0.1"><failure /></testcase>'
error='<testcase name="d" classname="d" time="0.1"><error message="timeout" /></testcase>'
skip='<testcase name="e" classname="e" time="0.1"><skipped /></testcase>'
check "$head$good$tail" "1 passed, 0 failed, 0 skipped" 0
check "$head$good$long$skip$tail" "2 passed, 0 failed, 1 skipped" 0
check "$head$good$bad$tail" "1 passed, 1 failed, 0 skipped" 1
check "$head$error$good$long$tail" "2 passed, 1 failed, 0 skipped" 1
check "$head$skip$tail" "0 passed, 0 failed, 1 skipped" 1
check "$head$tail" "0 passed, 0 failed, 0 skipped" 1
check "" "0 passed, 0 failed, 0 skipped" 1
printf '%s' "$head$skip$good$tail" >"$work/junit.xml"
sh "$root/.ci/count" "$work/junit.xml" | grep -qx "skipped: e" || { echo "skips are not named"; wrong=1; }
exit "$wrong"
