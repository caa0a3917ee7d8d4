/* qkscope probe CKPT… -o RUN.h5: attention distance of every head, from a forward pass on probe sequences. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "checkpoint_inputs.h"
#include "cli/command.h"
#include "niah_options.h"
#include "run/probe.h"
#include "run/probe_summary.h"
#include "sidecar.h"
#include "store/store.h"

/* Of --niah: a dozen probes that show what heads do, in little time. */
#define NIAH_LENGTHS "1k"
#define NIAH_DEPTHS  4

struct probe_command {
    struct qk_cli *cli;
    struct qk_checkpoint_inputs c;
    size_t base; /* index of the base among the checkpoints */
    struct qk_probe_set set;
    struct qk_probe_options options;
    struct qk_table *table;
    struct qk_sidecar sidecar;
};

/* ---- inputs ----------------------------------------------------------------------------------------------------- */

static enum qk_code find_base(struct probe_command *p, struct qk_err *err)
{
    const char *name = qk_cli_value(p->cli, "base");
    for (size_t i = 0; name != NULL && i < p->c.n; i++) {
        if (qk_streq(p->c.inputs[i].name, name)) {
            p->base = i;
            return QK_OK;
        }
    }
    return name == NULL ? QK_OK : qk_fail(err, QK_EUSAGE, "--base: no checkpoint is called '%s'", name);
}

static enum qk_code open_checkpoints(struct probe_command *p, struct qk_err *err)
{
    QK_TRY(qk_checkpoint_inputs_open(p->cli, &p->c, err));
    QK_TRY(find_base(p, err));
    for (size_t i = 0; i < p->c.n; i++) {
        if (i != p->base) {
            QK_TRY(qk_run_check_pair(&p->c.inputs[p->base], &p->c.inputs[i], qk_cli_progress(p->cli), err));
        }
    }
    return QK_OK;
}

/* Recall cases with their answers, as probes. */
static enum qk_code build_needles(struct probe_command *p, const char *tokenizer, size_t most, struct qk_err *err)
{
    struct qk_niah_grid grid;
    struct qk_niah_set cases;
    struct qk_arena *arena = qk_cli_arena(p->cli);
    QK_TRY(qk_niah_read_grid(p->cli, NIAH_LENGTHS, NIAH_DEPTHS, &grid, err));
    QK_TRY(qk_niah_set_grid(&grid, tokenizer, qk_cli_progress(p->cli), arena, &cases, err));
    return qk_niah_probes(&cases, most, arena, &p->set, err);
}

static enum qk_code read_probes(struct probe_command *p, struct qk_err *err)
{
    const char *tokens = qk_cli_value(p->cli, "tokens"), *text = qk_cli_value(p->cli, "text");
    const char *tokenizer = p->c.ckpts[p->base]->dir;
    struct qk_arena *arena = qk_cli_arena(p->cli);
    size_t most = qk_cli_count(p->cli, "max-probes");
    bool niah = qk_cli_flag(p->cli, "niah");
    int n_sorts = (tokens != NULL) + (text != NULL) + niah;
    if (n_sorts != 1) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "%s", n_sorts == 0 ? "no probes" : "two sorts of probes");
        qk_err_hint(err, "give one of --tokens FILE.jsonl, --text FILE and --niah");
        return code;
    }
    if (!niah && qk_niah_option_given(p->cli) != NULL) {
        return qk_fail(err, QK_EUSAGE, "--%s: has no meaning without --niah", qk_niah_option_given(p->cli));
    }
    const char *file = tokens != NULL ? tokens : text;
    QK_TRY(file == NULL ? QK_OK : qk_cli_guard_input(p->cli, file, err));
    if (niah) {
        QK_TRY(build_needles(p, tokenizer, most, err));
    } else if (tokens != NULL) {
        QK_TRY(qk_probe_set_tokens(tokens, tokenizer, most, arena, &p->set, err));
    } else {
        QK_TRY(qk_probe_set_text(text, tokenizer, qk_cli_count(p->cli, "length"), most, arena, &p->set, err));
    }
    for (size_t i = 0; i < p->c.n; i++) {
        QK_TRY(qk_probe_check(&p->c.inputs[i], &p->set, i == p->base ? qk_cli_progress(p->cli) : NULL, err));
    }
    return QK_OK;
}

