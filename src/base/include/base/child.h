/* Child processes by posix_spawn (fork after BLAS threads can deadlock). */
#ifndef QK_BASE_CHILD_H
#define QK_BASE_CHILD_H

#include <stddef.h>

#include "base/err.h"

/* Runs argv[0] (searched on PATH) in directory dir (NULL = here) with stdin from /dev/null and LC_ALL=C; waits at most
 * timeout_s seconds (then kills it). Standard output and error are captured together, up to cap − 1 bytes, as
 * NUL-terminated text into out (may be NULL). QK_ECHILD when it cannot start (hint names it), is killed, or exits
 * non-zero: the text carries the first line of its output. */
enum qk_code qk_child_run(const char *const *argv, const char *dir, double timeout_s, char *out, size_t cap,
                          struct qk_err *err) QK_CHECKED;

/* Runs argv[0] to its end however long that takes, in a process group of its own, with stdin from /dev/null, stderr
 * that of this process, and stdout into the file at path, which is made or emptied. Ctrl-C reaches only this process,
 * which passes it on once and waits for the child to put its things in order: QK_EINTERRUPTED. QK_ECHILD when the child
 * cannot start or is ended by a signal; else *ret_status is its exit status. */
enum qk_code qk_child_attend(const char *const *argv, const char *path, int *ret_status, struct qk_err *err) QK_CHECKED;

#endif
