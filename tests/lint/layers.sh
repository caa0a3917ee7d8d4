#!/bin/sh
# Layers: a source includes headers only from its own layer and those below; a third-party library is included by one
# layer only; only src/cli prints or exits.
#   layers.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
bad=0

# directory, prefixes that may be included
below='
src/base     base
src/num      base num
src/ckpt     base num ckpt
src/model    base num ckpt model
src/repair   base num ckpt model repair
src/text     base num ckpt model text
src/forward  base num ckpt model text forward
analyses     base num ckpt model text forward analyses
src/run      base num ckpt model repair text forward analyses run
src/store    base num analyses store
src/plot     base num analyses plot
src/advise   base num ckpt model repair analyses advise
src/cli      base num ckpt model repair text forward analyses run store plot advise cli
'
# header, layer that may include it
owned='
cblas.h        src/num
lapacke.h      src/num
cJSON.h        src/ckpt
hdf5.h         src/store
hdf5_hl.h      src/store
pthread.h      src/base
spawn.h        src/base
pcre2.h        src/text
utf8proc.h     src/text
'
sources() { find "$1" -name '*.[ch]'; }

complain() {
    if [ -n "$1" ]; then
        printf '%s:\n%s\n' "$2" "$1"
        bad=1
    fi
}

while read -r dir allowed; do
    [ -n "$dir" ] || continue
    [ -d "$dir" ] || continue
    pattern=$(echo "$allowed" | tr ' ' '|')
    found=$(sources "$dir" | xargs grep -nE '^[[:space:]]*#[[:space:]]*include "[^"]*/' | grep -vE "include \"($pattern)/")
    complain "$found" "$dir includes a layer above it"
done <<EOF
$below
EOF
complain "$(find src -mindepth 1 -maxdepth 1 -type d | while read -r dir; do echo "$below" | grep -q "^$dir " || echo "$dir"; done)" \
    "layers that this test does not know"

while read -r header owner; do
    [ -n "$header" ] || continue
    found=$(sources src | grep -v "^$owner/" | xargs grep -nE "include [<\"]${header}[>\"]")
    complain "$found" "<$header> belongs to $owner"
    found=$(sources analyses | xargs grep -nE "include [<\"]${header}[>\"]")
    complain "$found" "<$header> belongs to $owner"
done <<EOF
$owned
EOF

speaks='(^|[^_[:alnum:]>.])(printf|vprintf|puts|putchar|perror|exit|_exit|_Exit|quick_exit|abort)[[:space:]]*\(|f(printf|puts|putc|write)[[:space:]]*\([^;]*std(out|err)'
# a second Ctrl-C leaves at once, and so does the copy that rehearses: the two places below the command line that may
found=$( (sources src; sources analyses) | grep -v '^src/cli/' | xargs grep -nE "$speaks" |
    grep -vE '^src/base/(interrupt|rehearsal)\.c:[0-9]+:[[:space:]]*_exit\(|^[^:]*:[0-9]+:[[:space:]]*(/\*|\*)')
complain "$found" "only src/cli prints or exits"
exit "$bad"
