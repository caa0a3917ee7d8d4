/* qkscope probe CKPT… -o RUN.h5: attention distance of every head, from a forward pass on probe sequences. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "measurement.h"
#include "niah_options.h"
#include "run/probe.h"
#include "run/probe_summary.h"

/* Of --niah: a dozen probes that show what heads do, in little time. */
#define NIAH_LENGTHS "1k"
#define NIAH_DEPTHS  4

struct probe_command {
    struct qk_measurement m;
    struct qk_probe_set set;
    struct qk_probe_options options;
};

/* ---- inputs ----------------------------------------------------------------------------------------------------- */

/* Recall cases with their answers, as probes. */
static enum qk_code build_needles(struct probe_command *p, const char *tokenizer, size_t most, struct qk_err *err)
{
    struct qk_niah_grid grid;
    struct qk_niah_set cases;
    struct qk_arena *arena = qk_cli_arena(p->m.cli);
    QK_TRY(qk_niah_read_grid(p->m.cli, NIAH_LENGTHS, NIAH_DEPTHS, &grid, err));
    QK_TRY(qk_niah_set_grid(&grid, tokenizer, qk_cli_progress(p->m.cli), arena, &cases, err));
    return qk_niah_probes(&cases, most, arena, &p->set, err);
}

static enum qk_code read_probes(struct probe_command *p, struct qk_err *err)
{
    const char *tokens = qk_cli_value(p->m.cli, "tokens"), *text = qk_cli_value(p->m.cli, "text");
    const char *tokenizer = p->m.c.ckpts[p->m.base]->dir;
    struct qk_arena *arena = qk_cli_arena(p->m.cli);
    size_t most = qk_cli_count(p->m.cli, "max-probes");
    bool niah = qk_cli_flag(p->m.cli, "niah");
    int n_sorts = (tokens != NULL) + (text != NULL) + niah;
    if (n_sorts != 1) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "%s", n_sorts == 0 ? "no probes" : "two sorts of probes");
        qk_err_hint(err, "give one of --tokens FILE.jsonl, --text FILE and --niah");
        return code;
    }
    if (!niah && qk_niah_option_given(p->m.cli) != NULL) {
        return qk_fail(err, QK_EUSAGE, "--%s: has no meaning without --niah", qk_niah_option_given(p->m.cli));
    }
    const char *file = tokens != NULL ? tokens : text;
    QK_TRY(file == NULL ? QK_OK : qk_cli_guard_input(p->m.cli, file, err));
    if (niah) {
        QK_TRY(build_needles(p, tokenizer, most, err));
    } else if (tokens != NULL) {
        QK_TRY(qk_probe_set_tokens(tokens, tokenizer, most, arena, &p->set, err));
    } else {
        QK_TRY(qk_probe_set_text(text, tokenizer, qk_cli_count(p->m.cli, "length"), most, arena, &p->set, err));
    }
    for (size_t i = 0; i < p->m.c.n; i++) {
        QK_TRY(qk_probe_check(&p->m.c.inputs[i], &p->set, i == p->m.base ? qk_cli_progress(p->m.cli) : NULL, err));
    }
    return QK_OK;
}

static enum qk_code read_options(struct probe_command *p, struct qk_err *err)
{
    QK_TRY(qk_probe_parse_queries(qk_cli_value(p->m.cli, "queries"), &p->options, err));
    QK_TRY(qk_measurement_part(p->m.cli, &p->options.shard, err));
    p->options.n_linear_queries = qk_cli_count(p->m.cli, "linear-queries");
    p->options.n_sink = qk_cli_count(p->m.cli, "sink");
    p->options.n_logits = qk_cli_count(p->m.cli, "logits-last");
    p->options.exact_profile = qk_cli_flag(p->m.cli, "exact-profile");
    return qk_cli_layers(p->m.cli, p->m.c.models[p->m.base]->n_layers, &p->options.layers, err);
}

static enum qk_code read_inputs(void *ctx, struct qk_err *err)
{
    struct probe_command *p = ctx;
    QK_TRY(read_options(p, err));
    return read_probes(p, err);
}

/* ---- the short answer ------------------------------------------------------------------------------------------- */

/* "distance shift -0.61 log2 tokens (-0.69 to -0.53)" */
static void add_shift(struct qk_str *out, double shift, double lo, double hi)
{
    qk_str_addf(out, "distance shift %+.2f log2 tokens", shift);
    if (!isnan(lo)) {
        qk_str_addf(out, " (%+.2f to %+.2f)", lo, hi);
    }
}

