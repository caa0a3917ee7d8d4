/* Error text: see base/err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void sanitise(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != 0; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        } else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) { /* U+0080 to U+009F act on terminals too */
            p[0] = p[1] = '?';
        }
    }
}

/* A cut at the end of the buffer may split a UTF-8 sequence: drop its beginning. */
static void trim_partial_utf8(char *text, size_t cap)
{
    size_t n = strlen(text);
    if (n + 1 < cap) {
        return;
    }
    size_t i = n;
    while (i > 0 && ((unsigned char)text[i - 1] & 0xc0) == 0x80) {
        i--;
    }
    if (i > 0 && ((unsigned char)text[i - 1] & 0xc0) == 0xc0) {
        text[i - 1] = 0;
    }
}

static void set_text(struct qk_err *err, const char *fmt, va_list ap)
{
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    trim_partial_utf8(err->text, sizeof err->text);
    sanitise(err->text);
    err->hint[0] = 0;
}

enum qk_code qk_fail(struct qk_err *err, enum qk_code code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        set_text(err, fmt, ap);
        va_end(ap);
    }
    return code;
}

enum qk_code qk_fail_errno(struct qk_err *err, const char *path, const char *verb)
{
    int e = errno;
    if (e == ENOMEM) {
        return qk_fail_nomem(err, path);
    }
    (void)qk_fail(err, QK_EIO, "%s: cannot %s: %s", path, verb, strerror(e));
    if (e == ENOSPC || e == EDQUOT) {
        qk_err_hint(err, "free space on the target's file system, or write elsewhere with -o");
    }
    return QK_EIO;
}

enum qk_code qk_fail_nomem(struct qk_err *err, const char *what)
{
    return qk_fail(err, QK_ENOMEM, "out of memory (%s)", what);
}

void qk_err_context(struct qk_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    char context[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    size_t n = strlen(context);
    if (n > sizeof err->text - 3) {
        n = sizeof err->text - 3;
    }
    memcpy(err->text, context, n);
    memcpy(err->text + n, ": ", 3);
    size_t room = sizeof err->text - n - 3;
    size_t len = strlen(text);
    if (len > room) {
        len = room;
    }
    memcpy(err->text + n + 2, text, len);
    err->text[n + 2 + len] = 0;
    trim_partial_utf8(err->text, sizeof err->text);
    sanitise(err->text);
}

void qk_err_hint(struct qk_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    trim_partial_utf8(err->hint, sizeof err->hint);
    sanitise(err->hint);
}

int qk_exit_status(enum qk_code code)
{
    switch (code) {
    case QK_OK:
        return 0;
    case QK_EUSAGE:
        return 2;
    case QK_EIO:
    case QK_ECHILD:
        return 3;
    case QK_EFORMAT:
    case QK_EUNSUPPORTED:
    case QK_EMISMATCH:
        return 4;
    case QK_ENOMEM:
        return 5;
    case QK_EINTERRUPTED:
        return 130;
    case QK_EINTERNAL:
        break;
    }
    return 70;
}
