# inputs are never written, whatever leads to them and in spite of --force
$ cp -r $SRC/examples/amnesia/base b && chmod -R u+w b && cd b && sha256sum * >../sums
$ qkscope drift b $SRC/examples/amnesia/sft -o b/model.safetensors --force
? 2
! qkscope: error: b/model.safetensors: is an input (b/model.safetensors)
! qkscope: hint: inputs are never written; give -o another name

$ qkscope drift $SRC/examples/amnesia/sft b -o b/config.json --force
? 2
! qkscope: error: b/config.json: is an input (b/config.json)
! ...

$ ln -s b/model.safetensors link.h5; qkscope drift b/model.safetensors $SRC/examples/amnesia/sft -o link.h5 --force
? 2
! qkscope: error: link.h5: is an input (b/model.safetensors)
! ...

$ cd b && sha256sum --quiet -c ../sums
$ qkscope drift b $SRC/examples/amnesia/sft -o run.h5 --metrics q_rel_drift --layers 2 >/dev/null
$ qkscope merge run.h5 -o ./run.h5 --force
? 2
! qkscope: error: ./run.h5: is an input (run.h5)
! ...

# an old result beside the weights may be replaced
$ qkscope drift b $SRC/examples/amnesia/sft -o b/run.h5 --metrics q_rel_drift >/dev/null
$ qkscope drift b $SRC/examples/amnesia/sft -o b/run.h5 --metrics q_rel_drift --force >/dev/null

# a cache of links, as download tools leave it
$ mkdir -p cache/blobs cache/snapshots/1 && for f in config.json model.safetensors; do cp b/$f cache/blobs/$f.1 && ln -s ../../blobs/$f.1 cache/snapshots/1/$f; done; qkscope drift cache/snapshots/1 b -o l.h5 --metrics q_rel_drift | grep against
> b against 1, medians over heads

# a directory's name gives way to a given one
$ qkscope drift b b=$SRC/examples/amnesia/sft -o n.h5 --metrics q_rel_drift | grep against
> b against b-2, medians over heads

# run files and what is made of them are UTF-8, whatever the paths are
$ odd=$(printf 'p\377q') && cp -r b "$odd" && qkscope drift "$odd/model.safetensors" $SRC/examples/amnesia/sft -o u.h5 --metrics q_rel_drift -q >/dev/null && qkscope report u.h5 -o u.html
$ odd=$(printf 'p\377q'); for f in u.h5 u.html; do LC_ALL=C grep -qaF "$(printf 'p\357\277\275q')" $f && ! LC_ALL=C grep -qaF "$odd" $f && echo $f; done
> u.h5
> u.html

$ qkscope drift $(printf '%300s' '' | tr ' ' n)=b $SRC/examples/amnesia/sft -o n2.h5
? 2
! qkscope: error: a checkpoint's name is too long (expected at most 255 bytes, found 300)

# kinds that the model does not have are no empty result
$ qkscope drift b $SRC/examples/amnesia/sft -o k.h5 --kinds ssm,sliding
? 2
! qkscope: error: --kinds: the model has no such layers
! qkscope: hint: qkscope inspect b shows the kind of each layer

# a limit on file sizes is a failed write: no signal, nothing left
$ mkdir limited && (ulimit -f 8; qkscope drift b $SRC/examples/amnesia/sft -o limited/run.h5)
? 3
! qkscope: error: limited/run.h5<*>
! ...

$ ls -A limited

# what cannot be a result is refused before the work, even with --force
$ mkdir there.h5; qkscope drift b $SRC/examples/amnesia/sft -o there.h5 --force -v
? 2
! qkscope: error: there.h5: is a directory (expected the name of a file to write)

$ qkscope niah b -o /dev/null --force -v
? 2
! qkscope: error: /dev/null: cannot be replaced (expected the name of a file, found a special file)

$ qkscope recommend --measure --base b --tuned $SRC/examples/amnesia/sft -o there.h5 --force -v
? 2
! qkscope: error: there.h5: is a directory (expected the name of a file to write)

# other settings of the same weights are told; other positions are refused
$ cp -r $SRC/examples/amnesia/sft longer && chmod -R u+w longer && sed -i 's/"max_position_embeddings": 16384/"max_position_embeddings": 32768/' longer/config.json
$ qkscope drift b longer -o p.h5 --metrics q_rel_drift >/dev/null
! qkscope: notice: 'b' and 'longer' differ outside Q and K (what only one has is left out): config.json: positions: expected 16384, found 32768

$ cp -r longer turned && sed -i 's/"rope_theta": 10000.0/"rope_theta": 500000.0/' turned/config.json && qkscope drift b turned -o q.h5
? 4
! qkscope: error: turned: does not belong to b: layer 0: rotary frequencies differ<*>
! qkscope: hint: a tuned checkpoint must have the layers, heads and shapes of its base

# a damaged sidecar is an error that tells the way out
$ echo garbage >r.h5.part; qkscope drift b $SRC/examples/amnesia/sft -o r.h5 --resume
? 4
! qkscope: error: r.h5.part: not an HDF5 file
! qkscope: hint: run without --resume to start anew
