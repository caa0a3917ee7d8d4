/* Errors: one code and one line of text, built where the fault is seen and given context on the way up.
 *
 * Three mechanisms for three things: a bug asserts; a bad world returns an enum qk_code; a numerical outcome is a
 * state stored next to the value (analyses/table.h). A fallible function returns enum qk_code, takes struct qk_err *
 * last, leaves its outputs untouched on failure and *err untouched on success. err may be NULL. */
#ifndef QK_BASE_ERR_H
#define QK_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum qk_code {
    QK_OK = 0,
    QK_EUSAGE,       /* the caller's words are off: exit 2 */
    QK_EIO,          /* the system refused a read or write: exit 3 */
    QK_ECHILD,       /* a child process failed (gnuplot): exit 3 */
    QK_EFORMAT,      /* a file breaks a rule of its format: exit 4 */
    QK_EUNSUPPORTED, /* well-formed, but nothing here can handle it: exit 4 */
    QK_EMISMATCH,    /* two inputs do not belong together: exit 4 */
    QK_ENOMEM,       /* exit 5 */
    QK_EINTERRUPTED, /* Ctrl-C: exit 130 */
    QK_EINTERNAL,    /* a defect of qkscope: exit 70 */
};

struct qk_err {
    enum qk_code code;
    char text[2048]; /* one line, UTF-8, no newline: "<file>: <tensor or field>: what is wrong (expected X, found Y)" */
    char hint[512];  /* empty, or one line that helps */
};

#define QK_CHECKED      __attribute__((warn_unused_result))
#define QK_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Returns from the enclosing function when the call failed. */
#define QK_TRY(call)                                                                                                   \
    do {                                                                                                               \
        enum qk_code qk_try_code_ = (call);                                                                            \
        if (qk_try_code_ != QK_OK) {                                                                                   \
            return qk_try_code_;                                                                                       \
        }                                                                                                              \
    } while (0)

/* Sets code and text (any former content is replaced, the hint cleared) and returns code. Control characters in the
 * text are replaced by '?', so that hostile names cannot write to a terminal. */
enum qk_code qk_fail(struct qk_err *err, enum qk_code code, const char *fmt, ...) QK_PRINTF(3, 4);

/* The same for a system call that just set errno: "<path>: cannot <verb>: <strerror>"; ENOMEM gives QK_ENOMEM, all
 * else QK_EIO; EDQUOT/ENOSPC get a hint. */
enum qk_code qk_fail_errno(struct qk_err *err, const char *path, const char *verb);

/* "out of memory (<what>)". */
enum qk_code qk_fail_nomem(struct qk_err *err, const char *what);

/* Puts "<context>: " in front of the text. No-op on a NULL err. */
void qk_err_context(struct qk_err *err, const char *fmt, ...) QK_PRINTF(2, 3);

/* Sets the hint. No-op on a NULL err. */
void qk_err_hint(struct qk_err *err, const char *fmt, ...) QK_PRINTF(2, 3);

/* The exit status of the contract for a code (docs/contract of exit codes in the README). */
int qk_exit_status(enum qk_code code);

#endif
