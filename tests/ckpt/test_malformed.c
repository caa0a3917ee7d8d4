/* Every case of the malformed corpus: the exact error of opening, and all rules that validation reports. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "case_manifest.h"
#include "ckpt/ckpt.h"
#include "ckpt/rules.h"

static const char *const code_names[] = {
    [QK_OK] = "OK",
    [QK_EUSAGE] = "EUSAGE",
    [QK_EIO] = "EIO",
    [QK_ECHILD] = "ECHILD",
    [QK_EFORMAT] = "EFORMAT",
    [QK_EUNSUPPORTED] = "EUNSUPPORTED",
    [QK_EMISMATCH] = "EMISMATCH",
    [QK_ENOMEM] = "ENOMEM",
    [QK_EINTERRUPTED] = "EINTERRUPTED",
    [QK_EINTERNAL] = "EINTERNAL",
};

static bool rule_seen[QK_N_RULES];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* text with dir replaced by "@"; the caller frees. */
static char *portable(const char *text, const char *dir)
{
    struct qk_str s = {0};
    for (const char *hit; (hit = strstr(text, dir)) != NULL; text = hit + strlen(dir)) {
        qk_str_addn(&s, text, (size_t)(hit - text));
        qk_str_addc(&s, '@');
    }
    qk_str_add(&s, text);
    return s.s;
}

struct collected {
    struct qk_str rules;
    char first_text[4096], first_hint[512];
    size_t n;
};

static void collect(void *ctx, const struct qk_violation *v)
{
    struct collected *all = ctx;
    if (all->n++ == 0) {
        snprintf(all->first_text, sizeof all->first_text, "%s: %s%s%s", v->file, v->tensor,
                 v->tensor[0] == 0 ? "" : ": ", v->text);
        snprintf(all->first_hint, sizeof all->first_hint, "%s", v->hint);
    }
    for (const char *p = v->text; *p != 0; p++) {
        assert_true((unsigned char)*p >= 0x20);
    }
    if (all->n > 1) {
        qk_str_addc(&all->rules, ' ');
    }
    qk_str_add(&all->rules, v->rule);
    size_t r = 0;
    while (r < QK_N_RULES && strcmp(qk_rules[r].id, v->rule) != 0) {
        r++;
    }
    assert_true(r < QK_N_RULES);
    rule_seen[r] = true;
}

static void compare(const char *what, const char *expected, const char *actual)
{
    if (expected == NULL || strcmp(expected, actual) != 0) {
        fail_msg("%s differs\n  expected: %s\n  actual:   %s", what, expected == NULL ? "(not given)" : expected,
                 actual);
    }
}

/* Opening must fail with the first violation that validation reports, whatever the manifest says. */
static void check_agreement(enum qk_code opened, const struct qk_err *err, enum qk_code validated,
                            const struct qk_err *validate_err, const struct collected *all)
{
    if (validated != QK_OK) {
        assert_int_equal(validated, opened);
        assert_string_equal(validate_err->text, err->text);
        return;
    }
    assert_int_equal(opened == QK_OK, all->n == 0);
    if (opened != QK_OK) {
        compare("error of opening and first violation", all->first_text, err->text);
        compare("hint of opening and first violation", all->first_hint, err->hint);
    }
}

static void check_case(const struct malformed_case *c, const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, c->at == NULL ? "%s" : "%s/%s", dir, c->at);
    struct qk_err err = {0}, validate_err = {0};
    struct qk_ckpt *ckpt = NULL;
    enum qk_code code = qk_ckpt_open(path, &ckpt, &err);
    if (code == QK_OK) {
        qk_ckpt_close(ckpt);
    }
    struct collected all = {0};
    size_t n = 0;
    enum qk_code validated = qk_ckpt_validate(path, collect, &all, &n, &validate_err);
    assert_int_equal(n, validated == QK_OK ? all.n : 0);
    check_agreement(code, &err, validated, &validate_err, &all);
    char *text = portable(err.text, dir);
    if (!c->passes && c->text == NULL) {
        fail_msg("no expectation; found\nfails %s %s\nhint %s\nrules %s", code_names[code], text, err.hint,
                 validated != QK_OK    ? "-"
                 : all.rules.s == NULL ? ""
                                       : all.rules.s);
    }
    compare("code", c->passes ? "OK" : c->code, code_names[code]);
    if (!c->passes) {
        compare("error text", c->text, text);
        compare("hint", c->hint == NULL ? "" : c->hint, err.hint);
        compare("rules", c->rules, validated != QK_OK ? "-" : all.rules.s);
    }
    free(text);
    qk_str_release(&all.rules);
}

static char case_dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(case_dir, sizeof case_dir, "/tmp/qk-malformed-XXXXXX");
    return mkdtemp(case_dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return nftw(case_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void run_case(void **state)
{
    const struct malformed_case *c = *state;
    case_write(c, case_dir);
    check_case(c, case_dir);
}

/* The corpus is only as good as its coverage: each rule must have been broken by some case before this one. */
static void test_every_rule_is_broken_somewhere(void **state)
{
    (void)state;
    for (size_t r = 0; r < QK_N_RULES; r++) {
        if (!rule_seen[r]) {
            fail_msg("no case breaks rule %s", qk_rules[r].id);
        }
    }
}

int main(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/malformed/cases.txt", getenv("QK_TEST_DATA"));
    size_t n;
    struct malformed_case *cases = case_manifest_load(path, &n);
    struct CMUnitTest *tests = calloc(n + 1, sizeof *tests);
    if (tests == NULL || n < 100) {
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, run_case, make_dir, remove_dir, &cases[i]};
    }
    tests[n] =
        (struct CMUnitTest){.name = "every rule is broken somewhere", .test_func = test_every_rule_is_broken_somewhere};
    int failed = _cmocka_run_group_tests("malformed checkpoints", tests, n + 1, NULL, NULL);
    free(tests);
    case_manifest_free(cases, n);
    return failed;
}
