#!/bin/sh
# The zsh completion as zsh understands it: the script has no mistakes, names every command and option, and a zsh on a
# terminal of its own completes what is typed.
#   completion_zsh.sh QKSCOPE
set -eu
qkscope=$1 bad=0
command -v zsh >/dev/null 2>&1 || { echo "zsh is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
complain() {
    echo "$*"
    bad=1
}

"$qkscope" docs completion-zsh >"$work/_qkscope"
zsh -n "$work/_qkscope" || complain "not a zsh script"
[ "$(head -n 1 "$work/_qkscope")" = "#compdef qkscope" ] || complain "zsh does not know whose completion it is"
for command in $("$qkscope" docs commands); do
    grep -q "^        '$command:." "$work/_qkscope" || complain "completion does not offer $command"
    sed -n "/^    $command)\$/,/;;/p" "$work/_qkscope" >"$work/words"
    "$qkscope" docs markdown "$command" | sed -n 's/^| \(`-.*`[^|]*\) |.*/\1/p' | tr ',' '\n' |
        sed -n 's/^ *`\(-[^ `]*\).*/\1/p' >"$work/options"
    [ -s "$work/options" ] || complain "no options of $command"
    while read -r option; do
        grep -qE -e "['*)]$option[+=]?\[" "$work/words" || complain "completion of $command lacks $option"
    done <"$work/options"
done

mkdir "$work/files"
: >"$work/files/run.h5"
cat >"$work/typist.zsh" <<'END'
# types each line of standard input into a zsh, presses tab, and prints what the line then is
zmodload zsh/zpty
cd $1/files
zpty shell zsh -f -i
zpty -w shell "PROMPT= fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -d $1/dump; unsetopt beep auto_menu list_beep
    tell() { print -r -- \"<<\$BUFFER>>\" >>$1/told; BUFFER= }; zle -N tell; bindkey '^X' tell; bindkey '^I' complete-word; print ready >>$1/told"
repeat 200; do [[ -s $1/told ]] && break; sleep 0.1; done
n=1
while read -r line; do
    zpty -w -n shell "$line"$'\t'$'\x18'
    ((n++))
    repeat 100; do (( $(wc -l <$1/told) >= n )) && break; zpty -r -t shell seen && :; sleep 0.05; done
done
zpty -d shell
cat $1/told
END
completes() { # typed, what it becomes
    printf '%s\n' "$1" >>"$work/typed"
    printf '<<%s>>\n' "$2" >>"$work/expected"
}
echo ready >"$work/expected"
completes 'qkscope insp' 'qkscope inspect '
completes 'qkscope help toke' 'qkscope help tokenize '
completes 'qkscope --ver' 'qkscope --version '
completes 'qkscope drift --ki' 'qkscope drift --kinds='
completes 'qkscope drift --kinds full,sli' 'qkscope drift --kinds full,sliding,'
completes 'qkscope drift --progress=ne' 'qkscope drift --progress=never '
completes 'qkscope drift --progress al' 'qkscope drift --progress always '
completes 'qkscope export r' 'qkscope export run.h5 '
completes 'qkscope merge a.h5 b.h5 -o r' 'qkscope merge a.h5 b.h5 -o run.h5 '
zsh -f "$work/typist.zsh" "$work" <"$work/typed" >"$work/found" 2>&1
diff "$work/expected" "$work/found" || complain "zsh completes otherwise (< expected, > found)"
exit "$bad"
