$ qkscope
> qkscope: diagnose what fine-tuning did to <*>
>
> Usage: qkscope COMMAND [options] …
>
> Commands:
> ...
>   inspect <*>
> ...
>   version <*>
> ...

$ qkscope --help >a; qkscope help >b; qkscope -h >c; qkscope >d; cmp a b && cmp a c && cmp a d

$ qkscope --version
> qkscope <*>.<*>.<*>

$ qkscope docs commands | while read c; do qkscope $c --help >a && qkscope help $c >b && cmp a b && grep -q "^Usage: qkscope $c" a && grep -q -e '^  -h, --help' a || echo "$c: help"; done

# help comes before what is wrong with the rest
$ qkscope inspect --help a b c | head -n 1
> qkscope inspect: show what a checkpoint is: layers, heads, Q and K tensors

# wrapped at the width asked for, never wider
$ for c in $(qkscope docs commands); do COLUMNS=60 qkscope help $c | grep -v '^ *qkscope' | grep -v '^Usage' | while IFS= read -r l; do n=$(printf %s "$l" | LC_ALL=C.UTF-8 wc -m); [ $n -le 60 ] || echo "$c: $l"; done; done
