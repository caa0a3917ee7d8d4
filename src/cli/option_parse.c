/* Command-line words → options and operands. Long options --name VALUE or --name=VALUE, letters that can be bundled,
 * "--" ends the options, options and operands in any order. Every value is checked here, so that commands never see a
 * malformed one. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "cli_state.h"
#include "suggest.h"

struct parse {
    struct qk_cli *cli;
    size_t n_words, at;
    char *const *words;
    bool help;
};

static struct qk_given *find_given(struct qk_cli *cli, const char *name, size_t len)
{
    for (size_t i = 0; i < cli->n_given; i++) {
        const char *own = cli->given[i].option->name;
        if (strlen(own) == len && memcmp(own, name, len) == 0) {
            return &cli->given[i];
        }
    }
    return NULL;
}

static struct qk_given *find_letter(struct qk_cli *cli, char letter)
{
    for (size_t i = 0; i < cli->n_given; i++) {
        if (cli->given[i].option->letter == letter) {
            return &cli->given[i];
        }
    }
    return NULL;
}

static enum qk_code check_choice(const struct qk_option *o, const char *value, struct qk_err *err)
{
    size_t n = 0;
    for (; o->choices[n] != NULL; n++) {
        if (qk_streq(o->choices[n], value)) {
            return QK_OK;
        }
    }
    struct qk_str all = {0};
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(&all, "%s%s", i == 0 ? "" : ", ", o->choices[i]);
    }
    (void)qk_fail(err, QK_EUSAGE, "--%s: '%s' is not among its values (expected %s)", o->name, value,
                  all.s != NULL ? all.s : "");
    qk_str_release(&all);
    const char *near = qk_nearest(value, o->choices, n);
    if (near != NULL) {
        qk_err_hint(err, "did you mean '%s'?", near);
    }
    return QK_EUSAGE;
}

static enum qk_code add_items(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    size_t n = 1;
    for (const char *p = value; *p != 0; p++) {
        n += *p == ',' ? 1 : 0;
    }
    const char **items = qk_arena_alloc(cli->arena, g->n_items + n, sizeof *items);
    if (items == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    for (size_t i = 0; i < g->n_items; i++) {
        items[i] = g->items[i];
    }
    for (const char *p = value;;) {
        size_t len = strcspn(p, ",");
        if (len == 0) {
            return qk_fail(err, QK_EUSAGE, "--%s: empty item in '%s' (expected a comma-separated list)",
                           g->option->name, value);
        }
        char *item = qk_arena_strndup(cli->arena, p, len);
        if (item == NULL) {
            return qk_fail_nomem(err, "command line");
        }
        if (g->option->choices != NULL) {
            QK_TRY(check_choice(g->option, item, err));
        }
        items[g->n_items++] = item;
        if (p[len] == 0) {
            break;
        }
        p += len + 1;
    }
    g->items = items;
    return QK_OK;
}

static enum qk_code take_count(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    (void)cli;
    uint64_t n;
    if (!qk_parse_u64(value, 0, SIZE_MAX / 2, &n)) {
        return qk_fail(err, QK_EUSAGE, "--%s: '%s' is not a whole number", g->option->name, value);
    }
    g->count = (size_t)n;
    return QK_OK;
}

static enum qk_code take_size(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    (void)cli;
    uint64_t n;
    if (!qk_parse_size(value, 0, SIZE_MAX / 2, &n)) {
        return qk_fail(err, QK_EUSAGE, "--%s: '%s' is not a whole number (expected as in 512 or 2k, which is 2048)",
                       g->option->name, value);
    }
    g->count = (size_t)n;
    return QK_OK;
}

static enum qk_code take_number(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    (void)cli;
    if (!qk_parse_double(value, &g->number) || !isfinite(g->number)) {
        return qk_fail(err, QK_EUSAGE, "--%s: '%s' is not a number", g->option->name, value);
    }
    return QK_OK;
}

static enum qk_code take_choice(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    (void)cli;
    return check_choice(g->option, value, err);
}

static enum qk_code take_text(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    (void)cli;
    if (value[0] == 0) {
        return qk_fail(err, QK_EUSAGE, "--%s: the value is empty (expected %s)", g->option->name, g->option->arg);
    }
    return QK_OK;
}

/* By enum qk_option_kind; flags take no value. */
static enum qk_code (*const take_value[])(struct qk_cli *, struct qk_given *, const char *, struct qk_err *) = {
    [QK_OPT_FLAG] = NULL,          [QK_OPT_STRING] = take_text, [QK_OPT_PATH] = take_text,
    [QK_OPT_COUNT] = take_count,   [QK_OPT_SIZE] = take_size,   [QK_OPT_NUMBER] = take_number,
    [QK_OPT_CHOICE] = take_choice, [QK_OPT_LIST] = add_items,
};

static enum qk_code record(struct qk_cli *cli, struct qk_given *g, const char *value, struct qk_err *err)
{
    if (g->n == g->cap) {
        size_t cap = g->cap == 0 ? 4 : 2 * g->cap;
        const char **values = qk_arena_alloc(cli->arena, cap, sizeof *values);
        if (values == NULL) {
            return qk_fail_nomem(err, "command line");
        }
        for (size_t i = 0; i < g->n; i++) {
            values[i] = g->values[i];
        }
        g->values = values;
        g->cap = cap;
    }
    if (value != NULL) {
        QK_TRY(take_value[g->option->kind](cli, g, value, err));
    }
    g->values[g->n++] = value;
    return QK_OK;
}

