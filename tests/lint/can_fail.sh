#!/bin/sh
# The lint tests must report what they are there for: each breach below, put into a small tree, has to be found.
#   can_fail.sh LINT_DIR
set -u
lint=$1 wrong=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tree() { # a clean tree
    rm -rf "$work/tree"
    for layer in base num ckpt store cli; do
        mkdir -p "$work/tree/src/$layer/include/$layer"
    done
    mkdir -p "$work/tree/analyses/include" "$work/tree/tests" "$work/tree/.ci" "$work/tree/docs"
    printf '/* Purpose. */\nint one(void);\n' >"$work/tree/src/base/one.c"
    printf 'all:\n' >"$work/tree/Makefile"
    printf "project('x', 'c')\n" >"$work/tree/meson.build"
    cp "$lint/../../.clang-format" "$work/tree/"
}
verdict() { # must pass|fail, script, name of the case
    if sh "$lint/$2" "$work/tree" >"$work/log" 2>&1; then got=pass; else got=fail; fi
    if [ "$got" != "$1" ]; then
        echo "$2, $3: $got (expected $1)"
        cat "$work/log"
        wrong=1
    fi
}
breach() { # script, file, line
    tree
    if [ -e "$work/tree/$2" ]; then
        printf '%s\n' "$3" >>"$work/tree/$2"
    else
        printf '/* Purpose. */\n%s\n' "$3" >"$work/tree/$2"
    fi
    verdict fail "$1" "$2: $3"
}

tree
verdict pass layers.sh "clean tree"
verdict pass text.sh "clean tree"
breach layers.sh src/base/one.c '#include "num/blas.h"'
breach layers.sh src/num/two.c '#include "ckpt/ckpt.h"'
breach layers.sh analyses/two.c '#include "store/store.h"'
breach layers.sh src/store/two.c '#include "ckpt/ckpt.h"'
breach layers.sh src/num/two.c '#include <pthread.h>'
breach layers.sh src/ckpt/two.c '#include <hdf5.h>'
breach layers.sh analyses/two.c '#include <cblas.h>'
breach layers.sh src/num/two.c 'static void f(void) { printf("x"); }'
breach layers.sh src/num/two.c 'static void f(void) { fprintf(stderr, "x"); }'
breach layers.sh src/base/one.c 'static void f(void) { exit(1); }'
breach layers.sh analyses/two.c 'static void f(void) { abort(); }'
tree
mkdir "$work/tree/src/extra"
verdict fail layers.sh "a directory that is no layer"
breach text.sh src/base/one.c '/* TODO later */'
breach text.sh src/base/one.c 'const char *path = "/work/x";'
breach text.sh docs/page.md 'see ../shared/x'
breach text.sh src/base/string_utils.c 'int two(void);'
breach text.sh src/base/one.c '/* ===================================== */'
breach text.sh meson.build "add_project_arguments('-ffast-math', language: 'c')"
tree
seq 600 | sed 's/.*/int a&;/' >>"$work/tree/src/base/one.c"
verdict fail text.sh "a long file"
tree
printf 'int two(void);\n' >"$work/tree/src/base/two.c"
verdict fail text.sh "a file without its purpose"
quote() { # a page that quotes the clean tree's file so
    tree
    printf '<!-- quote: src/base/one.c -->\n```c\n%s\n```\n' "$1" >"$work/tree/docs/page.md"
}
quote 'int one(void);'
verdict pass quotes.sh "a right quote"
quote 'int one(int);'
verdict fail quotes.sh "a wrong quote"
exit "$wrong"
