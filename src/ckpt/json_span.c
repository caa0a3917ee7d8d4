/* What scanned JSON tokens mean: see json_scan.h. */
#include "json_scan.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int qk_scan_code_unit(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }
    int unit = 0;
    for (size_t i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

static char *put_utf8(char *d, unsigned c)
{
    if (c < 0x80) {
        *d++ = (char)c;
    } else if (c < 0x800) {
        *d++ = (char)(0xc0 | c >> 6);
        *d++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *d++ = (char)(0xe0 | c >> 12);
        *d++ = (char)(0x80 | (c >> 6 & 0x3f));
        *d++ = (char)(0x80 | (c & 0x3f));
    } else {
        *d++ = (char)(0xf0 | c >> 18);
        *d++ = (char)(0x80 | (c >> 12 & 0x3f));
        *d++ = (char)(0x80 | (c >> 6 & 0x3f));
        *d++ = (char)(0x80 | (c & 0x3f));
    }
    return d;
}

char *qk_scan_unescape(struct qk_arena *arena, struct qk_span span)
{
    char *text = qk_arena_strndup(arena, span.s, span.n);
    if (text == NULL || !span.escaped) {
        return text;
    }
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *p = span.s, *end = span.s + span.n;
    char *d = text;
    while (p < end) {
        if (*p != '\\') {
            *d++ = *p++;
            continue;
        }
        if (p[1] != 'u') {
            const char *known = strchr(from, p[1]);
            *d++ = known == NULL ? p[1] : to[known - from];
            p += 2;
            continue;
        }
        unsigned c = (unsigned)qk_scan_code_unit(p, end);
        p += 6;
        if (c >= 0xd800 && c < 0xdc00) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((unsigned)qk_scan_code_unit(p, end) - 0xdc00);
            p += 6;
        }
        d = put_utf8(d, c);
    }
    *d = 0;
    return text;
}

bool qk_span_is(struct qk_span span, const char *s)
{
    return span.n == strlen(s) && memcmp(span.s, s, span.n) == 0;
}

bool qk_span_u64(struct qk_span span, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < span.n; i++) {
        if (span.s[i] < '0' || span.s[i] > '9' || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(span.s[i] - '0'), &value)) {
            return false;
        }
    }
    *ret = value;
    return span.n > 0;
}
