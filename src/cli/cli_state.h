/* What a running command has, and how the pieces of src/cli share it. Private to src/cli. */
#ifndef QK_CLI_STATE_H
#define QK_CLI_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "cli/command.h"
#include "terminal_progress.h"

/* An option of the running command with what the user gave for it. */
struct qk_given {
    const struct qk_option *option;
    size_t n, cap;
    const char **values; /* one per occurrence; NULL for flags */
    const char **items;  /* LIST: all items of all occurrences (or of the default) */
    size_t n_items;
    double number; /* NUMBER */
    size_t count;  /* COUNT, SIZE */
};

struct qk_cli {
    const struct qk_command *command;
    struct qk_arena *arena;
    size_t n_given;
    struct qk_given *given;
    size_t n_operands;
    const char **operands;
    const char *command_line;
    int verbosity;
    bool finding;
    int stdout_errno; /* of the first failed write, else 0 */
    struct qk_pool *pool;
    struct qk_terminal_progress bar;
    struct qk_progress progress;
};

/* Options that a command takes: its own, then the common ones. */
enum qk_code qk_command_options(const struct qk_command *command, struct qk_arena *arena, const struct qk_option **ret,
                                size_t *ret_n, struct qk_err *err) QK_CHECKED;

/* Fills cli->given and cli->operands from the words after the command's name. *ret_help: -h or --help was among them,
 * and nothing else was checked. */
enum qk_code qk_options_parse(struct qk_cli *cli, size_t n_words, char *const *words, bool *ret_help,
                              struct qk_err *err) QK_CHECKED;
/* The entry of an option that the command declares; asking for another is a defect. */
const struct qk_given *qk_cli_given(const struct qk_cli *cli, const char *name);

/* Set when the program restarted itself with better BLAS kernels; its value is the core that the library chose alone.
 */
#define QK_CORE_MARKER "QKSCOPE_BLAS_CORE_CHOSEN"

/* argv as a shell would take it, from arena; argv[0] is shown as "qkscope". NULL when out of memory. */
const char *qk_shell_line(struct qk_arena *arena, size_t n, char *const *argv);

enum qk_code qk_cli_init(struct qk_cli *cli, const struct qk_command *command, struct qk_err *err) QK_CHECKED;
/* Reads -q, -v and --progress after parsing. */
void qk_cli_start(struct qk_cli *cli);
/* Flushes standard output. A reader that went away is no error; any other failed write is. */
enum qk_code qk_cli_finish_output(struct qk_cli *cli, struct qk_err *err) QK_CHECKED;
void qk_cli_release(struct qk_cli *cli);

#endif
