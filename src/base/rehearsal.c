/* A forked copy that may crash: see base/rehearsal.h. */
#include "base/rehearsal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/progress.h"

enum { ENDED = 17, EARLY_WAITS = 50 }; /* a status that no library leaves with */

static _Noreturn void perform(void (*act)(void *ctx), void *ctx)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        signal(deadly[i], SIG_DFL);
    }
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    int nowhere = open("/dev/null", O_RDWR);
    if (nowhere >= 0) {
        (void)dup2(nowhere, 1);
        (void)dup2(nowhere, 2);
    }
    act(ctx);
    _exit(ENDED);
}

/* False when it had to be killed. Waits shortly at first, since most rehearsals take milliseconds. */
static bool await(pid_t pid, double deadline, int *ret_status)
{
    for (unsigned n = 0;; n++) {
        pid_t ended = waitpid(pid, ret_status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR)) {
            return true;
        }
        if (qk_interrupted() || qk_seconds() > deadline) {
            kill(pid, SIGKILL);
            while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR) {
            }
            return false;
        }
        (void)poll(NULL, 0, n < EARLY_WAITS ? 1 : 20);
    }
}

enum qk_code qk_rehearse(void (*act)(void *ctx), void *ctx, const char *name, double timeout_s, struct qk_err *err)
{
    QK_TRY(qk_interrupt_check(err));
    pid_t pid = fork();
    if (pid < 0) {
        return qk_fail_errno(err, name, "start a process to read");
    }
    if (pid == 0) {
        perform(act, ctx);
    }
    int status = 0;
    bool ended = await(pid, qk_seconds() + timeout_s, &status);
    if (!ended) {
        QK_TRY(qk_interrupt_check(err));
        return qk_fail(err, QK_EFORMAT, "%s: damaged: reading it does not end (after %.0f seconds)", name, timeout_s);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == ENDED) {
        return QK_OK;
    }
    if (WIFSIGNALED(status)) {
        return qk_fail(err, QK_EFORMAT, "%s: damaged: what reads it is ended by signal %d (%s)", name, WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    }
    return qk_fail(err, QK_EFORMAT, "%s: damaged: what reads it leaves with status %d", name, WEXITSTATUS(status));
}
