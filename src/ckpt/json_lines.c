/* Files of one JSON value a line: see ckpt/json_lines.h. */
#include "ckpt/json_lines.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/str.h"

enum qk_code qk_json_lines_open(const char *path, size_t max, struct qk_json_lines *ret, struct qk_err *err)
{
    struct qk_json_lines lines = {.path = path};
    QK_TRY(qk_file_slurp_text(path, max, &lines.text, &lines.len, err));
    *ret = lines;
    return QK_OK;
}

static bool is_blank(const char *line, size_t n)
{
    size_t i = 0;
    while (i < n && memchr(" \t\r", line[i], 3) != NULL) {
        i++;
    }
    return i == n;
}

static enum qk_code parse_line(const struct qk_json_lines *lines, const char *line, size_t n, struct qk_json **ret,
                               struct qk_err *err)
{
    struct qk_str source = {0};
    qk_str_addf(&source, "%s: line %zu", lines->path, lines->line);
    enum qk_code code = source.failed ? qk_fail_nomem(err, lines->path) : qk_json_parse(line, n, source.s, ret, err);
    qk_str_release(&source);
    return code;
}

enum qk_code qk_json_lines_next(struct qk_json_lines *lines, struct qk_json **ret, struct qk_err *err)
{
    while (lines->at < lines->len) {
        const char *line = lines->text + lines->at, *newline = memchr(line, '\n', lines->len - lines->at);
        size_t n = newline == NULL ? lines->len - lines->at : (size_t)(newline - line);
        lines->at += n + 1;
        lines->line++;
        QK_TRY(qk_interrupt_check(err));
        if (!is_blank(line, n)) {
            return parse_line(lines, line, n, ret, err);
        }
    }
    *ret = NULL;
    return QK_OK;
}

void qk_json_lines_release(struct qk_json_lines *lines)
{
    qk_free(lines->text);
    lines->text = NULL;
}
