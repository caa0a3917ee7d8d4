/* Regular expressions over module names: see name_pattern.h.
 *
 * A pattern becomes a program of Thompson's automaton. Jumps are relative, so that a repeat copies its piece and an
 * operator that stands behind its operand shifts it. */
#include "name_pattern.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

enum { MAX_STEPS = 4096, MAX_DEPTH = 64, MAX_REPEAT = 1000 };

enum op { OP_BYTE, OP_SPLIT, OP_JUMP, OP_START, OP_END, OP_BOUNDARY, OP_NO_BOUNDARY, OP_MATCH };

struct step {
    enum op op;
    int to, other;     /* of JUMP and SPLIT, relative */
    uint32_t bytes[8]; /* of BYTE: the set */
};

struct qk_name_pattern {
    size_t n;
    const struct step *steps;
};

struct compiler {
    const char *at;
    struct step *steps; /* MAX_STEPS */
    size_t n, depth;
    struct qk_err *err;
};

/* ---- the program ------------------------------------------------------------------------------------------------ */

static enum qk_code unsupported(struct compiler *c, const char *what)
{
    return qk_fail(c->err, QK_EUNSUPPORTED, "%s in a regular expression", what);
}

static enum qk_code malformed(struct compiler *c, const char *what)
{
    return qk_fail(c->err, QK_EFORMAT, "no regular expression: %s", what);
}

static enum qk_code add(struct compiler *c, struct step step)
{
    if (c->n == MAX_STEPS) {
        return unsupported(c, "too many steps");
    }
    c->steps[c->n++] = step;
    return QK_OK;
}

static enum qk_code insert(struct compiler *c, size_t at, struct step step)
{
    QK_TRY(add(c, step));
    memmove(c->steps + at + 1, c->steps + at, (c->n - 1 - at) * sizeof *c->steps);
    c->steps[at] = step;
    return QK_OK;
}

static void put_byte(struct step *s, unsigned char byte)
{
    s->bytes[byte / 32] |= 1u << (byte % 32);
}

static bool has_byte(const struct step *s, unsigned char byte)
{
    return (s->bytes[byte / 32] >> (byte % 32) & 1u) != 0;
}

static bool is_word(int byte)
{
    return byte == '_' || isalnum(byte);
}

/* \d \w \s and their complements; false for any other letter. */
static bool put_class(struct step *s, char letter)
{
    int lower = tolower((unsigned char)letter);
    if (strchr("dws", lower) == NULL) {
        return false;
    }
    for (int byte = 0; byte < 256; byte++) {
        bool in = lower == 'd' ? isdigit(byte) != 0 : lower == 'w' ? is_word(byte) : isspace(byte) != 0;
        if (in == (lower == letter)) {
            put_byte(s, (unsigned char)byte);
        }
    }
    return true;
}

/* ---- parsing ---------------------------------------------------------------------------------------------------- */

static enum qk_code parse_choice(struct compiler *c);

/* A byte of a class, escaped or not; *ret_class: a class was added instead. */
static enum qk_code class_byte(struct compiler *c, struct step *set, unsigned char *ret, bool *ret_class)
{
    *ret_class = false;
    if (*c->at == '\\') {
        c->at++;
        if (*c->at == 0) {
            return malformed(c, "a backslash at its end");
        }
        *ret_class = put_class(set, *c->at);
        if (!*ret_class && isalnum((unsigned char)*c->at)) {
            return unsupported(c, "an escaped letter");
        }
    }
    *ret = (unsigned char)*c->at++;
    return QK_OK;
}

