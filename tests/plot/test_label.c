/* Text in scripts: nothing that a user writes may act as markup, in gnuplot or in LaTeX. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "label.h"

static void expect(const char *markup, const char *name, const char *expected)
{
    struct qk_str out = {0};
    const char *names[] = {name};
    qk_label_add(&out, markup, name != NULL ? names : NULL);
    assert_false(out.failed);
    assert_string_equal(out.s, expected);
    qk_str_release(&out);
}

static void plain_text_is_one_string(void **state)
{
    (void)state;
    expect("layer", NULL, "'layer'");
    expect("", NULL, "''");
}

static void mathematics_has_two_forms(void **state)
{
    (void)state;
    expect("$W_Q$", NULL, "(tex ? '$W_Q$' : 'W_Q')");
    expect("distance $τ$", NULL, "(tex ? 'distance $\\tau $' : 'distance τ')");
    expect("3 × floor", NULL, "(tex ? '3 $\\times$ floor' : '3 × floor')");
}

static void names_are_escaped_for_enhanced_mode_and_latex(void **state)
{
    (void)state;
    expect("@", "a_b", "'a\\_b'");
    expect("@", "x^2{y}", "(tex ? 'x\\textasciicircum{}2\\{y\\}' : 'x\\^2\\{y\\}')");
    expect("@", "$#%", "(tex ? '\\$\\#\\%' : '$#%')");
    expect("@", "\\input", "(tex ? '\\textbackslash{}input' : '\\\\input')");
    expect("@", "@&~", "(tex ? '@\\&\\textasciitilde{}' : '\\@\\&\\~')");
}

static void quotes_and_backticks_stay_inside_the_string(void **state)
{
    (void)state;
    expect("@", "it's", "'it''s'");
    expect("@", "`id`", "(tex ? '\\`{}id\\`{}' : '`id`')");
    expect("@", "'; system('id'); '", "'''; system(''id''); '''");
}

static void characters_without_a_glyph_do_not_reach_latex(void **state)
{
    (void)state;
    expect("@", "漢", "(tex ? '?' : '漢')");
    expect("@", "é", "'é'");
    expect("@", "a\tb\nc", "'a?b?c'");
}

static void long_names_lose_their_middle(void **state)
{
    (void)state;
    expect("@", "abcdefghijklmnopqrstuvwx", "'abcdefghijklmnopqrstuvwx'");
    expect("@", "abcdefghijklmnopqrstuvwxyz0",
           "(tex ? 'abcdefghijk\\dots{}pqrstuvwxyz0' : 'abcdefghijk…pqrstuvwxyz0')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_one_string),
        cmocka_unit_test(mathematics_has_two_forms),
        cmocka_unit_test(names_are_escaped_for_enhanced_mode_and_latex),
        cmocka_unit_test(quotes_and_backticks_stay_inside_the_string),
        cmocka_unit_test(characters_without_a_glyph_do_not_reach_latex),
        cmocka_unit_test(long_names_lose_their_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
