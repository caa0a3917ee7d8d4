/* qkscope export RUN.h5: any stored dataset as a tidy table. */
#include "base/str.h"
#include "cli/command.h"
#include "store/store.h"

/* Forms in which other programs keep scores of heads. */
static const struct head_format {
    const char *name;
    enum qk_code (*add)(const struct qk_table *table, const char *glob, struct qk_str *out, struct qk_err *err);
} head_formats[] = {{"duo-attention", qk_export_duo_attention}, {"retrieval-head", qk_export_retrieval_head}};
static const char *const head_format_names[] = {"duo-attention", "retrieval-head", NULL};

static enum qk_code add_heads(const struct qk_table *table, const char *format, const char *glob, struct qk_str *out,
                              struct qk_err *err)
{
    size_t i = 0;
    while (i + 1 < sizeof head_formats / sizeof head_formats[0] && !qk_streq(head_formats[i].name, format)) {
        i++;
    }
    return head_formats[i].add(table, glob, out, err);
}

/* What --dataset names, with commas between several; NULL without it. */
static enum qk_code read_globs(struct qk_cli *cli, const char **ret, struct qk_err *err)
{
    const char *const *globs;
    size_t n = qk_cli_values(cli, "dataset", &globs);
    const char *list = n > 0 ? globs[0] : NULL;
    for (size_t i = 1; i < n; i++) {
        list = qk_arena_printf(qk_cli_arena(cli), "%s,%s", list, globs[i]);
        if (list == NULL) {
            return qk_fail_nomem(err, "--dataset");
        }
    }
    *ret = list;
    return QK_OK;
}

static enum qk_code check_options(struct qk_cli *cli, struct qk_err *err)
{
    const char *glob = qk_cli_value(cli, "dataset"), *matrix = qk_cli_value(cli, "matrix"),
               *heads = qk_cli_value(cli, "heads");
    bool missing = qk_cli_flag(cli, "missing"), list = qk_cli_flag(cli, "list");
    if (heads != NULL && (matrix != NULL || list || missing || qk_cli_json(cli))) {
        return qk_fail(err, QK_EUSAGE, "--heads goes with none of --matrix, --list, --missing, --json");
    }
    if (heads != NULL && glob == NULL) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "--heads needs --dataset: whose scores?");
        qk_err_hint(err, "as in --dataset /probe/NAME/retrieval_score; --list shows them all");
        return code;
    }
    if (matrix != NULL && (glob != NULL || list || missing || qk_cli_json(cli))) {
        return qk_fail(err, QK_EUSAGE, "--matrix goes with none of --dataset, --list, --missing, --json");
    }
    if (list && (missing || qk_cli_json(cli))) {
        return qk_fail(err, QK_EUSAGE, "--list goes with neither --missing nor --json");
    }
    return QK_OK;
}

static enum qk_code add_export(struct qk_cli *cli, const struct qk_table *table, struct qk_str *out, struct qk_err *err)
{
    const char *glob = NULL, *matrix = qk_cli_value(cli, "matrix");
    const char *heads = qk_cli_value(cli, "heads");
    bool missing = qk_cli_flag(cli, "missing"), list = qk_cli_flag(cli, "list");
    QK_TRY(read_globs(cli, &glob, err));
    enum qk_code code;
    if (heads != NULL) {
        code = add_heads(table, heads, glob, out, err);
    } else if (matrix != NULL) {
        code = qk_export_matrix(table, matrix, out, err);
    } else if (list) {
        code = qk_export_list(table, glob, out, err);
    } else {
        code = (qk_cli_json(cli) ? qk_export_json : qk_export_tsv)(table, glob, missing, out, err);
    }
    if (code != QK_OK) {
        qk_err_context(err, "%s", qk_cli_operand(cli, 0));
    }
    return code;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct qk_table *table;
    QK_TRY(check_options(cli, err));
    QK_TRY(qk_store_read(qk_cli_operand(cli, 0), &table, err));
    struct qk_str out = {0};
    enum qk_code code = add_export(cli, table, &out, err);
    qk_table_free(table);
    if (code != QK_OK) {
        qk_str_release(&out);
        return code;
    }
    return qk_cli_print_str(cli, &out, err);
}

static const struct qk_option options[] = {
    {"dataset", 'd', QK_OPT_STRING, "GLOB,…", NULL, NULL,
     "Only datasets whose path ('/drift/sft/q_rel_drift') or last part ('q_rel_drift') matches; '*' and '?' are wild. "
     "May be given several times."},
    {"missing", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Also the cells that hold no value, with the state that says why."},
    {"list", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "What there is: path, type, shape, axes, units and title of each dataset."},
    {"matrix", 0, QK_OPT_STRING, "DATASET", NULL, NULL,
     "One dataset with two axes as a bare matrix: a line per layer, a column per head, no header."},
    {"heads", 0, QK_OPT_CHOICE, "FORMAT", NULL, head_format_names,
     "The scores of --dataset, one per layer and head, as other programs read them. duo-attention: DuoAttention's "
     "full_attention_heads.tsv, a line per layer, a column per KV head (the highest of the query heads that read it), "
     "clipped to [0, 1]. retrieval-head: Retrieval_Head's JSON, {\"layer-head\": [a score per probe]}."},
    {NULL},
};

static const char *const operand_help[] = {
    "RUN.h5",
    "A run file of any command, or of merge.",
    NULL,
};

static const char *const examples[] = {
    "qkscope export run.h5 > run.tsv",
    "Everything, one line per value: pandas.read_csv('run.tsv', sep='\\t').",
    "qkscope export run.h5 --list",
    "The datasets of the file.",
    "qkscope export run.h5 -d q_rel_drift,k_rel_drift > drift.tsv",
    "Two of them.",
    "qkscope export run.h5 --dataset 'qk_*' --json | jq 'map(select(.layer == 5))'",
    "The drift of the routing form in layer 5.",
    "qkscope export run.h5 --matrix /drift/sft/q_rel_drift > heads.tsv",
    "A layer × head matrix for numpy.loadtxt.",
    "qkscope export run.h5 --heads duo-attention -d /probe/base/retrieval_mass > full_attention_heads.tsv",
    "Which KV heads need all keys, for DuoAttention.",
    "qkscope export run.h5 --heads retrieval-head -d /probe/base/retrieval_score > head_score.json",
    "Retrieval heads as the programs around Retrieval_Head read them.",
    NULL,
};

const struct qk_command qk_cmd_export = {
    .name = "export",
    .summary = "print datasets of a run file as TSV or JSON",
    .operands = "RUN.h5",
    .min_operands = 1,
    .max_operands = 1,
    .description =
        "Prints one line per value, separated by tabs, with one header line: dataset (its path), checkpoint (the name "
        "in the path, where there is one), metric (the last part of the path), a column per axis with the coordinate's "
        "value (layer, head, angle …; empty where a dataset does not have that axis), value, and state. Strings, and "
        "the words for flags, stand in a column text, which is there when such a dataset is among them. Numbers are "
        "the shortest decimals that "
        "read back as the same doubles.\n\n"
        "Cells without a value are left out; --missing prints them as nan with their state: undefined, not_converged, "
        "not_applicable (a layer without that head), or not_computed (outside --layers, --kinds or --metrics).\n\n"
        "--json prints an array of objects with the same names as keys; a cell without a value is null.",
    .common = QK_COMMON_JSON,
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
