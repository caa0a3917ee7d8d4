/* qkscope plot: draws the figures that a run file has data for. */
#include "cli/command.h"

#include "base/progress.h"
#include "base/str.h"
#include "plot/plot.h"
#include "store/store.h"

static enum qk_code list_figures(struct qk_cli *cli, struct qk_err *err)
{
    struct qk_table *table = NULL;
    if (qk_cli_n_operands(cli) > 0) {
        QK_TRY(qk_store_read(qk_cli_operand(cli, 0), &table, err));
    }
    for (size_t i = 0; i < qk_figure_count(); i++) {
        if (table == NULL || qk_figure_has_data(table, i)) {
            bool more = qk_cli_verbosity(cli) > 0;
            qk_cli_print(cli, "%s\t%s%s%s%s%s\n", qk_figure_name(i), qk_figure_title(i), more ? "\t" : "",
                         more ? qk_figure_reading(i) : "", more ? "\t" : "", more ? qk_figure_caution(i) : "");
        }
    }
    qk_table_free(table);
    return QK_OK;
}

static void print_path(void *ctx, const char *path)
{
    qk_cli_print(ctx, "%s\n", path);
}

/* Without a name, or with 'all' among them: every figure. */
static bool wants_all(const char *const *figures, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (qk_streq(figures[i], "all")) {
            return true;
        }
    }
    return n == 0;
}

static enum qk_code draw(struct qk_cli *cli, const struct qk_table *table, struct qk_err *err)
{
    const char *const *figures = NULL;
    const char *const *formats = NULL;
    struct qk_plot_options options = {
        .dir = qk_cli_output(cli),
        .n_figures = qk_cli_list(cli, "figure", &figures),
        .n_formats = qk_cli_list(cli, "format", &formats),
        .double_column = qk_cli_value(cli, "width")[0] == 'd',
        .script_only = qk_cli_flag(cli, "script-only"),
        .force = qk_cli_force(cli),
        .on_file = print_path,
        .on_file_ctx = cli,
    };
    if (wants_all(figures, options.n_figures)) {
        options.n_figures = 0;
    }
    options.figures = options.n_figures > 0 ? figures : NULL;
    options.formats = options.n_formats > 0 ? formats : NULL;
    size_t n = 0;
    QK_TRY(qk_plot(table, &options, qk_cli_progress(cli), &n, err));
    if (n == 0) {
        qk_cli_notice(cli, "%s has no data for any figure", qk_cli_operand(cli, 0));
    }
    return QK_OK;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    if (qk_cli_flag(cli, "list")) {
        return list_figures(cli, err);
    }
    if (qk_cli_n_operands(cli) == 0) {
        return qk_fail(err, QK_EUSAGE, "plot: expected RUN.h5");
    }
    if (qk_cli_output(cli) == NULL) {
        (void)qk_fail(err, QK_EUSAGE, "plot: expected -o DIR, where the figures go");
        return QK_EUSAGE;
    }
    struct qk_table *table = NULL;
    QK_TRY(qk_store_read(qk_cli_operand(cli, 0), &table, err));
    enum qk_code code = draw(cli, table, err);
    qk_table_free(table);
    return code;
}

static const char *const formats[] = {"pdf", "svg", "png", "tex", NULL};
static const char *const widths[] = {"single", "double", NULL};

static const struct qk_option options[] = {
    {"figure", 0, QK_OPT_LIST, "NAME", NULL, NULL,
     "Only these figures; all, and the default: those that the file has data for."},
    {"format", 0, QK_OPT_LIST, "FORMAT", "pdf,png", formats, "Picture formats."},
    {"width", 0, QK_OPT_CHOICE, "WIDTH", "single", widths,
     "Width in print: one column (8.5 cm) or two columns (17.5 cm) of a journal. Text is 8 pt in both."},
    {"script-only", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Write scripts and data, do not run gnuplot."},
    {"list", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "Name the figures: all, or those that RUN.h5 has data for. With -v also how to read each and when it misleads, "
     "separated by tabs."},
    {NULL},
};

static const char *const operand_help[] = {
    "RUN.h5",
    "A run file of any command, or of merge.",
    NULL,
};

static const char *const examples[] = {
    "qkscope plot run.h5 -o figures",
    "Every figure as PDF and PNG, with its script and data.",
    "qkscope plot run.h5 -o paper --figure drift-heatmap --format pdf,tex --width double",
    "One figure across two columns; in LaTeX: \\usepackage{graphicx,color} … \\input{drift-heatmap}.",
    "cd figures && gnuplot -e \"format='svg'\" drift-heatmap.gp",
    "Redraws a figure from what lies beside it, after editing the script.",
    NULL,
};

const struct qk_command qk_cmd_plot = {
    .name = "plot",
    .summary = "draw the figures of a run file",
    .operands = "RUN.h5",
    .min_operands = 0,
    .max_operands = 1,
    .description =
        "Draws each figure that the file has data for, by gnuplot, and prints the paths of the pictures. Beside "
        "NAME.pdf lie NAME.gp and NAME.dat: the script reads only that data file and can be run by hand.\n\n"
        "A run with several tuned checkpoints gives one picture for each, NAME-<checkpoint>.pdf; all of them share one "
        "scale, so that they can be compared. Layers without softmax attention are marked on every layer axis.\n\n"
        "A tex picture is NAME.tex, to be read by \\input; it takes the text in the document's font and reads "
        "NAME-inc.tex and NAME-inc.pdf.\n\n"
        "The files of a picture appear when gnuplot has drawn it in every format, or not at all. The same file gives "
        "the same bytes: the time stamp that goes into a PDF is fixed.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_FORCE,
    .output_help = "DIR: Directory for the figures; made when missing.",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
