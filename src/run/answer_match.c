/* Whether an answer is the expected one: see run/answer_match.h. */
#include "run/answer_match.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "run/scoring_text.h"

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

/* A number as it stands in a text; the parts are borrowed and not NUL-terminated. */
struct number {
    bool minus;
    const char *whole, *decimals; /* with commas; decimals behind the point */
    size_t n_whole, n_decimals;
    long exponent;
    const char *below; /* of a fraction */
    size_t n_below;
};

enum { MOST_EXPONENT = 400, MOST_DIGITS = 300 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t count_digits(const char *at)
{
    size_t n = 0;
    while (is_digit(at[n])) {
        n++;
    }
    return n;
}

/* Digits, and groups of three behind commas when the first group has one to three. */
static size_t count_whole(const char *at)
{
    size_t n = count_digits(at);
    bool may_group = n > 0 && n <= 3;
    while (may_group && at[n] == ',' && count_digits(at + n + 1) == 3) {
        n += 4;
    }
    return n;
}

static bool has_minus(const char *text, const char *at)
{
    static const char minus[] = "\xe2\x88\x92";
    size_t len = at > text && at[-1] == '-' ? 1 : 0;
    if (len == 0 && at - text >= 3 && memcmp(at - 3, minus, 3) == 0) {
        len = 3;
    }
    if (len == 0 || at - len == text) {
        return len > 0;
    }
    char before = at[-(ptrdiff_t)len - 1];
    return !is_letter(before) && !is_digit(before) && strchr(")]}.", before) == NULL;
}

/* Behind the digits: "e5", "E-3", no letter after it. */
static size_t read_exponent(const char *at, long *ret)
{
    size_t sign = at[0] != '\0' && (at[1] == '-' || at[1] == '+') ? 1 : 0;
    size_t n = at[0] == 'e' || at[0] == 'E' ? count_digits(at + 1 + sign) : 0;
    if (n == 0 || n > 4 || is_letter(at[1 + sign + n])) {
        return 0;
    }
    *ret = strtol(at + 1, NULL, 10);
    return 1 + sign + n;
}

static bool is_zero(const char *digits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digits[i] != '0' && digits[i] != ',') {
            return false;
        }
    }
    return true;
}

/* The number that begins at a digit, or at a point before one; gives its length. */
static size_t read_number(const char *text, const char *at, struct number *ret)
{
    struct number x = {.minus = has_minus(text, at), .whole = at, .n_whole = count_whole(at)};
    size_t n = x.n_whole;
    if (at[n] == '.' && is_digit(at[n + 1])) {
        x.decimals = at + n + 1;
        x.n_decimals = count_digits(x.decimals);
        n += 1 + x.n_decimals;
    }
    n += read_exponent(at + n, &x.exponent);
    bool follows_slash = at > text && at[-1] == '/';
    size_t below = n == x.n_whole && at[n] == '/' && !follows_slash ? count_digits(at + n + 1) : 0;
    const char *end = at + n + 1 + below;
    bool goes_on = below > 0 && ((end[0] == '/' || end[0] == '.' || end[0] == ',') && is_digit(end[1]));
    if (below > 0 && !goes_on && !is_zero(at + n + 1, below)) {
        x.below = at + n + 1;
        x.n_below = below;
        n += 1 + below;
    }
    *ret = x;
    return n;
}

static bool last_number(const char *text, struct number *ret)
{
    bool found = false;
    for (const char *at = text; *at != '\0';) {
        bool begins = is_digit(*at) || (*at == '.' && is_digit(at[1]) && (at == text || !is_digit(at[-1])));
        found = found || begins;
        at += begins ? read_number(text, at, ret) : 1;
    }
    return found;
}

/* Adds digits without commas. */
static void add_digits(struct qk_str *out, const char *digits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digits[i] != ',') {
            qk_str_addc(out, digits[i]);
        }
    }
}

/* "-12.5e0/": no zeros at the ends, no minus before zero; then the exponent and what stands below a slash. */
static void add_canonical(struct qk_str *out, const struct number *x)
{
    size_t first = 0, n_decimals = x->n_decimals;
    while (first < x->n_whole && (x->whole[first] == '0' || x->whole[first] == ',')) {
        first++;
    }
    while (n_decimals > 0 && x->decimals[n_decimals - 1] == '0') {
        n_decimals--;
    }
    if (x->minus && (first < x->n_whole || n_decimals > 0)) {
        qk_str_addc(out, '-');
    }
    add_digits(out, x->whole + first, x->n_whole - first);
    if (n_decimals > 0) {
        qk_str_addc(out, '.');
        add_digits(out, x->decimals, n_decimals);
    }
    qk_str_addf(out, "e%ld/", x->exponent);
    add_digits(out, x->below, x->n_below);
}

