# what a user who got it wrong is told

$ qkscope verison
? 2
! qkscope: error: unknown command 'verison'
! qkscope: hint: did you mean 'version'?

$ qkscope frobnicate
? 2
! qkscope: error: unknown command 'frobnicate'
! qkscope: hint: 'qkscope help' lists the commands

$ qkscope --frobnicate
? 2
! qkscope: error: unknown option '--frobnicate' before the command
! qkscope: hint: usage: qkscope COMMAND [options] …; 'qkscope help' lists the commands

$ qkscope inspect
? 2
! qkscope: error: inspect: operand missing (expected CKPT, found 0 operands)
! qkscope: hint: usage: qkscope inspect [options] CKPT

$ qkscope inspect a b
? 2
! qkscope: error: inspect: unexpected operand 'b' (expected CKPT)
! qkscope: hint: usage: qkscope inspect [options] CKPT

$ qkscope drift base
? 2
! qkscope: error: drift: operands missing (expected BASE TUNED…, found 1 operand)
! qkscope: hint: usage: qkscope drift [options] BASE TUNED…

$ qkscope inspect --tensor base
? 2
! qkscope: error: inspect: unknown option '--tensor'
! qkscope: hint: did you mean '--tensors'?

$ qkscope niah base --out x
? 2
! qkscope: error: niah: unknown option '--out'
! qkscope: hint: did you mean '--output'?

$ qkscope probe base --lenght 32k
? 2
! qkscope: error: probe: unknown option '--lenght'
! qkscope: hint: did you mean '--length'?

$ qkscope drift base sft --shard 1/2
? 2
! qkscope: error: drift: unknown option '--shard'
! qkscope: hint: --shard is an option of probe, niah, eval; 'qkscope drift --help' lists those of drift

$ qkscope probe base --length 32kb -o x.h5
? 2
! qkscope: error: --length: '32kb' is not a whole number (expected as in 512 or 2k, which is 2048)

$ qkscope probe base --max-probes 1k -o x.h5
? 2
! qkscope: error: --max-probes: '1k' is not a whole number

$ qkscope inspect --json=yes base
? 2
! qkscope: error: inspect: option '--json' takes no value (found 'yes')

$ qkscope inspect base --layers
? 2
! qkscope: error: inspect: option '--layers' needs a value (LIST)

$ qkscope inspect base --layers=
? 2
! qkscope: error: --layers: empty item in '' (expected a comma-separated list)

$ qkscope inspect -qvx base
? 2
! qkscope: error: inspect: unknown option '-x' in -qvx
! qkscope: hint: 'qkscope inspect --help' lists the options

$ qkscope inspect -json base
? 2
! qkscope: error: inspect: unknown option '-j' in -json
! qkscope: hint: did you mean '--json'? Long options have two dashes

$ qkscope version --progress sometimes
? 2
! qkscope: error: --progress: 'sometimes' is not among its values (expected auto, always, never)

$ qkscope version --progress allways
? 2
! qkscope: error: --progress: 'allways' is not among its values (expected auto, always, never)
! qkscope: hint: did you mean 'always'?

$ qkscope drift --threads many a b -o run.h5
? 2
! qkscope: error: --threads: 'many' is not a whole number

$ qkscope drift --threads -1 a b -o run.h5
? 2
! qkscope: error: --threads: '-1' is not a whole number

$ qkscope help nothing
? 2
! qkscope: error: unknown command 'nothing'
! qkscope: hint: 'qkscope help' lists the commands

# after -- nothing is an option
$ qkscope inspect -- --json
? 3
! qkscope: error: --json: cannot open: No such file or directory
! qkscope: hint: <*>

$ qkscope metrics no_such_metric
? 2
! qkscope: error: no metric is called 'no_such_metric'
! qkscope: hint: 'qkscope metrics' lists them

$ qkscope metrics q_rel_drif
? 2
! qkscope: error: no metric is called 'q_rel_drif'
! qkscope: hint: did you mean 'q_rel_drift'?
