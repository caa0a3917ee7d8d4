# Probes that cannot be run, and those that are run with a word about them.

# ---- what there is to do, beforehand
$ printf '{"ids": [0, 5, 6, 7, 8]}\n{"ids": [0, 9, 9]}\n' >ok.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl -o run.h5 -v --threads 2
> base: <14.608~0.01> nats per token on 2 probes
! qkscope: sequences: 2, tokens: 8, in the longest: 5, checkpoints: 1
! qkscope: for each checkpoint: <6.69e-5~2e-7> TFLOP; batches: 1, each reads 8.2 MB of weights
! qkscope: 2 threads, at most <*>B of working memory, and <*>kB of results

# ---- nothing to run
$ printf '' >empty.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens empty.jsonl -o x.h5
? 4
! qkscope: error: empty.jsonl: no probes in it

$ printf '\n   \n' >blank.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens blank.jsonl -o x.h5
? 4
! qkscope: error: blank.jsonl: no probes in it

$ printf '{"ids": [0]}\n{"ids": []}\n' >nothing.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens nothing.jsonl -o x.h5
? 4
! qkscope: error: nothing.jsonl: line 2: a probe without tokens (expected at least one, found none)

$ printf '{"ids": [0]}\n{"ids": [1, 2\n' >cut.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens cut.jsonl -o x.h5
? 4
! qkscope: error: cut.jsonl: line 2: not valid JSON at line 1, column 14 (expected ',' or ']', found the end)

$ qkscope probe $SRC/examples/amnesia/base --tokens nowhere.jsonl -o x.h5
? 3
! qkscope: error: nowhere.jsonl: <*>No such file or directory

$ qkscope probe $SRC/examples/amnesia/base --text empty.jsonl -o x.h5
? 4
! qkscope: error: empty.jsonl: no probes in it

$ printf 'two words' >text

$ qkscope probe $SRC/examples/amnesia/base --text text --length 1 -o x.h5
? 2
! qkscope: error: --length: 1 tokens leave no room beside 1 special ones

# ---- ids
$ printf '{"ids": [0, 1]}\n{"ids": [0, 3, 2048]}\n' >far.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens far.jsonl -o x.h5
? 4
! qkscope: error: far.jsonl: line 2: token 2: id 2048 is outside the vocabulary of 'base' (expected below 2048)

$ qkscope probe $SRC/examples/amnesia/base --tokens far.jsonl --max-probes 1 -o first.h5 -q
> base: <20.204~0.01> nats per token on 1 probe

$ printf '{"ids": [0, -1]}\n' >negative.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens negative.jsonl -o x.h5
? 4
! qkscope: error: negative.jsonl: line 1: ids: entry 1 is no token id (expected a whole number below 2^32)

$ printf '{"ids": [0, 1], "text": "both"}\n' >both.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens both.jsonl -o x.h5
? 4
! qkscope: error: both.jsonl: line 1: expected either "ids": [numbers] or "text": a string

# ---- spans
$ printf '{"ids": [0, 5, 6], "spans": [{"name": "needle", "start": 1, "end": 4}]}\n' >span.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens span.jsonl -o x.h5
? 4
! qkscope: error: span.jsonl: line 1: spans: 'needle' is empty or out of range (expected start < end within the ids, found 1 to 4)

