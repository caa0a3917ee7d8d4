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

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The end of the word that begins at i. */
static size_t word_end(const char *s, size_t n, size_t i)
{
    while (i < n && !is_space(s[i])) {
        i++;
    }
    return i;
}

/* A word that no line begins with when a number stands before it. */
static bool belongs_to_number(const char *word, size_t n)
{
    static const char *const units[] = {"point", "points", "minute", "minutes", "tokens", "times"};
    size_t letters = 0;
    while (letters < n && word[letters] >= 'a' && word[letters] <= 'z') {
        letters++;
    }
    bool is_unit = word[0] == '%' || (n >= 2 && word[0] == '(' && is_digit(word[1])) ||
                   (n == 2 && (memcmp(word, "->", 2) == 0 || memcmp(word, "to", 2) == 0));
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        is_unit = is_unit || (letters == strlen(units[i]) && memcmp(word, units[i], letters) == 0);
    }
    return is_unit;
}

/* Whether words s[start, end) and s[next, next_end) stay on one line. */
static bool are_bound(const char *s, size_t start, size_t end, size_t next, size_t next_end)
{
    const char *word = s + start;
    bool links = end - start == 2 && (memcmp(word, "->", 2) == 0 || memcmp(word, "to", 2) == 0);
    return (links && is_digit(s[next])) || (is_digit(s[end - 1]) && belongs_to_number(s + next, next_end - next));
}

/* The end of what must not be broken from i on: words that are bound, one space apart. */
static size_t unbroken_end(const char *s, size_t n, size_t i)
{
    size_t end = word_end(s, n, i);
    for (size_t start = i; end + 1 < n && s[end] == ' ' && !is_space(s[end + 1]);) {
        size_t next = end + 1, next_end = word_end(s, n, next);
        if (!are_bound(s, start, end, next, next_end)) {
            break;
        }
        start = next;
        end = next_end;
    }
    return end;
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
        i = unbroken_end(s, n, i);
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
