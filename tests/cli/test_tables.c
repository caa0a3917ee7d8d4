/* Every row of the tables that help, man pages and docs are made of is complete and consistent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "analyses/metric.h"
#include "base/str.h"
#include "cli_state.h"
#include "model/model.h"

static void text(const char *owner, const char *what, const char *s)
{
    if (s == NULL || s[0] == 0 || s[0] == ' ' || s[strlen(s) - 1] == ' ') {
        fail_msg("%s: %s is missing or padded", owner, what);
    }
}

static void test_metrics(void **state)
{
    (void)state;
    assert_true(qk_metric_count() >= 20);
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        text("metric", "name", m->name);
        text(m->name, "group", m->group);
        text(m->name, "title", m->title);
        text(m->name, "units", m->units);
        text(m->name, "definition", m->definition);
        text(m->name, "meaning", m->meaning);
        text(m->name, "source", m->source);
        assert_true(m->lo < m->hi);
        assert_non_null(m->dims[0]);
        assert_null(strchr(m->definition, '\n'));
        assert_ptr_equal(qk_metric_find(m->group, m->name), m);
        for (size_t k = 0; k < i; k++) {
            assert_false(qk_streq(qk_metric_at(k)->name, m->name) && qk_streq(qk_metric_at(k)->group, m->group));
        }
    }
}

static void test_families(void **state)
{
    (void)state;
    assert_true(qk_family_count() >= 14);
    for (size_t i = 0; i < qk_family_count(); i++) {
        const struct qk_family *f = qk_family_at(i);
        text("family", "name", f->name);
        text(f->name, "title", f->title);
        text(f->name, "layout", f->layout);
        assert_non_null(f->model_types);
        assert_non_null(f->build);
        assert_true((f->support & QK_SUPPORT_WEIGHTS) != 0);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(qk_family_at(k)->name, f->name);
        }
    }
}

static void option(const struct qk_command *c, const struct qk_option *o)
{
    text(c->name, "option's name", o->name);
    text(o->name, "help", o->help);
    char last = o->help[strlen(o->help) - 1];
    if (last != '.' && last != '!') {
        fail_msg("%s --%s: help is no sentence", c->name, o->name);
    }
    assert_int_equal(o->arg == NULL, o->kind == QK_OPT_FLAG);
    assert_true(o->kind != QK_OPT_CHOICE || o->choices != NULL);
    assert_true(o->kind != QK_OPT_FLAG || o->dflt == NULL);
}

static void pairs(const char *owner, const char *what, const char *const *list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i += 2) {
        text(owner, what, list[i]);
        text(owner, what, list[i + 1]);
    }
}

static void test_commands(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        const struct qk_option *options;
        struct qk_err err = {0};
        size_t n;
        text("command", "name", c->name);
        text(c->name, "summary", c->summary);
        text(c->name, "description", c->description);
        assert_true(strlen(c->summary) <= 72);
        assert_true(c->summary[strlen(c->summary) - 1] != '.');
        assert_true(c->min_operands <= c->max_operands);
        assert_int_equal(c->max_operands > 0, c->operands != NULL && c->operands[0] != 0);
        assert_non_null(c->run);
        if (!c->hidden) {
            assert_non_null(c->examples);
            assert_non_null(c->examples[0]);
            assert_true(qk_str_starts(c->examples[0], "qkscope "));
        }
        pairs(c->name, "examples", c->examples);
        pairs(c->name, "operand help", c->operand_help);
        assert_int_equal(qk_command_options(c, arena, &options, &n, &err), QK_OK);
        for (size_t a = 0; a < n; a++) {
            option(c, &options[a]);
            for (size_t b = 0; b < a; b++) {
                assert_string_not_equal(options[a].name, options[b].name);
                assert_true(options[a].letter == 0 || options[a].letter != options[b].letter);
            }
        }
        assert_ptr_equal(qk_command_find(c->name), c);
    }
    qk_arena_free(arena);
}

/* Defaults are text; each must be a value that the user could have written. */
static void test_defaults_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        struct qk_cli cli;
        struct qk_err err = {0};
        bool help;
        char word[] = "x";
        char *words[8] = {word, word, word, word, word, word, word, word};
        assert_true(c->min_operands <= 8);
        assert_int_equal(qk_cli_init(&cli, c, &err), QK_OK);
        if (qk_options_parse(&cli, c->min_operands, words, &help, &err) != QK_OK) {
            fail_msg("%s: %s", c->name, err.text);
        }
        qk_cli_release(&cli);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_defaults_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
