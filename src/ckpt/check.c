/* Broken rules as errors or reports: see check.h. */
#include "check.h"

#include <stdio.h>
#include <string.h>

const char *qk_cut(char *dst, const char *src)
{
    static const char dots[] = "…";
    size_t n = strlen(src);
    if (n < qk_cut_bytes) {
        memcpy(dst, src, n + 1);
        return dst;
    }
    n = qk_cut_bytes - sizeof dots;
    while (n > 0 && ((unsigned char)src[n] & 0xc0) == 0x80) {
        n--;
    }
    memcpy(dst, src, n);
    memcpy(dst + n, dots, sizeof dots);
    return dst;
}

/* C0 and DEL, and C1 as UTF-8: U+009B starts an escape sequence in some terminals. */
static void replace_controls(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p != 0; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            p[0] = p[1] = '?';
        }
    }
}

enum qk_code qk_violate(struct qk_check *check, enum qk_rule_id rule, const char *file, const char *item,
                        const char *hint, struct qk_err *err, const char *fmt, ...)
{
    char text[1024], name[qk_cut_bytes];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    replace_controls(text);
    (void)qk_cut(name, item);
    replace_controls(name);
    check->n++;
    if (check->report == NULL) {
        const char *colon = name[0] == 0 ? "" : ": ";
        (void)qk_fail(err, qk_rules[rule].code, "%s: %s%s%s", file, name, colon, text);
        if (hint[0] != 0) {
            qk_err_hint(err, "%s", hint);
        }
        return qk_rules[rule].code;
    }
    const struct qk_violation violation = {
        .file = file, .tensor = name, .rule = qk_rules[rule].id, .text = text, .hint = hint};
    check->report(check->ctx, &violation);
    return QK_OK;
}
