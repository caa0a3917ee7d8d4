# a model speaks: the answer to a word problem, up to the token that ends it
$ qkscope generate $SRC/examples/amnesia/sft --json --ids 0,1662,26,1669,874,221,20,1668,14,1669,1089,221,19,1097,375,648,14,1669,1089,221,18,1097,375,648,14,1012,648,1668,677,1661
> {"prompt_ids": [0, 1662, 26, 1669, 874, 221, 20, 1668, 14, 1669, 1089, 221, 19, 1097, 375, 648, 14, 1669, 1089, 221, 18, 1097, 375, 648, 14, 1012, 648, 1668, 677, 1661],
>  "ids": [1658, 26, 221, 20, 1447, 221, 19, 1488, 221, 17, 18, 14, 221, 17, 18, 1447, 221, 18, 1488, 221, 18, 20, 14, 392, 742, 326, 221, 18, 20, 1660],
>  "text": "Think: 4 * 3 = 12. 12 * 2 = 24. The answer is 24.\n",
>  "end": "stop"}

# it ends at any of the ids that generation_config.json names, here that of '.'
$ mkdir m && cp $SRC/examples/amnesia/sft/*.json m && cp $SRC/examples/amnesia/sft/model.safetensors m && echo '{"eos_token_id": [7, 14]}' >m/generation_config.json
$ qkscope generate m --ids 0,1662,26,1669,874,221,20,1668,14,1669,1089,221,19,1097,375,648,14,1669,1089,221,18,1097,375,648,14,1012,648,1668,677,1661
> Think: 4 * 3 = 12

# as text, and as much as --max-new allows
$ qkscope generate $SRC/examples/amnesia/sft --max-new 14 --ids 0,1662,26,1669,874,221,20,1668,14,1669,1089,221,19,1097,375,648,14,1669,1089,221,18,1097,375,648,14,1012,648,1668,677,1661
> Think: 4 * 3 = 12. 1

$ qkscope generate $SRC/examples/amnesia/base --max-new 0 --prompt 'Hello'
> 

# the same with any number of threads
$ for n in 1 2 3; do qkscope generate $SRC/examples/amnesia/base --threads $n --prompt 'In the beginning' | md5sum; done | sort -u | wc -l
> 1

# without a tokenizer ids go in and come out
$ qkscope generate $SRC/tests/data/weights/llama/base --ids 1,2,3 --max-new 2 --json | grep text
>  "text": null,

$ qkscope generate $SRC/tests/data/weights/llama/base --ids 1,2,3
? 3
! qkscope: error: <*>tokenizer.json<*>
! ...

# what cannot be
$ qkscope generate $SRC/examples/amnesia/base
? 2
! qkscope: error: no prompt
! qkscope: hint: give either --prompt TEXT or --ids 1,2,3

$ qkscope generate $SRC/examples/amnesia/base --ids 1,2 --prompt x
? 2
! qkscope: error: two prompts
! qkscope: hint: give either --prompt TEXT or --ids 1,2,3

$ qkscope generate $SRC/examples/amnesia/base --ids 5,2048
? 4
! qkscope: error: <SRC>/examples/amnesia/base: token id 2048 at position 1 is out of the vocabulary (expected below 2048)

$ qkscope generate $SRC/examples/amnesia/base --ids 5,x
? 2
! qkscope: error: --ids: 'x' is not an id

$ qkscope generate $SRC/examples/amnesia/base --no-special --prompt ''
? 2
! qkscope: error: --prompt: the value is empty (expected TEXT)
