/* qkscope drift BASE TUNED… -o RUN.h5: weight metrics per layer and head. */
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "drift_answer.h"
#include "measurement.h"
#include "run/drift.h"
#include "run/drift_summary.h"

/* A drift command at work. */
struct drift_command {
    struct qk_measurement m; /* checkpoints: the base, then the tuned ones */
    struct qk_drift_options options;
};

/* ---- options----------------------------------------------------------------------------------------------------- */

/* Kinds that no layer has would give a run without results. */
static enum qk_code check_kinds(const struct drift_command *c, struct qk_err *err)
{
    const struct qk_model *model = c->m.c.models[0];
    unsigned there = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        there |= 1u << (unsigned)model->layers[l].kind;
    }
    if (c->options.kinds == 0 || (c->options.kinds & there) != 0) {
        return QK_OK;
    }
    (void)qk_fail(err, QK_EUSAGE, "--kinds: the model has no such layers");
    qk_err_hint(err, "qkscope inspect %s shows the kind of each layer", model->ckpt->path);
    return QK_EUSAGE;
}

static enum qk_code read_options(void *ctx, struct qk_err *err)
{
    struct drift_command *c = ctx;
    const char *const *kinds;
    size_t n_kinds = qk_cli_list(c->m.cli, "kinds", &kinds);
    for (size_t i = 0; i < n_kinds; i++) {
        enum qk_layer_kind kind;
        if (!qk_layer_kind_by_name(kinds[i], &kind)) {
            return qk_fail(err, QK_EUSAGE, "--kinds: no kind of layer is called '%s'", kinds[i]);
        }
        c->options.kinds |= 1u << (unsigned)kind;
    }
    QK_TRY(check_kinds(c, err));
    c->options.n_metrics = qk_cli_list(c->m.cli, "metrics", &c->options.metrics);
    if (c->options.n_metrics == 0) {
        c->options.metrics = NULL;
    }
    return qk_cli_layers(c->m.cli, c->m.c.models[0]->n_layers, &c->options.layers, err);
}

/* ---- the sidecar: what --resume continues from ------------------------------------------------------------------ */

static enum qk_code on_layer(void *ctx, const struct qk_table *table, size_t tuned, size_t layer, struct qk_err *err)
{
    struct drift_command *c = ctx;
    bool last = tuned + 2 == c->m.c.n && layer + 1 == c->m.c.models[0]->n_layers;
    return last ? QK_OK : qk_measurement_keep(&c->m, table, err);
}

