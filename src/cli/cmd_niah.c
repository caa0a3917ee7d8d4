/* qkscope niah CKPT… -o RUN.h5: recall of needles in haystacks. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/command.h"
#include "measurement.h"
#include "niah_options.h"
#include "run/niah.h"

#define DEFAULT_LENGTHS "512,1k,2k,4k"
#define DEFAULT_DEPTHS  10

struct niah_command {
    struct qk_measurement m;
    struct qk_niah_set set;
    struct qk_niah_options options;
};

/* ---- inputs ----------------------------------------------------------------------------------------------------- */

static enum qk_code read_cases(struct niah_command *c, struct qk_err *err)
{
    const char *prompts = qk_cli_value(c->m.cli, "prompts"), *tokenizer = c->m.c.ckpts[0]->dir;
    const char *given = qk_niah_option_given(c->m.cli);
    struct qk_arena *arena = qk_cli_arena(c->m.cli);
    if (prompts != NULL && given != NULL) {
        return qk_fail(err, QK_EUSAGE, "--%s: has no meaning beside --prompts", given);
    }
    if (prompts != NULL) {
        QK_TRY(qk_cli_guard_input(c->m.cli, prompts, err));
        QK_TRY(qk_niah_set_prompts(prompts, tokenizer, arena, &c->set, err));
    } else {
        struct qk_niah_grid grid;
        QK_TRY(qk_niah_read_grid(c->m.cli, DEFAULT_LENGTHS, DEFAULT_DEPTHS, &grid, err));
        QK_TRY(qk_niah_set_grid(&grid, tokenizer, qk_cli_progress(c->m.cli), arena, &c->set, err));
    }
    for (size_t i = 0; i < c->m.c.n; i++) {
        QK_TRY(qk_niah_check(&c->m.c.inputs[i], &c->set, i == 0 ? qk_cli_progress(c->m.cli) : NULL, err));
    }
    return QK_OK;
}

static enum qk_code read_inputs(void *ctx, struct qk_err *err)
{
    struct niah_command *c = ctx;
    QK_TRY(qk_measurement_part(c->m.cli, &c->options.shard, err));
    QK_TRY(qk_measurement_max_new(c->m.cli, &c->options.max_new, err));
    return read_cases(c, err);
}

/* ---- the short answer ------------------------------------------------------------------------------------------- */

static enum qk_code rate(const struct niah_command *c, size_t i, size_t task, size_t length, struct qk_niah_rate *ret,
                         struct qk_err *err)
{
    return qk_niah_rate_of(c->m.table, c->m.c.inputs[i].name, &c->set, task, length, ret, err);
}

static void add_percent(struct qk_str *out, const struct qk_niah_rate *r)
{
    if (r->n == 0) {
        qk_str_addf(out, "%8s", "-");
    } else {
        qk_str_addf(out, "%8.0f", 100.0 * r->hit);
    }
}

static enum qk_code add_row(struct qk_str *out, const struct niah_command *c, size_t i, size_t task, struct qk_err *err)
{
    struct qk_niah_rate r;
    qk_str_addf(out, "  %-8s", c->set.tasks[task]);
    for (size_t l = 0; l < c->set.n_lengths; l++) {
        QK_TRY(rate(c, i, task, l, &r, err));
        add_percent(out, &r);
    }
    QK_TRY(rate(c, i, task, SIZE_MAX, &r, err));
    add_percent(out, &r);
    if (r.n > 0) {
        qk_str_addf(out, "  (%.0f to %.0f)", 100.0 * r.lo, 100.0 * r.hi);
    }
    qk_str_addc(out, '\n');
    return QK_OK;
}

