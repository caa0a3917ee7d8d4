/* The running command's state: options as commands ask for them, what they print, what they share. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli_state.h"

enum qk_code qk_cli_init(struct qk_cli *cli, const struct qk_command *command, struct qk_err *err)
{
    memset(cli, 0, sizeof *cli);
    cli->command = command;
    cli->arena = qk_arena_new();
    if (cli->arena == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    const struct qk_option *options;
    QK_TRY(qk_command_options(command, cli->arena, &options, &cli->n_given, err));
    cli->given = qk_arena_alloc(cli->arena, cli->n_given, sizeof *cli->given);
    if (cli->given == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    for (size_t i = 0; i < cli->n_given; i++) {
        cli->given[i].option = &options[i];
    }
    qk_terminal_progress_init(&cli->bar, QK_PROGRESS_AUTO, false);
    return QK_OK;
}

void qk_cli_start(struct qk_cli *cli)
{
    cli->verbosity = qk_cli_flag(cli, "quiet")
                         ? -1
                         : (int)(qk_cli_given(cli, "verbose")->n > 2 ? 2 : qk_cli_given(cli, "verbose")->n);
    const char *when = qk_cli_value(cli, "progress");
    enum qk_progress_mode mode = QK_PROGRESS_AUTO;
    if (qk_streq(when, "always")) {
        mode = QK_PROGRESS_ALWAYS;
    } else if (qk_streq(when, "never") || cli->verbosity < 0) {
        mode = QK_PROGRESS_NEVER;
    }
    qk_terminal_progress_init(&cli->bar, mode, cli->verbosity < 0);
    cli->progress = (struct qk_progress){
        .ctx = &cli->bar, .update = qk_terminal_progress_update, .notice = qk_terminal_progress_notice};
}

void qk_cli_release(struct qk_cli *cli)
{
    qk_terminal_progress_clear(&cli->bar);
    qk_pool_free(cli->pool);
    qk_arena_free(cli->arena);
}

const struct qk_given *qk_cli_given(const struct qk_cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->n_given; i++) {
        if (qk_streq(cli->given[i].option->name, name)) {
            return &cli->given[i];
        }
    }
    assert(!"option is not in the command's table");
    return NULL;
}

struct qk_arena *qk_cli_arena(const struct qk_cli *cli)
{
    return cli->arena;
}

size_t qk_cli_n_operands(const struct qk_cli *cli)
{
    return cli->n_operands;
}

const char *qk_cli_operand(const struct qk_cli *cli, size_t i)
{
    assert(i < cli->n_operands);
    return cli->operands[i];
}

const char *qk_cli_value(const struct qk_cli *cli, const char *name)
{
    const struct qk_given *g = qk_cli_given(cli, name);
    return g->n > 0 ? g->values[g->n - 1] : g->option->dflt;
}

size_t qk_cli_values(const struct qk_cli *cli, const char *name, const char *const **ret)
{
    const struct qk_given *g = qk_cli_given(cli, name);
    *ret = g->values;
    return g->n;
}

bool qk_cli_flag(const struct qk_cli *cli, const char *name)
{
    return qk_cli_given(cli, name)->n > 0;
}

size_t qk_cli_count(const struct qk_cli *cli, const char *name)
{
    assert(qk_cli_given(cli, name)->option->kind == QK_OPT_COUNT ||
           qk_cli_given(cli, name)->option->kind == QK_OPT_SIZE);
    return qk_cli_given(cli, name)->count;
}

double qk_cli_number(const struct qk_cli *cli, const char *name)
{
    assert(qk_cli_given(cli, name)->option->kind == QK_OPT_NUMBER);
    return qk_cli_given(cli, name)->number;
}

size_t qk_cli_list(const struct qk_cli *cli, const char *name, const char *const **ret)
{
    const struct qk_given *g = qk_cli_given(cli, name);
    assert(g->option->kind == QK_OPT_LIST);
    *ret = g->items;
    return g->n_items;
}

const char *qk_cli_output(const struct qk_cli *cli)
{
    return qk_cli_value(cli, "output");
}

bool qk_cli_json(const struct qk_cli *cli)
{
    return qk_cli_flag(cli, "json");
}

bool qk_cli_force(const struct qk_cli *cli)
{
    return qk_cli_flag(cli, "force");
}

bool qk_cli_resume(const struct qk_cli *cli)
{
    return qk_cli_flag(cli, "resume");
}

int qk_cli_verbosity(const struct qk_cli *cli)
{
    return cli->verbosity;
}

const char *qk_cli_command_line(const struct qk_cli *cli)
{
    return cli->command_line;
}

enum qk_code qk_cli_pool(struct qk_cli *cli, struct qk_pool **ret, struct qk_err *err)
{
    if (cli->pool == NULL) {
        bool chosen = (cli->command->common & QK_COMMON_THREADS) != 0 && qk_cli_flag(cli, "threads");
        size_t n = chosen ? qk_cli_count(cli, "threads") : 0;
        if (chosen && (n == 0 || n > 4096)) {
            return qk_fail(err, QK_EUSAGE, "--threads: %zu threads (expected 1 to 4096)", n);
        }
        QK_TRY(qk_pool_new(n, &cli->pool, err));
    }
    *ret = cli->pool;
    return QK_OK;
}

const struct qk_progress *qk_cli_progress(struct qk_cli *cli)
{
    return &cli->progress;
}

void qk_cli_progress_unit(struct qk_cli *cli, const char *unit)
{
    cli->bar.unit = unit;
}

void qk_cli_set_finding(struct qk_cli *cli)
{
    cli->finding = true;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

void qk_cli_write(struct qk_cli *cli, const char *data, size_t n)
{
    if (cli->stdout_errno != 0) {
        return;
    }
    qk_terminal_progress_clear(&cli->bar);
    errno = 0;
    if (fwrite(data, 1, n, stdout) != n) {
        cli->stdout_errno = errno != 0 ? errno : EIO;
    }
}

void qk_cli_print(struct qk_cli *cli, const char *fmt, ...)
{
    if (cli->stdout_errno != 0) {
        return;
    }
    qk_terminal_progress_clear(&cli->bar);
    errno = 0;
    va_list ap;
    va_start(ap, fmt);
    int n = vprintf(fmt, ap);
    va_end(ap);
    if (n < 0) {
        cli->stdout_errno = errno != 0 ? errno : EIO;
    }
}

enum qk_code qk_cli_print_str(struct qk_cli *cli, struct qk_str *str, struct qk_err *err)
{
    bool failed = str->failed;
    if (!failed && str->len > 0) {
        qk_cli_write(cli, str->s, str->len);
    }
    qk_str_release(str);
    return failed ? qk_fail_nomem(err, "output") : QK_OK;
}

enum qk_code qk_cli_finish_output(struct qk_cli *cli, struct qk_err *err)
{
    errno = 0;
    if (fflush(stdout) != 0 && cli->stdout_errno == 0) {
        cli->stdout_errno = errno != 0 ? errno : EIO;
    }
    if (cli->stdout_errno == 0 || cli->stdout_errno == EPIPE) {
        return QK_OK;
    }
    errno = cli->stdout_errno;
    return qk_fail_errno(err, "standard output", "write");
}

static void say(struct qk_cli *cli, const char *kind, const char *fmt, va_list ap)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    qk_terminal_progress_clear(&cli->bar);
    fprintf(stderr, "qkscope: %s%s\n", kind, text);
}

void qk_cli_notice(struct qk_cli *cli, const char *fmt, ...)
{
    if (cli->verbosity >= 0) {
        va_list ap;
        va_start(ap, fmt);
        say(cli, "notice: ", fmt, ap);
        va_end(ap);
    }
}

void qk_cli_detail(struct qk_cli *cli, const char *fmt, ...)
{
    if (cli->verbosity >= 1) {
        va_list ap;
        va_start(ap, fmt);
        say(cli, "", fmt, ap);
        va_end(ap);
    }
}

void qk_cli_remark(struct qk_cli *cli, const char *text)
{
    if (cli->verbosity >= 0 && text != NULL) {
        qk_terminal_progress_clear(&cli->bar);
        fputs(text, stderr);
    }
}
