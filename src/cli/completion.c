/* The completion scripts for bash and zsh, made from the command table. They need nothing but the shell. */
#include <string.h>

#include "base/arena.h"
#include "cli_state.h"
#include "pages.h"

/* ---- bash ---- */

static void add_commands(struct qk_str *out)
{
    for (size_t i = 0; i < qk_command_count(); i++) {
        if (!qk_command_at(i)->hidden) {
            qk_str_addf(out, "%s ", qk_command_at(i)->name);
        }
    }
}

/* Words for the value of an option, where they are known; files are completed where they are not. */
static void add_values(struct qk_str *out, const struct qk_option *o)
{
    if (o->kind == QK_OPT_FLAG) {
        return;
    }
    qk_str_addf(out, "        --%s", o->name);
    if (o->letter != 0) {
        qk_str_addf(out, "|-%c", o->letter);
    }
    qk_str_add(out, ") values=\"");
    for (size_t i = 0; o->choices != NULL && o->choices[i] != NULL; i++) {
        qk_str_addf(out, "%s%s", i > 0 ? " " : "", o->choices[i]);
    }
    qk_str_add(out, "\"; valued=1 ;;\n");
}

static enum qk_code add_command(struct qk_str *out, const struct qk_command *c, struct qk_arena *arena,
                                struct qk_err *err)
{
    const struct qk_option *options;
    size_t n;
    QK_TRY(qk_command_options(c, arena, &options, &n, err));
    qk_str_addf(out, "    %s)\n        options=\"", c->name);
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "%s--%s", i > 0 ? " " : "", options[i].name);
        if (options[i].letter != 0) {
            qk_str_addf(out, " -%c", options[i].letter);
        }
    }
    qk_str_add(out, "\"\n        case \"$prev\" in\n");
    for (size_t i = 0; i < n; i++) {
        add_values(out, &options[i]);
    }
    qk_str_add(out, "        esac ;;\n");
    return QK_OK;
}

enum qk_code qk_completion_bash(struct qk_str *out, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    if (arena == NULL) {
        return qk_fail_nomem(err, "completion");
    }
    enum qk_code code = QK_OK;
    qk_str_add(out, "# bash completion for qkscope, written by the program from its command table\n"
                    "_qkscope() {\n"
                    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} options values= valued=\n"
                    "    COMPREPLY=()\n"
                    "    if [ \"$cur\" = = ]; then\n"
                    "        cur=\n"
                    "    elif [ \"$prev\" = = ]; then\n"
                    "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                    "    fi\n"
                    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                    "        COMPREPLY=($(compgen -W \"--help --version ");
    add_commands(out);
    qk_str_add(out, "\" -- \"$cur\"))\n        return\n    fi\n"
                    "    if [ \"${COMP_WORDS[1]}\" = help ]; then\n        COMPREPLY=($(compgen -W \"");
    add_commands(out);
    qk_str_add(out, "\" -- \"$cur\"))\n        return\n    fi\n    case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; code == QK_OK && i < qk_command_count(); i++) {
        if (!qk_command_at(i)->hidden) {
            code = add_command(out, qk_command_at(i), arena, err);
        }
    }
    qk_str_add(out, "    *) return ;;\n    esac\n"
                    "    if [ -n \"$valued\" ]; then\n"
                    "        [ -z \"$values\" ] || COMPREPLY=($(compgen -W \"$values\" -- \"$cur\"))\n"
                    "    elif [[ $cur == -* ]]; then\n"
                    "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                    "    fi\n"
                    "}\n"
                    "complete -o default -F _qkscope qkscope\n");
    qk_arena_free(arena);
    return code;
}

/* ---- zsh ---- */

/* n bytes of text inside a word in single quotes; those of marked, which mean something to _arguments or _describe, get
 * a backslash. */
static void add_zsh(struct qk_str *out, const char *s, size_t n, const char *marked)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\'') {
            qk_str_add(out, "'\\''");
        } else if (s[i] == '\\' || strchr(marked, s[i]) != NULL) {
            qk_str_addc(out, '\\');
            qk_str_addc(out, s[i]);
        } else {
            qk_str_addc(out, s[i] == '\n' ? ' ' : s[i]);
        }
    }
}

/* Up to the first full stop that a blank follows. */
static size_t sentence_length(const char *s)
{
    const char *stop = strstr(s, ". ");
    size_t n = stop == NULL ? strlen(s) : (size_t)(stop - s);
    return n > 0 && s[n - 1] == '.' ? n - 1 : n;
}