static enum qk_code parse_class(struct compiler *c)
{
    struct step set = {.op = OP_BYTE};
    bool negated = *c->at == '^', is_class;
    c->at += negated;
    for (const char *start = c->at; *c->at != ']' || c->at == start;) {
        unsigned char low, high;
        if (*c->at == 0) {
            return malformed(c, "'[' without its ']'");
        }
        QK_TRY(class_byte(c, &set, &low, &is_class));
        high = low;
        if (!is_class && c->at[0] == '-' && c->at[1] != ']' && c->at[1] != 0) {
            c->at++;
            QK_TRY(class_byte(c, &set, &high, &is_class));
            if (is_class || high < low) {
                return malformed(c, "a range that does not ascend");
            }
        }
        for (unsigned byte = low; !is_class && byte <= high; byte++) {
            put_byte(&set, (unsigned char)byte);
        }
    }
    c->at++;
    for (size_t i = 0; negated && i < 8; i++) {
        set.bytes[i] = ~set.bytes[i];
    }
    return add(c, set);
}

static enum qk_code parse_escape(struct compiler *c)
{
    struct step set = {.op = OP_BYTE};
    char letter = *c->at;
    if (letter == 0) {
        return malformed(c, "a backslash at its end");
    }
    c->at++;
    if (letter == 'b' || letter == 'B') {
        return add(c, (struct step){.op = letter == 'b' ? OP_BOUNDARY : OP_NO_BOUNDARY});
    }
    if (letter == 'A' || letter == 'Z') {
        return add(c, (struct step){.op = letter == 'A' ? OP_START : OP_END});
    }
    if (!put_class(&set, letter)) {
        if (isalnum((unsigned char)letter)) {
            return unsupported(c, isdigit((unsigned char)letter) ? "a backreference" : "an escaped letter");
        }
        put_byte(&set, (unsigned char)letter);
    }
    return add(c, set);
}

static enum qk_code parse_group(struct compiler *c)
{
    if (*c->at == '?') {
        if (qk_str_starts(c->at, "?:")) {
            c->at += 2;
        } else if (qk_str_starts(c->at, "?P<") && strchr(c->at, '>') != NULL) {
            c->at = strchr(c->at, '>') + 1;
        } else {
            return unsupported(c, "'(?' with lookaround or flags");
        }
    }
    if (++c->depth > MAX_DEPTH) {
        return unsupported(c, "groups nested this deep");
    }
    QK_TRY(parse_choice(c));
    c->depth--;
    if (*c->at != ')') {
        return malformed(c, "'(' without its ')'");
    }
    c->at++;
    return QK_OK;
}

static enum qk_code parse_atom(struct compiler *c)
{
    struct step set = {.op = OP_BYTE};
    char byte = *c->at++;
    switch (byte) {
    case '(':
        return parse_group(c);
    case '[':
        return parse_class(c);
    case '\\':
        return parse_escape(c);
    case '^':
        return add(c, (struct step){.op = OP_START});
    case '$':
        return add(c, (struct step){.op = OP_END});
    case '*':
    case '+':
    case '?':
        return malformed(c, "a repeat of nothing");
    case '.':
        memset(set.bytes, 0xff, sizeof set.bytes);
        set.bytes['\n' / 32] &= ~(1u << '\n' % 32);
        return add(c, set);
    default:
        put_byte(&set, (unsigned char)byte);
        return add(c, set);
    }
}

static bool parse_number(const char **at, size_t *ret)
{
    const char *start = *at;
    size_t n = 0;
    for (; isdigit((unsigned char)**at) && n <= MAX_REPEAT; (*at)++) {
        n = 10 * n + (size_t)(**at - '0');
    }
    *ret = n;
    return *at > start;
}

/* {m}, {m,}, {,n} and {m,n}; anything else in braces is literal text. */
static bool parse_braces(const char **at, size_t *min, size_t *max)
{
    const char *p = *at + 1;
    bool low = parse_number(&p, min), high = low;
    *max = *min;
    if (*p == ',') {
        p++;
        high = parse_number(&p, max);
        *min = low ? *min : 0;
        *max = high ? *max : SIZE_MAX;
        low = low || high;
    }
    if (!low || *p != '}') {
        return false;
    }
    *at = p + 1;
    return true;
}

