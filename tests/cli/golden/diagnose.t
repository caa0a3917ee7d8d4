# the whole circle on a few cases, what it leaves, what it refuses
$ cp -r $SRC/examples/amnesia/base $SRC/examples/amnesia/sft . && cp $SRC/examples/amnesia/niah.json $SRC/examples/amnesia/keys.txt $SRC/examples/amnesia/haystack.txt . && head -n 24 $SRC/examples/amnesia/reasoning_calibration.jsonl >problems.jsonl

$ qkscope diagnose base sft -o out --size xs --tasks s3 --lengths 256 --depths 12 --passes 4 --template niah.json --data problems.jsonl -q
> sft finds <*> % of the needles, base found 100 %; <*>
> ...
>
> Lost: recall fell from 100.0 % <*>, 12 cases each.
>
> Reasoning: it rose from <*>
>
> Where: attention on the needle fell in heads (layer.head, base -> sft -> restored):<*>
> ...
>
> Cause: is drift of Q and K the main cause? <*>
> ...
>
> Repair: restored (what is put back of Q and K, by layer: <*>
> ...
>
> How sure: intervals are 95 %, <*>
> ...

$ ls out out/steps | grep -v 'txt$'; ls -d out/restored/*
> out:
> commands.sh
> figures
> plan.json
> ...
> restored
> run.h5
> steps
>
> out/steps:
> all.h5
> calibration.jsonl
> drift.h5
> eval.h5
> lock
> measured.h5
> niah.h5
> probe.h5
> recommend.h5
> restored-drift.h5
> restored-probe.h5
> state
> test.jsonl
> out/restored/config.json
> out/restored/model.safetensors
> out/restored/qkscope.json
> out/restored/tokenizer.json
> out/restored/tokenizer_config.json

# all of it is in one file
$ qkscope export out/run.h5 --list | grep -c -E '^/(verdict|drift/restored/qk_rel_drift|drift/sft/qk_rel_drift|routing/sft/distance_shift|routing/restored/distance_shift|probe/restored/distance_histogram|niah/restored/score|eval/sft/test/accuracy|recommend/measured/recall)	'
> 9

# what is complete is not done again
$ qkscope diagnose base sft -o out --size xs --tasks s3 --lengths 256 --depths 12 --passes 4 --template niah.json --data problems.jsonl --resume --json 2>&1 >verdict.json | grep '^# '
> # recall of 12 cases per checkpoint (s3 at 256 tokens), <*>
> # step 1 of 12: what moved in the weights (there already)
> # step 2 of 12: where the heads look (there already)
> # step 3 of 12: both in one file (there already)
> # step 4 of 12: what to restore, chosen by running it (there already)
> # step 5 of 12: the repaired checkpoint (there already)
> # step 6 of 12: what still differs from the base (there already)
> # step 7 of 12: where its heads look, on the same probes (there already)
> # step 8 of 12: recall, on documents that nothing was chosen by (there already)
> # step 9 of 12: reasoning, on problems that nothing was chosen by (there already)
> # step 10 of 12: everything in one file (there already)
> # step 11 of 12: figures
> ...

$ python3 -c 'import json; v = json.load(open("verdict.json")); print(v["lost"], v["main_cause"], v["restored"], len(v["verdict"]) > 4)'
> recall <*> True True

$ qkscope diagnose base sft -o out --size xs --tasks s3 --lengths 256 --depths 12 --passes 5 --template niah.json --data problems.jsonl --resume -q
? 4
! qkscope: error: out/steps/state: passes: cannot resume a diagnosis of other inputs or options (expected 5, found 4)
! qkscope: hint: --force begins anew

$ qkscope diagnose base sft -o out
? 2
! qkscope: error: out: exists already
! qkscope: hint: --resume goes on with what is there, --force begins anew

# the steps can be run again by hand
$ sed -n '/^qkscope niah/p' out/commands.sh >again.sh; cp out/steps/niah.h5 before.h5; sh again.sh >/dev/null 2>&1 && cmp before.h5 out/steps/niah.h5

# the same weights: nothing to look for
$ qkscope diagnose base again=base -o same --size xs -q
> Nothing was lost: the weights of again are those of base.

$ ls same; ls same/steps
> commands.sh
> figures
> ...
> run.h5
> steps
> verdict.txt
> drift.h5
> ...

# a pair that does not belong together is refused before anything is written
$ cp -r sft other && sed -i 's/"num_hidden_layers": 8/"num_hidden_layers": 7/' other/config.json; qkscope diagnose base other -o none -q
? 4
! qkscope: error: <*>
$ ls none
? 2
! ls: <*>

$ qkscope diagnose base sft -o sft/diagnosis; qkscope diagnose base sft -o sft --force; ls sft
> config.json
> model.safetensors
> tokenizer.json
> tokenizer_config.json
! qkscope: error: sft/diagnosis: is an input or lies in one (sft)
! qkscope: error: sft: is an input or lies in one (sft)

$ qkscope diagnose base sft
? 2
! qkscope: error: no output directory
! qkscope: hint: -o DIR names it

$ qkscope diagnose base sft -o none --data-test problems.jsonl
? 2
! qkscope: error: --data-test: goes with --data, the problems to choose by

$ rm -rf none; head -n 1 problems.jsonl >one.jsonl; qkscope diagnose base sft -o none --data one.jsonl
? 4
! qkscope: error: one.jsonl: too few problems to choose by one half and prove by the other (expected 2 lines or more, found 1)

# a step's failure is the program's: its message, its exit status, and how to go on
$ rm -rf none; qkscope diagnose base sft -o none --size xs --lengths 50 -q
? 2
! qkscope: error: task s1 at 50 tokens: 50 tokens have no room for hay (the rest of task s1 takes <*>)
! qkscope: hint: step 'recommend' of the diagnosis failed; finished steps are in none; the same command with --resume goes on

# what later steps would stop at is told before anything is written
$ rm -rf none; qkscope diagnose base sft -o none --tasks s9; qkscope diagnose base sft -o none --data nothere.jsonl; (head -n 3 problems.jsonl; echo '{"prompt": "1 + 1 ="}') >wrong.jsonl; qkscope diagnose base sft -o none --data wrong.jsonl; qkscope diagnose base sft -o none --template nothere.json; ls none
? 2
! qkscope: error: --tasks: no task is called 's9' (expected s1, s2 or s3)
! qkscope: error: nothere.jsonl: cannot open: No such file or directory
! qkscope: error: wrong.jsonl: line 4: answer: is missing (expected {"prompt": text, "answer": text})
! qkscope: error: nothere.json: cannot open: No such file or directory
! ls: <*>
$ cp -r sft bare && rm bare/tokenizer.json && cp -r bare bare2; qkscope diagnose bare bare2 -o none; ls none
? 2
! qkscope: error: bare/tokenizer.json: cannot open: No such file or directory
! ls: <*>
$ mkdir own; cp sft/model.safetensors own; sed 's/"hypenet"/"gpt_oss_like"/' sft/config.json >own/config.json; qkscope diagnose own again=own -o none -q; ls none
? 2
! qkscope: error: own: model_type 'gpt_oss_like': there is no forward pass for this family
! qkscope: hint: from the weights alone: qkscope drift, recommend RUN.h5, restore --plan
! ls: <*>
