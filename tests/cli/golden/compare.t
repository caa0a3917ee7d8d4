$ qkscope compare $SRC/examples/amnesia/base $SRC/examples/amnesia/base
> equal: 103 tensors, 8.2 MB, 3 other files

# a copy in which one byte of layer 5's Q and the config are changed
$ cp -r $SRC/examples/amnesia/base copy && chmod -R u+w copy && echo >> copy/config.json
$ at=$(qkscope inspect --tensors copy | awk '$1 == 5 && $2 == "q" {print $7}'); printf '\377' | dd of=copy/model.safetensors bs=1 seek=$((at + 2 * 192 * 40 + 7)) conv=notrunc 2>/dev/null
$ qkscope compare $SRC/examples/amnesia/base copy
? 1
> model.layers.5.self_attn.q_proj.weight: 1 of 192 rows (40), first byte 15367, by at most <*>
>     layer 5 q, head 1: 1 row
> config.json: differs
> different: 1 tensor, 1 other file

$ qkscope compare $SRC/examples/amnesia/base copy --tensors | tail -n 1
> different: 1 tensor

$ qkscope compare --json --tensors $SRC/examples/amnesia/base copy
? 1
> {"a": "<SRC>/examples/amnesia/base", "b": "copy", "equal": false, "expected": false, "n_tensors": 103, "n_bytes": <*>, "planned": {"n_tensors": 0, "n_rows": 0}, "n_files": 0,
>  "tensors": [
>   {"name": "model.layers.5.self_attn.q_proj.weight", "a": {"dtype": "BF16", "shape": [192, 192]}, "b": {"dtype": "BF16", "shape": [192, 192]}, "n_rows": 1, "rows": [[40, 41]], "first_byte": 15367, "max_abs_difference": <*>, "n_planned_rows": 0, "parts": [{"layer": 5, "role": "q", "n_rows": 1, "heads": [1]}]}],
>  "layout": [],
>  "files": []}

# files stand for themselves and their config
$ qkscope compare $SRC/examples/amnesia/base/model.safetensors $SRC/examples/amnesia/base/model.safetensors
> equal: 103 tensors, 8.2 MB, 1 other file

$ echo hello > copy/more.txt; rm copy/tokenizer.json; qkscope compare $SRC/examples/amnesia/base copy | tail -n 4
> config.json: differs
> more.txt: only in copy
> tokenizer.json: only in <SRC>/examples/amnesia/base
> different: 1 tensor, 3 other files

# a restore against its own record: as planned, and no longer so with one byte changed in or beside the plan
$ qkscope restore -q $SRC/examples/amnesia/base $SRC/examples/amnesia/sft -o out --layers 2,5 --mode qk-pro --side head --kv-groups 1
> <*>
$ qkscope compare $SRC/examples/amnesia/sft out --expect out/qkscope.json --base $SRC/examples/amnesia/base
> as planned: 192 planned rows of 4 tensors; all else equal (103 tensors, 8.2 MB, 3 other files)

$ qkscope compare $SRC/examples/amnesia/sft out
? 1
> model.layers.2.self_attn.k_proj.weight: 32 of 96 rows (32-63), <*>
>     layer 2 k, head 1: 32 rows
> model.layers.2.self_attn.q_proj.weight: 64 of 192 rows (64-127), <*>
>     layer 2 q, heads 2-3: 64 rows
> model.layers.5.self_attn.k_proj.weight: 32 of 96 rows (32-63), <*>
>     layer 5 k, head 1: 32 rows
> model.layers.5.self_attn.q_proj.weight: 64 of 192 rows (64-127), <*>
>     layer 5 q, heads 2-3: 64 rows
> qkscope.json: only in out
> different: 4 tensors, 1 other file

$ at=$(qkscope inspect --tensors out | awk '$1 == 5 && $2 == "q" {print $7}'); for row in 63 64; do printf '\377' | dd of=out/model.safetensors bs=1 seek=$((at + 2 * 192 * row)) conv=notrunc 2>/dev/null; done
$ qkscope compare $SRC/examples/amnesia/sft out --expect out/qkscope.json --base $SRC/examples/amnesia/base
? 1
> model.layers.5.self_attn.q_proj.weight: 2 of 192 rows not as planned (63-64), first byte 24192, by at most <*>
>     layer 5 q, heads 1-2: 2 rows
> not as planned: 1 tensor

$ qkscope compare $SRC/examples/amnesia/base out --expect out/qkscope.json --base $SRC/examples/amnesia/sft
? 4
! qkscope: error: out/qkscope.json: base.sample_sha256: the plan was made for another checkpoint than <*> (expected <*>, found <*>)
! qkscope: hint: --force holds them against each other all the same

$ qkscope compare $SRC/examples/amnesia/base out --expect out/qkscope.json --force --base $SRC/examples/amnesia/sft
? 1
> ...
> not as planned: 32 tensors

$ qkscope compare $SRC/examples/amnesia/base copy --expect plan.json
? 2
! qkscope: error: --expect goes with --base
! qkscope: hint: qkscope compare TUNED OUT --expect plan.json --base BASE

$ qkscope compare $SRC/examples/amnesia/base nowhere
? 3
! qkscope: error: nowhere: <*>No such file or directory
! qkscope: hint: <*>

$ qkscope compare $SRC/examples/amnesia/base
? 2
! qkscope: error: <*>
! qkscope: hint: <*>
