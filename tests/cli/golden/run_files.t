# what is made of a run file: export, merge, plot
$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o run.h5 >/dev/null

$ qkscope export run.h5 --dataset q_rel_drift | head -n 2
> <*>layer<*>head<*>value<*>
> <*>0<*>

$ qkscope export run.h5 --matrix /drift/sft/q_rel_drift | wc -l
> 8

$ qkscope export run.h5 --json --dataset qk_cosine | head -c 1
> [

# several datasets, by a list or one by one
$ qkscope export run.h5 -d 'q_rel_drift,/drift/*/k_rel_*' --list | cut -f 1
> dataset
> /drift/sft/q_rel_drift
> /drift/sft/k_rel_drift
$ qkscope export run.h5 -d q_rel_drift -d k_rel_drift >several.tsv && qkscope export run.h5 -d q_rel_drift,k_rel_drift | cmp - several.tsv
$ qkscope export run.h5 -d q_rel_drift -d nothing
? 2
! qkscope: error: run.h5: no dataset matches 'nothing'
! qkscope: hint: --list shows them all

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

$ qkscope plot run.h5 -o default --script-only >default.txt; qkscope plot run.h5 -o default --script-only --force --figure drift-heatmap,all | cmp - default.txt && wc -l <default.txt
> <*>

$ qkscope plot run.h5 -o figures --figure drift-heatmop
? 2
! qkscope: error: <*>drift-heatmop<*>
! ...

# gnuplot that is not there
$ PATH=$(dirname $(command -v qkscope)) qkscope plot run.h5 -o nognuplot --figure drift-heatmap
? 3
! qkscope: error: <*>gnuplot<*>
! ...
