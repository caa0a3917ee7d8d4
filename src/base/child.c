/* Child processes by posix_spawn: see base/child.h. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/interrupt.h"
#include "base/progress.h"

extern char **environ;

/* environ with LC_ALL=C; NULL when out of memory. The strings are environ's. */
static char **c_locale_environment(void)
{
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **env = qk_calloc(n + 2, sizeof *env);
    if (env == NULL) {
        return NULL;
    }
    static char lc_all[] = "LC_ALL=C";
    size_t k = 0;
    env[k++] = lc_all;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "LC_ALL=", 7) != 0) {
            env[k++] = environ[i];
        }
    }
    return env;
}

static int spawn(const char *const *argv, const char *dir, int out, char **env, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int e = posix_spawn_file_actions_init(&actions);
    if (e != 0) {
        return e;
    }
    e = posix_spawnattr_init(&attributes);
    if (e != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return e;
    }
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    e = e != 0 ? e : posix_spawn_file_actions_adddup2(&actions, out, 1);
    e = e != 0 ? e : posix_spawn_file_actions_adddup2(&actions, out, 2);
    if (e == 0 && dir != NULL) {
        e = posix_spawn_file_actions_addchdir_np(&actions, dir);
    }
    if (e == 0) {
        union {
            const char *const *in;
            char *const *out;
        } args = {argv}; /* posix_spawnp does not write to its arguments */
        e = posix_spawnp(ret_pid, argv[0], &actions, &attributes, args.out, env);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Reads until end of file, the deadline or an interrupt; false when it must be killed. */
static bool collect(int fd, double deadline, char *out, size_t cap)
{
    size_t len = 0;
    for (;;) {
        double left = deadline - qk_seconds();
        if (left <= 0 || qk_interrupted()) {
            return false;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, left > 0.2 ? 200 : (int)(left * 1000) + 1);
        if (ready <= 0) {
            continue;
        }
        char buf[4096];
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return true;
        }
        size_t take = cap > len + 1 ? cap - len - 1 : 0;
        take = (size_t)n < take ? (size_t)n : take;
        memcpy(out + len, buf, take);
        len += take;
        out[len] = 0;
    }
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* The first line with text in it, for the error. */
static void first_line(const char *out, char *line, size_t cap)
{
    while (*out == '\n' || *out == ' ' || *out == '^') {
        out++;
    }
    size_t n = strcspn(out, "\n");
    n = n < cap - 1 ? n : cap - 1;
    memcpy(line, out, n);
    line[n] = 0;
}

enum qk_code qk_child_run(const char *const *argv, const char *dir, double timeout_s, char *out, size_t cap,
                          struct qk_err *err)
{
    char own[4096] = "";
    if (out == NULL || cap == 0) {
        out = own;
        cap = sizeof own;
    }
    out[0] = 0;
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        return qk_fail_errno(err, argv[0], "make a pipe for");
    }
    char **env = c_locale_environment();
    pid_t pid = 0;
    int e = env == NULL ? ENOMEM : spawn(argv, dir, pipe_fd[1], env, &pid);
    qk_free(env);
    close(pipe_fd[1]);
    if (e != 0) {
        close(pipe_fd[0]);
        (void)qk_fail(err, QK_ECHILD, "%s: cannot start: %s", argv[0], strerror(e));
        if (e == ENOENT) {
            qk_err_hint(err, "install %s or put it on PATH", argv[0]);
        }
        return QK_ECHILD;
    }
    bool ended = collect(pipe_fd[0], qk_seconds() + timeout_s, out, cap);
    if (!ended) {
        kill(pid, SIGKILL);
    }
    int status = wait_for(pid);
    close(pipe_fd[0]);
    if (!ended) {
        QK_TRY(qk_interrupt_check(err));
        return qk_fail(err, QK_ECHILD, "%s: killed after %.0f seconds without an end", argv[0], timeout_s);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return QK_OK;
    }
    char line[512];
    first_line(out, line, sizeof line);
    if (WIFEXITED(status)) {
        return qk_fail(err, QK_ECHILD, "%s: exit status %d: %s", argv[0], WEXITSTATUS(status), line);
    }
    return qk_fail(err, QK_ECHILD, "%s: ended by signal %d: %s", argv[0], WTERMSIG(status), line);
}

/* ---- attended children ------------------------------------------------------------------------------------------ */

static int spawn_attended(const char *const *argv, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int e = posix_spawn_file_actions_init(&actions);
    if (e != 0) {
        return e;
    }
    e = posix_spawnattr_init(&attributes);
    if (e != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return e;
    }
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    e = e != 0 ? e : posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (e == 0) {
        union {
            const char *const *in;
            char *const *out;
        } args = {argv};
        e = posix_spawnp(ret_pid, argv[0], &actions, &attributes, args.out, environ);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Waits for the child's end; an interrupt is passed on the first time that it is seen. */
static int attend(pid_t pid)
{
    bool told = false;
    int status = 0;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR)) {
            return status;
        }
        if (!told && qk_interrupted()) {
            told = true;
            kill(pid, SIGINT);
        }
        (void)poll(NULL, 0, 20);
    }
}

enum qk_code qk_child_attend(const char *const *argv, const char *path, int *ret_status, struct qk_err *err)
{
    QK_TRY(qk_interrupt_check(err));
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        return qk_fail_errno(err, path, "write");
    }
    pid_t pid = 0;
    int e = spawn_attended(argv, out, &pid);
    close(out);
    if (e != 0) {
        return qk_fail(err, QK_ECHILD, "%s: cannot start: %s", argv[0], strerror(e));
    }
    int status = attend(pid);
    QK_TRY(qk_interrupt_check(err));
    if (WIFSIGNALED(status)) {
        return qk_fail(err, QK_ECHILD, "%s: ended by signal %d", argv[0], WTERMSIG(status));
    }
    *ret_status = WEXITSTATUS(status);
    return QK_OK;
}
