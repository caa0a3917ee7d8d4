/* qkscope compare A B: which tensors and rows differ, byte by byte; --expect: whether B is what a plan makes of A. */
#include "base/str.h"
#include "cli/command.h"
#include "compare_answer.h"

struct compare_command {
    struct qk_cli *cli;
    struct qk_ckpt *a, *b, *base;
    struct qk_model *model, *base_model; /* of A and of the base */
    struct qk_edits *edits;
    struct qk_plan plan;
};

static void release(struct compare_command *c)
{
    qk_edits_free(c->edits);
    qk_model_free(c->model);
    qk_model_free(c->base_model);
    qk_ckpt_close(c->b);
    qk_ckpt_close(c->a);
    qk_ckpt_close(c->base);
}

static enum qk_code check_words(struct qk_cli *cli, struct qk_err *err)
{
    bool expect = qk_cli_value(cli, "expect") != NULL, base = qk_cli_value(cli, "base") != NULL;
    if (expect == base) {
        return QK_OK;
    }
    (void)qk_fail(err, QK_EUSAGE, "--%s goes with --%s", expect ? "expect" : "base", expect ? "base" : "expect");
    qk_err_hint(err, "qkscope compare TUNED OUT --expect plan.json --base BASE");
    return QK_EUSAGE;
}

static enum qk_code open_inputs(struct compare_command *c, struct qk_err *err)
{
    struct qk_cli *cli = c->cli;
    const char *base = qk_cli_value(cli, "base"), *name, *path;
    if (base != NULL) {
        QK_TRY(qk_cli_split_name(cli, base, &name, &path, err));
        QK_TRY(qk_cli_open_checkpoint(cli, path, NULL, true, &c->base, err));
    }
    QK_TRY(qk_cli_split_name(cli, qk_cli_operand(cli, 0), &name, &path, err));
    QK_TRY(qk_cli_open_checkpoint(cli, path, c->base, true, &c->a, err));
    QK_TRY(qk_cli_split_name(cli, qk_cli_operand(cli, 1), &name, &path, err));
    return qk_cli_open_checkpoint(cli, path, c->base != NULL ? c->base : c->a, true, &c->b, err);
}

/* Without a plan, a checkpoint that no family fits is compared all the same, by the names of its tensors. */
static enum qk_code open_model(struct compare_command *c, struct qk_err *err)
{
    struct qk_err why = {0};
    enum qk_code code = qk_model_open(c->a, &c->model, &why);
    if (code == QK_OK || code == QK_ENOMEM || c->base != NULL) {
        return code == QK_OK ? QK_OK : qk_fail(err, code, "%s", why.text);
    }
    c->model = NULL;
    qk_cli_notice(c->cli, "compared without layers and roles: %s", why.text);
    return QK_OK;
}

static enum qk_code check_side(struct compare_command *c, const char *side, const struct qk_plan_checkpoint *planned,
                               const char *planned_sample, const struct qk_ckpt *given, struct qk_err *err)
{
    char sample[65];
    if (qk_cli_flag(c->cli, "force")) {
        return QK_OK;
    }
    bool same_header = qk_streq(planned->header_sha256, given->header_sha256);
    bool by_sample = same_header && planned_sample != NULL && given->adapter == NULL;
    if (by_sample) {
        QK_TRY(qk_ckpt_sample(given, sample, err));
    }
    if (by_sample ? qk_streq(planned_sample, sample) : same_header) {
        return QK_OK;
    }
    (void)qk_fail(err, QK_EMISMATCH,
                  "%s: %s.%s: the plan was made for another checkpoint than %s (expected %.12s…, found %.12s…)",
                  qk_cli_value(c->cli, "expect"), side, by_sample ? "sample_sha256" : "header_sha256", given->path,
                  by_sample ? planned_sample : planned->header_sha256, by_sample ? sample : given->header_sha256);
    qk_err_hint(err, "--force holds them against each other all the same");
    return QK_EMISMATCH;
}

