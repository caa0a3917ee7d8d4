/* The command table. A command is one `const struct qk_command qk_cmd_<name>` in its cmd_<name>.c; its name in the
 * `commands` list of src/cli/meson.build puts it into the table, and help, man pages, completion, option parsing and
 * the docs follow. A command that takes --threads computes: it runs with the best BLAS kernels for this CPU. */
#ifndef QK_CLI_COMMAND_H
#define QK_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"

enum qk_option_kind {
    QK_OPT_FLAG,   /* --force */
    QK_OPT_STRING, /* free text */
    QK_OPT_PATH,   /* a file or directory (completion) */
    QK_OPT_COUNT,  /* an unsigned integer, checked when parsing */
    QK_OPT_SIZE,   /* the same in tokens, bytes …: 32k is 32768 */
    QK_OPT_NUMBER, /* a double, checked when parsing */
    QK_OPT_CHOICE, /* one of .choices */
    QK_OPT_LIST,   /* comma-separated, may be given several times */
};

struct qk_option {
    const char *name; /* long name without dashes */
    char letter;      /* short form, 0 = none */
    enum qk_option_kind kind;
    const char *arg;            /* placeholder "FILE"; NULL for flags */
    const char *dflt;           /* default as text, NULL = none */
    const char *const *choices; /* NULL-terminated; for CHOICE, and checked for LIST when set */
    const char *help;           /* one or two sentences */
};

/* Options that every command that uses them spells alike: -o, --threads, --layers, --json, --force, --resume,
 * --base-model, --progress, -q, -v, -h. A command lists those it takes by these bits; -q -v -h --progress are taken
 * always. */
enum qk_common_option {
    QK_COMMON_OUTPUT = 1,
    QK_COMMON_THREADS = 2,
    QK_COMMON_LAYERS = 4,
    QK_COMMON_JSON = 8,
    QK_COMMON_FORCE = 16,
    QK_COMMON_RESUME = 32,
    QK_COMMON_BASE_MODEL = 64,
};

struct qk_cli;

struct qk_command {
    const char *name;
    const char *summary;               /* one line, no full stop */
    const char *operands;              /* "BASE TUNED…" */
    size_t min_operands, max_operands; /* max 0 = none; (size_t)-1 = any number */
    const char *description; /* paragraphs separated by blank lines, for --help and the man page; a paragraph that
                              * begins with a space is kept as it is, line by line */
    unsigned common;         /* enum qk_common_option bits */
    const char *output_help; /* of -o: a placeholder ("RUN.h5"), or one and a sentence ("DIR: Made when missing."); NULL
                              * when OUTPUT is not taken */
    const struct qk_option *options; /* ends with name NULL; may be NULL */
    const char *const *examples;     /* pairs: command line, explanation; ends with NULL */
    enum qk_code (*run)(struct qk_cli *cli, struct qk_err *err);
    const char *const *operand_help; /* pairs: operand, what it is; ends with NULL; may be NULL */
    bool hidden;                     /* not listed, no man page: for the build itself */
    bool best_kernels;               /* runs with the best BLAS kernels though it takes no --threads */
};

size_t qk_command_count(void);
const struct qk_command *qk_command_at(size_t i);
const struct qk_command *qk_command_find(const char *name);

