/* Finding patterns in text: see pattern.h. Regular expressions are PCRE2's, with Unicode properties.
 *
 * PCRE2 counts backtracking steps and stops a match at a limit. Every match starts with a small limit that no ordinary
 * tokenizer reaches; when it is reached, the limit is doubled and the steps are charged to the whole call, whose budget
 * grows with the text. So the work is linear in the text, whatever expression a file brings. */
#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/alloc.h"
#include "base/interrupt.h"
#include "code_point.h"
#include "regex_syntax.h"

enum {
    max_regex = 1 << 15,      /* bytes of an expression */
    first_limit = 1 << 10,    /* steps that are free for each match */
    effort_base = 1 << 24,    /* charged steps for any text … */
    effort_per_byte = 1 << 7, /* … and for each of its bytes */
    heap_kib = 1 << 16,
};

struct qk_pattern {
    enum qk_code (*find)(const struct qk_pattern *pattern, const char *s, size_t n, struct qk_cuts *cuts,
                         struct qk_err *err);
    pcre2_code *regex;
    const char *where;
    const char *literal;
    size_t n_literal;
    bool (*is)(uint32_t c);
};

/* ---- the three kinds ---- */

static enum qk_code find_class(const struct qk_pattern *pattern, const char *s, size_t n, struct qk_cuts *cuts,
                               struct qk_err *err)
{
    size_t last = 0, step;
    bool valid;
    uint32_t c;
    for (size_t i = 0; i < n; i += step) {
        step = qk_utf8_read(s + i, n - i, &c, &valid);
        if (pattern->is(c)) {
            if (last < i) {
                QK_TRY(qk_cuts_add(cuts, last, i, false, err));
            }
            last = i + step;
            QK_TRY(qk_cuts_add(cuts, i, last, true, err));
        }
    }
    return last < n ? qk_cuts_add(cuts, last, n, false, err) : QK_OK;
}

static enum qk_code find_literal(const struct qk_pattern *pattern, const char *s, size_t n, struct qk_cuts *cuts,
                                 struct qk_err *err)
{
    size_t last = 0;
    const char *hit;
    while (pattern->n_literal > 0 && last < n &&
           (hit = memmem(s + last, n - last, pattern->literal, pattern->n_literal)) != NULL) {
        size_t at = (size_t)(hit - s);
        if (last < at) {
            QK_TRY(qk_cuts_add(cuts, last, at, false, err));
        }
        last = at + pattern->n_literal;
        QK_TRY(qk_cuts_add(cuts, at, last, true, err));
    }
    return last < n ? qk_cuts_add(cuts, last, n, false, err) : QK_OK;
}

static void *allocate(size_t size, void *ctx)
{
    (void)ctx;
    return qk_calloc(size, 1);
}

static void release(void *p, void *ctx)
{
    (void)ctx;
    qk_free(p);
}

static bool prepare(struct qk_cuts *cuts)
{
    if (cuts->match_data != NULL) {
        return true;
    }
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, NULL);
    if (general == NULL) {
        return false;
    }
    cuts->match_context = pcre2_match_context_create(general);
    cuts->match_data = cuts->match_context == NULL ? NULL : pcre2_match_data_create(1, general);
    pcre2_general_context_free(general);
    if (cuts->match_data == NULL) {
        return false;
    }
    (void)pcre2_set_heap_limit(cuts->match_context, heap_kib);
    return true;
}

/* The first match at or after from; *ret_found tells whether there is one. */
static enum qk_code search(const struct qk_pattern *pattern, const char *s, size_t n, size_t from, struct qk_cuts *cuts,
                           bool *ret_found, struct qk_err *err)
{
    uint64_t budget = (uint64_t)effort_base + (uint64_t)effort_per_byte * n;
    for (uint32_t limit = first_limit;; limit *= 2) {
        (void)pcre2_set_match_limit(cuts->match_context, limit);
        (void)pcre2_set_depth_limit(cuts->match_context, limit);
        int rc = pcre2_match(pattern->regex, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK, cuts->match_data,
                             cuts->match_context);
        if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
            *ret_found = rc >= 0;
            return QK_OK;
        }
        if (rc == PCRE2_ERROR_NOMEMORY) {
            return qk_fail_nomem(err, "regular expression");
        }
        cuts->effort += limit;
        if (rc != PCRE2_ERROR_MATCHLIMIT && rc != PCRE2_ERROR_DEPTHLIMIT) {
            break;
        }
        if (cuts->effort > budget || limit > (uint32_t)1 << 30) {
            break;
        }
        QK_TRY(qk_interrupt_check(err));
    }
    return qk_fail(err, QK_EUNSUPPORTED, "%s: the regular expression needs too many steps for this text",
                   pattern->where);
}

