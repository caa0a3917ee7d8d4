/* Regular expressions over module names: against what Python's re.fullmatch answers, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "name_pattern.h"

static const struct {
    const char *pattern, *name;
    bool matches;
} cases[] = {
    {"q_proj", "q_proj", true},
    {"q_proj", "xq_proj", false},
    {"q.proj", "qxproj", true},
    {"q\\.proj", "qxproj", false},
    {"", "", true},
    {"", "a", false},
    {"a*", "", true},
    {"a*", "aaa", true},
    {"a+", "", false},
    {"a?b", "b", true},
    {"a{2}", "aa", true},
    {"a{2}", "aaa", false},
    {"a{2,}", "aaaa", true},
    {"a{,2}", "aaa", false},
    {"a{,2}b", "b", true},
    {"a{2,3}b", "aaab", true},
    {"a{x}", "a{x}", true},
    {"a{}", "a{}", true},
    {"(ab){2}c", "ababc", true},
    {"(a|b)*c", "abbac", true},
    {"a|b|cd", "cd", true},
    {"a|b|cd", "c", false},
    {"|a", "", true},
    {"(?:q|k)_proj", "k_proj", true},
    {"(?P<layer>\\d+)", "17", true},
    {"[^.]*", "layers", true},
    {"[^.]*", "a.b", false},
    {"[a-c\\d_]+", "ab3_", true},
    {"[]a]+", "]a", true},
    {"[a-]+", "-a", true},
    {"\\d{1,}", "123", true},
    {"\\D+", "a1", false},
    {"\\w+\\W\\w+", "q_1.x", true},
    {"\\s", " ", true},
    {"model\\.layers\\.(1[0-9]|2)\\..*_proj", "model.layers.17.mlp.up_proj", true},
    {"model\\.layers\\.(1[0-9]|2)\\..*_proj", "model.layers.7.mlp.up_proj", false},
    {"^model.layers$", "model.layers", true},
    {"a^b", "ab", false},
    {"(.*\\.)?(^model.x)", "model.x", true},
    {"(.*\\.)?(^model.x)", "a.model.x", false},
    {".*\\bq_proj\\b.*", "self_attn.q_proj", true},
    {".*\\bproj\\b.*", "self_attn.q_proj", false},
    {".*\\Bproj", "q_proj", true},
    {".*?(?:language|text).*?(?:q_proj|k_proj).*?", "model.language_model.layers.0.self_attn.q_proj", true},
    {"(\\bmodel\\.layers\\.[\\d]{1,}\\.(self_attn|mlp)\\.((q_proj)))", "model.layers.31.self_attn.q_proj", true},
    {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
    {"((^)*)*", "", true},
    {"(a|a)*(a|a)*c", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

static void as_python_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_arena *arena = qk_arena_new();
        const struct qk_name_pattern *pattern = NULL;
        struct qk_err err = {0};
        bool matches = !cases[i].matches;
        if (qk_name_pattern_new("(", cases[i].pattern, ")", arena, &pattern, &err) != QK_OK) {
            fail_msg("%s: %s", cases[i].pattern, err.text);
        }
        assert_int_equal(qk_name_pattern_match(pattern, cases[i].name, &matches, &err), QK_OK);
        if (matches != cases[i].matches) {
            fail_msg("'%s' %s '%s'", cases[i].pattern, matches ? "matches" : "does not match", cases[i].name);
        }
        qk_arena_free(arena);
    }
}

static const struct {
    const char *pattern;
    enum qk_code code;
} refused[] = {
    {"(", QK_EFORMAT},
    {")", QK_EFORMAT},
    {"[a", QK_EFORMAT},
    {"[", QK_EFORMAT},
    {"*a", QK_EFORMAT},
    {"a**", QK_EFORMAT},
    {"a\\", QK_EFORMAT},
    {"[a\\", QK_EFORMAT},
    {"[b-a]", QK_EFORMAT},
    {"[a-\\d]", QK_EFORMAT},
    {"a{3,2}", QK_EFORMAT},
    {"(?=a)", QK_EUNSUPPORTED},
    {"(?!a)", QK_EUNSUPPORTED},
    {"(?i)a", QK_EUNSUPPORTED},
    {"(a)\\1", QK_EUNSUPPORTED},
    {"\\q", QK_EUNSUPPORTED},
    {"a++", QK_EUNSUPPORTED},
    {"a{1001}", QK_EUNSUPPORTED},
    {"(a{1000}){1000}", QK_EUNSUPPORTED},
    {"[\\n]", QK_EUNSUPPORTED},
    {"(?<a)b", QK_EUNSUPPORTED},
};

static void refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct qk_arena *arena = qk_arena_new();
        const struct qk_name_pattern *pattern = NULL;
        struct qk_err err = {0};
        enum qk_code code = qk_name_pattern_new("", refused[i].pattern, "", arena, &pattern, &err);
        if (code != refused[i].code || pattern != NULL || err.text[0] == 0) {
            fail_msg("'%s': code %d, '%s'", refused[i].pattern, (int)code, err.text);
        }
        qk_arena_free(arena);
    }
}

/* Depth and size are bounded whatever the text says. */
static void hostile(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = qk_calloc(N + 1, 1);
    static const char *const pieces[] = {"(", "a|", "(a", "a{9}", "[a]", "(?:", "()"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t n = strlen(pieces[i]);
        for (size_t at = 0; at + n <= N; at += n) {
            memcpy(text + at, pieces[i], n);
        }
        struct qk_arena *arena = qk_arena_new();
        const struct qk_name_pattern *pattern = NULL;
        struct qk_err err = {0};
        enum qk_code code = qk_name_pattern_new("", text, "", arena, &pattern, &err);
        assert_true(code == QK_EFORMAT || code == QK_EUNSUPPORTED || (code == QK_OK && i == 6));
        qk_arena_free(arena);
        memset(text, 0, N);
    }
    qk_free(text);
}

static void failing_allocations(void **state)
{
    (void)state;
    struct qk_err err;
    size_t k = 0;
    for (enum qk_code code = QK_ENOMEM; code != QK_OK;) {
        bool matches = false;
        const struct qk_name_pattern *pattern = NULL;
        struct qk_arena *arena = qk_arena_new();
        qk_alloc_fail_after(++k);
        code = qk_name_pattern_new("(.*\\.)?(", "((a|bc){2,3}d){30}", ")", arena, &pattern, &err);
        if (code == QK_OK) {
            code = qk_name_pattern_match(pattern, "x.abcd", &matches, &err);
        }
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        qk_arena_free(arena);
    }
    assert_true(k > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_python_answers),
        cmocka_unit_test(refusals),
        cmocka_unit_test(hostile),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