static enum qk_code add_text(struct qk_str *out, const struct niah_command *c, size_t i, struct qk_err *err)
{
    struct qk_niah_rate all;
    QK_TRY(rate(c, i, SIZE_MAX, SIZE_MAX, &all, err));
    qk_str_addf(out, "%s: ", c->m.c.inputs[i].name);
    if (all.n > 0) {
        qk_str_addf(out, "recall %.1f %% of %zu cases (95 %% interval %.1f to %.1f), exact %.1f %%\n", 100.0 * all.hit,
                    all.n, 100.0 * all.lo, 100.0 * all.hi, 100.0 * all.exact);
    } else {
        qk_str_add(out, "no cases in this part\n");
    }
    qk_str_addf(out, "  %-8s", "task");
    for (size_t l = 0; l < c->set.n_lengths; l++) {
        qk_str_addf(out, "%8zu", c->set.lengths[l]);
    }
    qk_str_addf(out, "%8s\n", "all");
    for (size_t t = 0; t < c->set.n_tasks; t++) {
        QK_TRY(add_row(out, c, i, t, err));
    }
    return QK_OK;
}

static void add_rate_json(struct qk_str *out, const struct qk_niah_rate *r)
{
    const struct {
        const char *key;
        double value;
    } members[] = {{"score", r->hit}, {"score_lo", r->lo}, {"score_hi", r->hi}, {"exact", r->exact}};
    qk_str_addf(out, "\"n\": %zu", r->n);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        qk_str_addf(out, ", \"%s\": ", members[i].key);
        qk_str_add_json_double(out, members[i].value);
    }
}

static enum qk_code add_json(struct qk_str *out, const struct niah_command *c, size_t i, struct qk_err *err)
{
    struct qk_niah_rate r;
    QK_TRY(rate(c, i, SIZE_MAX, SIZE_MAX, &r, err));
    qk_str_add(out, i == 0 ? "\n  {\"name\": " : ",\n  {\"name\": ");
    qk_str_add_json(out, c->m.c.inputs[i].name);
    qk_str_add(out, ", ");
    add_rate_json(out, &r);
    qk_str_add(out, ", \"cells\": [");
    for (size_t k = 0; k < c->set.n_tasks * c->set.n_lengths; k++) {
        size_t task = k / c->set.n_lengths, length = k % c->set.n_lengths;
        QK_TRY(rate(c, i, task, length, &r, err));
        qk_str_add(out, k == 0 ? "\n    {\"task\": " : ",\n    {\"task\": ");
        qk_str_add_json(out, c->set.tasks[task]);
        qk_str_addf(out, ", \"length\": %zu, ", c->set.lengths[length]);
        add_rate_json(out, &r);
        qk_str_addc(out, '}');
    }
    qk_str_add(out, "]}");
    return QK_OK;
}

