/* qkscope merge PART.h5… -o RUN.h5: parts of a run become the run. */
#include "base/alloc.h"
#include "cli/command.h"
#include "run/eval.h"
#include "run/niah.h"
#include "run/probe.h"
#include "store/store.h"

static void free_parts(struct qk_table **parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        qk_table_free(parts[i]);
    }
    qk_free(parts);
}

static enum qk_code merge_and_write(struct qk_cli *cli, struct qk_table **parts, const char **names, size_t n,
                                    struct qk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        names[i] = qk_cli_operand(cli, i);
        QK_TRY(qk_cli_guard_input(cli, names[i], err));
        QK_TRY(qk_store_read(names[i], &parts[i], err));
    }
    struct qk_table *whole;
    QK_TRY(qk_merge((const struct qk_table *const *)parts, names, n, &whole, err));
    enum qk_code code = qk_probe_finish(whole, err);
    if (code == QK_OK) {
        code = qk_niah_finish(whole, err);
    }
    if (code == QK_OK) {
        code = qk_eval_finish(whole, err);
    }
    if (code == QK_OK) {
        code = qk_run_order(whole, err);
    }
    if (code == QK_OK) {
        code = qk_store_write(whole, qk_cli_output(cli), qk_cli_force(cli), err);
    }
    qk_table_free(whole);
    if (code == QK_OK) {
        qk_cli_detail(cli, "%zu parts joined into %s", n, qk_cli_output(cli));
    }
    return code;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    if (qk_cli_output(cli) == NULL) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "no output file");
        qk_err_hint(err, "-o RUN.h5 names it");
        return code;
    }
    size_t n = qk_cli_n_operands(cli);
    struct qk_table **parts = qk_calloc(n, sizeof(struct qk_table *));
    const char **names = qk_calloc(n, sizeof(*names));
    enum qk_code code =
        parts == NULL || names == NULL ? qk_fail_nomem(err, "merge") : merge_and_write(cli, parts, names, n, err);
    free_parts(parts, parts == NULL ? 0 : n);
    qk_free(names);
    return code;
}

static const char *const operand_help[] = {
    "PART.h5…",
    "Run files of one base: each with other layers, other probes or other tuned checkpoints, or of different commands.",
    NULL,
};

static const char *const examples[] = {
    "qkscope merge drift.h5 probe.h5 recall.h5 reasoning.h5 -o run.h5",
    "What drift, probe, niah and eval measured on the same checkpoints in one file, for recommend, plot and report.",
    "qkscope drift BASE TUNED --layers 0-15 -o a.h5; qkscope drift BASE TUNED --layers 16-31 -o b.h5; "
    "qkscope merge a.h5 b.h5 -o run.h5",
    "Two machines, half of the layers each.",
    "qkscope probe BASE TUNED --tokens P.jsonl --shard 1/2 -o a.h5; "
    "qkscope probe BASE TUNED --tokens P.jsonl --shard 2/2 -o b.h5; qkscope merge a.h5 b.h5 -o run.h5",
    "Half of the probes each.",
    "qkscope merge step100.h5 step200.h5 -o trajectory.h5",
    "Runs of several tuned checkpoints against the same base become one.",
    NULL,
};

const struct qk_command qk_cmd_merge = {
    .name = "merge",
    .summary = "join parts of a run, and what several commands measured, into one file",
    .operands = "PART.h5…",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .description =
        "Files of different commands (drift, probe …) become one when they measured the same checkpoints under the "
        "same names; the result is the same whatever the order in which they are given.\n\n"
        "The parts of one command must come from the same base with the same options. Parts of the same tuned "
        "checkpoint must have computed different layers, and together all of them; parts of different tuned "
        "checkpoints stand side by side in the result, in the order given; the base that was probed beside each of "
        "them must have given the same numbers. Gaps, overlaps and differing inputs or "
        "options are refused with the names of the two files and of what differs (exit status 4).\n\n"
        "Parts of a probe run have computed different probe sequences (--shard), those of niah different cases, those "
        "of eval different problems; metrics, routing losses and rates are made when all are there.\n\n"
        "Every other value of the result is taken unchanged from the part that computed it, and metrics are made of "
        "the "
        "same sums in the same order, so the result equals that of a "
        "single run bit for bit. The history holds the command lines of all parts, each once.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_FORCE,
    .output_help = "RUN.h5",
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