static void add_lost_heads(struct qk_str *out, const struct qk_probe_summary *s)
{
    qk_str_add(out, s->n_top > 0 ? "  heads that lost most range, layer.head:\n" : "");
    for (size_t i = 0; i < s->n_top; i++) {
        const struct qk_range_loss *t = &s->top[i];
        qk_str_addf(out, "    %zu.%zu looks %.2f times as far: ", t->layer, t->head, exp2(t->shift));
        add_shift(out, t->shift, t->lo, t->hi);
        if (t->tail_loss >= 0.005) {
            qk_str_addf(out, ", %.0f %% of the attention beyond %.0f tokens lost", 100.0 * t->tail_loss,
                        t->tail_window);
        }
        if (fmax(t->needle_base, t->needle) >= 0.05) {
            qk_str_addf(out, ", on the needle %.2f -> %.2f", t->needle_base, t->needle);
        }
        qk_str_addc(out, '\n');
    }
}

static void add_losses(struct qk_str *out, const struct probe_command *p, const struct qk_probe_summary *s)
{
    qk_str_addf(out, "  against %s: of %zu heads, %zu lost range and %zu gained", p->m.c.inputs[p->m.base].name,
                s->n_heads, s->n_lost, s->n_gained);
    qk_str_add(out, " (95 % interval of the distance shift)\n");
    add_lost_heads(out, s);
    qk_str_add(out, s->n_needle > 0 ? "  heads of the base that read the needle, layer.head:\n" : "");
    for (size_t i = 0; i < s->n_needle; i++) {
        const struct qk_needle_head *n = &s->needle[i];
        qk_str_addf(out, "    %zu.%zu has %.2f of its attention on the needle, now %.2f", n->layer, n->head, n->base,
                    n->tuned);
        if (fmax(n->score_base, n->score_tuned) > 0.0) {
            qk_str_addf(out, ", retrieval_score %.2f -> %.2f", n->score_base, n->score_tuned);
        }
        if (!isnan(n->shift)) {
            qk_str_add(out, ": ");
            add_shift(out, n->shift, n->lo, n->hi);
        }
        qk_str_addc(out, '\n');
    }
}

static void add_text(struct qk_str *out, const struct probe_command *p, size_t i, const struct qk_probe_summary *s)
{
    const char *plural = p->set.n == 1 ? "" : "s";
    qk_str_addf(out, "%s: ", p->m.c.inputs[i].name);
    if (isnan(s->nll)) {
        qk_str_addf(out, "%zu probe%s\n", p->set.n, plural);
    } else {
        qk_str_addf(out, "%.3f nats per token on %zu probe%s\n", s->nll, p->set.n, plural);
    }
    if (s->has_losses) {
        add_losses(out, p, s);
    }
}

static void add_member(struct qk_str *out, const char *key, double value)
{
    qk_str_addf(out, ", \"%s\": ", key);
    qk_str_add_json_double(out, value);
}

static void add_json(struct qk_str *out, const struct probe_command *p, size_t i, const struct qk_probe_summary *s)
{
    qk_str_add(out, i == 0 ? "\n  {\"name\": " : ",\n  {\"name\": ");
    qk_str_add_json(out, p->m.c.inputs[i].name);
    add_member(out, "nll", s->nll);
    if (s->has_losses) {
        qk_str_addf(out, ", \"heads\": {\"compared\": %zu, \"lost_range\": %zu, \"gained_range\": %zu}, \"top\": [",
                    s->n_heads, s->n_lost, s->n_gained);
        for (size_t t = 0; t < s->n_top; t++) {
            const struct qk_range_loss *loss = &s->top[t];
            qk_str_addf(out, "%s{\"layer\": %zu, \"head\": %zu", t == 0 ? "" : ", ", loss->layer, loss->head);
            add_member(out, "distance_shift", loss->shift);
            add_member(out, "distance_shift_lo", loss->lo);
            add_member(out, "distance_shift_hi", loss->hi);
            add_member(out, "tail_loss", loss->tail_loss);
            add_member(out, "tail_window", loss->tail_window);
            add_member(out, "needle_base", loss->needle_base);
            add_member(out, "needle", loss->needle);
            qk_str_addc(out, '}');
        }
        qk_str_add(out, "], \"needle\": [");
        for (size_t t = 0; t < s->n_needle; t++) {
            qk_str_addf(out, "%s{\"layer\": %zu, \"head\": %zu", t == 0 ? "" : ", ", s->needle[t].layer,
                        s->needle[t].head);
            add_member(out, "base", s->needle[t].base);
            add_member(out, "tuned", s->needle[t].tuned);
            add_member(out, "retrieval_score_base", s->needle[t].score_base);
            add_member(out, "retrieval_score_tuned", s->needle[t].score_tuned);
            add_member(out, "distance_shift", s->needle[t].shift);
            add_member(out, "distance_shift_lo", s->needle[t].lo);
            add_member(out, "distance_shift_hi", s->needle[t].hi);
            qk_str_addc(out, '}');
        }
        qk_str_addc(out, ']');
    }
    qk_str_addc(out, '}');
}

