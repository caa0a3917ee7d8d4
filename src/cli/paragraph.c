/* Text set into lines: see paragraph.h. */
#include "paragraph.h"

#include <string.h>

size_t qk_text_columns(const char *s, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; i++) {
        columns += ((unsigned char)s[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return columns;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

void qk_paragraph(struct qk_str *out, const char *s, size_t n, size_t at, size_t indent, size_t width)
{
    size_t column = at;
    bool line_empty = true;
    for (size_t i = 0; i < n;) {
        while (i < n && is_space(s[i])) {
            i++;
        }
        size_t start = i;
        while (i < n && !is_space(s[i])) {
            i++;
        }
        if (i == start) {
            break;
        }
        size_t columns = qk_text_columns(s + start, i - start);
        if (!line_empty && column + 1 + columns > width) {
            qk_str_addf(out, "\n%*s", (int)indent, "");
            column = indent;
            line_empty = true;
        }
        if (!line_empty) {
            qk_str_addc(out, ' ');
            column++;
        }
        qk_str_addn(out, s + start, i - start);
        column += columns;
        line_empty = false;
    }
    qk_str_addc(out, '\n');
}

bool qk_next_paragraph(const char **text, const char **ret_s, size_t *ret_n, bool *ret_verbatim)
{
    const char *s = *text;
    while (*s == '\n') {
        s++;
    }
    if (*s == 0) {
        return false;
    }
    const char *end = strstr(s, "\n\n");
    size_t n = end != NULL ? (size_t)(end - s) : strlen(s);
    *text = s + n;
    while (n > 0 && s[n - 1] == '\n') {
        n--;
    }
    *ret_s = s;
    *ret_n = n;
    *ret_verbatim = s[0] == ' ';
    return true;
}

bool qk_next_line(const char **s, size_t *n, const char **ret_line, size_t *ret_len)
{
    if (*n == 0) {
        return false;
    }
    const char *newline = memchr(*s, '\n', *n);
    size_t len = newline != NULL ? (size_t)(newline - *s) : *n;
    *ret_line = *s;
    *ret_len = len;
    size_t used = newline != NULL ? len + 1 : len;
    *s += used;
    *n -= used;
    return true;
}
