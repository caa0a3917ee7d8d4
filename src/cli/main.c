/* qkscope: from the command line to a command and its exit status. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/str.h"
#include "cli_state.h"
#include "help.h"
#include "num/blas.h"
#include "suggest.h"

/* A closed standard stream would give its number to the next file opened, and messages would end up in results. */
static void occupy_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            /* standard output becomes unwritable on purpose: losing data silently would be worse than an error */
            int got = open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
            if (got != fd) {
                _exit(qk_exit_status(QK_EIO));
            }
        }
    }
}

/* OpenBLAS chooses its kernels when it is loaded, so a better choice needs a fresh start of the same program. The
 * marker keeps a library that ignores the variable from starting us for ever. */
static void restart_with_better_core(char *const *argv)
{
    if (getenv(QK_CORE_MARKER) != NULL || getenv("OPENBLAS_CORETYPE") != NULL) {
        return;
    }
    const char *core = qk_blas_better_core();
    if (core == NULL || setenv(QK_CORE_MARKER, qk_blas_core(), 1) != 0 || setenv("OPENBLAS_CORETYPE", core, 1) != 0) {
        return;
    }
    /* our threads call BLAS, never the other way round: its own would only spin. One that the user chose stays. */
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 0);
    execv("/proc/self/exe", argv);
    /* no /proc: the slower kernels give the same answers */
    unsetenv("OPENBLAS_CORETYPE");
}

static int report(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        if (err->text[0] != 0) { /* else a child process has said it */
            fprintf(stderr, "qkscope: error: %s\n", err->text);
        }
        if (err->hint[0] != 0) {
            fprintf(stderr, "qkscope: hint: %s\n", err->hint);
        }
    }
    return qk_exit_status(code);
}

static enum qk_code help_of(struct qk_cli *cli, struct qk_err *err)
{
    struct qk_str text = {0};
    enum qk_code code = qk_help_command(&text, cli->command, qk_help_width(), err);
    if (code != QK_OK) {
        qk_str_release(&text);
        return code;
    }
    return qk_cli_print_str(cli, &text, err);
}

static enum qk_code parse_and_run(struct qk_cli *cli, int argc, char **argv, struct qk_err *err)
{
    bool help;
    cli->command_line = qk_shell_line(cli->arena, (size_t)argc, argv);
    if (cli->command_line == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    QK_TRY(qk_options_parse(cli, (size_t)argc - 2, argv + 2, &help, err));
    if (help) {
        return help_of(cli, err);
    }
    qk_cli_start(cli);
    if ((cli->command->common & QK_COMMON_THREADS) != 0 || cli->command->best_kernels) {
        restart_with_better_core(argv);
    }
    qk_blas_init();
    qk_interrupt_install();
    return cli->command->run(cli, err);
}

static int run_command(const struct qk_command *command, int argc, char **argv)
{
    struct qk_err err = {0};
    struct qk_cli cli;
    enum qk_code code = qk_cli_init(&cli, command, &err);
    if (code == QK_OK) {
        code = parse_and_run(&cli, argc, argv, &err);
    }
    /* what a failed command printed before it failed is still wanted, but the first error is the one to report */
    enum qk_code flushed = qk_cli_finish_output(&cli, code == QK_OK ? &err : NULL);
    if (code == QK_OK) {
        code = flushed;
    }
    bool finding = cli.finding;
    qk_cli_release(&cli);
    int status = report(code, &err);
    return status == 0 && finding ? 1 : status;
}

static int print_version(void)
{
    struct qk_err err = {0};
    enum qk_code code = QK_OK;
    if (printf("qkscope %s\n", QK_VERSION) < 0 || fflush(stdout) != 0) {
        code = errno == EPIPE ? QK_OK : qk_fail_errno(&err, "standard output", "write");
    }
    return report(code, &err);
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a failed write like any other */
    setlocale(LC_NUMERIC, "C");

    static char name[] = "qkscope", help[] = "help";
    static char *overview[] = {name, help, NULL};
    if (argc < 2 || qk_streq(argv[1], "--help") || qk_streq(argv[1], "-h")) {
        return run_command(qk_command_find("help"), 2, overview);
    }
    if (qk_streq(argv[1], "--version") || qk_streq(argv[1], "-V")) {
        return print_version();
    }
    struct qk_err err = {0};
    if (argv[1][0] == '-') {
        (void)qk_fail(&err, QK_EUSAGE, "unknown option '%s' before the command", argv[1]);
        qk_err_hint(&err, "usage: qkscope COMMAND [options] …; 'qkscope help' lists the commands");
        return report(QK_EUSAGE, &err);
    }
    const struct qk_command *command = qk_command_find(argv[1]);
    if (command == NULL) {
        return report(qk_unknown_command(argv[1], &err), &err);
    }
    return run_command(command, argc, argv);
}