/* The piece from start on, min times at least and max times at most. */
static enum qk_code repeat(struct compiler *c, size_t start, size_t min, size_t max)
{
    struct step piece[64];
    size_t n = c->n - start;
    struct step *copy = n <= 64 ? piece : qk_calloc(n, sizeof *copy);
    if (copy == NULL) {
        return qk_fail_nomem(c->err, "regular expression");
    }
    memcpy(copy, c->steps + start, n * sizeof *copy);
    c->n = start;
    enum qk_code code = QK_OK;
    size_t times = max == SIZE_MAX ? min : max;
    for (size_t i = 0; code == QK_OK && i < times; i++) {
        if (i >= min) {
            code = add(c, (struct step){.op = OP_SPLIT, .to = 1, .other = (int)n + 1});
        }
        for (size_t k = 0; code == QK_OK && k < n; k++) {
            code = add(c, copy[k]);
        }
    }
    if (code == QK_OK && max == SIZE_MAX) {
        code = add(c, (struct step){.op = OP_SPLIT, .to = 1, .other = (int)n + 2});
        for (size_t k = 0; code == QK_OK && k < n; k++) {
            code = add(c, copy[k]);
        }
        if (code == QK_OK) {
            code = add(c, (struct step){.op = OP_JUMP, .to = -(int)n - 1});
        }
    }
    if (copy != piece) {
        qk_free(copy);
    }
    return code;
}

/* The repeat of the piece from start on, if there is one. is_place: the piece is a lone assertion. */
static enum qk_code parse_repeats(struct compiler *c, size_t start, bool is_place)
{
    size_t min = 0, max = SIZE_MAX;
    switch (*c->at) {
    case '*':
        c->at++;
        break;
    case '+':
        min = 1;
        c->at++;
        break;
    case '?':
        max = 1;
        c->at++;
        break;
    case '{':
        if (parse_braces(&c->at, &min, &max)) {
            break;
        }
        return QK_OK;
    default:
        return QK_OK;
    }
    if (is_place) {
        return malformed(c, "a repeat of nothing");
    }
    if (max < min) {
        return malformed(c, "a repeat whose bounds do not ascend");
    }
    if (min > MAX_REPEAT || (max > MAX_REPEAT && max != SIZE_MAX)) {
        return unsupported(c, "more than 1000 repeats");
    }
    if (*c->at == '+') {
        return unsupported(c, "a possessive repeat");
    }
    c->at += *c->at == '?';
    if (*c->at == '*' || *c->at == '+' || *c->at == '?') {
        return malformed(c, "a repeat of a repeat");
    }
    return repeat(c, start, min, max);
}

static enum qk_code parse_choice(struct compiler *c)
{
    size_t start = c->n;
    while (*c->at != 0 && *c->at != '|' && *c->at != ')') {
        size_t atom = c->n;
        bool is_group = *c->at == '(';
        QK_TRY(parse_atom(c));
        QK_TRY(parse_repeats(c, atom, !is_group && c->steps[atom].op != OP_BYTE));
    }
    if (*c->at != '|') {
        return QK_OK;
    }
    c->at++;
    QK_TRY(insert(c, start, (struct step){.op = OP_SPLIT, .to = 1, .other = (int)(c->n - start) + 2}));
    size_t jump = c->n;
    QK_TRY(add(c, (struct step){.op = OP_JUMP}));
    QK_TRY(parse_choice(c)); /* as deep as there are alternatives, which MAX_STEPS bounds */
    c->steps[jump].to = (int)(c->n - jump);
    return QK_OK;
}

