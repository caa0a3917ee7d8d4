# the bundled pair: numbers that demo checks against numpy, here as users see them
$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o run.h5
> sft against base, medians over heads
> ...
>   full          3    <0.243~0.001>    <0.232~0.001>    <0.358~0.001>     <29.4~0.1>     <28.3~0.1>   <0.0704~0.0002>   <0.0726~0.0002>  <0.00239~0.00002>
>   linear        5    <0.197~0.001>    <0.188~0.001>    <0.303~0.001> <*>
> ...
>     heads  6.3 (<0.588~0.001>), <*>
> ...

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o run.h5
? 2
! qkscope: error: run.h5: exists already
! qkscope: hint: --force overwrites it

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft
? 2
! qkscope: error: no output file
! qkscope: hint: -o RUN.h5 names it

# a checkpoint against itself: exact zeros
$ qkscope drift $SRC/examples/amnesia/base same=$SRC/examples/amnesia/base -o same.h5
> same against base, medians over heads
> ...
>   of <*> heads of W_Q and W_K: <*> identical, 0 at the rounding floor, 0 undefined

$ qkscope export same.h5 --dataset q_rel_drift | awk -F '\t' 'NR > 1 && $(NF-1) + 0 != 0' | head

# names in results
$ qkscope drift $SRC/examples/amnesia/base a=$SRC/examples/amnesia/sft a=$SRC/examples/amnesia/sft -o two.h5
? 2
! qkscope: error: two checkpoints are called 'a'

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft s=$SRC/examples/amnesia/sft -o two.h5 --layers 2 --metrics 'q_rel_drift' --progress never | grep against
> sft against base, medians over heads
> s against base, medians over heads

# the same numbers whatever the number of threads
$ for t in 1 2 5; do qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o t$t.h5 --threads $t >/dev/null; qkscope export t$t.h5 >t$t.tsv; done; cmp t1.tsv t2.tsv && cmp t1.tsv t5.tsv

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o x.h5 --threads 0
? 2
! qkscope: error: --threads: 0 threads (expected 1 to 4096)

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o x.h5 --layers 3,12
? 2
! qkscope: error: --layers: there is no layer 12 (the model has 8 layers, 0 to 7)

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o x.h5 --kinds fulll
? 2
! qkscope: error: --kinds: 'fulll' is not among its values (expected full, sliding, linear, ssm, none)
! qkscope: hint: did you mean 'full'?

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o x.h5 --metrics nothing_at_all
? 2
! qkscope: error: <*>nothing_at_all<*>
! ...

# nothing of the refused runs is there
$ ls
> run.h5
> same.h5
> t1.h5
> t1.tsv
> t2.h5
> t2.tsv
> t5.h5
> t5.tsv
> two.h5

# a directory that cannot be written to
$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o /proc/run.h5
? 3
! qkscope: error: /proc/run.h5<*>

# progress in a log, also for short work when asked for
$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o p.h5 --progress always >/dev/null
! qkscope: progress: <*> %, <*>
! ...
! qkscope: progress: 100 %, <*> in all<*>

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o v.h5 -v >/dev/null
! qkscope: <*> threads, at most <*> of working memory

# the command line is recorded
$ qkscope drift $SRC/examples/amnesia/base 'my sft=$SRC/examples/amnesia/sft' -o h.h5
? 3
! qkscope: error: $SRC/<*>
! ...

$ qkscope drift $SRC/examples/amnesia/base "my sft=$SRC/examples/amnesia/sft" -o h.h5 >/dev/null && h5dump -a history h.h5 | grep drift
> <*>"qkscope drift base=<SRC>/examples/amnesia/base 'my sft=<SRC>/examples/amnesia/sft'<*>