/* ---- what a running command has ---- */
/* The arena of the command: lives until the program ends. */
struct qk_arena *qk_cli_arena(const struct qk_cli *cli);
size_t qk_cli_n_operands(const struct qk_cli *cli);
const char *qk_cli_operand(const struct qk_cli *cli, size_t i);
/* Value of a string-like option: the last one given, else the default, else NULL. */
const char *qk_cli_value(const struct qk_cli *cli, const char *name);
/* STRING or PATH option that may be given several times: every value, in order; *ret borrowed. */
size_t qk_cli_values(const struct qk_cli *cli, const char *name, const char *const **ret);
bool qk_cli_flag(const struct qk_cli *cli, const char *name);
size_t qk_cli_count(const struct qk_cli *cli, const char *name);  /* COUNT and SIZE options; default applied */
double qk_cli_number(const struct qk_cli *cli, const char *name); /* NUMBER options; default applied */
/* LIST option: all items of all occurrences. *ret borrowed. 0 when not given and no default. */
size_t qk_cli_list(const struct qk_cli *cli, const char *name, const char *const **ret);
const char *qk_cli_output(const struct qk_cli *cli); /* -o, NULL when not given */
bool qk_cli_json(const struct qk_cli *cli);
bool qk_cli_force(const struct qk_cli *cli);
bool qk_cli_resume(const struct qk_cli *cli);
int qk_cli_verbosity(const struct qk_cli *cli); /* −1 quiet, 0, 1, 2 */
/* The whole command line as a shell would take it, for history attributes. */
const char *qk_cli_command_line(const struct qk_cli *cli);
/* The pool of --threads, made on first use. */
enum qk_code qk_cli_pool(struct qk_cli *cli, struct qk_pool **ret, struct qk_err *err) QK_CHECKED;
const struct qk_progress *qk_cli_progress(struct qk_cli *cli);
/* What progress counts, for the rate: "heads", "layers"; "bytes" is drawn as MB/s. Not set: no rate is drawn. */
void qk_cli_progress_unit(struct qk_cli *cli, const char *unit);
/* --layers "2,5-7" for a model of n layers: flags (n), owned by cli; *ret NULL when not given. */
enum qk_code qk_cli_layers(struct qk_cli *cli, size_t n, const bool **ret, struct qk_err *err) QK_CHECKED;
/* Data to standard output; a failed write is reported once at the end as an I/O error. */
void qk_cli_print(struct qk_cli *cli, const char *fmt, ...) QK_PRINTF(2, 3);
void qk_cli_write(struct qk_cli *cli, const char *data, size_t n);
/* The rest of str (released after). A builder that failed is QK_ENOMEM. */
struct qk_str;
enum qk_code qk_cli_print_str(struct qk_cli *cli, struct qk_str *str, struct qk_err *err) QK_CHECKED;
/* "qkscope: notice: …" to standard error unless -q. */
void qk_cli_notice(struct qk_cli *cli, const char *fmt, ...) QK_PRINTF(2, 3);
/* Only with -v. */
void qk_cli_detail(struct qk_cli *cli, const char *fmt, ...) QK_PRINTF(2, 3);
/* Text to standard error as it stands, unless -q. NULL is passed over. */
void qk_cli_remark(struct qk_cli *cli, const char *text);
/* Exit status 1: a finding at or above --fail-on, or compare found differences. */
void qk_cli_set_finding(struct qk_cli *cli);

/* "NAME=PATH" or "PATH": name (NULL when not given) and path, both from the cli's arena. */
enum qk_code qk_cli_split_name(struct qk_cli *cli, const char *operand, const char **ret_name, const char **ret_path,
                               struct qk_err *err) QK_CHECKED;

/* QK_EUSAGE when -o names the very file at path, links followed, or a file that ckpt was read from; with --force too.
 */
enum qk_code qk_cli_guard_input(struct qk_cli *cli, const char *path, struct qk_err *err) QK_CHECKED;
struct qk_ckpt;
enum qk_code qk_cli_guard_checkpoint(struct qk_cli *cli, const struct qk_ckpt *ckpt, struct qk_err *err) QK_CHECKED;

/* The checkpoint at path, or base + adapter when that is a PEFT directory (ckpt/adapter.h). The base of an adapter is
 * the one of --base-model where the command takes it and it is given, else base (borrowed; NULL = none), else the local
 * directory that the adapter names. A notice tells when the adapter names another directory than the base it is put on.
 * as_stored: see struct qk_adapter_options. Closed by qk_ckpt_close. */
enum qk_code qk_cli_open_checkpoint(struct qk_cli *cli, const char *path, const struct qk_ckpt *base, bool as_stored,
                                    struct qk_ckpt **ret, struct qk_err *err) QK_CHECKED;

#endif
