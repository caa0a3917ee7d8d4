/* A growable string, and small string questions.
 *
 * A struct qk_str starts as {0}; qk_str_add* append; an allocation failure sticks in .failed and is reported once by
 * the owner (so that builders need no check per append). Locale-independent numbers. */
#ifndef QK_BASE_STR_H
#define QK_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct qk_arena;

struct qk_str {
    char *s; /* NUL-terminated once anything was added; NULL before. Owned: release with qk_str_release. */
    size_t len, cap;
    bool failed;
};

void qk_str_release(struct qk_str *str);
void qk_str_clear(struct qk_str *str);
void qk_str_add(struct qk_str *str, const char *s);
void qk_str_addn(struct qk_str *str, const char *s, size_t n);
void qk_str_addc(struct qk_str *str, char c);
void qk_str_addf(struct qk_str *str, const char *fmt, ...) QK_PRINTF(2, 3);
/* Shortest decimal that reads back as the same double ("nan", "inf", "-inf" for those), always with '.'. */
void qk_str_add_double(struct qk_str *str, double value);
/* s as a JSON string literal with quotes; invalid UTF-8 becomes U+FFFD. */
void qk_str_add_json(struct qk_str *str, const char *s);
/* value as JSON number, or null when not finite. */
void qk_str_add_json_double(struct qk_str *str, double value);
/* s with & < > " ' escaped for HTML and XML; invalid UTF-8 becomes U+FFFD. */
void qk_str_add_html(struct qk_str *str, const char *s);
/* "1.5 GB", powers of 1000; "17 B". */
void qk_str_add_bytes(struct qk_str *str, uint64_t bytes);

bool qk_streq(const char *a, const char *b);
bool qk_str_starts(const char *s, const char *prefix);
bool qk_str_ends(const char *s, const char *suffix);
/* Bytes of the byte order mark at the beginning of n bytes of UTF-8: 3 or 0. */
size_t qk_utf8_mark(const char *s, size_t n);
/* The whole of s as a decimal number in [min, max]. */
bool qk_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* The same with k (1024) or m (1048576) behind it, upper or lower case, as sizes of contexts are spoken of. */
bool qk_parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
bool qk_parse_double(const char *s, double *ret);
/* A copy of s in the arena in which invalid UTF-8 (a path may hold any byte) is U+FFFD; NULL when out of memory. */
char *qk_utf8_copy(struct qk_arena *arena, const char *s);
/* Valid UTF-8 without control characters (names that go into HDF5, gnuplot, terminals). */
bool qk_name_is_clean(const char *s);
/* Glob with '*' and '?' over the whole of s. */
bool qk_glob_match(const char *pattern, const char *s);
/* Of n names, the one nearest to s by edit distance if near enough to suggest, else NULL. */
const char *qk_nearest(const char *s, const char *const *names, size_t n);

#endif
