/* The checkpoints that a command was given, opened and named for results. */
#ifndef QK_CLI_CHECKPOINT_INPUTS_H
#define QK_CLI_CHECKPOINT_INPUTS_H

#include <stddef.h>

#include "base/err.h"
#include "cli/command.h"
#include "run/drift.h"

struct qk_checkpoint_inputs {
    bool as_stored; /* set before opening: adapters as merging would store them */
    size_t n;
    struct qk_ckpt **ckpts;
    struct qk_model **models;
    struct qk_run_input *inputs; /* names are unique and fit for results */
};

/* Opens every operand (PATH or NAME=PATH) into *ret (zeroed but for as_stored). A PEFT adapter is put on the first
 * operand that is none, unless --base-model names its base (qk_cli_open_checkpoint). A model's notice is shown for the
 * first. Refuses an -o that names a file of theirs. Release also after a failure. */
enum qk_code qk_checkpoint_inputs_open(struct qk_cli *cli, struct qk_checkpoint_inputs *ret,
                                       struct qk_err *err) QK_CHECKED;
void qk_checkpoint_inputs_release(struct qk_checkpoint_inputs *inputs);

#endif
