/* Strict JSON tokens: see json_scan.h. */
#include "json_scan.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

void qk_scan_init(struct qk_scan *scan, const char *text, size_t n)
{
    *scan = (struct qk_scan){.begin = text, .p = text, .end = text + n, .max_values = SIZE_MAX};
}

bool qk_scan_fail(struct qk_scan *scan, const char *at, const char *expected, const char *found)
{
    scan->fault = QK_SCAN_SYNTAX;
    scan->at = at;
    scan->expected = expected;
    scan->found = found;
    return false;
}

static bool limit(struct qk_scan *scan, const char *at, const char *expected, const char *found)
{
    (void)qk_scan_fail(scan, at, expected, found);
    scan->fault = QK_SCAN_LIMIT;
    return false;
}

void qk_scan_space(struct qk_scan *scan)
{
    const char *p = scan->p;
    while (p < scan->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    scan->p = p;
}

int qk_scan_peek(const struct qk_scan *scan)
{
    return scan->p < scan->end ? (unsigned char)*scan->p : -1;
}

bool qk_scan_take(struct qk_scan *scan, char c, const char *expected)
{
    qk_scan_space(scan);
    if (scan->p == scan->end || *scan->p != c) {
        return qk_scan_fail(scan, scan->p, expected, NULL);
    }
    scan->p++;
    return true;
}

/* Length of the UTF-8 sequence at p (first byte ≥ 0x80), 0 when it is malformed, overlong, a surrogate or too large. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (p[0] >= rows[r].first_low && p[0] <= rows[r].first_high) {
            size_t length = rows[r].length;
            if (length > n || p[1] < rows[r].second_low || p[1] > rows[r].second_high) {
                return 0;
            }
            for (size_t i = 2; i < length; i++) {
                if ((p[i] & 0xc0) != 0x80) {
                    return 0;
                }
            }
            return length;
        }
    }
    return 0;
}

/* Length of the escape at p; 0 with the fault set when it is malformed. */
static size_t escape_length(struct qk_scan *scan, const char *p)
{
    if (p + 1 < scan->end && p[1] != 0 && strchr("\"\\/bfnrt", p[1]) != NULL) {
        return 2;
    }
    int unit = qk_scan_code_unit(p, scan->end);
    if (unit < 0) {
        (void)qk_scan_fail(scan, p, "an escape sequence of JSON", "another one");
        return 0;
    }
    if (unit == 0) {
        (void)qk_scan_fail(scan, p, "text without U+0000", "\\u0000");
        return 0;
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        return 6;
    }
    int low = unit < 0xdc00 ? qk_scan_code_unit(p + 6, scan->end) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        (void)qk_scan_fail(scan, p, "a pair of surrogates", "half of one");
        return 0;
    }
    return 12;
}

bool qk_scan_string(struct qk_scan *scan, struct qk_span *ret)
{
    if (scan->p == scan->end || *scan->p != '"') {
        return qk_scan_fail(scan, scan->p, "'\"'", NULL);
    }
    const char *start = scan->p + 1, *p = start;
    bool escaped = false, ascii = true;
    for (;;) {
        while (p < scan->end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f && *p != '"' && *p != '\\') {
            p++;
        }
        if (p == scan->end) {
            return qk_scan_fail(scan, p, "'\"'", NULL);
        }
        size_t step = 0;
        if (*p == '"') {
            break;
        }
        if (*p == '\\') {
            escaped = true;
            step = escape_length(scan, p);
            if (step == 0) {
                return false;
            }
        } else if ((unsigned char)*p < 0x20) {
            return qk_scan_fail(scan, p, "control characters in strings to be escaped", NULL);
        } else if (*p == 0x7f) {
            ascii = false;
            step = 1;
        } else {
            ascii = false;
            step = utf8_length((const unsigned char *)p, (size_t)(scan->end - p));
            if (step == 0) {
                return qk_scan_fail(scan, p, "valid UTF-8", NULL);
            }
        }
        p += step;
    }
    *ret = (struct qk_span){start, (size_t)(p - start), escaped, ascii && !escaped};
    scan->p = p + 1;
    return true;
}

static const char *pass_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

