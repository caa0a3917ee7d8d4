/* Options that commands share, and the whole list that a command takes. */
#include <assert.h>
#include <string.h>

#include "cli_state.h"

struct common_row {
    unsigned bit; /* enum qk_common_option; 0 = every command has it */
    struct qk_option option;
};

static const char *const progress_choices[] = {"auto", "always", "never", NULL};

enum { N_COMMON_ROWS = 11 };
static const struct common_row common_rows[N_COMMON_ROWS];

static bool takes(const struct qk_command *command, const struct common_row *row)
{
    return row->bit == 0 || (command->common & row->bit) != 0;
}

/* "RUN.h5" is a placeholder, "DIR: Directory for …" a placeholder and a sentence. */
static enum qk_code describe_output(const struct qk_command *command, struct qk_arena *arena, struct qk_option *option,
                                    struct qk_err *err)
{
    const char *colon = command->output_help == NULL ? NULL : strstr(command->output_help, ": ");
    if (command->output_help == NULL) {
        return QK_OK;
    }
    option->arg = command->output_help;
    if (colon != NULL) {
        option->arg = qk_arena_strndup(arena, command->output_help, (size_t)(colon - command->output_help));
        option->help = colon + 2;
    }
    return option->arg == NULL ? qk_fail_nomem(err, "option table") : QK_OK;
}

enum qk_code qk_command_options(const struct qk_command *command, struct qk_arena *arena, const struct qk_option **ret,
                                size_t *ret_n, struct qk_err *err)
{
    size_t n = 0;
    for (const struct qk_option *o = command->options; o != NULL && o->name != NULL; o++) {
        n++;
    }
    for (const struct common_row *row = common_rows; row < common_rows + N_COMMON_ROWS; row++) {
        n += takes(command, row) ? 1 : 0;
    }
    struct qk_option *all = qk_arena_alloc(arena, n, sizeof *all);
    if (all == NULL) {
        return qk_fail_nomem(err, "option table");
    }
    size_t i = 0;
    for (const struct qk_option *o = command->options; o != NULL && o->name != NULL; o++) {
        all[i++] = *o;
    }
    for (const struct common_row *row = common_rows; row < common_rows + N_COMMON_ROWS; row++) {
        if (takes(command, row)) {
            all[i] = row->option;
            if (row->bit == QK_COMMON_OUTPUT) {
                QK_TRY(describe_output(command, arena, &all[i], err));
            }
            i++;
        }
    }
    assert(i == n);
    *ret = all;
    *ret_n = n;
    return QK_OK;
}

static const struct common_row common_rows[N_COMMON_ROWS] = {
    {QK_COMMON_OUTPUT, {"output", 'o', QK_OPT_PATH, "FILE", NULL, NULL, "Where the result goes."}},
    {QK_COMMON_LAYERS,
     {"layers", 0, QK_OPT_LIST, "LIST", NULL, NULL,
      "Only these layers, counted from 0: numbers and ranges, as in 2,5-7 or 30-."}},
    {QK_COMMON_JSON, {"json", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Print JSON instead of text."}},
    {QK_COMMON_FORCE, {"force", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Overwrite what is there."}},
    {QK_COMMON_RESUME,
     {"resume", 0, QK_OPT_FLAG, NULL, NULL, NULL,
      "Go on with an interrupted run of the same inputs and options; refuses otherwise."}},
    {QK_COMMON_BASE_MODEL,
     {"base-model", 0, QK_OPT_PATH, "DIR", NULL, NULL,
      "The base of a PEFT adapter. Default: the base among the operands, else what the adapter's config names."}},
    {QK_COMMON_THREADS,
     {"threads", 0, QK_OPT_COUNT, "N", NULL, NULL, "Threads to use; results do not depend on it. Default: all cores."}},
    {0,
     {"progress", 0, QK_OPT_CHOICE, "WHEN", "auto", progress_choices,
      "A bar on a terminal, a line now and then in a log: auto, always (also for short work) or never."}},
    {0, {"quiet", 'q', QK_OPT_FLAG, NULL, NULL, NULL, "No notices, no progress."}},
    {0, {"verbose", 'v', QK_OPT_FLAG, NULL, NULL, NULL, "Say more about what is done; twice for still more."}},
    {0, {"help", 'h', QK_OPT_FLAG, NULL, NULL, NULL, "Explain the command and leave."}},
};
