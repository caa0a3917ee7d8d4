#!/bin/sh
# Every command has a man page without groff warnings, a page in docs/commands and completion; the pages in docs/ are
# what the program writes today.
#   pages.sh SOURCE_ROOT QKSCOPE
set -u
root=$1 qkscope=$2 bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
complain() {
    echo "$*"
    bad=1
}

sh "$root/.ci/docs" "$qkscope" "$work/docs" || complain "the program cannot write its pages"
for page in $(cd "$work/docs" && find . -type f); do
    cmp -s "$work/docs/$page" "$root/docs/$page" || complain "docs/${page#./} is out of date: make docs"
done
for picture in $(sed -n 's/^!\[.*\](figures\/\(.*\.png\))$/\1/p' "$root/docs/figures.md"); do
    [ -s "$root/docs/figures/$picture" ] || complain "docs/figures/$picture is missing: make docs"
done
for page in $(cd "$root/docs/commands" && ls); do
    [ -f "$work/docs/commands/$page" ] || complain "docs/commands/$page belongs to no command"
done

"$qkscope" docs completion >"$work/completion" || complain "the program cannot write its completion"
bash -n "$work/completion" || complain "completion is not a bash script"
man_is_clean() {
    groff -man -Kutf8 -Tutf8 -ww -z "$1" >"$work/warnings" 2>&1 && [ ! -s "$work/warnings" ] && return 0
    complain "man page $1:"
    cat "$work/warnings"
}
"$qkscope" docs man >"$work/qkscope.1" || complain "the program cannot write its man page"
man_is_clean "$work/qkscope.1"
n=0
for command in $("$qkscope" docs commands); do
    n=$((n + 1))
    "$qkscope" docs man "$command" >"$work/$command.1" || complain "the program cannot write the man page of $command"
    man_is_clean "$work/$command.1"
    for section in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
        grep -q "^\.SH $section\$" "$work/$command.1" || complain "man page of $command: no section $section"
    done
    grep -q "^\.BR qkscope.*-$command (1)" "$work/qkscope.1" || complain "qkscope(1) does not name $command"
done
[ "$n" -ge 6 ] || complain "only $n commands"

# what completion offers, asked as bash asks it
offers() {
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _qkscope; printf "%s\n" "${COMPREPLY[@]}"' - \
        "$work/completion" "$@"
}
for command in $("$qkscope" docs commands); do
    offers qkscope "$command" | grep -qx "$command" || complain "completion does not offer $command"
    [ "$command" = help ] || offers qkscope "$command" --he | grep -qx -e --help || complain "completion of $command lacks --help"
done
[ "$(offers qkscope inspect --progress ne)" = never ] || complain "completion of --progress"
[ "$(offers qkscope inspect --progress = al)" = always ] || complain "completion of --progress="
[ "$(offers qkscope help insp)" = inspect ] || complain "completion of help"
exit "$bad"
