#!/bin/sh
# The golden runner must report each kind of difference: every session below is wrong on purpose.
#   golden_can_fail.sh GOLDEN_SH
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/qkscope"
chmod +x "$work/qkscope"
wrong=0

must() { # must VERDICT NAME SESSION
    printf '%s\n' "$3" >"$work/one.t"
    if sh "$golden" "$work/qkscope" /source "$work/one.t" >"$work/log" 2>&1; then verdict=pass; else verdict=fail; fi
    if [ "$verdict" != "$1" ]; then
        echo "$2: $verdict (expected $1)"
        cat "$work/log"
        wrong=1
    fi
}

golden=$1
must pass "equal" '$ echo a; echo b >&2; exit 3
? 3
> a
! b'
must fail "other status" '$ exit 3'
must fail "other text" '$ echo a
> b'
must fail "line missing" '$ echo a
> a
> b'
must fail "line too many" '$ echo a; echo b
> a'
must fail "output where none is expected" '$ echo a'
must fail "error output where none is expected" '$ echo a >&2'
must fail "other order" '$ echo a; echo b
> b
> a'
must pass "any lines" '$ echo a; echo b; echo c
> a
> ...
> c'
must fail "any lines, then another" '$ echo a; echo b; echo c
> ...
> d'
must pass "any text" '$ echo abc def
> a<*>d<*>f'
must fail "any text, then another" '$ echo abc def
> a<*>x'
must pass "number" '$ echo "x 0.1234e-1 y"
> x <0.0123~1e-3> y'
must fail "number too far" '$ echo "x 0.125 y"
> x <0.123~1e-3> y'
must fail "no number" '$ echo "x nan y"
> x <0.123~1e-3> y'
must pass "source root" '$ echo $SRC/a
> <SRC>/a'
must pass "a plain <" '$ echo "a<b>c"
> a<b>c'
must fail "no sessions" '# nothing'
must fail "nonsense" 'echo a'
exit "$wrong"
