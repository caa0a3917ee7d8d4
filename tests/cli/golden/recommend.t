# findings and plans from run files
$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o run.h5 >/dev/null

$ COLUMNS=100 qkscope recommend run.h5 -o plan.json
> sft against base
> findings:
> ...
>   info     no-probe-data: attention was not measured. <*>
> ...
> plan: restore 3, align 0, keep 0 of 3 units; scored by drift only
>   layer  group  score  action   why
>       2  all    <0.252~0.002>  restore  head <*> decides: its routing form moved by <*>
> ...

$ grep -c '"action": "restore"' plan.json
> 3

$ qkscope recommend run.h5 -o plan.json
? 2
! qkscope: error: plan.json: exists already
! ...

$ qkscope recommend run.h5 --json | python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["scored_by"], [u["action"] for u in d["plan"]["units"]])'
> drift only ['restore', 'restore', 'restore']

$ qkscope recommend run.h5 --budget 1 --export mergekit
> # qkscope <*>: the plan for sft against base, for mergekit-yaml.
> ...
> merge_method: linear
> models:
>   - model: "<SRC>/examples/amnesia/sft"
>     parameters:
>       weight:
>         - filter: layers.7.self_attn.q_proj
>           value: 0
>         - filter: layers.7.self_attn.k_proj
>           value: 0
>         - value: 1
> ...

$ qkscope recommend run.h5 --by kv-group --export mergekit
? 4
! qkscope: error: --export mergekit: <*>KV groups
! qkscope: hint: <*>

$ qkscope recommend run.h5 --fail-on warning >/dev/null
? 1

$ qkscope recommend run.h5 --fail-on alarm >/dev/null

$ qkscope recommend run.h5 --checkpoint base
? 2
! qkscope: error: run.h5: --checkpoint: no tuned checkpoint is called 'base'
! qkscope: hint: the run has: sft

$ qkscope recommend run.h5 --store stored.h5 >/dev/null && qkscope export stored.h5 --dataset /recommend/action | tail -n 1
> /recommend/action<*>7<*>restore<*>

$ qkscope drift $SRC/examples/amnesia/base $SRC/examples/amnesia/sft --metrics q_rel_drift -o few.h5 >/dev/null; qkscope recommend few.h5
? 2
! qkscope: error: few.h5: nothing to score sft by (expected <*>)
! ...

$ qkscope recommend run.h5 -o run.h5 --force
? 2
! qkscope: error: run.h5: is an input (run.h5)
! ...

$ echo text >text.h5; qkscope recommend text.h5
? 4
! qkscope: error: text.h5: <*>
! ...
