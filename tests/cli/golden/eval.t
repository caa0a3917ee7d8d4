# six problems of the bundled pair
$ head -n 6 $SRC/examples/amnesia/reasoning.jsonl > few.jsonl; qkscope eval $SRC/examples/amnesia/base tuned=$SRC/examples/amnesia/sft --data few.jsonl -o few.h5
> few: 6 problems, match exact
>           right   95 % interval  problems        ln p   per token
> base     16.7 %    3.0 to  56.4         6     <*>
> tuned   100.0 %   61.0 to 100.0         6     <*>

$ qkscope eval $SRC/examples/amnesia/sft --data few.jsonl --max-problems 2 --match number -o number.h5 --json
> {"output": "number.h5", "set": "few", "match": "number", "n_problems": 2, "checkpoints": [
>   {"name": "sft", "n": 2, "accuracy": 1, "accuracy_lo": <*>, "accuracy_hi": 1, "mean_logprob": <*>, "mean_token_logprob": <*>}
> ]}

$ qkscope eval $SRC/examples/amnesia/sft --data few.jsonl --max-problems 3 --shard 2/2 -o part.h5
> few: 3 problems, match exact
>         right   95 % interval  problems        ln p   per token
> sft   100.0 %   20.7 to 100.0         1     <*>
> part 2 of 2: rates are made by `qkscope merge` of all parts

$ qkscope eval $SRC/examples/amnesia/sft --data few.jsonl --max-problems 1 --shard 2/2 -o empty.h5
> few: 1 problems, match exact
>         right   95 % interval  problems        ln p   per token
> sft         -  no problems in this part
> part 2 of 2: rates are made by `qkscope merge` of all parts

# a byte order mark, as some editors put in front of UTF-8, is passed over; UTF-16 is refused by name
$ (printf '\357\273\277'; cat few.jsonl) > marked.jsonl; qkscope eval $SRC/examples/amnesia/sft --data marked.jsonl --max-problems 2 -o marked.h5 | tail -n 1
> sft   100.0 %   34.2 to 100.0         2     <*>

$ printf '\377\376{\0' > utf16.jsonl; qkscope eval $SRC/examples/amnesia/sft --data utf16.jsonl -o x.h5
? 4
! qkscope: error: utf16.jsonl: its byte order mark says UTF-16 (expected UTF-8)

# what cannot be
$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl
? 2
! qkscope: error: no output file
! qkscope: hint: -o RUN.h5 names it

$ qkscope eval $SRC/examples/amnesia/base -o x.h5
? 2
! qkscope: error: no problems
! qkscope: hint: --data FILE.jsonl names a file with {"prompt": text, "answer": text} a line

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o few.h5
? 2
! qkscope: error: few.h5: exists already
! qkscope: hint: --force overwrites it

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o few.jsonl --force
? 2
! qkscope: error: few.jsonl: is an input (few.jsonl)
! qkscope: hint: inputs are never written; give -o another name

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o x.h5 --match nearly
? 2
! qkscope: error: --match: 'nearly' is not among its values (expected exact, contains, number)

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o x.h5 --stop 'a\q'
? 2
! qkscope: error: --stop: 'a\q': a backslash stands before n, t, r or another backslash

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o x.h5 --max-new 0
? 2
! qkscope: error: --max-new: an answer has at least one token

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o x.h5 --max-problems 0
? 2
! qkscope: error: --max-problems: no problems

$ qkscope eval $SRC/examples/amnesia/base --data few.jsonl -o x.h5 --shard 3/2
? 2
! qkscope: error: <*>

$ qkscope eval $SRC/examples/amnesia/base --data nothing.jsonl -o x.h5
? 3
! qkscope: error: nothing.jsonl: <*>

$ echo '{"input": "What?", "outputs": ["x"]}' > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl
? 4
! qkscope: error: bad.jsonl: line 1: prompt: is missing (expected {"prompt": text, "answer": text})
! qkscope: hint: input and outputs are what qkscope niah --prompts reads

$ printf '{"prompt": "1+1=", "answer": "2"}\n\n{"prompt": "1+2=", "answer": 3}\n' > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl
? 4
! qkscope: error: bad.jsonl: line 3: answer: expected a text

$ echo '{"prompt": "1+1=", "answer": "2"' > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl
? 4
! qkscope: error: bad.jsonl: line 1: not valid JSON at line 1, column 33 (<*>

$ echo '["prompt", "answer"]' > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl
? 4
! qkscope: error: bad.jsonl: line 1: expected an object

$ printf '%s\n' '{"prompt": "1+1=", "answer": " \n"}' > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl
? 4
! qkscope: error: bad.jsonl: line 1: answer: nothing but white space in it

$ echo '{"prompt": "1+1=", "answer": "two"}' > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl --match number
? 4
! qkscope: error: bad.jsonl: problem '1': answer: no number in it, which --match number compares

$ : > bad.jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data bad.jsonl
? 4
! qkscope: error: bad.jsonl: no problems in it

$ cp few.jsonl .jsonl; qkscope eval $SRC/examples/amnesia/base -o x.h5 --data .jsonl
? 2
! qkscope: error: .jsonl: its name cannot name a set (a leading dot or control characters)
