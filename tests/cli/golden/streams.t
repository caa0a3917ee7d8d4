# standard streams that are full, closed, or go away

$ qkscope metrics > /dev/full
? 3
! qkscope: error: standard output: cannot write: No space left on device
! qkscope: hint: <*>

$ qkscope --version > /dev/full
? 3
! qkscope: error: standard output: cannot write: No space left on device
! qkscope: hint: <*>

$ qkscope help > /dev/full
? 3
! qkscope: error: standard output: cannot write: No space left on device
! qkscope: hint: <*>

$ qkscope metrics >&-
? 3
! qkscope: error: standard output: cannot write: Bad file descriptor

# a reader that has seen enough is no error
$ { sleep 0.2; qkscope inspect --tensors --json $SRC/examples/amnesia/base; echo $? >status; } | true; sleep 0.5; cat status
> 0

# messages cannot end up in a file that took the number of a closed stream
$ qkscope inspect nowhere 2>&-
? 3

$ qkscope inspect $SRC/examples/amnesia/base <&- | head -n 1
> base: hypenet, <*>

# notices and errors leave standard output alone
$ qkscope inspect nowhere 2>/dev/null
? 3
