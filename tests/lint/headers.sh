#!/bin/sh
# Every header compiles alone, and the public ones have include guards named after them.
#   headers.sh SOURCE_ROOT CC
set -u
cd "$1" || exit 1
shift
bad=0
includes=
for dir in src/*/include analyses/include; do
    includes="$includes -I$dir"
done
for flag in $(pkg-config --cflags hdf5-serial lapacke openblas libcjson); do
    includes="$includes $flag"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find src analyses -name '*.h' >"$work/headers"
n=0
while read -r header; do
    n=$((n + 1))
    # shellcheck disable=SC2086  # a list of words
    "$@" -std=c17 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-function -Wno-unused-const-variable \
        -Werror -fsyntax-only $includes "-I$(dirname "$header")" -x c "$header" </dev/null || bad=1
    case $header in
    */include/*)
        guard=QK_$(echo "${header#*/include/}" | tr 'a-z/.' 'A-Z__')
        grep -q "^#ifndef $guard\$" "$header" || { echo "$header: guard is not $guard"; bad=1; }
        ;;
    esac
done <"$work/headers"
echo "$n headers"
[ "$n" -gt 20 ] || bad=1
exit "$bad"