static enum qk_code read_options(struct probe_command *p, struct qk_err *err)
{
    const char *shard = qk_cli_value(p->cli, "shard");
    QK_TRY(qk_probe_parse_queries(qk_cli_value(p->cli, "queries"), &p->options, err));
    if (shard != NULL) {
        QK_TRY(qk_probe_parse_shard(shard, &p->options, err));
    }
    p->options.n_linear_queries = qk_cli_count(p->cli, "linear-queries");
    p->options.n_sink = qk_cli_count(p->cli, "sink");
    p->options.n_logits = qk_cli_count(p->cli, "logits-last");
    p->options.exact_profile = qk_cli_flag(p->cli, "exact-profile");
    return qk_cli_layers(p->cli, p->c.models[p->base]->n_layers, &p->options.layers, err);
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
    qk_str_addf(out, "  against %s: of %zu heads, %zu lost range and %zu gained", p->c.inputs[p->base].name, s->n_heads,
                s->n_lost, s->n_gained);
    qk_str_add(out, " (95 % interval of the distance shift)\n");
    add_lost_heads(out, s);
    qk_str_add(out, s->n_needle > 0 ? "  heads of the base that read the needle, layer.head:\n" : "");
    for (size_t i = 0; i < s->n_needle; i++) {
        const struct qk_needle_head *n = &s->needle[i];
        qk_str_addf(out, "    %zu.%zu has %.2f of its attention on the needle, now %.2f", n->layer, n->head, n->base,
                    n->tuned);
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
    qk_str_addf(out, "%s: ", p->c.inputs[i].name);
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
    qk_str_add_json(out, p->c.inputs[i].name);
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
            add_member(out, "distance_shift", s->needle[t].shift);
            add_member(out, "distance_shift_lo", s->needle[t].lo);
            add_member(out, "distance_shift_hi", s->needle[t].hi);
            qk_str_addc(out, '}');
        }
        qk_str_addc(out, ']');
    }
    qk_str_addc(out, '}');
}

static enum qk_code print_summary(struct probe_command *p, struct qk_err *err)
{
    struct qk_str out = {0};
    bool json = qk_cli_json(p->cli);
    if (json) {
        qk_str_add(&out, "{\"base\": ");
        qk_str_add_json(&out, p->c.inputs[p->base].name);
        qk_str_add(&out, ", \"output\": ");
        qk_str_add_json(&out, qk_cli_output(p->cli));
        qk_str_addf(&out, ", \"n_probes\": %zu, \"checkpoints\": [", p->set.n);
    }
    for (size_t i = 0; i < p->c.n; i++) {
        struct qk_probe_summary summary;
        enum qk_code code = qk_probe_summarise(p->table, p->c.inputs[i].name, &summary, err);
        if (code != QK_OK) {
            qk_str_release(&out);
            return code;
        }
        if (json) {
            add_json(&out, p, i, &summary);
        } else {
            add_text(&out, p, i, &summary);
        }
    }
    if (!json && p->options.n_shards > 1) {
        qk_str_addf(&out, "part %zu of %zu: metrics are made by `qkscope merge` of all parts\n", p->options.shard,
                    p->options.n_shards);
    }
    qk_str_add(&out, json ? "\n]}\n" : "");
    return qk_cli_print_str(p->cli, &out, err);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

/* With -v: how much there is to do and what it takes. */
static enum qk_code tell_plan(struct probe_command *p, struct qk_pool *pool, struct qk_err *err)
{
    struct qk_probe_plan plan;
    struct qk_str need = {0}, weights = {0}, results = {0};
    if (qk_cli_verbosity(p->cli) < 1) {
        return QK_OK;
    }
    QK_TRY(qk_probe_make_plan(p->table, &p->c.inputs[p->base], &p->set, &p->options, pool, &plan, err));
    qk_str_add_bytes(&need, plan.memory);
    qk_str_add_bytes(&weights, plan.weight_bytes);
    qk_str_add_bytes(&results, plan.result_bytes);
    bool failed = need.failed || weights.failed || results.failed;
    if (!failed) {
        qk_cli_detail(p->cli, "sequences: %zu, tokens: %zu, in the longest: %zu, checkpoints: %zu", plan.n_sequences,
                      plan.n_tokens, plan.longest, p->c.n);
        qk_cli_detail(p->cli, "for each checkpoint: %.3g TFLOP; batches: %zu, each reads %s of weights",
                      plan.flops / 1e12, plan.n_batches, weights.s);
        qk_cli_detail(p->cli, "%zu threads, at most %s of working memory, and %s of results", qk_pool_size(pool),
                      need.s, results.s);
    }
    qk_str_release(&need);
    qk_str_release(&weights);
    qk_str_release(&results);
    return failed ? qk_fail_nomem(err, "plan") : QK_OK;
}

static enum qk_code on_batch(void *ctx, const struct qk_table *table, struct qk_err *err)
{
    struct probe_command *p = ctx;
    return qk_sidecar_update(&p->sidecar, table, err);
}

static enum qk_code resume(struct probe_command *p, struct qk_err *err)
{
    struct qk_table *partial;
    size_t n_done = 0, n_own = 0;
    QK_TRY(qk_sidecar_read(&p->sidecar, &partial, err));
    if (partial == NULL) {
        return QK_OK;
    }
    enum qk_code code = qk_probe_resume(p->table, partial, p->c.inputs, p->c.n, p->set.n, &p->options, &n_done, err);
    qk_table_free(partial);
    if (code != QK_OK) {
        return qk_sidecar_refuse(&p->sidecar, code, err);
    }
    for (size_t s = 0; s < p->set.n; s++) {
        n_own += qk_probe_has_sequence(&p->options, s) ? 1 : 0;
    }
    qk_cli_notice(p->cli, "%s: %zu of %zu sequences are there already", p->sidecar.path, n_done, p->c.n * n_own);
    return QK_OK;
}

static enum qk_code run_models(struct probe_command *p, struct qk_pool *pool, struct qk_err *err)
{
    for (size_t i = 0; i < p->c.n; i++) {
        QK_TRY(
            qk_probe_run(p->table, p->c.inputs, p->c.n, i, &p->set, &p->options, pool, qk_cli_progress(p->cli), err));
    }
    return QK_OK;
}

static enum qk_code measure(struct probe_command *p, struct qk_err *err)
{
    struct qk_pool *pool;
    QK_TRY(qk_cli_pool(p->cli, &pool, err));
    qk_cli_progress_unit(p->cli, "tokens");
    QK_TRY(qk_table_new(&p->table, err));
    QK_TRY(qk_probe_prepare(p->table, p->c.inputs, p->c.n, p->base, &p->set, &p->options, err));
    QK_TRY(tell_plan(p, pool, err));
    QK_TRY(resume(p, err));
    p->options.on_batch = on_batch;
    p->options.on_batch_ctx = p;
    enum qk_code code = run_models(p, pool, err);
    if (code != QK_OK) {
        qk_sidecar_save(&p->sidecar, p->table, err);
        return code;
    }
    return qk_probe_finish(p->table, err);
}

static enum qk_code compute(struct probe_command *p, struct qk_err *err)
{
    QK_TRY(open_checkpoints(p, err));
    QK_TRY(read_options(p, err));
    QK_TRY(read_probes(p, err));
    QK_TRY(measure(p, err));
    QK_TRY(qk_store_write(p->table, qk_cli_output(p->cli), qk_cli_force(p->cli), err));
    qk_sidecar_remove(&p->sidecar);
    return print_summary(p, err);
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct probe_command p = {.cli = cli};
    const char *output = qk_cli_output(cli);
    if (output == NULL) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "no output file");
        qk_err_hint(err, "-o RUN.h5 names it");
        return code;
    }
    if (qk_path_exists(output) && !qk_cli_force(cli)) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "%s: exists already", output);
        qk_err_hint(err, "--force overwrites it");
        return code;
    }
    QK_TRY(qk_sidecar_init(cli, &p.sidecar, err));
    enum qk_code code = compute(&p, err);
    qk_table_free(p.table);
    qk_checkpoint_inputs_release(&p.c);
    return code;
}

