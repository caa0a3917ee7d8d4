#!/bin/sh
# Code quoted in the manual stands so in the sources: the block behind a line "<!-- quote: PATH -->" is found in PATH.
#   quotes.sh SOURCE_ROOT
set -u
root=$1 bad=0 n=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for page in "$root"/docs/*.md; do
    rm -f "$work"/quote.*
    awk -v out="$work/quote." '
        /^<!-- quote: .* -->$/ { path = $3; next }
        /^```/ && block { block = 0; path = ""; next }
        /^```/ && path { block = ++n; print path > (out n ".path"); next }
        block { print > (out n) }' "$page"
    for path in "$work"/quote.*.path; do
        [ -e "$path" ] || continue
        n=$((n + 1))
        quote=${path%.path} source=$root/$(cat "$path")
        if ! [ -f "$source" ] || ! awk -v RS='\001' 'NR == FNR { quote = $0; next } { found = index($0, quote) }
                END { exit !found }' "$quote" "$source"; then
            echo "${page#"$root"/} quotes $(cat "$path") otherwise than it is: $(head -n 1 "$quote")"
            bad=1
        fi
    done
done
echo "$n quotes"
exit "$bad"
