# what is made of a run file: export, merge, plot
$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o run.h5 >/dev/null

$ qkscope export run.h5 --dataset q_rel_drift | head -n 2
> <*>layer<*>head<*>value<*>
> <*>0<*>

$ qkscope export run.h5 --matrix /drift/sft/q_rel_drift | wc -l
> 8

$ qkscope export run.h5 --json --dataset qk_cosine | head -c 1
> [

$ qkscope export run.h5 --dataset nothing
? 2
! qkscope: error: <*>nothing<*>
! ...

$ qkscope export nowhere.h5
? 3
! qkscope: error: nowhere.h5: <*>
! ...

$ echo text >text.h5; qkscope export text.h5
? 4
! qkscope: error: text.h5: <*>
! ...

# layer ranges joined give the single run
$ for r in 0-3 4-7; do qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o part$r.h5 --layers $r >/dev/null; done; qkscope merge part0-3.h5 part4-7.h5 -o joined.h5 && qkscope export run.h5 >a && qkscope export joined.h5 >b && cmp a b

$ qkscope merge part0-3.h5 part0-3.h5 -o twice.h5
? 4
! qkscope: error: <*>
! ...

$ qkscope merge part0-3.h5 -o gap.h5
? 4
! qkscope: error: <*>
! ...

$ qkscope plot run.h5
? 2
! qkscope: error: plot: expected -o DIR, where the figures go

$ qkscope plot run.h5 -o figures --script-only --figure drift-heatmap
> figures/drift-heatmap.gp

$ qkscope plot run.h5 -o figures --figure drift-heatmop
? 2
! qkscope: error: <*>drift-heatmop<*>
! ...

# gnuplot that is not there
$ PATH=$(dirname $(command -v qkscope)) qkscope plot run.h5 -o nognuplot --figure drift-heatmap
? 3
! qkscope: error: <*>gnuplot<*>
! ...