$ printf '{"text": "short", "spans": [{"name": "needle", "start": 2, "end": 9}]}\n' >span.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens span.jsonl -o x.h5
? 4
! qkscope: error: span.jsonl: line 1: spans: 'needle' is empty or out of range (expected start < end within the text's characters, found 2 to 9)

$ printf '{"ids": [0, 5, 6], "spans": [{"name": "needle", "start": 2}]}\n' >span.jsonl

$ qkscope probe $SRC/examples/amnesia/base --tokens span.jsonl -o x.h5
? 4
! qkscope: error: span.jsonl: line 1: spans: entry 0 (expected "name", "start", "end")

# ---- a context beyond what the model was made for is run, with a notice
$ mkdir short && ln -s $SRC/examples/amnesia/base/model.safetensors $SRC/examples/amnesia/base/tokenizer.json short/ && sed 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 4/' $SRC/examples/amnesia/base/config.json >short/config.json

$ qkscope probe short --tokens ok.jsonl -o short.h5
> short: <14.608~0.01> nats per token on 2 probes
! qkscope: notice: ok.jsonl: 1 of 2 sequences are longer than the context that 'short' was made for (5 tokens against 4)

# ---- ways to ask
$ qkscope probe $SRC/examples/amnesia/base -o x.h5
? 2
! qkscope: error: no probes
! qkscope: hint: <*>

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl
? 2
! qkscope: error: no output file
! qkscope: hint: -o RUN.h5 names it

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl -o run.h5
? 2
! qkscope: error: run.h5: exists already
! qkscope: hint: --force overwrites it

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl -o ok.jsonl --force
? 2
! qkscope: error: <*>ok.jsonl<*>
! ...

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl --queries last:0 -o x.h5
? 2
! qkscope: error: --queries: 'last:0' (expected all, last:N or every:N, N ≥ 1)

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl --shard 3/2 -o x.h5
? 2
! qkscope: error: --shard: '3/2' (expected I/N with 1 ≤ I ≤ N, as in 1/4)

$ qkscope probe $SRC/examples/amnesia/base $SRC/examples/amnesia/sft --base nobody --tokens ok.jsonl -o x.h5
? 2
! qkscope: error: --base: no checkpoint is called 'nobody'

# ---- nothing was finished before, or by another run
$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl --resume -o fresh.h5
> base: <14.608~0.01> nats per token on 2 probes
! qkscope: notice: fresh.h5.part: nothing to resume, starting anew

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl --shard 1/2 -o half.h5.part -q
> base: <13.219~0.01> nats per token on 2 probes
> part 1 of 2: metrics are made by `qkscope merge` of all parts

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl --sink 2 --resume -o half.h5
? 4
! qkscope: error: half.h5.part: /probe/base: sink: cannot resume a run of other options (expected 2, found 4)
! qkscope: hint: run without --resume to start anew

$ qkscope probe $SRC/examples/amnesia/base --tokens ok.jsonl --resume -o half.h5
> base: <14.608~0.01> nats per token on 2 probes
! qkscope: notice: half.h5.part: 1 of 2 sequences are there already

$ cmp half.h5 fresh.h5; ls half.h5.part x.h5 2>/dev/null
? 2

# ---- needles: what the heads that read them copy, by the metric's name
$ qkscope probe $SRC/examples/amnesia/base $SRC/examples/amnesia/sft --niah --tasks s2 --lengths 256 --depths 2 --template $SRC/examples/amnesia/niah.json -o needle.h5 | grep -c '^    [0-7]\.[0-5] has [01]\.[0-9]* of its attention on the needle, now [01]\.[0-9]*, retrieval_score [01]\.[0-9]* -> [01]\.[0-9]*: distance shift '
> 5

$ qkscope probe $SRC/examples/amnesia/base $SRC/examples/amnesia/sft --niah --tasks s2 --lengths 256 --depths 2 --template $SRC/examples/amnesia/niah.json -o needle.h5 --force --json | grep -c '"retrieval_score_base": [01].*"retrieval_score_tuned": [01]'
> 1

# ---- sizes with k
$ head -c 60000 $SRC/examples/amnesia/haystack.txt >text.txt; qkscope probe $SRC/examples/amnesia/base --text text.txt --length 1k --queries last:1k --max-probes 1 -o k.h5 && qkscope probe $SRC/examples/amnesia/base --text text.txt --length 1024 --queries last:1024 --max-probes 1 -o plain.h5 && cmp k.h5 plain.h5
> base: <*> nats per token on 1 probe
> base: <*> nats per token on 1 probe