/* As a double; false when it has more digits than one can hold. */
static bool value_of(const struct number *x, double *ret)
{
    struct qk_str above = {0}, below = {0};
    double a = 0.0, b = 1.0;
    add_digits(&above, x->whole, x->n_whole);
    qk_str_add(&above, x->n_whole == 0 ? "0" : "");
    if (x->n_decimals > 0) {
        qk_str_addc(&above, '.');
        add_digits(&above, x->decimals, x->n_decimals);
    }
    if (x->exponent != 0) {
        qk_str_addf(&above, "e%ld", x->exponent);
    }
    add_digits(&below, x->below, x->n_below);
    bool ok = !above.failed && !below.failed && above.len < MOST_DIGITS && below.len < MOST_DIGITS &&
              labs(x->exponent) < MOST_EXPONENT && qk_parse_double(above.s, &a) &&
              (x->below == NULL || qk_parse_double(below.s, &b));
    qk_str_release(&above);
    qk_str_release(&below);
    *ret = (x->minus ? -a : a) / b;
    return ok && isfinite(*ret);
}

static bool same_number(const struct number *a, const struct number *b)
{
    struct qk_str s = {0}, t = {0};
    add_canonical(&s, a);
    add_canonical(&t, b);
    bool same = !s.failed && !t.failed && qk_streq(s.s, t.s);
    bool is_plain = a->exponent == 0 && b->exponent == 0 && a->below == NULL && b->below == NULL;
    double x, y;
    qk_str_release(&s);
    qk_str_release(&t);
    return same || (!is_plain && value_of(a, &x) && value_of(b, &y) && fabs(x - y) <= 1e-12 * fmax(fabs(x), fabs(y)));
}

bool qk_text_has_number(const char *text)
{
    struct number x;
    return last_number(text, &x);
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

static bool fits_number(const char *answer, const char *expected)
{
    struct number a, b;
    return last_number(answer, &a) && last_number(expected, &b) && same_number(&a, &b);
}

static bool fits_part(const char *answer, const char *expected)
{
    struct qk_str wanted = {0};
    size_t first = strspn(expected, " \t\r\n"), n = strlen(expected);
    while (n > first && strchr(" \t\r\n", expected[n - 1]) != NULL) {
        n--;
    }
    qk_str_addn(&wanted, expected + first, n - first);
    bool fits = !wanted.failed && qk_text_contains(answer, wanted.s == NULL ? "" : wanted.s);
    qk_str_release(&wanted);
    return fits;
}

/* ---- the end of a word ------------------------------------------------------------------------------------------ */

/* A letter or digit at p, of scripts that put something between words. */
static bool is_word(const char *p)
{
    unsigned char c = (unsigned char)p[0];
    if (c < 0x80) {
        return is_letter(p[0]) || is_digit(p[0]);
    }
    unsigned code = c >= 0xc0 && c < 0xe0   ? (c & 0x1fu) << 6 | ((unsigned char)p[1] & 0x3fu)
                    : c >= 0xe0 && c < 0xf0 ? (c & 0x0fu) << 12 | ((unsigned char)p[1] & 0x3fu) << 6
                                            : 0;
    return code >= 0xc0 && code < 0x2000 && code != 0xd7 && code != 0xf7;
}

enum qk_word_end qk_text_word_end(const char *answer, const char *following)
{
    size_t last = strlen(answer);
    while (last > 0 && ((unsigned char)answer[last - 1] & 0xc0) == 0x80) {
        last--;
    }
    if (last == 0 || !is_word(answer + last - 1)) {
        return QK_WORD_ENDS;
    }
    if (following[0] == '\0') {
        return QK_WORD_OPEN;
    }
    if (is_word(following)) {
        return QK_WORD_GOES_ON;
    }
    if (is_digit(answer[last - 1]) && strchr(".,/", following[0]) != NULL) {
        return following[1] == '\0' ? QK_WORD_OPEN : is_digit(following[1]) ? QK_WORD_GOES_ON : QK_WORD_ENDS;
    }
    return QK_WORD_ENDS;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static const struct qk_match_rule rules[QK_N_MATCHES] = {
    [QK_MATCH_EXACT] = {"exact", "the answer is the expected text, white space at the ends aside", qk_text_same},
    [QK_MATCH_CONTAINS] = {"contains", "the expected text is part of the answer, ASCII upper and lower case alike",
                           fits_part},
    [QK_MATCH_NUMBER] = {"number", "the last number of the answer is the last number of the expected text",
                         fits_number},
};

const char *const qk_match_names[QK_N_MATCHES + 1] = {"exact", "contains", "number", NULL};

const struct qk_match_rule *qk_match_rule(enum qk_match match)
{
    return &rules[match];
}

bool qk_match_find(const char *name, enum qk_match *ret)
{
    for (size_t i = 0; i < QK_N_MATCHES; i++) {
        if (qk_streq(rules[i].name, name)) {
            *ret = (enum qk_match)i;
            return true;
        }
    }
    return false;
}