static enum qk_code answer(void *ctx, bool json, struct qk_str *out, struct qk_err *err)
{
    const struct probe_command *p = ctx;
    if (json) {
        qk_str_add(out, "{\"base\": ");
        qk_str_add_json(out, p->m.c.inputs[p->m.base].name);
        qk_str_add(out, ", \"output\": ");
        qk_str_add_json(out, qk_cli_output(p->m.cli));
        qk_str_addf(out, ", \"n_probes\": %zu, \"checkpoints\": [", p->set.n);
    }
    for (size_t i = 0; i < p->m.c.n; i++) {
        struct qk_probe_summary summary;
        QK_TRY(qk_probe_summarise(p->m.table, p->m.c.inputs[i].name, &summary, err));
        if (json) {
            add_json(out, p, i, &summary);
        } else {
            add_text(out, p, i, &summary);
        }
    }
    if (json) {
        qk_str_add(out, "\n]}\n");
    } else {
        qk_measurement_add_part(out, &p->options.shard, "metrics");
    }
    return QK_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

/* With -v: how much there is to do and what it takes. */
static enum qk_code tell_plan(struct probe_command *p, struct qk_pool *pool, struct qk_err *err)
{
    struct qk_probe_plan plan;
    struct qk_str need = {0}, weights = {0}, results = {0};
    if (qk_cli_verbosity(p->m.cli) < 1) {
        return QK_OK;
    }
    QK_TRY(qk_probe_make_plan(p->m.table, &p->m.c.inputs[p->m.base], &p->set, &p->options, pool, &plan, err));
    qk_str_add_bytes(&need, plan.memory);
    qk_str_add_bytes(&weights, plan.weight_bytes);
    qk_str_add_bytes(&results, plan.result_bytes);
    bool failed = need.failed || weights.failed || results.failed;
    if (!failed) {
        qk_cli_detail(p->m.cli, "sequences: %zu, tokens: %zu, in the longest: %zu, checkpoints: %zu", plan.n_sequences,
                      plan.n_tokens, plan.longest, p->m.c.n);
        qk_cli_detail(p->m.cli, "for each checkpoint: %.3g TFLOP; batches: %zu, each reads %s of weights",
                      plan.flops / 1e12, plan.n_batches, weights.s);
        qk_cli_detail(p->m.cli, "%zu threads, at most %s of working memory, and %s of results", qk_pool_size(pool),
                      need.s, results.s);
    }
    qk_str_release(&need);
    qk_str_release(&weights);
    qk_str_release(&results);
    return failed ? qk_fail_nomem(err, "plan") : QK_OK;
}

static enum qk_code prepare(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct probe_command *p = ctx;
    p->options.on_batch = qk_measurement_keep;
    p->options.on_batch_ctx = &p->m;
    QK_TRY(qk_probe_prepare(p->m.table, p->m.c.inputs, p->m.c.n, p->m.base, &p->set, &p->options, err));
    return tell_plan(p, pool, err);
}

static enum qk_code resume(void *ctx, const struct qk_table *partial, size_t *ret_done, size_t *ret_n,
                           struct qk_err *err)
{
    struct probe_command *p = ctx;
    *ret_n = p->m.c.n * qk_part_count(&p->options.shard, p->set.n);
    return qk_probe_resume(p->m.table, partial, p->m.c.inputs, p->m.c.n, p->set.n, &p->options, ret_done, err);
}

static enum qk_code run_models(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct probe_command *p = ctx;
    for (size_t i = 0; i < p->m.c.n; i++) {
        QK_TRY(qk_probe_run(p->m.table, p->m.c.inputs, p->m.c.n, i, &p->set, &p->options, pool,
                            qk_cli_progress(p->m.cli), err));
    }
    return QK_OK;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    static const struct qk_measurement_steps steps = {.pieces = "sequences",
                                                      .unit = "tokens",
                                                      .has_base = true,
                                                      .read_inputs = read_inputs,
                                                      .prepare = prepare,
                                                      .resume = resume,
                                                      .run = run_models,
                                                      .finish = qk_probe_finish,
                                                      .answer = answer};
    struct probe_command p = {0};
    return qk_measurement_run(cli, &steps, &p.m, &p, err);
}

static const struct qk_option options[] = {
    {.name = "tokens",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "Probes, one JSON object a line: {\"ids\": [numbers]} or {\"text\": \"…\"}, and where something is to be "
             "found \"spans\": [{\"name\": \"needle\", \"start\": i, \"end\": j}] (see above)."},
    {.name = "text", .kind = QK_OPT_PATH, .arg = "FILE", .help = "A text that is cut into probes of --length tokens."},
    {.name = "length",
     .kind = QK_OPT_SIZE,
     .arg = "N",
     .dflt = "1024",
     .help = "Tokens per probe of --text, special tokens included: 512, 2k (2048)."},
    {.name = "niah",
     .kind = QK_OPT_FLAG,
     .help = "Probes are needle-in-a-haystack documents with their answers, needle and answer marked, as of "
             "`qkscope niah` with the next options."},
    QK_NIAH_OPTION_ROWS("1k", "4"),
    {.name = "max-probes",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .help = "Take the first N probes only; 0: all, as without it."},
    {.name = "queries",
     .kind = QK_OPT_STRING,
     .arg = "WHICH",
     .dflt = "all",
     .help = "Queries whose rows count: all, last:N, or every:N counted back from the last one."},
    {.name = "linear-queries",
     .kind = QK_OPT_SIZE,
     .arg = "N",
     .dflt = "64",
     .help = "In linear layers take at most N of these queries, spread evenly; 0 leaves linear layers out."},
    {.name = "sink",
     .kind = QK_OPT_SIZE,
     .arg = "N",
     .dflt = "4",
     .help = "The first N keys are the sink, which tail_mass and mean_distance_nosink leave out."},
    {.name = "exact-profile",
     .kind = QK_OPT_FLAG,
     .help = "Keep the attention at every exact distance too, not only in bins of 1, 2, 4 … tokens."},
    {.name = "logits-last",
     .kind = QK_OPT_SIZE,
     .arg = "N",
     .help = "Keep the logits of the last N positions. Default: none."},
    {.name = "shard",
     .kind = QK_OPT_STRING,
     .arg = "I/N",
     .help = "Run every N-th probe, from the I-th on; `qkscope merge` of all N parts gives what one run gives."},
    {.name = "base",
     .kind = QK_OPT_STRING,
     .arg = "NAME",
     .help = "The checkpoint that the others are compared with. Default: the first."},
    {0},
};

static const char *const operand_help[] = {
    "CKPT…",
    "Checkpoints: directories or .safetensors files, or NAME=PATH. All see the same probes.",
    NULL,
};

static const char *const examples[] = {
    "qkscope probe examples/amnesia/base examples/amnesia/sft --niah --template examples/amnesia/niah.json --lengths "
    "512 "
    "-o probe.h5",
    "Which heads found the needle before fine-tuning and no longer do, and which look less far.",
    "qkscope probe base/ sft/ --text book.txt --length 2k --max-probes 16 -o probe.h5",
    "Which heads looked far back in 16 pieces of a book, 2048 tokens each.",
    "qkscope probe base/ sft/ --tokens probes.jsonl --queries last:64 -o probe.h5",
    "Rows of the last 64 positions only.",
    "qkscope probe base/ sft/ --tokens probes.jsonl --shard 1/2 -o a.h5; "
    "qkscope probe base/ sft/ --tokens probes.jsonl --shard 2/2 -o b.h5; qkscope merge a.h5 b.h5 -o probe.h5",
    "Two machines, half of the probes each.",
    NULL,
};

const struct qk_command qk_cmd_probe = {
    .name = "probe",
    .summary = "measure how far back each head looks, by a forward pass on probes",
    .operands = "CKPT…",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .description =
        "Runs each checkpoint over the probe sequences on the CPU in float32 and adds up every row of every head's "
        "attention on the way: histogram over distances, mean distances, mass beyond windows, mass on the sink, "
        "entropy. In linear layers the token-to-token weights that the recurrence implies take the place of attention, "
        "by absolute value and normalised per row, for sampled queries. With several checkpoints, the routing loss of "
        "each against the base follows, with bootstrap intervals over the probes.\n\n"
        "Spans count tokens beside \"ids\" and characters beside \"text\"; \"end\" is the first one behind. Two names "
        "mean something: \"needle\", what is to be found, and \"answer\", the tokens that are predicted from it; "
        "retrieval_mass is the attention on the needle from the positions that predict the answer (from the last "
        "position when no answer is marked).\n\n"
        "Texts are tokenised by the base's tokenizer.json. Results do not depend on the number of threads.\n\n"
        "Sequences that are finished when a run is interrupted are kept in RUN.h5.part; --resume continues from there "
        "when inputs and options are the same, and refuses otherwise with the first that differs.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_THREADS | QK_COMMON_LAYERS | QK_COMMON_JSON | QK_COMMON_FORCE |
              QK_COMMON_RESUME | QK_COMMON_BASE_MODEL,
    .output_help = "RUN.h5",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
