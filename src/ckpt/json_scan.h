/* Strict JSON (RFC 8259) at the level of tokens: a cursor over bytes that need not end in NUL.
 *
 * Used as it is for safetensors headers, and in front of cJSON for everything else, so that both see the same language.
 * Strings must be valid UTF-8 without control characters, unpaired surrogates or U+0000 (names are C strings here).
 * Nothing recurses; depth is bounded. A function that returns false has set the fault. */
#ifndef QK_CKPT_JSON_SCAN_H
#define QK_CKPT_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum { qk_json_max_depth = 64, qk_json_max_number = 63 };

enum qk_scan_fault { QK_SCAN_FINE, QK_SCAN_SYNTAX, QK_SCAN_LIMIT };

struct qk_scan {
    const char *begin, *p, *end;
    size_t max_values; /* objects, arrays and scalars that qk_scan_value may pass */
    size_t n_values;
    bool python_numbers;     /* accept NaN, Infinity, -Infinity */
    size_t n_python_numbers; /* of those passed */
    enum qk_scan_fault fault;
    const char *at;       /* place of the fault */
    const char *expected; /* what should be there */
    const char *found;    /* what is there; NULL: the character itself */
};

/* Bytes inside a token; a string's without its quotes. */
struct qk_span {
    const char *s;
    size_t n;
    bool escaped; /* has backslashes: qk_scan_unescape before use */
    bool plain;   /* a string of printable ASCII without backslashes */
};

void qk_scan_init(struct qk_scan *scan, const char *text, size_t n);
bool qk_scan_fail(struct qk_scan *scan, const char *at, const char *expected, const char *found);
void qk_scan_space(struct qk_scan *scan);
/* The next byte, or −1 at the end. */
int qk_scan_peek(const struct qk_scan *scan);
/* Takes c, after white space. expected: text for the fault. */
bool qk_scan_take(struct qk_scan *scan, char c, const char *expected);
bool qk_scan_string(struct qk_scan *scan, struct qk_span *ret);
/* A member's name with the colon behind it, after white space. */
bool qk_scan_key(struct qk_scan *scan, struct qk_span *ret);
bool qk_scan_number(struct qk_scan *scan, struct qk_span *ret);
/* Passes any value, with white space in front of it. */
bool qk_scan_value(struct qk_scan *scan);
/* White space up to the end. */
bool qk_scan_end(struct qk_scan *scan);

/* A scanned string's content with escapes resolved, NUL-terminated; NULL when out of memory. */
char *qk_scan_unescape(struct qk_arena *arena, struct qk_span span);
/* The code unit of the "\uXXXX" at p; −1 when it is not one. */
int qk_scan_code_unit(const char *p, const char *end);
bool qk_span_is(struct qk_span span, const char *s);
/* A scanned number as a non-negative integer; false when it is anything else or beyond 64 bits. */
bool qk_span_u64(struct qk_span span, uint64_t *ret);

/* "at line 3, column 7 (expected ':', found 'x')". */
void qk_scan_explain(const struct qk_scan *scan, char *buf, size_t cap);

#endif