/* attached: the text after '=' or after the letter, or NULL: then the next word is the value. */
static enum qk_code take_option(struct parse *p, struct qk_given *g, const char *spelt, const char *attached,
                                struct qk_err *err)
{
    if (g->option->kind == QK_OPT_FLAG) {
        if (attached != NULL) {
            return qk_fail(err, QK_EUSAGE, "%s: option '%s' takes no value (found '%s')", p->cli->command->name, spelt,
                           attached);
        }
        p->help = p->help || qk_streq(g->option->name, "help");
        return record(p->cli, g, NULL, err);
    }
    if (attached == NULL) {
        if (p->at == p->n_words) {
            return qk_fail(err, QK_EUSAGE, "%s: option '%s' needs a value (%s)", p->cli->command->name, spelt,
                           g->option->arg != NULL ? g->option->arg : "VALUE");
        }
        attached = p->words[p->at++];
    }
    return record(p->cli, g, attached, err);
}

static enum qk_code parse_long(struct parse *p, const char *word, struct qk_err *err)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    struct qk_given *g = find_given(p->cli, name, len);
    if (g == NULL) {
        return qk_unknown_option(p->cli, name, len, err);
    }
    char *spelt = qk_arena_strndup(p->cli->arena, word, len + 2);
    if (spelt == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    return take_option(p, g, spelt, name[len] == '=' ? name + len + 1 : NULL, err);
}

static enum qk_code parse_letters(struct parse *p, const char *word, struct qk_err *err)
{
    for (const char *c = word + 1; *c != 0; c++) {
        struct qk_given *g = find_letter(p->cli, *c);
        if (g == NULL) {
            (void)qk_fail(err, QK_EUSAGE, "%s: unknown option '-%c'%s%s", p->cli->command->name, *c,
                          c[1] != 0 || c != word + 1 ? " in " : "", c[1] != 0 || c != word + 1 ? word : "");
            if (strlen(word) > 2 && find_given(p->cli, word + 1, strcspn(word + 1, "=")) != NULL) {
                qk_err_hint(err, "did you mean '-%s'? Long options have two dashes", word);
            } else {
                qk_err_hint(err, "'qkscope %s --help' lists the options", p->cli->command->name);
            }
            return QK_EUSAGE;
        }
        const char spelt[3] = {'-', *c, 0};
        if (g->option->kind == QK_OPT_FLAG) {
            QK_TRY(take_option(p, g, spelt, NULL, err));
            continue;
        }
        return take_option(p, g, spelt, c[1] != 0 ? c + 1 : NULL, err);
    }
    return QK_OK;
}

static enum qk_code check_operands(const struct qk_cli *cli, struct qk_err *err)
{
    const struct qk_command *c = cli->command;
    if (cli->n_operands < c->min_operands) {
        (void)qk_fail(err, QK_EUSAGE, "%s: %s missing (expected %s, found %zu operand%s)", c->name,
                      cli->n_operands == 0 && c->min_operands == 1 ? "operand" : "operands", c->operands,
                      cli->n_operands, cli->n_operands == 1 ? "" : "s");
        qk_err_hint(err, "usage: qkscope %s [options] %s", c->name, c->operands);
        return QK_EUSAGE;
    }
    if (cli->n_operands > c->max_operands) {
        (void)qk_fail(err, QK_EUSAGE, "%s: unexpected operand '%s' (expected %s)", c->name,
                      cli->operands[c->max_operands], c->max_operands == 0 ? "none" : c->operands);
        qk_err_hint(err, "usage: qkscope %s [options]%s%s", c->name, c->max_operands == 0 ? "" : " ",
                    c->max_operands == 0 ? "" : c->operands);
        return QK_EUSAGE;
    }
    return QK_OK;
}

/* Defaults are text in the option tables, checked by the same code as what the user writes. */
static enum qk_code apply_defaults(struct qk_cli *cli, struct qk_err *err)
{
    for (size_t i = 0; i < cli->n_given; i++) {
        struct qk_given *g = &cli->given[i];
        if (g->n == 0 && g->option->dflt != NULL && g->option->kind != QK_OPT_FLAG) {
            QK_TRY(take_value[g->option->kind](cli, g, g->option->dflt, err));
        }
    }
    return QK_OK;
}

enum qk_code qk_options_parse(struct qk_cli *cli, size_t n_words, char *const *words, bool *ret_help,
                              struct qk_err *err)
{
    struct parse p = {.cli = cli, .n_words = n_words, .words = words};
    cli->operands = qk_arena_alloc(cli->arena, n_words, sizeof *cli->operands);
    if (cli->operands == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    bool only_operands = false;
    while (p.at < n_words) {
        const char *word = words[p.at++];
        if (only_operands || word[0] != '-' || word[1] == 0) {
            cli->operands[cli->n_operands++] = word;
        } else if (word[1] != '-') {
            QK_TRY(parse_letters(&p, word, err));
        } else if (word[2] == 0) {
            only_operands = true;
        } else {
            QK_TRY(parse_long(&p, word, err));
        }
    }
    if (p.help) {
        *ret_help = true;
        return QK_OK;
    }
    QK_TRY(apply_defaults(cli, err));
    QK_TRY(check_operands(cli, err));
    *ret_help = false;
    return QK_OK;
}
