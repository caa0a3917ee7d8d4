$ qkscope inspect $SRC/examples/amnesia/base
> base: hypenet, <*>
>   8 layers, hidden 192, vocabulary 2048, positions up to 16384, tied embeddings
>   <*> numbers, 8.<*> MB in 1 file, <*> tensors, all BF16
>   layer kinds llFllFlF  (F full, l linear)
>
>   layers 0-1, 3-4, 6: linear (lightning)
>       6 query heads, 6 key heads of 32; rope (theta 10000); q/k norm per head
>       q  self_attn.q_proj.weight  (192x192 BF16)
>       k  self_attn.k_proj.weight  (192x192 BF16)
>
>   layers 2, 5, 7: full (attention)
>       6 query heads, 3 key heads of 32; nope; q/k norm per head
>       q  self_attn.q_proj.weight  (192x192 BF16)
>       k  self_attn.k_proj.weight  (96x192 BF16)

$ qkscope inspect mine=$SRC/examples/amnesia/base/model.safetensors | head -n 1
> mine: hypenet, <*>

# one by one, and only those asked for
$ qkscope inspect $SRC/examples/amnesia/base --layers 5,6- | grep layer
>   8 layers, <*>
>   layer kinds llFllFlF  <*>
>   layer 5: full (attention)
>   layer 6: linear (lightning)
>   layer 7: full (attention)

$ qkscope inspect $SRC/examples/amnesia/base --layers 8
? 2
! qkscope: error: --layers: there is no layer 8 (the model has 8 layers, 0 to 7)

$ qkscope inspect $SRC/examples/amnesia/base --layers 7-5
? 2
! qkscope: error: --layers: '7-5' is not a layer or a range of layers
! qkscope: hint: layers count from 0; write 5, 5-7, 30- (to the end) or all, separated by commas

$ qkscope inspect --json --layers 5 $SRC/examples/amnesia/base
> {"model_type": "hypenet", "family": "hypenet", "name": "base", <*>"n_layers": 8, "hidden_size": 192, <*>
> ...
>   {"index": 5, "kind": "full", "mixer": "attention", "position": "nope", "n_heads": 6, "n_kv_heads": 3, <*>"head_dim": 32, <*>"q": [{"tensor": "model.layers.5.self_attn.q_proj.weight", "rows": [[0, 192]]}], "k": [{"tensor": "model.layers.5.self_attn.k_proj.weight", "rows": [[0, 96]]}]}]}

$ qkscope inspect --tensors $SRC/examples/amnesia/base
> ...
> layer	role	dtype	shape	bytes	file	offset	tensor
> ...
> -	embedding	BF16	2048x192	786432	model.safetensors	<*>	model.embed_tokens.weight
> ...
> 0	q	BF16	192x192	73728	model.safetensors	<*>	model.layers.0.self_attn.q_proj.weight
> ...

$ qkscope inspect --validate $SRC/examples/amnesia/base
> <SRC>/examples/amnesia/base: every rule of the format holds

$ qkscope inspect --validate --json $SRC/examples/amnesia/base
> []

$ qkscope inspect nowhere
? 3
! qkscope: error: nowhere: <*>No such file or directory
! qkscope: hint: <*>

# several violations, all listed
$ mkdir broken && cp $SRC/examples/amnesia/base/config.json broken && printf '\100\0\0\0\0\0\0\0{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]},"b":17}    ' > broken/model.safetensors && qkscope inspect --validate broken
? 4
> ...
> broken/model.safetensors: a: <*>F99<*>
> ...
! qkscope: error: broken: <*> violation<*> of the format

$ qkscope inspect --validate --json broken | head -n 2
> [
>   {"file": "broken/model.safetensors", "tensor": "a", "rule": "<*>", "text": "<*>", "hint": "<*>"}<*>
! ...

# gated and fused projections: only the rows of Q and K
$ qkscope inspect $SRC/tests/data/cli/gated
> gated: qwen3_next, <*>
> ...
>   layer 0: linear (gated_delta)
>       2 query heads, 2 key heads of 4, 4 value heads of 4; nope
>       q  linear_attn.in_proj_qkvz.weight  (48x8 BF16, rows 0:4, 24:28)
>       k  linear_attn.in_proj_qkvz.weight  (48x8 BF16, rows 4:8, 28:32)
>
>   layer 1: full (attention)
>       2 query heads, 1 key head of 4; rope (theta 10000, 2 of 4 dimensions); q/k norm per head
>       q  self_attn.q_proj.weight  (16x8 BF16, rows 0:4, 8:12)
>       k  self_attn.k_proj.weight  (4x8 BF16)

$ qkscope inspect --json $SRC/tests/data/cli/gated
> {"model_type": "qwen3_next", <*>
> ...
>   {"index": 0, "kind": "linear", <*>"n_heads": 2, "n_kv_heads": 2, <*>"q": [{"tensor": "model.layers.0.linear_attn.in_proj_qkvz.weight", "rows": [[0, 4], [24, 28]]}], "k": [{"tensor": "model.layers.0.linear_attn.in_proj_qkvz.weight", "rows": [[4, 8], [28, 32]]}]},
>   {"index": 1, "kind": "full", <*>"position": "rope", <*>"q": [{"tensor": "model.layers.1.self_attn.q_proj.weight", "rows": [[0, 4], [8, 12]]}], "k": [{"tensor": "model.layers.1.self_attn.k_proj.weight", "rows": [[0, 4]]}]}]}
