# a checkpoint repaired: what is listed, what is written, what is refused
$ cp -r $SRC/examples/amnesia/base $SRC/examples/amnesia/sft .

$ qkscope restore base sft --layers 2,5 --only q --dry-run
> model.layers.2.self_attn.q_proj.weight
>   layer 2   q        rows 0-191  74 kB  copied
> model.layers.5.self_attn.q_proj.weight
>   layer 5   q        rows 0-191  74 kB  copied
> would change 2 layers, 2 tensors, 384 rows, 147 kB of 8.2 MB

$ qkscope restore base sft --layers 2 --kv-groups 1 --with q_norm --dry-run --json
> {"output": null, "written": false, "layers": 1, "tensors": 3, "rows": 128, "bytes": <*>, "total_bytes": <*>,
>  "edits": [
>   {"tensor": "model.layers.2.self_attn.k_proj.weight", "layer": 2, "role": "k", "first": 32, "count": 32, "bytes": 12288, "how": "copied"},
>   {"tensor": "model.layers.2.self_attn.q_norm.weight", "layer": 2, "role": "qk_norm", "first": 0, "count": 32, "bytes": <*>, "how": "copied"},
>   {"tensor": "model.layers.2.self_attn.q_proj.weight", "layer": 2, "role": "q", "first": 64, "count": 64, "bytes": 24576, "how": "copied"}
>  ]}

$ qkscope restore base sft --layers full -o out
> out: changed 3 layers, 6 tensors, 864 rows, 332 kB of 8.2 MB

$ ls -A out; ls -A
> config.json
> model.safetensors
> qkscope.json
> tokenizer.json
> tokenizer_config.json
> base
> out
> sft

# the planned rows are the base's, nothing else differs from the tuned checkpoint
$ qkscope compare sft out --expect out/qkscope.json --base base >/dev/null

$ python3 -c 'import json; p = json.load(open("out/qkscope.json"))["plan"]; json.dump(p, open("plan.json", "w"))' && qkscope restore base sft --plan plan.json -o again >/dev/null && cmp out/model.safetensors again/model.safetensors

$ qkscope restore base sft --layers full -o out
? 2
! qkscope: error: out: exists already
! qkscope: hint: --force replaces it

$ qkscope restore base sft --layers full --mode rotate -o out --force -q
> out: changed 3 layers, 6 tensors, 864 rows, 332 kB of 8.2 MB

$ qkscope restore base sft --layers full -o sft --force
? 2
! qkscope: error: sft: is an input or holds one (sft)
! qkscope: hint: inputs are never written; give -o another name

$ qkscope restore base sft --layers full -o base/new
? 2
! qkscope: error: base/new: lies in an input (base)
! qkscope: hint: inputs are never written; give -o a directory elsewhere

# base and tuned have the same header: a plan for the pair is not one for the pair turned around
$ qkscope restore sft base --plan plan.json -o other
? 4
! qkscope: error: plan.json: base.sample_sha256: the plan is not for sft (expected <*>, found <*>)
! qkscope: hint: it was made for 'base'; --force uses it all the same

$ qkscope compare sft out --expect plan.json --base sft
? 4
! qkscope: error: plan.json: base.sample_sha256: the plan was made for another checkpoint than sft (expected <*>, found <*>)
! qkscope: hint: --force holds them against each other all the same

$ sed 's/"header_sha256": "./"header_sha256": "0/g' plan.json >foreign.json; qkscope restore base sft --plan foreign.json -o other
? 4
! qkscope: error: foreign.json: base.header_sha256: the plan is not for base (expected 0<*>, found c<*>)
! qkscope: hint: it was made for 'base'; --force uses it all the same

$ qkscope restore base sft --plan foreign.json -o other --force -q
> other: changed 3 layers, 6 tensors, 864 rows, 332 kB of 8.2 MB

$ qkscope restore base sft --plan plan.json --layers 2 -o x
? 2
! qkscope: error: --layers: cannot be given with --plan, which says it

$ qkscope restore base sft -o x
? 2
! qkscope: error: nothing to restore (expected --plan or --layers, found neither)
! qkscope: hint: --layers full restores every softmax layer; qkscope recommend writes a plan

$ qkscope restore base sft --layers full
? 2
! qkscope: error: no output directory
! qkscope: hint: -o OUT names it; --dry-run only lists what would change

$ qkscope restore base sft --layers full --alpha 0.5 -o x
? 2
! qkscope: error: --alpha: goes with --mode blend (found --mode restore)

$ qkscope restore base sft --layers full --mode blend --alpha 1.5 -o x
? 2
! qkscope: error: --alpha: '1.5' is out of range (expected a number from 0 to 1)

$ qkscope restore base sft --layers 2 --kv-groups 3 -o x
? 2
! qkscope: error: sft: layer 2 has no KV group 3 (expected below 3, found 3)

$ qkscope restore base sft --layers 2 --kv-groups 1-3 -o x
? 2
! qkscope: error: sft: layer 2 has no KV group 3 (expected below 3, found 3)

$ qkscope restore base sft --layers 2 --kv-groups 2-1 -o x
? 2
! qkscope: error: --kv-groups: '2-1' is no KV group or range of them (expected numbers from 0 on, as in 0,2-3, or all)

$ qkscope restore base sft --layers 2 --kv-groups 2,0-1,1 --dry-run >range && qkscope restore base sft --layers 2 --dry-run | cmp - range && echo the same
> the same

$ echo '[]' >array.json; qkscope restore base sft --plan array.json -o x
? 4
! qkscope: error: array.json: wrong value (expected an object, found [])

$ qkscope restore base sft --layers full --with latent -o x
? 2
! qkscope: error: --with: none of the layers has a latent to restore

# weights in a second format are copied as they are
$ echo pickled >sft/pytorch_model.bin; qkscope restore base sft --layers 2 -o second && cmp sft/pytorch_model.bin second/pytorch_model.bin
> second: changed 1 layer, 2 tensors, 288 rows, 111 kB of 8.2 MB
! qkscope: notice: sft/pytorch_model.bin: the output has a copy of it, with the tuned weights

$ ls -d x .??* 2>/dev/null
? 2