bool qk_scan_number(struct qk_scan *scan, struct qk_span *ret)
{
    const char *start = scan->p, *p = start, *end = scan->end;
    p += p < end && *p == '-';
    const char *digits = p;
    p = p < end && *p == '0' ? p + 1 : pass_digits(p, end);
    if (p == digits) {
        return qk_scan_fail(scan, p, "a digit", NULL);
    }
    if (p < end && *p == '.') {
        digits = p + 1;
        p = pass_digits(digits, end);
        if (p == digits) {
            return qk_scan_fail(scan, p, "a digit", NULL);
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        digits = p;
        p = pass_digits(digits, end);
        if (p == digits) {
            return qk_scan_fail(scan, p, "a digit", NULL);
        }
    }
    if ((size_t)(p - start) > qk_json_max_number) {
        return limit(scan, start, "a number of at most 63 characters", "a longer one");
    }
    *ret = (struct qk_span){.s = start, .n = (size_t)(p - start)};
    scan->p = p;
    return true;
}

/* true, false, null and Python's numbers; false without a fault when there is none of them. */
static bool pass_word(struct qk_scan *scan)
{
    static const struct {
        const char *word;
        bool python;
    } words[] = {{"true", false}, {"false", false},   {"null", false},
                 {"NaN", true},   {"Infinity", true}, {"-Infinity", true}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(scan->end - scan->p) >= n && memcmp(scan->p, words[i].word, n) == 0 &&
            (!words[i].python || scan->python_numbers)) {
            scan->p += n;
            scan->n_python_numbers += words[i].python;
            return true;
        }
    }
    return false;
}

static bool pass_scalar(struct qk_scan *scan)
{
    struct qk_span span;
    int c = qk_scan_peek(scan);
    if (c == '"') {
        return qk_scan_string(scan, &span);
    }
    bool digit = c >= '0' && c <= '9';
    if (!digit && pass_word(scan)) {
        return true;
    }
    if (digit || c == '-') {
        return qk_scan_number(scan, &span);
    }
    return qk_scan_fail(scan, scan->p, "a value", NULL);
}

bool qk_scan_key(struct qk_scan *scan, struct qk_span *ret)
{
    qk_scan_space(scan);
    if (qk_scan_peek(scan) != '"') {
        return qk_scan_fail(scan, scan->p, "a key in double quotes", NULL);
    }
    return qk_scan_string(scan, ret) && qk_scan_take(scan, ':', "':'");
}

/* Passes what follows a value inside open brackets, until the next value is due or none is open. */
static bool pass_closings(struct qk_scan *scan, const char *open, size_t *depth)
{
    struct qk_span key;
    while (*depth > 0) {
        bool object = open[*depth - 1] == '{';
        qk_scan_space(scan);
        int c = qk_scan_peek(scan);
        if (c == ',') {
            scan->p++;
            return !object || qk_scan_key(scan, &key);
        }
        if (c != (object ? '}' : ']')) {
            return qk_scan_fail(scan, scan->p, object ? "',' or '}'" : "',' or ']'", NULL);
        }
        scan->p++;
        --*depth;
    }
    return true;
}

bool qk_scan_value(struct qk_scan *scan)
{
    char open[qk_json_max_depth];
    size_t depth = 0;
    struct qk_span key;
    do {
        qk_scan_space(scan);
        if (++scan->n_values > scan->max_values) {
            return limit(scan, scan->p, "fewer values", "one more");
        }
        int c = qk_scan_peek(scan);
        if (c != '{' && c != '[') {
            if (!pass_scalar(scan)) {
                return false;
            }
        } else {
            if (depth == qk_json_max_depth) {
                return limit(scan, scan->p, "at most 64 levels", "one more");
            }
            open[depth++] = (char)c;
            scan->p++;
            qk_scan_space(scan);
            if (qk_scan_peek(scan) != (c == '{' ? '}' : ']')) {
                if (c == '{' && !qk_scan_key(scan, &key)) {
                    return false;
                }
                continue;
            }
            scan->p++;
            depth--;
        }
        if (!pass_closings(scan, open, &depth)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

bool qk_scan_end(struct qk_scan *scan)
{
    qk_scan_space(scan);
    return scan->p == scan->end || qk_scan_fail(scan, scan->p, "the end", NULL);
}

void qk_scan_explain(const struct qk_scan *scan, char *buf, size_t cap)
{
    size_t line = 1, column = 1;
    for (const char *p = scan->begin; p < scan->at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    char found[40] = "the end";
    if (scan->at == scan->begin && qk_utf8_mark(scan->at, (size_t)(scan->end - scan->at)) > 0) {
        snprintf(found, sizeof found, "a UTF-8 byte order mark (BOM)");
    } else if (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at;
        snprintf(found, sizeof found, c > 0x20 && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    }
    snprintf(buf, cap, "at line %zu, column %zu (expected %s, found %s)", line, column, scan->expected,
             scan->found == NULL ? found : scan->found);
}
