/* Growable strings and small string questions: see base/str.h. Numbers as text are in number_text.c. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"

void qk_str_release(struct qk_str *str)
{
    qk_free(str->s);
    *str = (struct qk_str){0};
}

void qk_str_clear(struct qk_str *str)
{
    str->len = 0;
    if (str->s != NULL) {
        str->s[0] = 0;
    }
}

static bool reserve(struct qk_str *str, size_t more)
{
    size_t need;
    if (str->failed || !qk_size_add(str->len, more, &need) || !qk_size_add(need, 1, &need)) {
        str->failed = true;
        return false;
    }
    if (need <= str->cap) {
        return true;
    }
    size_t cap = str->cap < 64 ? 64 : str->cap;
    while (cap < need) {
        if (!qk_size_mul(cap, 2, &cap)) {
            cap = need;
        }
    }
    char *s = qk_realloc(str->s, cap, 1);
    if (s == NULL) {
        str->failed = true;
        return false;
    }
    str->s = s;
    str->cap = cap;
    return true;
}

void qk_str_addn(struct qk_str *str, const char *s, size_t n)
{
    if (reserve(str, n)) {
        memcpy(str->s + str->len, s, n);
        str->len += n;
        str->s[str->len] = 0;
    }
}

void qk_str_add(struct qk_str *str, const char *s)
{
    qk_str_addn(str, s, strlen(s));
}

void qk_str_addc(struct qk_str *str, char c)
{
    qk_str_addn(str, &c, 1);
}

void qk_str_addf(struct qk_str *str, const char *fmt, ...)
{
    va_list ap, ap2;
    va_start(ap, fmt);
    va_copy(ap2, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        str->failed = true;
    } else if (reserve(str, (size_t)n)) {
        vsnprintf(str->s + str->len, (size_t)n + 1, fmt, ap2);
        str->len += (size_t)n;
    }
    va_end(ap2);
}

/* Length of the valid UTF-8 sequence at p (1 to 4), or 0 when the bytes there are not one. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return n;
}

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

char *qk_utf8_copy(struct qk_arena *arena, const char *s)
{
    size_t size = 1;
    for (const unsigned char *p = (const unsigned char *)s; *p != 0; p++) {
        size += utf8_length(p) == 0 ? sizeof(replacement) - 1 : 1;
    }
    char *copy = qk_arena_alloc(arena, size, 1), *to = copy;
    for (const unsigned char *p = (const unsigned char *)s; *p != 0 && copy != NULL;) {
        size_t n = utf8_length(p);
        memcpy(to, n == 0 ? replacement : (const char *)p, n == 0 ? sizeof(replacement) - 1 : n);
        to += n == 0 ? sizeof(replacement) - 1 : n;
        p += n == 0 ? 1 : n;
    }
    return copy;
}

void qk_str_add_json(struct qk_str *str, const char *s)
{
    qk_str_addc(str, '"');
    for (const unsigned char *p = (const unsigned char *)s; *p != 0;) {
        size_t n = utf8_length(p);
        if (n == 0) {
            qk_str_add(str, replacement);
            p++;
            continue;
        }
        if (*p == '"' || *p == '\\') {
            qk_str_addc(str, '\\');
            qk_str_addc(str, (char)*p);
        } else if (*p == '\n') {
            qk_str_add(str, "\\n");
        } else if (*p == '\t') {
            qk_str_add(str, "\\t");
        } else if (*p < 0x20 || *p == 0x7f) {
            qk_str_addf(str, "\\u%04x", *p);
        } else {
            qk_str_addn(str, (const char *)p, n);
        }
        p += n;
    }
    qk_str_addc(str, '"');
}

void qk_str_add_html(struct qk_str *str, const char *s)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (; *s != 0; s++) {
        size_t n = utf8_length((const unsigned char *)s);
        const char *entity = n == 0 ? replacement : NULL;
        for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++) {
            if (entities[i].c == *s) {
                entity = entities[i].entity;
            }
        }
        if (entity != NULL) {
            qk_str_add(str, entity);
        } else {
            qk_str_addn(str, s, n);
            s += n - 1;
        }
    }
}

bool qk_streq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool qk_str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

size_t qk_utf8_mark(const char *s, size_t n)
{
    return n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool qk_str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && strcmp(s + n - k, suffix) == 0;
}

bool qk_name_is_clean(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p != 0;) {
        size_t n = utf8_length(p);
        bool c1_control = n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
        if (n == 0 || *p < 0x20 || *p == 0x7f || c1_control) {
            return false;
        }
        p += n;
    }
    return true;
}

bool qk_glob_match(const char *pattern, const char *s)
{
    const char *star = NULL, *retry = s;
    while (*s != 0) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = s;
        } else if (*pattern == '?' || *pattern == *s) {
            pattern++;
            s++;
        } else if (star != NULL) {
            pattern = star;
            s = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == 0;
}

/* Levenshtein distance of two short words. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) {
        return LONGEST + 1;
    }
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) {
                best = row[j] + 1;
            }
            if (row[j - 1] + 1 < best) {
                best = row[j - 1] + 1;
            }
            row[j] = best;
        }
    }
    return row[m];
}

const char *qk_nearest(const char *s, const char *const *names, size_t n)
{
    size_t limit = strlen(s) < 4 ? 1 : strlen(s) / 3 + 1, best = limit + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(s, names[i]);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
