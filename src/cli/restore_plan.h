/* The plan that a restore command line states, from --plan or from --layers and its companions. Private to src/cli. */
#ifndef QK_CLI_RESTORE_PLAN_H
#define QK_CLI_RESTORE_PLAN_H

#include "checkpoint_inputs.h"
#include "cli/command.h"
#include "repair/plan.h"

/* inputs: base, tuned. Memory from the command's arena. */
enum qk_code qk_restore_plan(struct qk_cli *cli, const struct qk_checkpoint_inputs *inputs, struct qk_plan *ret,
                             struct qk_err *err) QK_CHECKED;

#endif