enum qk_code qk_name_pattern_new(const char *head, const char *pattern, const char *tail, struct qk_arena *arena,
                                 const struct qk_name_pattern **ret, struct qk_err *err)
{
    const char *text = qk_arena_printf(arena, "%s%s%s", head, pattern, tail);
    struct step *steps = qk_calloc(MAX_STEPS, sizeof *steps);
    struct qk_name_pattern *made = qk_arena_alloc(arena, 1, sizeof *made);
    struct compiler c = {.at = text, .steps = steps, .err = err};
    if (text == NULL || steps == NULL || made == NULL) {
        qk_free(steps);
        return qk_fail_nomem(err, "regular expression");
    }
    enum qk_code code = parse_choice(&c);
    if (code == QK_OK && *c.at == ')') {
        code = malformed(&c, "')' without its '('");
    }
    if (code == QK_OK) {
        code = add(&c, (struct step){.op = OP_MATCH});
    }
    struct step *kept = code == QK_OK ? qk_arena_alloc(arena, c.n, sizeof *kept) : NULL;
    if (kept != NULL) {
        memcpy(kept, steps, c.n * sizeof *kept);
        made->n = c.n;
        made->steps = kept;
        *ret = made;
    } else if (code == QK_OK) {
        code = qk_fail_nomem(err, "regular expression");
    }
    qk_free(steps);
    return code;
}

/* ---- matching --------------------------------------------------------------------------------------------------- */

struct states {
    size_t n, n_stack;
    size_t *list, *stack; /* BYTE and MATCH steps that are reached; steps still to be followed */
    unsigned *seen;       /* the position at which a step was reached last, plus one */
};

static bool holds(enum op op, const char *name, size_t at)
{
    bool before = at > 0 && is_word((unsigned char)name[at - 1]), after = is_word((unsigned char)name[at]);
    switch (op) {
    case OP_START:
        return at == 0;
    case OP_END:
        return name[at] == 0;
    case OP_BOUNDARY:
        return before != after;
    default:
        return before == after;
    }
}

static void reach(struct states *s, size_t step, unsigned mark)
{
    if (s->seen[step] != mark) {
        s->seen[step] = mark;
        s->stack[s->n_stack++] = step;
    }
}

static void follow(const struct qk_name_pattern *p, struct states *s, size_t from, const char *name, size_t at)
{
    unsigned mark = (unsigned)at + 1;
    reach(s, from, mark);
    while (s->n_stack > 0) {
        size_t i = s->stack[--s->n_stack];
        const struct step *step = &p->steps[i];
        if (step->op == OP_BYTE || step->op == OP_MATCH) {
            s->list[s->n++] = i;
        } else if (step->op == OP_SPLIT || step->op == OP_JUMP) {
            reach(s, (size_t)((long)i + step->to), mark);
            if (step->op == OP_SPLIT) {
                reach(s, (size_t)((long)i + step->other), mark);
            }
        } else if (holds(step->op, name, at)) {
            reach(s, i + 1, mark);
        }
    }
}

enum qk_code qk_name_pattern_match(const struct qk_name_pattern *p, const char *name, bool *ret, struct qk_err *err)
{
    struct states s = {0};
    size_t *memory = qk_calloc(3 * p->n, sizeof *memory), *now = memory;
    s.seen = qk_calloc(p->n, sizeof *s.seen);
    if (memory == NULL || s.seen == NULL) {
        qk_free(memory);
        qk_free(s.seen);
        return qk_fail_nomem(err, "regular expression");
    }
    s.list = memory + p->n;
    s.stack = memory + 2 * p->n;
    follow(p, &s, 0, name, 0);
    size_t at = 0, len = strlen(name);
    for (; at < len && s.n > 0; at++) {
        size_t n = s.n;
        size_t *reached = s.list;
        s.list = now;
        now = reached;
        s.n = 0;
        for (size_t k = 0; k < n; k++) {
            const struct step *step = &p->steps[now[k]];
            if (step->op == OP_BYTE && has_byte(step, (unsigned char)name[at])) {
                follow(p, &s, now[k] + 1, name, at + 1);
            }
        }
    }
    bool matches = false;
    for (size_t k = 0; k < s.n && at == len; k++) {
        matches = matches || p->steps[s.list[k]].op == OP_MATCH;
    }
    qk_free(memory);
    qk_free(s.seen);
    *ret = matches;
    return QK_OK;
}