static enum qk_code resume(void *ctx, const struct qk_table *partial, size_t *ret_done, size_t *ret_n,
                           struct qk_err *err)
{
    struct drift_command *c = ctx;
    size_t n_layers = c->m.c.models[0]->n_layers, n_done = 0;
    bool *done = qk_arena_alloc(qk_cli_arena(c->m.cli), (c->m.c.n - 1) * n_layers, sizeof(*done));
    if (done == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    QK_TRY(qk_drift_resume(c->m.table, partial, &c->m.c.inputs[1], c->m.c.n - 1, n_layers, done, err));
    for (size_t i = 0; i < (c->m.c.n - 1) * n_layers; i++) {
        n_done += done[i];
    }
    c->options.done = done;
    *ret_done = n_done;
    *ret_n = (c->m.c.n - 1) * n_layers;
    return QK_OK;
}

/* ---- the short answer ------------------------------------------------------------------------------------------- */

static enum qk_code answer(void *ctx, bool json, struct qk_str *out, struct qk_err *err)
{
    const struct drift_command *c = ctx;
    if (json) {
        qk_str_add(out, "{\"base\": ");
        qk_str_add_json(out, c->m.c.inputs[0].name);
        qk_str_add(out, ", \"output\": ");
        qk_str_add_json(out, qk_cli_output(c->m.cli));
        qk_str_add(out, ", \"tuned\": [");
    }
    for (size_t i = 1; i < c->m.c.n; i++) {
        struct qk_drift_summary summary;
        QK_TRY(qk_drift_summarise(c->m.table, c->m.c.inputs[i].name, &summary, err));
        if (json) {
            qk_str_add(out, i == 1 ? "\n  " : ",\n  ");
            qk_drift_answer_json(out, c->m.c.inputs[i].name, &summary);
        } else {
            qk_drift_answer_text(out, c->m.c.inputs[0].name, c->m.c.inputs[i].name, &summary);
        }
    }
    qk_str_add(out, json ? "\n]}\n" : "");
    return QK_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static enum qk_code prepare(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct drift_command *c = ctx;
    (void)pool;
    return qk_drift_prepare(c->m.table, &c->m.c.inputs[0], &c->m.c.inputs[1], c->m.c.n - 1, &c->options, err);
}

static enum qk_code compare(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct drift_command *c = ctx;
    struct qk_str need = {0};
    qk_str_add_bytes(&need, qk_drift_memory(&c->m.c.inputs[0], qk_pool_size(pool)));
    qk_cli_detail(c->m.cli, "%zu threads, at most %s of working memory", qk_pool_size(pool),
                  need.failed ? "?" : need.s);
    qk_str_release(&need);
    c->options.on_layer = on_layer;
    c->options.on_layer_ctx = c;
    return qk_drift_run(c->m.table, &c->m.c.inputs[0], &c->m.c.inputs[1], c->m.c.n - 1, &c->options, pool,
                        qk_cli_progress(c->m.cli), err);
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    static const struct qk_measurement_steps steps = {.pieces = "layers",
                                                      .unit = "bytes",
                                                      .read_inputs = read_options,
                                                      .prepare = prepare,
                                                      .resume = resume,
                                                      .run = compare,
                                                      .answer = answer};
    struct drift_command c = {0};
    return qk_measurement_run(cli, &steps, &c.m, &c, err);
}

static const char *const kind_choices[] = {"full", "sliding", "linear", "ssm", "none", NULL};

static const struct qk_option options[] = {
    {.name = "kinds",
     .kind = QK_OPT_LIST,
     .arg = "KIND,…",
     .choices = kind_choices,
     .help = "Measure only layers of these kinds. Default: all."},
    {.name = "metrics",
     .kind = QK_OPT_LIST,
     .arg = "NAME,…",
     .help = "Measure only these metrics; * and ? match. `qkscope metrics` lists them. Default: all."},
    {0},
};

static const char *const operand_help[] = {
    "BASE",   "The checkpoint before fine-tuning: a directory or a .safetensors file, or NAME=PATH.",
    "TUNED…", "Checkpoints after fine-tuning. Several of them, in order, give a trajectory.",
    NULL,
};

static const char *const examples[] = {
    "qkscope drift examples/amnesia/base examples/amnesia/sft -o drift.h5",
    "Every metric for every layer and head, and a short answer on the screen.",
    "qkscope drift base/ s1=step100/ s2=step200/ -o trajectory.h5 --metrics '*rel_drift'",
    "Relative drifts along a training run.",
    "qkscope drift base/ sft/ -o drift.h5 --resume",
    "Goes on where an interrupted run stopped.",
    NULL,
};

const struct qk_command qk_cmd_drift = {
    .name = "drift",
    .summary = "measure what fine-tuning did to W_Q and W_K, per layer and head",
    .operands = "BASE TUNED…",
    .min_operands = 2,
    .max_operands = (size_t)-1,
    .description =
        "Compares the attention routing of each tuned checkpoint with the base: drift of W_Q and W_K per head (norms, "
        "principal angles, Procrustes residual), of the routing form W_Qᵀ W_K by head, distance and frequency, and of "
        "the "
        "other modules of each layer for contrast. Nothing but weights is read; every byte once per pair. Results do "
        "not "
        "depend on the number of threads.\n\n"
        "Checkpoints that do not belong together (other heads, shapes or positions) are refused with the first "
        "differences. Layers that are finished when a run is interrupted are kept in RUN.h5.part; --resume continues "
        "from "
        "there when inputs and options are the same, and refuses otherwise. The result of --layers can be joined with "
        "the "
        "rest by `qkscope merge`.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_THREADS | QK_COMMON_LAYERS | QK_COMMON_JSON | QK_COMMON_FORCE |
              QK_COMMON_RESUME | QK_COMMON_BASE_MODEL,
    .output_help = "RUN.h5",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