static enum qk_code answer(void *ctx, bool json, struct qk_str *out, struct qk_err *err)
{
    const struct niah_command *c = ctx;
    if (json) {
        qk_str_add(out, "{\"output\": ");
        qk_str_add_json(out, qk_cli_output(c->m.cli));
        qk_str_addf(out, ", \"n_cases\": %zu, \"checkpoints\": [", c->set.n);
    }
    for (size_t i = 0; i < c->m.c.n; i++) {
        QK_TRY(json ? add_json(out, c, i, err) : add_text(out, c, i, err));
    }
    if (json) {
        qk_str_add(out, "\n]}\n");
    } else {
        qk_measurement_add_part(out, &c->options.shard, "scores");
    }
    return QK_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static enum qk_code prepare(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct niah_command *c = ctx;
    (void)pool;
    c->options.on_case = qk_measurement_keep;
    c->options.on_case_ctx = &c->m;
    return qk_niah_prepare(c->m.table, c->m.c.inputs, c->m.c.n, &c->set, &c->options, err);
}

static enum qk_code resume(void *ctx, const struct qk_table *partial, size_t *ret_done, size_t *ret_n,
                           struct qk_err *err)
{
    struct niah_command *c = ctx;
    *ret_n = c->m.c.n * qk_part_count(&c->options.shard, c->set.n);
    return qk_niah_resume(c->m.table, partial, c->m.c.inputs, c->m.c.n, &c->set, &c->options, ret_done, err);
}

static enum qk_code run_models(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct niah_command *c = ctx;
    double start = qk_seconds();
    for (size_t i = 0; i < c->m.c.n; i++) {
        QK_TRY(qk_niah_run(c->m.table, c->m.c.inputs, c->m.c.n, i, &c->set, &c->options, pool,
                           qk_cli_progress(c->m.cli), err));
    }
    qk_cli_detail(c->m.cli, "%zu checkpoints, %zu cases each, in %.1f s", c->m.c.n, c->set.n, qk_seconds() - start);
    return QK_OK;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    static const struct qk_measurement_steps steps = {.pieces = "cases",
                                                      .unit = "tokens",
                                                      .read_inputs = read_inputs,
                                                      .prepare = prepare,
                                                      .resume = resume,
                                                      .run = run_models,
                                                      .finish = qk_niah_finish,
                                                      .answer = answer};
    struct niah_command c = {0};
    return qk_measurement_run(cli, &steps, &c.m, &c, err);
}

static const struct qk_option options[] = {
    QK_NIAH_OPTION_ROWS("512,1k,2k,4k", "10"),
    {.name = "prompts",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "Cases from a file instead, one JSON object a line as RULER writes it: {\"input\": \"…\", \"outputs\": "
             "[\"…\"], \"length\": N}."},
    {.name = "max-new",
     .kind = QK_OPT_SIZE,
     .arg = "N",
     .help = "At most N tokens are said. Default: those of the expected answer and 16 more; 128 with --prompts."},
    {.name = "shard",
     .kind = QK_OPT_STRING,
     .arg = "I/N",
     .help = "Run every N-th case, from the I-th on; `qkscope merge` of all N parts gives what one run gives."},
    {0},
};

static const char *const operand_help[] = {
    "CKPT…",
    "Checkpoints: directories or .safetensors files, or NAME=PATH. All see the same cases.",
    NULL,
};

static const char *const examples[] = {
    "qkscope niah examples/amnesia/base examples/amnesia/sft --template examples/amnesia/niah.json "
    "--lengths 512,1k --depths 4 -o recall.h5",
    "What fine-tuning did to recall, by task and length.",
    "qkscope niah CKPT -o recall.h5 --prompts niah_single_1.jsonl",
    "Prompts that RULER wrote.",
    "qkscope niah base/ sft/ -o recall.h5 --samples 10 --resume",
    "Goes on where an interrupted run stopped.",
    NULL,
};

const struct qk_command qk_cmd_niah = {
    .name = "niah",
    .summary = "measure recall: needles in haystacks, by task, length and depth",
    .operands = "CKPT…",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .description =
        "A case is a document with one fact in it, the needle, and a question for the fact at its end. Greedy decoding "
        "answers. The score is the share of wanted texts that the answer contains, upper and lower case alike; exact "
        "is the share of cases whose answer is the wanted text with nothing in front of it. Both come with Wilson 95 % "
        "intervals.\n\n"
        "A document of nominal length N has N tokens or a few less, the answer and its full stop included. The needle "
        "stands behind the sentence end that is nearest to depth (j + ½) / n of the haystack. --samples documents are "
        "drawn for every task, length and depth; the same seed gives the same ones.\n\n"
        "A template file is a JSON object: {\"intro\", \"needle\", \"question\", \"answer\", \"end\", \"noise\", "
        "\"keys\": FILE, \"haystack\": FILE} with {key} and {value} in the strings and paths relative to it. needle "
        "and "
        "question must be there; what else is left out is built in, the haystack a piece of the King James Bible. "
        "Prose that is too short is repeated.\n\n"
        "The expected answer is fed in behind the prompt first. Where the model's own choice is that answer at every "
        "token, greedy decoding would have said it, up to rounding, and is left out; else decoding starts at the first "
        "other choice and ends at the answer's end, at an end token, when it has what is wanted, or at --max-new. The "
        "least margin of every case is in RUN.h5: an outcome whose margin is within rounding (about 1e-3) of zero may "
        "fall either way.\n\n"
        "Documents are tokenised by the first checkpoint's tokenizer.json. Beginnings that cases share are computed "
        "once. Results do not depend on the number of threads.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_THREADS | QK_COMMON_JSON | QK_COMMON_FORCE | QK_COMMON_RESUME |
              QK_COMMON_BASE_MODEL,
    .output_help = "RUN.h5",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
