# recall of the bundled pair: two documents of each sort
$ qkscope niah $SRC/examples/amnesia/base $SRC/examples/amnesia/sft --template $SRC/examples/amnesia/niah.json --lengths 400 --depths 2 -o recall.h5
> base: recall 100.0 % of 6 cases (95 % interval 61.0 to 100.0), exact 100.0 %
>   task         400     all
>   s1           100     100  (34 to 100)
>   s2           100     100  (34 to 100)
>   s3           100     100  (34 to 100)
> sft: recall <*> % of 6 cases (95 % interval <*> to <*>), exact <*> %
>   task         400     all
>   s1           100     100  (34 to 100)
>   s2           100     100  (34 to 100)
>   s3      <*>

# a part has its cases, and scores come with the merge
$ qkscope niah $SRC/examples/amnesia/base --template $SRC/examples/amnesia/niah.json --tasks s1 --lengths 300 --depths 2 --shard 2/2 -o part.h5
> base: recall 100.0 % of 1 cases (95 % interval 20.7 to 100.0), exact 100.0 %
>   task         300     all
>   s1           100     100  (21 to 100)
> part 2 of 2: scores are made by `qkscope merge` of all parts

# a built-in template, haystack and keys; the pair was not trained on them
$ qkscope niah $SRC/examples/amnesia/base --tasks s2 --lengths 256 --depths 1 --max-new 4 -o builtin.h5 --json
> {"output": "builtin.h5", "n_cases": 1, "checkpoints": [
>   {"name": "base", "n": 1, "score": <*>, "score_lo": <*>, "score_hi": <*>, "exact": <*>, "cells": [
>     {"task": "s2", "length": 256, "n": 1, "score": <*>}]}
> ]}

# what cannot be
$ qkscope niah $SRC/examples/amnesia/base
? 2
! qkscope: error: no output file
! qkscope: hint: -o RUN.h5 names it

$ qkscope niah $SRC/examples/amnesia/base -o recall.h5
? 2
! qkscope: error: recall.h5: exists already
! qkscope: hint: --force overwrites it

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --tasks s1,s4
? 2
! qkscope: error: --tasks: no task is called 's4' (expected s1, s2 or s3)

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --lengths 1k,1024
? 2
! qkscope: error: --lengths: 1024 is there twice

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --lengths 12q
? 2
! qkscope: error: --lengths: '12q' is no number of tokens (expected as in 512 or 2k)

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --lengths 32
? 2
! qkscope: error: task s1 at 32 tokens: 32 tokens have no room for hay (the rest of task s1 takes <*>)

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --depths 0
? 2
! qkscope: error: no cases: tasks, lengths, depths and samples are at least one each

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --samples 4000
? 2
! qkscope: error: built-in haystack: 480000 cases (expected at most 8000 in one run)

$ echo '{"needle": "{key} is {value}", "question": "what?"}' > bad.json; qkscope niah $SRC/examples/amnesia/base -o x.h5 --template bad.json
? 4
! qkscope: error: bad.json: question: no {key} in it

$ echo '{"input": "What?"}' > bad.jsonl; qkscope niah $SRC/examples/amnesia/base -o x.h5 --prompts bad.jsonl
? 4
! qkscope: error: bad.jsonl: line 1: outputs: no text in it

$ qkscope niah $SRC/examples/amnesia/base -o x.h5 --prompts bad.jsonl --seed 3
? 2
! qkscope: error: --seed: has no meaning beside --prompts

$ qkscope probe $SRC/examples/amnesia/base -o x.h5 --text bad.json --depths 3
? 2
! qkscope: error: --depths: has no meaning without --niah

$ qkscope probe $SRC/examples/amnesia/base -o x.h5 --text bad.json --niah
? 2
! qkscope: error: two sorts of probes
! qkscope: hint: give one of --tokens FILE.jsonl, --text FILE and --niah

# what people write may begin with a byte order mark; a checkpoint's files may not
$ for f in niah.json keys.txt haystack.txt; do (printf '\357\273\277'; cat $SRC/examples/amnesia/$f) > $f; done; qkscope niah $SRC/examples/amnesia/sft --template niah.json --tasks s2 --lengths 128 --depths 1 -o marked.h5 && qkscope niah $SRC/examples/amnesia/sft --template $SRC/examples/amnesia/niah.json --tasks s2 --lengths 128 --depths 1 -o plain.h5 -q >/dev/null && qkscope export marked.h5 -d 'answer' > a && qkscope export plain.h5 -d 'answer' | cmp - a
> ...

$ mkdir m && cp $SRC/examples/amnesia/sft/* m && (printf '\357\273\277'; cat $SRC/examples/amnesia/sft/config.json) > config && cat config > m/config.json; qkscope inspect m
? 4
! qkscope: error: m/config.json: not valid JSON at line 1, column 1 (expected a value, found a UTF-8 byte order mark (BOM))
