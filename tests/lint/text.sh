#!/bin/sh
# Files as the house style wants them: length, words, names, places.
#   text.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
bad=0
complain() {
    if [ -n "$1" ]; then
        printf '%s:\n%s\n' "$2" "$1"
        bad=1
    fi
}
# tests/data holds fixtures, which are as long as they are
code() { find src analyses tests .ci Makefile meson.build -type f ! -path 'tests/data/*' \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.in' -o -name meson.build -o -path '.ci/*' -o -name Makefile \); }
prose() { find docs README.md CONTRIBUTING.md CHANGELOG.md -type f 2>/dev/null; }

complain "$(code | xargs wc -l | awk '$2 != "total" && $1 > 500')" "longer than 500 lines"
complain "$(code | grep -v '^tests/lint/' | xargs grep -nE '\b(TODO|FIXME|HACK)\b|\bstub\b|not (yet )?implemented')" "unfinished work"
complain "$(find src analyses tests -type f | grep -E '(^|[/_])(util|utils|helper|helpers|common|misc|core|manager)([_.]|$)')" \
    "names that say nothing"
complain "$( (code; prose) | grep -v '^tests/lint/' | xargs grep -nE '\.\./shared|/work/|/home/[a-z]|/root/')" "paths of one machine"
complain "$(code | grep '\.[ch]$' | while read -r f; do head -n 1 "$f" | grep -q '^/\*' || echo "$f"; done)" \
    "files that do not begin with their purpose"
complain "$(code | grep '\.[ch]$' | xargs grep -nE '^/[*/] ?(=|-|\*){20,}')" "banners"
complain "$(code | grep -E '\.[ch]$|meson\.build$' | xargs grep -n -e '-ffast-math')" "-ffast-math"
exit "$bad"
