/* The problem files of a diagnosis: see diagnose_problems.h. */
#include "diagnose_problems.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"

static const size_t most_bytes = (size_t)1 << 30;
static const double bytes_per_token = 3.0; /* rounded down, so that sizes err on the small side */

static bool is_blank(const char *line, size_t n)
{
    return strspn(line, " \t\r") >= n;
}

static enum qk_code put(const char *path, const struct qk_str *text, struct qk_err *err)
{
    return text->failed ? qk_fail_nomem(err, path) : qk_atomic_put(path, true, text->s, text->len, err);
}

enum qk_code qk_diagnose_split_problems(const char *path, const char *first, const char *second, struct qk_err *err)
{
    char *text;
    size_t len, n_lines = 0;
    struct qk_str halves[2] = {0};
    QK_TRY(qk_file_slurp(path, most_bytes, &text, &len, err));
    for (const char *at = text; at < text + len;) {
        const char *end = memchr(at, '\n', len - (size_t)(at - text));
        size_t n = end == NULL ? len - (size_t)(at - text) : (size_t)(end - at);
        if (!is_blank(at, n)) {
            struct qk_str *half = &halves[n_lines++ % 2];
            qk_str_addn(half, at, n);
            qk_str_addc(half, '\n');
        }
        at += n + 1;
    }
    qk_free(text);
    enum qk_code code = n_lines < 2 ? qk_fail(err, QK_EFORMAT,
                                              "%s: too few problems to choose by one half and prove by "
                                              "the other (expected 2 lines or more, found %zu)",
                                              path, n_lines)
                                    : put(first, &halves[0], err);
    if (code == QK_OK) {
        code = put(second, &halves[1], err);
    }
    qk_str_release(&halves[0]);
    qk_str_release(&halves[1]);
    return code;
}

enum qk_code qk_diagnose_problem_tokens(const char *path, double *ret, struct qk_err *err)
{
    int fd;
    uint64_t size;
    QK_TRY(qk_file_open(path, &fd, &size, err));
    qk_file_close(fd);
    *ret = (double)size / bytes_per_token;
    return QK_OK;
}