static enum qk_code read_plan(struct compare_command *c, struct qk_err *err)
{
    QK_TRY(qk_plan_read(qk_cli_value(c->cli, "expect"), qk_cli_arena(c->cli), &c->plan, err));
    QK_TRY(check_side(c, "base", &c->plan.base, c->plan.base_sample, c->base, err));
    QK_TRY(check_side(c, "tuned", &c->plan.tuned, c->plan.tuned_sample, c->a, err));
    QK_TRY(qk_model_open(c->base, &c->base_model, err));
    return qk_edits_new(&c->plan, c->base_model, c->model, &c->edits, err);
}

static enum qk_code compare(struct compare_command *c, struct qk_err *err)
{
    struct qk_cli *cli = c->cli;
    struct qk_compare result;
    struct qk_compare_options options = {.model = c->model,
                                         .edits = c->edits,
                                         .tensors_only = qk_cli_flag(cli, "tensors"),
                                         .progress = qk_cli_progress(cli)};
    qk_cli_progress_unit(cli, "bytes");
    QK_TRY(qk_cli_pool(cli, &options.pool, err));
    QK_TRY(qk_compare(c->a, c->b, &options, qk_cli_arena(cli), &result, err));
    struct qk_compare_answer answer = {
        .a = qk_cli_operand(cli, 0), .b = qk_cli_operand(cli, 1), .expected = c->edits != NULL, .result = &result};
    struct qk_str out = {0};
    (qk_cli_json(cli) ? qk_compare_answer_json : qk_compare_answer_text)(&out, &answer);
    if (!result.equal) {
        qk_cli_set_finding(cli);
    }
    return qk_cli_print_str(cli, &out, err);
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct compare_command c = {.cli = cli};
    enum qk_code code = check_words(cli, err);
    code = code == QK_OK ? open_inputs(&c, err) : code;
    code = code == QK_OK ? open_model(&c, err) : code;
    code = code == QK_OK && c.base != NULL ? read_plan(&c, err) : code;
    code = code == QK_OK ? compare(&c, err) : code;
    release(&c);
    return code;
}

static const struct qk_option options[] = {
    {"expect", 0, QK_OPT_PATH, "PLAN", NULL, NULL,
     "A is the tuned checkpoint, B is restored from it: B must hold what this plan puts into the planned rows, and A's "
     "bytes everywhere else. Takes the record of a restore too (OUT/qkscope.json), which is no difference itself."},
    {"base", 0, QK_OPT_PATH, "BASE", NULL, NULL, "With --expect: the checkpoint that the plan takes Q and K from."},
    {"tensors", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "Compare tensors alone: not how they are spread over files, nor headers, nor other files."},
    {"force", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "With --expect: go on though the plan's hashes are those of another pair."},
    {NULL, 0, QK_OPT_FLAG, NULL, NULL, NULL, NULL},
};

static const char *const operand_help[] = {
    "A B",
    "Checkpoints: a directory, or a .safetensors file with a config.json beside it; or a PEFT adapter over its base, "
    "as "
    "merging would store it.",
    NULL,
};

static const char *const examples[] = {
    "qkscope compare examples/amnesia/sft restored --expect restored/qkscope.json --base examples/amnesia/base",
    "Proof that a restore changed what its plan says and nothing else; exit status 0.",
    "qkscope compare examples/amnesia/sft restored",
    "What it changed: tensors, rows, layers and heads; exit status 1.",
    "qkscope compare sharded single --tensors",
    "The same tensors in another layout are equal.",
    NULL,
};

const struct qk_command qk_cmd_compare = {
    .name = "compare",
    .summary = "list the tensors and rows in which two checkpoints differ, byte by byte",
    .operands = "A B",
    .min_operands = 2,
    .max_operands = 2,
    .description =
        "Every tensor of both is read once and compared byte by byte. For each that differs: the rows, the first byte "
        "in the tensor, the largest difference of its numbers, and which layers, roles and heads the rows are. Tensors "
        "that only one has, other types or shapes, another spread over files, headers, and the other files of both "
        "directories (config, tokenizer; not hidden directories) are differences too. A checkpoint given as a file "
        "stands for itself and its "
        "config.json.\n\n"
        "Exit status 0: no difference. 1: differences, all listed.",
    .common = QK_COMMON_THREADS | QK_COMMON_JSON | QK_COMMON_BASE_MODEL,
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
