/* Files of one JSON value a line, as people write them: blank lines are passed over, but count, and
 * so is a byte order mark. Ctrl-C is asked for at every line. */
#ifndef QK_CKPT_JSON_LINES_H
#define QK_CKPT_JSON_LINES_H

#include <stddef.h>

#include "base/err.h"
#include "ckpt/json.h"

struct qk_json_lines {
    const char *path;
    char *text; /* owned */
    size_t len, at;
    size_t line; /* of the value given last, from 1 */
};

/* Reads a file of at most max bytes. Release it. */
enum qk_code qk_json_lines_open(const char *path, size_t max, struct qk_json_lines *ret, struct qk_err *err) QK_CHECKED;
/* The next value, to be freed by qk_json_free; NULL at the end. QK_EFORMAT names file and line. */
enum qk_code qk_json_lines_next(struct qk_json_lines *lines, struct qk_json **ret, struct qk_err *err) QK_CHECKED;
void qk_json_lines_release(struct qk_json_lines *lines);

#endif
