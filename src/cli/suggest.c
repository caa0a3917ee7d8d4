/* Errors that suggest what may have been meant: see suggest.h. */
#include "suggest.h"

#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli_state.h"

enum qk_code qk_unknown_command(const char *word, struct qk_err *err)
{
    size_t n = 0;
    const char **names = qk_calloc(qk_command_count(), sizeof *names);
    for (size_t i = 0; names != NULL && i < qk_command_count(); i++) {
        if (!qk_command_at(i)->hidden) {
            names[n++] = qk_command_at(i)->name;
        }
    }
    const char *near = names != NULL ? qk_nearest(word, names, n) : NULL;
    (void)qk_fail(err, QK_EUSAGE, "unknown command '%s'", word);
    if (near != NULL) {
        qk_err_hint(err, "did you mean '%s'?", near);
    } else {
        qk_err_hint(err, "'qkscope help' lists the commands");
    }
    qk_free(names);
    return QK_EUSAGE;
}

/* "out" of "output", "output-file" of "output"; NULL when none begins alike, or several of which no one begins all. */
static const char *only_beginning(const char *word, const char *const *names, size_t n)
{
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        bool is_short = qk_str_starts(names[i], word);
        bool is_long = qk_str_starts(word, names[i]) && word[len] == '-';
        if (!is_short && !is_long) {
            continue;
        }
        if (found != NULL && !qk_str_starts(names[i], found) && !qk_str_starts(found, names[i])) {
            return NULL;
        }
        found = found == NULL || len < strlen(found) ? names[i] : found;
    }
    return found;
}

static bool has_option(const struct qk_command *command, struct qk_arena *arena, const char *name)
{
    const struct qk_option *options;
    size_t n;
    if (command->hidden || qk_command_options(command, arena, &options, &n, NULL) != QK_OK) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (qk_streq(options[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* "probe, niah, eval": the commands that have the option; NULL without any. */
static const char *commands_with(struct qk_arena *arena, const char *name)
{
    const char *list = NULL;
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *command = qk_command_at(i);
        if (has_option(command, arena, name)) {
            list = list == NULL ? command->name : qk_arena_printf(arena, "%s, %s", list, command->name);
            if (list == NULL) {
                return NULL;
            }
        }
    }
    return list;
}

enum qk_code qk_unknown_option(const struct qk_cli *cli, const char *name, size_t len, struct qk_err *err)
{
    char *word = qk_arena_strndup(cli->arena, name, len);
    const char **names = qk_arena_alloc(cli->arena, cli->n_given, sizeof *names);
    if (word == NULL || names == NULL) {
        return qk_fail_nomem(err, "command line");
    }
    for (size_t i = 0; i < cli->n_given; i++) {
        names[i] = cli->given[i].option->name;
    }
    const char *near = len > 1 ? only_beginning(word, names, cli->n_given) : NULL;
    near = near == NULL ? qk_nearest(word, names, cli->n_given) : near;
    const char *others = near == NULL ? commands_with(cli->arena, word) : NULL;
    (void)qk_fail(err, QK_EUSAGE, "%s: unknown option '--%s'", cli->command->name, word);
    if (near != NULL) {
        qk_err_hint(err, "did you mean '--%s'?", near);
    } else if (others != NULL) {
        qk_err_hint(err, "--%s is an option of %s; 'qkscope %s --help' lists those of %s", word, others,
                    cli->command->name, cli->command->name);
    } else {
        qk_err_hint(err, "'qkscope %s --help' lists the options", cli->command->name);
    }
    return QK_EUSAGE;
}
