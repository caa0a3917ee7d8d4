/* qkscope models: every model family, where its Q and K are, and which commands can handle it. */
#include <string.h>

#include "base/str.h"
#include "catalogue.h"
#include "cli/command.h"
#include "help.h"
#include "model/model.h"
#include "paragraph.h"

/* What a user can do with a family: a command that exists, and the support that it needs. */
struct ability {
    const char *command;
    unsigned support; /* enum qk_support */
};

static const struct ability abilities[] = {
    {"inspect", QK_SUPPORT_WEIGHTS},
    {"drift", QK_SUPPORT_WEIGHTS},
    {"probe", QK_SUPPORT_FORWARD},
    {"restore", QK_SUPPORT_WEIGHTS},
};
enum { N_ABILITIES = sizeof abilities / sizeof abilities[0] };

static bool can(const struct qk_family *family, const struct ability *ability)
{
    return (family->support & ability->support) != 0 && qk_command_find(ability->command) != NULL;
}

static void add_types(struct qk_str *out, const struct qk_family *family, const char *quote)
{
    for (size_t i = 0; family->model_types != NULL && family->model_types[i] != NULL; i++) {
        qk_str_addf(out, "%s%s%s%s", i > 0 ? ", " : "", quote, family->model_types[i], quote);
    }
}

static void add_text(struct qk_str *out, const struct qk_family *family, size_t width)
{
    struct qk_str does = {0}, types = {0};
    for (size_t a = 0; a < N_ABILITIES; a++) {
        if (can(family, &abilities[a])) {
            qk_str_addf(&does, "%s%s", does.len > 0 ? ", " : "", abilities[a].command);
        }
    }
    qk_str_add(&types, "model_type ");
    add_types(&types, family, "");
    out->failed = out->failed || does.failed || types.failed;
    if (!out->failed) {
        qk_str_addf(out, "%-18s%s  [%s]\n", family->name, family->title, does.len > 0 ? does.s : "");
        if (family->model_types != NULL && family->model_types[0] != NULL) {
            qk_str_addf(out, "%*s", 18, "");
            qk_paragraph(out, types.s, types.len, 18, 18, width);
        }
        qk_str_addf(out, "%*s", 18, "");
        qk_paragraph(out, family->layout, strlen(family->layout), 18, 18, width);
    }
    qk_str_release(&does);
    qk_str_release(&types);
}

static void add_json(struct qk_str *out, const struct qk_family *family)
{
    qk_str_add(out, "{\"name\": ");
    qk_str_add_json(out, family->name);
    qk_str_add(out, ", \"title\": ");
    qk_str_add_json(out, family->title);
    qk_str_add(out, ", \"model_types\": [");
    add_types(out, family, "\"");
    qk_str_add(out, "]");
    for (size_t a = 0; a < N_ABILITIES; a++) {
        qk_str_addf(out, ", \"%s\": %s", abilities[a].command, can(family, &abilities[a]) ? "true" : "false");
    }
    qk_str_add(out, ", \"layout\": ");
    qk_str_add_json(out, family->layout);
    qk_str_addc(out, '}');
}

void qk_models_markdown(struct qk_str *out)
{
    qk_str_add(out,
               "# Model families\n\nWritten by `qkscope models --markdown` from the family table. A `model_type` that "
               "is not listed is still read when its tensors follow the usual names "
               "(`model.layers.N.self_attn.{q,k}_proj.weight`); a notice says so.\n\n| family | model_type |");
    for (size_t a = 0; a < N_ABILITIES; a++) {
        qk_str_addf(out, " %s |", abilities[a].command);
    }
    qk_str_add(out, " where Q and K are |\n|---|---|");
    for (size_t a = 0; a < N_ABILITIES; a++) {
        qk_str_add(out, "---|");
    }
    qk_str_add(out, "---|\n");
    for (size_t i = 0; i < qk_family_count(); i++) {
        const struct qk_family *family = qk_family_at(i);
        qk_str_add(out, "| ");
        qk_add_markdown(out, family->title);
        qk_str_add(out, " | ");
        add_types(out, family, "`");
        qk_str_add(out, " |");
        for (size_t a = 0; a < N_ABILITIES; a++) {
            qk_str_add(out, can(family, &abilities[a]) ? " yes |" : " no |");
        }
        qk_str_addc(out, ' ');
        qk_add_markdown(out, family->layout);
        qk_str_add(out, " |\n");
    }
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct qk_str out = {0};
    bool json = qk_cli_json(cli);
    if (qk_cli_flag(cli, "markdown")) {
        qk_models_markdown(&out);
        return qk_cli_print_str(cli, &out, err);
    }
    size_t width = qk_help_width();
    qk_str_add(&out, json ? "[" : "");
    for (size_t i = 0; i < qk_family_count(); i++) {
        if (json) {
            qk_str_add(&out, i > 0 ? ",\n " : "\n ");
            add_json(&out, qk_family_at(i));
        } else {
            add_text(&out, qk_family_at(i), width);
        }
    }
    qk_str_add(&out, json ? "\n]\n" : "");
    return qk_cli_print_str(cli, &out, err);
}

static const struct qk_option options[] = {
    {"markdown", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Print the page docs/models.md."},
    {NULL},
};

static const char *const examples[] = {
    "qkscope models",
    "All families, with what can be done with each and where its Q and K are.",
    NULL,
};

const struct qk_command qk_cmd_models = {
    .name = "models",
    .summary = "list the model families and what is supported for each",
    .description =
        "A family is recognised by model_type in config.json; a text model nested in a multimodal one is found.",
    .common = QK_COMMON_JSON,
    .options = options,
    .examples = examples,
    .run = run,
};