/* What may follow an option: ":FILE:_files", ":WHEN:(auto always)"; nothing behind a flag. */
static void add_zsh_value(struct qk_str *out, const struct qk_option *o)
{
    if (o->kind == QK_OPT_FLAG) {
        return;
    }
    const char *arg = o->arg != NULL ? o->arg : "VALUE";
    bool is_list = o->kind == QK_OPT_LIST;
    qk_str_addc(out, ':');
    add_zsh(out, arg, strlen(arg), ":");
    qk_str_addc(out, ':');
    if (o->choices == NULL) {
        qk_str_add(out, o->kind == QK_OPT_PATH || o->kind == QK_OPT_STRING ? "_files" : " ");
        return;
    }
    qk_str_add(out, is_list ? "_sequence -s , compadd -" : "(");
    for (size_t i = 0; o->choices[i] != NULL; i++) {
        qk_str_addf(out, "%s%s", is_list || i > 0 ? " " : "", o->choices[i]);
    }
    qk_str_add(out, is_list ? "" : ")");
}

/* One way to spell an option. An option is offered once; one that makes a list, as often as wanted. */
static void add_zsh_spelling(struct qk_str *out, const struct qk_option *o, bool by_letter)
{
    qk_str_add(out, "            '");
    if (o->kind == QK_OPT_LIST) {
        qk_str_addc(out, '*');
    } else if (o->letter != 0) {
        qk_str_addf(out, "(-%c --%s)", o->letter, o->name);
    }
    if (by_letter) {
        qk_str_addf(out, "-%c%s[", o->letter, o->kind == QK_OPT_FLAG ? "" : "+");
    } else {
        qk_str_addf(out, "--%s%s[", o->name, o->kind == QK_OPT_FLAG ? "" : "=");
    }
    add_zsh(out, o->help, sentence_length(o->help), "[]");
    qk_str_addc(out, ']');
    add_zsh_value(out, o);
    qk_str_add(out, "' \\\n");
}

static enum qk_code add_zsh_command(struct qk_str *out, const struct qk_command *c, struct qk_arena *arena,
                                    struct qk_err *err)
{
    const struct qk_option *options;
    size_t n;
    QK_TRY(qk_command_options(c, arena, &options, &n, err));
    qk_str_addf(out, "    %s)\n        _arguments -s \\\n", c->name);
    for (size_t i = 0; i < n; i++) {
        if (options[i].letter != 0) {
            add_zsh_spelling(out, &options[i], true);
        }
        add_zsh_spelling(out, &options[i], false);
    }
    if (c->max_operands > 0) {
        qk_str_addf(out, "            '%s:", c->max_operands == 1 ? "1" : "*");
        add_zsh(out, c->operands, strlen(c->operands), ":");
        qk_str_add(out, ":_files' \\\n");
    }
    qk_str_add(out, "            && return ;;\n");
    return QK_OK;
}

enum qk_code qk_completion_zsh(struct qk_str *out, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    if (arena == NULL) {
        return qk_fail_nomem(err, "completion");
    }
    enum qk_code code = QK_OK;
    qk_str_add(out, "#compdef qkscope\n"
                    "# zsh completion for qkscope, written by the program from its command table\n"
                    "_qkscope() {\n"
                    "    local -a commands=(\n");
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        if (!c->hidden) {
            qk_str_addf(out, "        '%s:", c->name);
            add_zsh(out, c->summary, strlen(c->summary), "");
            qk_str_add(out, "'\n");
        }
    }
    qk_str_add(out, "    )\n"
                    "    if ((CURRENT == 2)) || { ((CURRENT == 3)) && [[ $words[2] == help ]] }; then\n"
                    "        [[ $words[CURRENT] == -* ]] && compadd -- --help --version && return\n"
                    "        _describe -t commands command commands\n"
                    "        return\n"
                    "    fi\n"
                    "    shift words\n"
                    "    ((CURRENT--))\n"
                    "    case $words[1] in\n");
    for (size_t i = 0; code == QK_OK && i < qk_command_count(); i++) {
        if (!qk_command_at(i)->hidden) {
            code = add_zsh_command(out, qk_command_at(i), arena, err);
        }
    }
    qk_str_add(out, "    esac\n"
                    "    return 1\n"
                    "}\n"
                    "_qkscope \"$@\"\n");
    qk_arena_free(arena);
    return code;
}
