#!/bin/sh
# Sources are as clang-format 14 writes them (other versions differ in places). Exit 77 (a named skip) without it.
#   format.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
format=$(command -v clang-format-14) || { echo "clang-format-14 is not installed"; exit 77; }
find src analyses tests -name '*.[ch]' -exec "$format" --dry-run --Werror {} + 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c >"${TMPDIR:-/tmp}/qk_format.$$"
if [ -s "${TMPDIR:-/tmp}/qk_format.$$" ]; then
    echo "not formatted (make format):"
    cat "${TMPDIR:-/tmp}/qk_format.$$"
    rm -f "${TMPDIR:-/tmp}/qk_format.$$"
    exit 1
fi
rm -f "${TMPDIR:-/tmp}/qk_format.$$"