static const struct qk_option options[] = {
    {.name = "tokens",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "Probes, one JSON object a line: {\"ids\": [numbers]} or {\"text\": \"…\"}, and where something is to be "
             "found \"spans\": [{\"name\": \"needle\", \"start\": i, \"end\": j}] (see below)."},
    {.name = "text", .kind = QK_OPT_PATH, .arg = "FILE", .help = "A text that is cut into probes of --length tokens."},
    {.name = "length",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .dflt = "1024",
     .help = "Tokens per probe of --text, special tokens included."},
    {.name = "niah",
     .kind = QK_OPT_FLAG,
     .help = "Probes are needle-in-a-haystack documents with their answers, needle and answer marked, as of "
             "`qkscope niah` with the next options."},
    QK_NIAH_OPTION_ROWS("1k", "4"),
    {.name = "max-probes", .kind = QK_OPT_COUNT, .arg = "N", .help = "Take the first N probes only."},
    {.name = "queries",
     .kind = QK_OPT_STRING,
     .arg = "WHICH",
     .dflt = "all",
     .help = "Queries whose rows count: all, last:N, or every:N counted back from the last one."},
    {.name = "linear-queries",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .dflt = "64",
     .help = "In linear layers take at most N of these queries, spread evenly; 0 leaves linear layers out."},
    {.name = "sink",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .dflt = "4",
     .help = "The first N keys are the sink, which tail_mass and mean_distance_nosink leave out."},
    {.name = "exact-profile", .kind = QK_OPT_FLAG, .help = "Keep the attention at every exact distance too."},
    {.name = "logits-last", .kind = QK_OPT_COUNT, .arg = "N", .help = "Keep the logits of the last N positions."},
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
    "qkscope probe base/ sft/ --text book.txt --length 2048 --max-probes 16 -o probe.h5",
    "Which heads looked far back before fine-tuning and no longer do.",
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
