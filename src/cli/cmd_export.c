/* qkscope export RUN.h5: any stored dataset as a tidy table. */
#include "base/str.h"
#include "cli/command.h"
#include "store/store.h"

static enum qk_code add_export(struct qk_cli *cli, const struct qk_table *table, struct qk_str *out, struct qk_err *err)
{
    const char *glob = qk_cli_value(cli, "dataset"), *matrix = qk_cli_value(cli, "matrix");
    bool missing = qk_cli_flag(cli, "missing"), list = qk_cli_flag(cli, "list");
    if (matrix != NULL && (glob != NULL || list || missing || qk_cli_json(cli))) {
        return qk_fail(err, QK_EUSAGE, "--matrix goes with none of --dataset, --list, --missing, --json");
    }
    if (list && (missing || qk_cli_json(cli))) {
        return qk_fail(err, QK_EUSAGE, "--list goes with neither --missing nor --json");
    }
    enum qk_code code;
    if (matrix != NULL) {
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
    {"dataset", 'd', QK_OPT_STRING, "GLOB", NULL, NULL,
     "Only datasets whose path ('/drift/sft/q_rel_drift') or last part ('q_rel_drift') matches; '*' and '?' are wild."},
    {"missing", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Also the cells that hold no value, with the state that says why."},
    {"list", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "What there is: path, type, shape, axes, units and title of each dataset."},
    {"matrix", 0, QK_OPT_STRING, "DATASET", NULL, NULL,
     "One dataset with two axes as a bare matrix: a line per layer, a column per head, no header."},
    {NULL},
};

static const char *const operand_help[] = {
    "RUN.h5",
    "A run file, as drift or merge writes it.",
    NULL,
};

static const char *const examples[] = {
    "qkscope export run.h5 > run.tsv",
    "Everything, one line per value: pandas.read_csv('run.tsv', sep='\\t').",
    "qkscope export run.h5 --list",
    "The datasets of the file.",
    "qkscope export run.h5 --dataset 'qk_*' --json | jq 'map(select(.layer == 5))'",
    "The drift of the routing form in layer 5.",
    "qkscope export run.h5 --matrix /drift/sft/q_rel_drift > heads.tsv",
    "A layer × head matrix for numpy.loadtxt.",
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
