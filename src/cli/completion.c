/* The bash completion script, made from the command table. It needs bash alone. */
#include "base/arena.h"
#include "cli_state.h"
#include "pages.h"

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
