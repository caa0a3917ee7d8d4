/* Option parsing: what reaches a command, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "cli_state.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct qk_option options[] = {
    {"flag", 'f', QK_OPT_FLAG, NULL, NULL, NULL, "A flag."},
    {"name", 'n', QK_OPT_STRING, "TEXT", "nobody", NULL, "A text."},
    {"count", 'c', QK_OPT_COUNT, "N", "7", NULL, "A number."},
    {"size", 0, QK_OPT_SIZE, "N", "1k", NULL, "A size."},
    {"ratio", 0, QK_OPT_NUMBER, "X", "0.5", NULL, "A ratio."},
    {"colour", 0, QK_OPT_CHOICE, "C", "red", colours, "A colour."},
    {"list", 'l', QK_OPT_LIST, "LIST", NULL, NULL, "Items."},
    {"colours", 0, QK_OPT_LIST, "LIST", "red,blue", colours, "Colours."},
    {NULL},
};

static enum qk_code run_nothing(struct qk_cli *cli, struct qk_err *err)
{
    (void)cli;
    (void)err;
    return QK_OK;
}

static const struct qk_command command = {
    .name = "test",
    .summary = "for tests",
    .operands = "A [B]",
    .min_operands = 1,
    .max_operands = 2,
    .description = "Text.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_LAYERS | QK_COMMON_THREADS,
    .output_help = "RUN.h5",
    .options = options,
    .run = run_nothing,
};

enum { MAX_WORDS = 32 };

/* Parses words separated by single spaces; an item that is only "_" stands for an empty word. */
static enum qk_code parse(struct qk_cli *cli, const char *line, bool *help, struct qk_err *err)
{
    static char copy[512];
    static char empty[] = "";
    char *words[MAX_WORDS];
    size_t n = 0;
    assert_true(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    for (char *w = strtok(copy, " "); w != NULL && n < MAX_WORDS; w = strtok(NULL, " ")) {
        words[n++] = qk_streq(w, "_") ? empty : w;
    }
    enum qk_code code = qk_cli_init(cli, &command, err);
    if (code == QK_OK) {
        code = qk_options_parse(cli, n, words, help, err);
    }
    return code;
}

static void accept(struct qk_cli *cli, const char *line)
{
    struct qk_err err = {0};
    bool help = true;
    if (parse(cli, line, &help, &err) != QK_OK) {
        fail_msg("%s: %s", line, err.text);
    }
    assert_false(help);
    qk_cli_start(cli);
}

static void test_defaults(void **state)
{
    (void)state;
    struct qk_cli cli;
    accept(&cli, "a");
    const char *const *items;
    assert_false(qk_cli_flag(&cli, "flag"));
    assert_string_equal(qk_cli_value(&cli, "name"), "nobody");
    assert_int_equal(qk_cli_count(&cli, "count"), 7);
    assert_int_equal(qk_cli_count(&cli, "size"), 1024);
    assert_true(qk_cli_number(&cli, "ratio") == 0.5);
    assert_string_equal(qk_cli_value(&cli, "colour"), "red");
    assert_int_equal(qk_cli_list(&cli, "list", &items), 0);
    assert_int_equal(qk_cli_list(&cli, "colours", &items), 2);
    assert_string_equal(items[1], "blue");
    assert_null(qk_cli_output(&cli));
    assert_int_equal(qk_cli_verbosity(&cli), 0);
    assert_int_equal(qk_cli_n_operands(&cli), 1);
    qk_cli_release(&cli);
}

static void test_spellings(void **state)
{
    (void)state;
    const char *const lines[] = {
        "a --name x --count 3 --flag --list p,q --list r -o out.h5 b",
        "--name=x --count=3 --flag --list=p,q --list=r --output=out.h5 a b",
        "-n x -c 3 -f -l p,q -l r -o out.h5 a b",
        "-nx -c3 -fl p,q -lr -oout.h5 a b",
        "-fnx a -c 3 -lp,q -l r -o out.h5 -- b",
        "--name other --name x --count 9 --count 3 --flag --flag --list p --list q,r -o no -o out.h5 a b",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct qk_cli cli;
        accept(&cli, lines[i]);
        const char *const *items;
        assert_string_equal(qk_cli_value(&cli, "name"), "x");
        assert_int_equal(qk_cli_count(&cli, "count"), 3);
        assert_true(qk_cli_flag(&cli, "flag"));
        assert_int_equal(qk_cli_list(&cli, "list", &items), 3);
        assert_string_equal(items[0], "p");
        assert_string_equal(items[1], "q");
        assert_string_equal(items[2], "r");
        assert_string_equal(qk_cli_output(&cli), "out.h5");
        assert_int_equal(qk_cli_n_operands(&cli), 2);
        assert_string_equal(qk_cli_operand(&cli, 0), "a");
        assert_string_equal(qk_cli_operand(&cli, 1), "b");
        qk_cli_release(&cli);
    }
}

static void test_words_that_look_like_options(void **state)
{
    (void)state;
    struct qk_cli cli;
    accept(&cli, "--name --flag - -- --count");
    assert_string_equal(qk_cli_value(&cli, "name"), "--flag");
    assert_false(qk_cli_flag(&cli, "flag"));
    assert_string_equal(qk_cli_operand(&cli, 0), "-");
    assert_string_equal(qk_cli_operand(&cli, 1), "--count");
    qk_cli_release(&cli);
}

static void test_verbosity(void **state)
{
    (void)state;
    const struct {
        const char *line;
        int verbosity;
    } cases[] = {{"a -v", 1}, {"a -vv", 2}, {"a -vvv", 2}, {"a -v --verbose", 2}, {"a -q", -1}, {"a -qv", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_cli cli;
        accept(&cli, cases[i].line);
        assert_int_equal(qk_cli_verbosity(&cli), cases[i].verbosity);
        qk_cli_release(&cli);
    }
}

static void test_help_wins(void **state)
{
    (void)state;
    const char *const lines[] = {"--help", "-h a b c d", "a -fh"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct qk_cli cli;
        struct qk_err err = {0};
        bool help = false;
        assert_int_equal(parse(&cli, lines[i], &help, &err), QK_OK);
        assert_true(help);
        qk_cli_release(&cli);
    }
}

static void test_refused(void **state)
{
    (void)state;
    const struct {
        const char *line, *text;
    } cases[] = {
        {"", "test: operand missing (expected A [B], found 0 operands)"},
        {"a b c", "test: unexpected operand 'c' (expected A [B])"},
        {"a --flags", "test: unknown option '--flags'"},
        {"a --nam=x", "test: unknown option '--nam'"},
        {"a -z", "test: unknown option '-z'"},
        {"a -fz", "test: unknown option '-z' in -fz"},
        {"a --flag=1", "test: option '--flag' takes no value (found '1')"},
        {"a --name", "test: option '--name' needs a value (TEXT)"},
        {"a -n", "test: option '-n' needs a value (TEXT)"},
        {"a --name=", "--name: the value is empty (expected TEXT)"},
        {"a --count 3x", "--count: '3x' is not a whole number"},
        {"a --count -3", "--count: '-3' is not a whole number"},
        {"a --count 99999999999999999999", "--count: '99999999999999999999' is not a whole number"},
        {"a --count _", "--count: '' is not a whole number"},
        {"a --ratio 1,5", "--ratio: '1,5' is not a number"},
        {"a --ratio nan", "--ratio: 'nan' is not a number"},
        {"a --ratio 1e999", "--ratio: '1e999' is not a number"},
        {"a --colour mauve", "--colour: 'mauve' is not among its values (expected red, green, blue)"},
        {"a --colours red,mauve", "--colours: 'mauve' is not among its values (expected red, green, blue)"},
        {"a --list p,,q", "--list: empty item in 'p,,q' (expected a comma-separated list)"},
        {"a --list p,", "--list: empty item in 'p,' (expected a comma-separated list)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_cli cli;
        struct qk_err err = {0};
        bool help = false;
        assert_int_equal(parse(&cli, cases[i].line, &help, &err), QK_EUSAGE);
        assert_string_equal(err.text, cases[i].text);
        qk_cli_release(&cli);
    }
}

/* "list: flags as 0 and 1", or NULL: refused */
static void test_layers(void **state)
{
    (void)state;
    const struct {
        const char *list, *flags;
    } cases[] = {
        {"0", "10000000"},   {"7", "00000001"},     {"2,5-7", "00100111"}, {"5-,0", "10000111"},
        {"all", "11111111"}, {"3-3,3", "00010000"}, {"0-7", "11111111"},   {"8", NULL},
        {"5-8", NULL},       {"8-", NULL},          {"7-5", NULL},         {"-3", NULL},
        {"a", NULL},         {"1-2-3", NULL},       {"1.5", NULL},         {"99999999999999", NULL},
        {"3-x", NULL},       {"-", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_cli cli;
        char line[64];
        struct qk_err err = {0};
        const bool *flags = NULL;
        memcpy(line, "a --layers=", 12);
        memcpy(line + 11, cases[i].list, strlen(cases[i].list) + 1);
        accept(&cli, line);
        enum qk_code code = qk_cli_layers(&cli, 8, &flags, &err);
        assert_int_equal(code, cases[i].flags != NULL ? QK_OK : QK_EUSAGE);
        for (size_t l = 0; cases[i].flags != NULL && l < 8; l++) {
            assert_int_equal(flags[l], cases[i].flags[l] == '1');
        }
        qk_cli_release(&cli);
    }
    struct qk_cli cli;
    struct qk_err err = {0};
    const bool *flags = (const bool *)&cli;
    accept(&cli, "a");
    assert_int_equal(qk_cli_layers(&cli, 8, &flags, &err), QK_OK);
    assert_null(flags);
    qk_cli_release(&cli);
}

static void test_names(void **state)
{
    (void)state;
    const struct {
        const char *operand, *name, *path;
        bool ok;
    } cases[] = {
        {"sft=dir/x", "sft", "dir/x", true}, {"dir/a=b", NULL, "dir/a=b", true}, {"plain", NULL, "plain", true},
        {"a=b=c", "a", "b=c", true},         {"=x", NULL, NULL, false},          {"x=", NULL, NULL, false},
        {"..=x", NULL, NULL, false},         {"a\nb=x", NULL, NULL, false},      {"", NULL, NULL, false},
        {"./x=y", NULL, "./x=y", true},
    };
    struct qk_cli cli;
    accept(&cli, "a");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *name = NULL, *path = NULL;
        struct qk_err err = {0};
        enum qk_code code = qk_cli_split_name(&cli, cases[i].operand, &name, &path, &err);
        assert_int_equal(code, cases[i].ok ? QK_OK : QK_EUSAGE);
        if (cases[i].ok) {
            assert_string_equal(path, cases[i].path);
            assert_int_equal(name == NULL, cases[i].name == NULL);
            if (name != NULL) {
                assert_string_equal(name, cases[i].name);
            }
        }
    }
    qk_cli_release(&cli);
}

static void test_shell_line(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    char words[][24] = {"/usr/bin/qkscope", "drift", "a b", "", "it's", "x=y.h5", "$HOME", "*"};
    char *argv[8];
    for (size_t i = 0; i < 8; i++) {
        argv[i] = words[i];
    }
    assert_string_equal(qk_shell_line(arena, 8, argv), "qkscope drift 'a b' '' 'it'\\''s' x=y.h5 '$HOME' '*'");
    qk_arena_free(arena);
}

/* Whichever allocation fails, parsing ends in an out-of-memory error or succeeds, and leaks nothing. */
static void test_out_of_memory(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t k = 1; k <= 40; k++) {
        struct qk_cli cli;
        struct qk_err err = {0};
        bool help = false;
        qk_alloc_fail_after(k);
        enum qk_code code = parse(&cli, "a --list p,q,r --colours red --name x -f -c 3", &help, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        refused += code == QK_ENOMEM ? 1 : 0;
        qk_cli_release(&cli);
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_words_that_look_like_options),
        cmocka_unit_test(test_verbosity),
        cmocka_unit_test(test_help_wins),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_shell_line),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
