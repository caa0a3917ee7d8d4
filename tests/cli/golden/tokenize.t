# text to ids: id, first byte, end, spelling
$ printf 'Hello w\303\266rld\n' | qkscope tokenize $SRC/examples/amnesia/base
> 0	0	0	<|endoftext|>
> 40	0	1	H
> 69	1	2	e
> 280	2	4	ll
> 79	4	5	o
> 267	5	7	Ġw
> 128	7	8	Ã
> 115	8	9	¶
> 82	9	10	r
> 329	10	12	ld
> 199	12	13	Ċ

$ printf 'Hello world' > hello && qkscope tokenize --json --no-special $SRC/examples/amnesia/base hello
> {"ids": [40, 69, 280, 79, 1173],
>  "pieces": ["H", "e", "ll", "o", "Ġworld"]}

# a file of the checkpoint, or the tokenizer itself, will do
$ for p in model.safetensors config.json tokenizer.json; do qkscope tokenize $SRC/examples/amnesia/base/$p hello | md5sum; done | sort | uniq -c | grep -c '^ *3 '
> 1

# nothing in, nothing but the special tokens out
$ printf '' | qkscope tokenize $SRC/examples/amnesia/base -
> 0	0	0	<|endoftext|>

# there and back, byte for byte
$ qkscope tokenize --json $SRC/examples/amnesia/base $SRC/examples/amnesia/haystack.txt | qkscope tokenize --decode --no-special $SRC/examples/amnesia/base | cmp - $SRC/examples/amnesia/haystack.txt && echo same
> same

$ printf '  a\r\n\0b\n\n ' > odd && qkscope tokenize $SRC/tests/data/tokenizer/gpt2_style odd | cut -f 1 | qkscope tokenize -d $SRC/tests/data/tokenizer/gpt2_style | cmp - odd && echo same
> same

# special tokens in the text are tokens, and --no-special leaves them out again
$ printf 'a<|endoftext|>b' | qkscope tokenize $SRC/examples/amnesia/base | qkscope tokenize --decode $SRC/examples/amnesia/base
? 4
! qkscope: error: standard input: '<|endoftext|>' is not an id

$ printf 'a<|endoftext|>b' | qkscope tokenize $SRC/examples/amnesia/base | cut -f 1 | qkscope tokenize --decode $SRC/examples/amnesia/base
> <|endoftext|>a<|endoftext|>b

$ echo '[0, 40, 0]' | qkscope tokenize --decode --no-special $SRC/examples/amnesia/base
> H

# what is not UTF-8 is replaced
$ printf 'a\377\342\202b' | qkscope tokenize --json $SRC/examples/amnesia/base | qkscope tokenize -d --no-special $SRC/examples/amnesia/base | od -An -tx1
>  61 ef bf bd ef bf bd 62

$ echo 128 | qkscope tokenize -d $SRC/examples/amnesia/base | od -An -tx1
>  ef bf bd

# errors
$ echo 5 99999 | qkscope tokenize --decode $SRC/examples/amnesia/base
? 4
! qkscope: error: standard input: id 99999 at place 1 names no token (ids go from 0 to 2047)

$ echo '1, -2' | qkscope tokenize --decode $SRC/examples/amnesia/base
? 4
! qkscope: error: standard input: '-2' is not an id

$ echo '{"ids": [1.5]}' | qkscope tokenize --decode $SRC/examples/amnesia/base
? 4
! qkscope: error: standard input: ids[0]: expected a whole number

$ qkscope tokenize --decode --json $SRC/examples/amnesia/base
? 2
! qkscope: error: --decode writes text; it does not go with --json

$ qkscope tokenize nowhere
? 3
! qkscope: error: nowhere: <*>No such file or directory

$ mkdir -p old && touch old/tokenizer.model && qkscope tokenize old
? 3
! qkscope: error: old/tokenizer.json: <*>No such file or directory
! qkscope: hint: there is a tokenizer.model: <*>

$ mkdir -p unigram && echo '{"model": {"type": "Unigram", "vocab": []}}' > unigram/tokenizer.json && qkscope tokenize unigram
? 4
! qkscope: error: unigram/tokenizer.json: model: type 'Unigram' is not supported (expected BPE)

$ echo '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}]}}' > t.json && qkscope tokenize t.json
? 4
! qkscope: error: t.json: pre_tokenizer.pretokenizers[0]: type 'UnicodeScripts' is not supported