static enum qk_code find_regex(const struct qk_pattern *pattern, const char *s, size_t n, struct qk_cuts *cuts,
                               struct qk_err *err)
{
    if (!prepare(cuts)) {
        return qk_fail_nomem(err, "regular expression");
    }
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(cuts->match_data);
    size_t from = 0, last = 0;
    bool found, matched = false;
    for (size_t round = 0; from <= n; round++) {
        if (round % 1024 == 0) {
            QK_TRY(qk_interrupt_check(err));
        }
        QK_TRY(search(pattern, s, n, from, cuts, &found, err));
        if (!found) {
            break;
        }
        size_t begin = place[0], end = place[1];
        if (begin == end && matched && last == end) { /* an empty match right behind another does not count */
            bool valid;
            uint32_t c;
            from += from < n ? qk_utf8_read(s + from, n - from, &c, &valid) : 1;
            continue;
        }
        if (last < begin) {
            QK_TRY(qk_cuts_add(cuts, last, begin, false, err));
        }
        QK_TRY(qk_cuts_add(cuts, begin, end, true, err));
        from = last = end;
        matched = true;
    }
    return last < n ? qk_cuts_add(cuts, last, n, false, err) : QK_OK;
}

enum qk_code qk_pattern_find(const struct qk_pattern *pattern, const char *s, size_t n, struct qk_cuts *cuts,
                             struct qk_err *err)
{
    cuts->n = 0;
    return n == 0 ? QK_OK : pattern->find(pattern, s, n, cuts, err);
}

void qk_pattern_release_cuts(struct qk_cuts *cuts)
{
    qk_free(cuts->v);
    pcre2_match_data_free(cuts->match_data);
    pcre2_match_context_free(cuts->match_context);
    *cuts = (struct qk_cuts){0};
}

/* ---- making them ---- */

static enum qk_code keep(struct qk_arena *arena, struct qk_pattern pattern, const struct qk_pattern **ret,
                         struct qk_err *err)
{
    struct qk_pattern *kept = qk_arena_alloc(arena, 1, sizeof *kept);
    if (kept == NULL) {
        return qk_fail_nomem(err, "pattern");
    }
    *kept = pattern;
    *ret = kept;
    return QK_OK;
}

static void *arena_allocate(size_t size, void *arena)
{
    return qk_arena_alloc(arena, size, 1);
}

static void arena_release(void *p, void *arena)
{
    (void)p;
    (void)arena;
}

/* Compiled code lives in the arena, so nothing has to be freed one by one. */
static enum qk_code compile(struct qk_arena *arena, const struct qk_str *regex, const char *where, pcre2_code **ret,
                            struct qk_err *err)
{
    pcre2_general_context *general = pcre2_general_context_create(arena_allocate, arena_release, arena);
    pcre2_compile_context *context = general == NULL ? NULL : pcre2_compile_context_create(general);
    if (context == NULL) {
        return qk_fail_nomem(err, "regular expression");
    }
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code;
    PCRE2_SIZE at;
    *ret = pcre2_compile((PCRE2_SPTR)(regex->s == NULL ? "" : regex->s), regex->len,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    if (*ret == NULL && code == PCRE2_ERROR_HEAP_FAILED) {
        return qk_fail_nomem(err, "regular expression");
    }
    if (*ret == NULL) {
        PCRE2_UCHAR text[200] = {0};
        (void)pcre2_get_error_message(code, text, sizeof text);
        return qk_fail(err, QK_EUNSUPPORTED, "%s: cannot compile the regular expression: %s", where, (char *)text);
    }
    return QK_OK;
}

enum qk_code qk_pattern_regex(struct qk_arena *arena, const char *regex, const char *where,
                              const struct qk_pattern **ret, struct qk_err *err)
{
    if (strlen(regex) > max_regex) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: regular expression too long (expected at most %d bytes, found %zu)",
                       where, max_regex, strlen(regex));
    }
    struct qk_pattern pattern = {.find = find_regex, .where = qk_arena_strdup(arena, where)};
    if (pattern.where == NULL) {
        return qk_fail_nomem(err, "pattern");
    }
    struct qk_str translated = {0};
    enum qk_code code = qk_regex_translate(regex, where, &translated, err);
    if (code == QK_OK) {
        code = compile(arena, &translated, where, &pattern.regex, err);
    }
    qk_str_release(&translated);
    return code == QK_OK ? keep(arena, pattern, ret, err) : code;
}

enum qk_code qk_pattern_literal(struct qk_arena *arena, const char *text, const struct qk_pattern **ret,
                                struct qk_err *err)
{
    struct qk_pattern pattern = {
        .find = find_literal, .literal = qk_arena_strdup(arena, text), .n_literal = strlen(text)};
    return pattern.literal == NULL ? qk_fail_nomem(err, "pattern") : keep(arena, pattern, ret, err);
}

enum qk_code qk_pattern_class(struct qk_arena *arena, bool (*is)(uint32_t c), const struct qk_pattern **ret,
                              struct qk_err *err)
{
    return keep(arena, (struct qk_pattern){.find = find_class, .is = is}, ret, err);
}

enum qk_code qk_pattern_read(struct qk_arena *arena, const struct qk_json *obj, const char *key, const char *where,
                             const struct qk_pattern **ret, struct qk_err *err)
{
    const struct qk_json *value = qk_json_get(obj, key);
    const char *text;
    if (qk_json_string(qk_json_get(value, "Regex"), &text)) {
        return qk_pattern_regex(arena, text, where, ret, err);
    }
    if (!qk_json_string(qk_json_get(value, "String"), &text)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: expected {\"String\": …} or {\"Regex\": …}", where, key);
    }
    if (text[0] == 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: %s: an empty string", where, key);
    }
    return qk_pattern_literal(arena, text, ret, err);
}
