/* Oniguruma's syntax in terms of PCRE2: see regex_syntax.h.
 *
 * One pass over the bytes. A bracket expression is read as operands of &&, each a union of plain items and of nested
 * expressions, and written as
 *   [items]                              when there is nothing nested
 *   (?:[items]|nested|…)                 a union
 *   (?:(?=operand)…operand)              an intersection
 *   (?:(?!that)(?s:.))                   its complement */
#include "regex_syntax.h"

#include <string.h>

enum { max_nesting = 32 };

#define SPACES "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACES                                                                                                      \
    "\\x{0}-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"       \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

/* Escapes whose meaning differs: outside of a class and as items of one (NULL: refused there). */
static const struct escape {
    char letter;
    const char *outside, *inside;
} escapes[] = {
    {'s', "[" SPACES "]", SPACES},
    {'S', "[^" SPACES "]", NO_SPACES},
    {'w', "[" WORD "]", WORD},
    {'W', "[^" WORD "]", NULL},
    {'h', "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {'H', "[^0-9A-Fa-f]", NULL},
    {'v', "\\x0b", "\\x0b"},
    {'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))", "\\x08"},
    {'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))", NULL},
};
/* Letters and digits that mean the same in both. */
static const char same_outside[] = "dDAzZGpPnrtfaeRXx0123456789k";
static const char same_inside[] = "dDpPnrtfaex0";

struct translation {
    const char *regex, *p; /* the whole and the place */
    const char *where;
    struct qk_err *err;
};

static enum qk_code refuse(const struct translation *t, const char *what)
{
    return qk_fail(t->err, QK_EUNSUPPORTED, "%s: %s at byte %zu of the regular expression is not supported", t->where,
                   what, (size_t)(t->p - t->regex));
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* \p{Name}, \p{^Name}, \P{Name}. */
static enum qk_code property(struct translation *t, struct qk_str *out)
{
    const char *close = t->p[2] == '{' ? strchr(t->p, '}') : NULL;
    if (close == NULL) {
        return refuse(t, "a property without braces");
    }
    qk_str_addn(out, t->p, (size_t)(close + 1 - t->p));
    t->p = close + 1;
    return QK_OK;
}

static enum qk_code escape(struct translation *t, bool inside, struct qk_str *out)
{
    char c = t->p[1];
    if (c == 0) {
        return refuse(t, "a backslash at the end");
    }
    if (c == 'p' || c == 'P') {
        return property(t, out);
    }
    if (c == 'u') {
        for (size_t i = 2; i < 6; i++) {
            if (!is_hex(t->p[i])) {
                return refuse(t, "\\u without four hexadecimal digits");
            }
        }
        qk_str_addf(out, "\\x{%.4s}", t->p + 2);
        t->p += 6;
        return QK_OK;
    }
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        const char *text = inside ? escapes[i].inside : escapes[i].outside;
        if (escapes[i].letter == c && text != NULL) {
            qk_str_add(out, text);
            t->p += 2;
            return QK_OK;
        }
    }
    if (is_letter_or_digit(c) && strchr(inside ? same_inside : same_outside, c) == NULL) {
        return refuse(t, "this escape");
    }
    qk_str_addn(out, t->p, 2);
    t->p += 2;
    return QK_OK;
}

/* One plain item of a class: a POSIX class, an escape, or bytes of a character. */
static enum qk_code class_item(struct translation *t, struct qk_str *items)
{
    if (t->p[0] == '[' && t->p[1] == ':') {
        const char *close = strstr(t->p, ":]");
        if (close == NULL) {
            return refuse(t, "'[:' without ':]'");
        }
        qk_str_addn(items, t->p, (size_t)(close + 2 - t->p));
        t->p = close + 2;
        return QK_OK;
    }
    if (t->p[0] == '\\') {
        return escape(t, true, items);
    }
    qk_str_addc(items, *t->p++);
    return QK_OK;
}

static enum qk_code bracket(struct translation *t, size_t depth, struct qk_str *out, bool *ret_plain);

/* The union of plain items and nested classes as a group; a lone list of items when plain. */
static void write_union(const struct qk_str *items, const struct qk_str *nested, bool negated, struct qk_str *out)
{
    if (nested->len == 0) {
        qk_str_addf(out, "[%s%s]", negated ? "^" : "", items->s == NULL ? "" : items->s);
        return;
    }
    qk_str_add(out, negated ? "(?:(?!" : "(?:");
    if (items->len > 0) {
        qk_str_addf(out, "[%s]|", items->s);
    }
    qk_str_add(out, nested->s);
    qk_str_add(out, negated ? ")(?s:.))" : ")");
}

/* Reads up to the closing bracket or &&. Nested plain classes become items. */
static enum qk_code class_operand(struct translation *t, size_t depth, struct qk_str *items, struct qk_str *nested)
{
    bool first = true;
    while (first || (*t->p != ']' && strncmp(t->p, "&&", 2) != 0)) {
        if (*t->p == 0) {
            return refuse(t, "'[' without ']'");
        }
        if (t->p[0] == '[' && t->p[1] != ':') {
            struct qk_str inner = {0};
            bool plain;
            enum qk_code code = bracket(t, depth + 1, &inner, &plain);
            if (inner.failed) {
                items->failed = true;
            } else if (code == QK_OK && plain) {
                qk_str_addn(items, inner.s + 1, inner.len - 2);
            } else if (code == QK_OK) {
                qk_str_add(nested, nested->len > 0 ? "|" : "");
                qk_str_add(nested, inner.s);
            }
            qk_str_release(&inner);
            QK_TRY(code);
        } else if (first && *t->p == ']') {
            return refuse(t, "a class that begins with ']'");
        } else {
            QK_TRY(class_item(t, items));
        }
        first = false;
    }
    return QK_OK;
}

/* A bracket expression; *ret_plain: what was written is "[items]" without '^'. */
static enum qk_code bracket(struct translation *t, size_t depth, struct qk_str *out, bool *ret_plain)
{
    if (depth > max_nesting) {
        return refuse(t, "such a depth of classes");
    }
    t->p++;
    bool negated = *t->p == '^';
    t->p += negated;
    struct qk_str items = {0}, nested = {0}, both = {0};
    bool intersection = false;
    enum qk_code code = class_operand(t, depth, &items, &nested);
    while (code == QK_OK && t->p[0] == '&') {
        intersection = true;
        qk_str_add(&both, "(?=");
        write_union(&items, &nested, false, &both);
        qk_str_add(&both, ")");
        both.failed |= items.failed || nested.failed;
        qk_str_clear(&items);
        qk_str_clear(&nested);
        t->p += 2;
        code = class_operand(t, depth, &items, &nested);
    }
    if (code == QK_OK) {
        t->p++;
        if (intersection) {
            write_union(&items, &nested, false, &both);
            qk_str_addf(out, negated ? "(?:(?!%s)(?s:.))" : "(?:%s)", both.s == NULL ? "" : both.s);
        } else {
            write_union(&items, &nested, negated, out);
        }
        *ret_plain = !intersection && !negated && nested.len == 0;
    }
    out->failed |= items.failed || nested.failed || both.failed;
    qk_str_release(&items);
    qk_str_release(&nested);
    qk_str_release(&both);
    return code;
}

/* "(…": options are renamed, verbs and what differs is refused. */
static enum qk_code group(struct translation *t, struct qk_str *out)
{
    if (t->p[1] == '*') {
        return refuse(t, "'(*'");
    }
    qk_str_addc(out, *t->p++);
    if (*t->p != '?') {
        return QK_OK;
    }
    qk_str_addc(out, *t->p++);
    if (strchr("CPR&+~0123456789|", *t->p) != NULL) { /* and the end, which strchr finds too */
        return refuse(t, "this kind of group");
    }
    while (*t->p == 'i' || *t->p == 'm' || *t->p == 'x' || (*t->p == '-' && strchr("imx", t->p[1]) != NULL)) {
        qk_str_addc(out, *t->p == 'm' ? 's' : *t->p); /* Ruby's m lets '.' match a newline */
        t->p++;
    }
    return *t->p == '-' ? refuse(t, "this kind of group") : QK_OK;
}

static const char *digits(const char *p)
{
    while (*p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

/* "{n,m}" after an atom; a brace that opens no interval is literal in both. */
static enum qk_code interval(struct translation *t, struct qk_str *out)
{
    const char *low = digits(t->p + 1), *high = *low == ',' ? digits(low + 1) : low;
    bool any = low > t->p + 1 || (*low == ',' && high > low + 1);
    if (*high != '}' || !any) {
        qk_str_add(out, "\\{");
        t->p++;
        return QK_OK;
    }
    if (high[1] == '+' || (high[1] == '?' && *low != ',')) {
        return refuse(t, "an interval followed by '+' or, when fixed, by '?'");
    }
    qk_str_addc(out, '{');
    qk_str_add(out, low == t->p + 1 ? "0" : "");
    qk_str_addn(out, t->p + 1, (size_t)(high - t->p));
    t->p = high + 1;
    return QK_OK;
}

enum qk_code qk_regex_translate(const char *regex, const char *where, struct qk_str *ret, struct qk_err *err)
{
    struct translation t = {regex, regex, where, err};
    bool plain;
    while (*t.p != 0) {
        if (*t.p == '\\') {
            QK_TRY(escape(&t, false, ret));
        } else if (*t.p == '[') {
            QK_TRY(bracket(&t, 0, ret, &plain));
        } else if (*t.p == '(') {
            QK_TRY(group(&t, ret));
        } else if (*t.p == '{') {
            QK_TRY(interval(&t, ret));
        } else {
            qk_str_addc(ret, *t.p++);
        }
    }
    return ret->failed ? qk_fail_nomem(err, where) : QK_OK;
}
