/* A probe run: the model over the sequences, every row of every head into the sums. */
#include "run/probe.h"

#include <math.h>
#include <string.h>

#include "analyses/implicit_mixing.h"
#include "base/alloc.h"
#include "base/str.h"
#include "forward/runner.h"
#include "probe_copies.h"
#include "probe_cost.h"
#include "probe_run.h"

/* Residual streams of a batch of sequences take at most this many bytes, unless one alone takes more. */
#define BATCH_BYTES ((size_t)512 << 20)
/* And a batch has no more tokens than this, again unless one sequence has: enough that reading the weights anew for
 * each batch costs little beside computing with them, few enough that an interruption loses little. */
enum { BATCH_TOKENS = 16384 };

/* One checkpoint at work on one batch. */
struct probe_batch {
    struct qk_probe_nodes nodes;
    const char *const *mixing; /* per layer */
    const struct qk_run_input *input;
    const struct qk_probe_set *set;
    const struct qk_probe_options *options;
    struct qk_pool *pool;
    size_t n;
    size_t *numbers;                  /* (n) index of the sequence in the set */
    struct qk_part_list list;         /* sequences that need not be run; empty in a plan */
    struct qk_distance_plan *softmax; /* (n) */
    struct qk_distance_plan *linear;  /* (n) the same with fewer queries */
    double *nll;                      /* (n) sums */
    struct qk_probe_copies *copies;   /* (n) */
    struct qk_arena *arena;
    float *block_work; /* per worker block_floats, for blocks of rows */
    size_t block_floats;
    struct qk_forward_place place; /* of the observer and of the heads in the pool */
    const struct qk_linear_view *view;
    unsigned char *scratch;
    size_t scratch_bytes; /* per worker */
};

/* ---- plans ------------------------------------------------------------------------------------------------------ */

static bool is_selected(const struct qk_probe_options *options, size_t n, size_t t)
{
    size_t from_end = n - 1 - t;
    return options->queries == QK_QUERIES_ALL ||
           (options->queries == QK_QUERIES_LAST && from_end < options->n_queries) ||
           (options->queries == QK_QUERIES_EVERY && from_end % options->n_queries == 0);
}

/* Needle keys and answer-predicting positions. Without a marked answer it is what follows the last token. */
static enum qk_code mark_spans(struct probe_batch *b, const struct qk_probe_sequence *sequence,
                               struct qk_distance_plan *plan, struct qk_err *err)
{
    bool *needle = qk_arena_alloc(b->arena, sequence->n, sizeof(*needle));
    bool *answer = qk_arena_alloc(b->arena, sequence->n, sizeof(*answer));
    bool has_needle = false, has_answer = false;
    if (needle == NULL || answer == NULL) {
        return qk_fail_nomem(err, "probe plan");
    }
    for (size_t s = 0; s < sequence->n_spans; s++) {
        const struct qk_probe_span *span = &sequence->spans[s];
        bool is_needle = qk_streq(span->name, "needle"), is_answer = qk_streq(span->name, "answer");
        for (size_t t = span->start; is_needle && t < span->end; t++) {
            needle[t] = has_needle = true;
        }
        for (size_t t = span->start; is_answer && t < span->end; t++) {
            if (t > 0) {
                answer[t - 1] = has_answer = true;
            }
        }
    }
    if (has_needle && !has_answer) {
        answer[sequence->n - 1] = true;
    }
    plan->needle = has_needle ? needle : NULL;
    plan->answer = has_needle ? answer : NULL;
    return QK_OK;
}

static enum qk_code make_plan(struct probe_batch *b, size_t i, struct qk_err *err)
{
    const struct qk_probe_sequence *sequence = &b->set->sequences[b->numbers[i]];
    struct qk_distance_plan plan = {.n_tokens = sequence->n,
                                    .n_bins = b->nodes.n_bins,
                                    .n_windows = b->nodes.n_windows,
                                    .n_sink = b->options->n_sink};
    bool *selected = qk_arena_alloc(b->arena, sequence->n, sizeof(*selected));
    bool *sampled = qk_arena_alloc(b->arena, sequence->n, sizeof(*sampled));
    if (selected == NULL || sampled == NULL) {
        return qk_fail_nomem(err, "probe plan");
    }
    for (size_t t = 0; t < sequence->n; t++) {
        selected[t] = is_selected(b->options, sequence->n, t);
    }
    qk_implicit_sample(sequence->n, selected, b->options->n_linear_queries, sampled);
    plan.selected = selected;
    QK_TRY(qk_distance_plan_ramp(&plan, b->arena, err));
    QK_TRY(mark_spans(b, sequence, &plan, err));
    QK_TRY(qk_probe_copies_make(sequence, &b->nodes, &plan, b->arena, &b->copies[i], err));
    b->softmax[i] = plan;
    plan.selected = sampled;
    b->linear[i] = plan;
    return QK_OK;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------ */

/* Opens the sums of a layer's heads for a sequence. */
static enum qk_code begin_layer(struct probe_batch *b, const struct qk_forward_place *place, size_t n_heads,
                                struct qk_err *err)
{
    const struct qk_probe_nodes *nodes = &b->nodes;
    size_t n_tokens = b->set->sequences[b->numbers[place->sequence]].n;
    if (n_heads > nodes->n_heads || place->layer >= nodes->n_layers || place->first_position != 0 ||
        place->n_tokens != n_tokens) {
        return qk_fail(err, QK_EINTERNAL, "layer %zu: %zu heads, tokens %zu to %zu (expected %zu heads, %zu tokens)",
                       place->layer, n_heads, place->first_position, place->first_position + place->n_tokens,
                       nodes->n_heads, n_tokens);
    }
    b->place = *place;
    for (size_t h = 0; h < n_heads; h++) {
        struct qk_distance_sums sums = qk_probe_sums_at(nodes, b->numbers[place->sequence], place->layer, h);
        memset(sums.scalar, 0, QK_N_DISTANCE_SUMS * sizeof(double));
        memset(sums.bins, 0, nodes->n_bins * sizeof(double));
        memset(sums.tail, 0, nodes->n_windows * sizeof(double));
        if (sums.profile != NULL) {
            memset(sums.profile, 0, nodes->n_profile * sizeof(double));
        }
    }
    return QK_OK;
}

static enum qk_code on_rows(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err)
{
    struct probe_batch *b = ctx;
    const struct qk_distance_plan *plan = &b->softmax[b->place.sequence];
    struct qk_distance_sums sums =
        qk_probe_sums_at(&b->nodes, b->numbers[b->place.sequence], b->place.layer, rows->head);
    sums.strongest = qk_probe_copies_of(&b->copies[b->place.sequence], b->place.layer, rows->head);
    struct qk_distance_block block = {.first_position = rows->first_position,
                                      .n_rows = rows->n_rows,
                                      .first_key = rows->first_key,
                                      .n_keys = rows->n_keys,
                                      .ld = rows->ld,
                                      .a = rows->a,
                                      .scale = rows->scale,
                                      .entropy = rows->entropy};
    (void)err;
    qk_distance_add_block(plan, &block, b->block_work + worker * b->block_floats, &sums);
    return QK_OK;
}

static enum qk_code on_attention(void *ctx, const struct qk_forward_place *place, const struct qk_attention *attention,
                                 struct qk_attention_observer *ret, struct qk_err *err)
{
    struct probe_batch *b = ctx;
    if (!qk_streq(b->mixing[place->layer], QK_MIXING_SOFTMAX)) {
        return QK_OK;
    }
    QK_TRY(begin_layer(b, place, attention->n_heads, err));
    *ret = (struct qk_attention_observer){.ctx = b, .rows = on_rows, .unscaled = true};
    return QK_OK;
}

static enum qk_code implicit_head(void *ctx, size_t head, size_t worker, struct qk_err *err)
{
    struct probe_batch *b = ctx;
    struct qk_distance_sums sums = qk_probe_sums_at(&b->nodes, b->numbers[b->place.sequence], b->place.layer, head);
    sums.strongest = qk_probe_copies_of(&b->copies[b->place.sequence], b->place.layer, head);
    (void)err;
    qk_implicit_add_head(b->view->mixer, b->view->value_scale, head, &b->linear[b->place.sequence],
                         b->scratch + worker * b->scratch_bytes, &sums);
    return QK_OK;
}

static enum qk_code on_linear(void *ctx, const struct qk_forward_place *place, const struct qk_linear_view *view,
                              struct qk_err *err)
{
    struct probe_batch *b = ctx;
    const struct qk_linear_mixer *mixer = view->mixer;
    size_t bytes = qk_implicit_scratch(mixer->n_tokens, mixer->d_k);
    if (!qk_streq(b->mixing[place->layer], QK_MIXING_IMPLICIT)) {
        return QK_OK;
    }
    QK_TRY(begin_layer(b, place, mixer->n_heads, err));
    b->scratch_bytes = (bytes + 63) / 64 * 64;
    b->scratch = qk_alloc_aligned(qk_pool_size(b->pool), b->scratch_bytes);
    if (b->scratch == NULL) {
        return qk_fail_nomem(err, "implied mixing");
    }
    b->view = view;
    enum qk_code code = qk_pool_for(b->pool, mixer->n_heads, implicit_head, b, err);
    qk_free(b->scratch);
    return code;
}

static enum qk_code on_logits(void *ctx, const struct qk_forward_place *place, const float *final, const float *logits,
                              struct qk_err *err)
{
    struct probe_batch *b = ctx;
    struct qk_node *node = b->nodes.logits;
    size_t n = b->set->sequences[b->numbers[place->sequence]].n, n_last = node->shape[1], vocab = node->shape[2];
    (void) final;
    if (vocab != b->input->model->vocab_size) {
        return qk_fail(err, QK_EMISMATCH, "logits: '%s' has a vocabulary of %zu (expected %zu, as the base)",
                       b->input->name, b->input->model->vocab_size, vocab);
    }
    for (size_t i = 0; i < place->n_tokens; i++) {
        size_t from_end = n - (place->first_position + i);
        if (from_end > n_last) {
            continue;
        }
        double *row = node->v.f64 + ((b->numbers[place->sequence] * n_last) + n_last - from_end) * vocab;
        for (size_t v = 0; v < vocab; v++) {
            row[v] = (double)logits[i * vocab + v];
        }
    }
    return QK_OK;
}

static enum qk_code on_token(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err)
{
    struct probe_batch *b = ctx;
    (void)err;
    qk_probe_copies_say(&b->copies[sequence], t, argmax);
    if (t + 1 < b->set->sequences[b->numbers[sequence]].n) {
        b->nll[sequence] += nll;
    }
    return QK_OK;
}

/* ---- a batch ---------------------------------------------------------------------------------------------------- */

/* Progress of the whole run out of a batch's. */
struct run_progress {
    const struct qk_progress *outer;
    uint64_t before, batch, total; /* tokens */
};

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    struct run_progress *p = ctx;
    double part = total == 0 ? 0.0 : (double)done / (double)total;
    qk_progress_update(p->outer, p->before + (uint64_t)(part * (double)p->batch), p->total, label);
}

static enum qk_code run_batch(struct probe_batch *b, struct qk_runner *runner, struct run_progress *progress,
                              struct qk_err *err)
{
    struct qk_sequence *sequences = qk_arena_alloc(b->arena, b->n, sizeof(*sequences));
    b->softmax = qk_arena_alloc(b->arena, b->n, sizeof(*b->softmax));
    b->linear = qk_arena_alloc(b->arena, b->n, sizeof(*b->linear));
    b->nll = qk_arena_alloc(b->arena, b->n, sizeof(*b->nll));
    b->copies = qk_arena_alloc(b->arena, b->n, sizeof(*b->copies));
    if (sequences == NULL || b->softmax == NULL || b->linear == NULL || b->nll == NULL || b->copies == NULL) {
        return qk_fail_nomem(err, "probe batch");
    }
    b->block_floats = 0;
    for (size_t i = 0; i < b->n; i++) {
        size_t floats = qk_distance_block_work(b->set->sequences[b->numbers[i]].n);
        b->block_floats = floats > b->block_floats ? floats : b->block_floats;
    }
    b->block_work = qk_arena_alloc(b->arena, qk_pool_size(b->pool) * b->block_floats, sizeof(*b->block_work));
    if (b->block_work == NULL) {
        return qk_fail_nomem(err, "probe batch");
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct qk_probe_sequence *sequence = &b->set->sequences[b->numbers[i]];
        sequences[i] = (struct qk_sequence){.n = sequence->n, .ids = sequence->ids};
        QK_TRY(make_plan(b, i, err));
    }
    struct qk_progress inner = {.ctx = progress, .update = on_progress};
    struct qk_forward_hooks hooks = {.ctx = b,
                                     .attention = on_attention,
                                     .linear = on_linear,
                                     .logits = b->nodes.logits == NULL ? NULL : on_logits,
                                     .token = on_token};
    struct qk_forward_options options = {.layers = b->options->layers, .progress = &inner};
    QK_TRY(qk_runner_forward(runner, b->n, sequences, &hooks, &options, err));
    for (size_t i = 0; i < b->n; i++) {
        b->nodes.nll->v.f64[b->numbers[i]] = sequences[i].n < 2 ? NAN : b->nll[i] / (double)(sequences[i].n - 1);
        qk_probe_copies_add(&b->copies[i], &b->nodes, b->numbers[i]);
    }
    return QK_OK;
}

/* As many of the next sequences of the part as fit. Gives the number of tokens. */
static size_t fill_batch(struct probe_batch *b, size_t *next)
{
    size_t hidden = b->input->model->hidden_size, most = BATCH_BYTES / (hidden * sizeof(float)), tokens = 0;
    most = most < BATCH_TOKENS ? most : BATCH_TOKENS;
    b->n = 0;
    for (; *next < b->set->n; (*next)++) {
        size_t n = b->set->sequences[*next].n;
        if (!qk_part_has(&b->options->shard, *next) || (b->list.done != NULL && b->list.done[*next])) {
            continue;
        }
        if (b->n > 0 && n > most - (tokens < most ? tokens : most)) {
            break;
        }
        b->numbers[b->n++] = *next;
        tokens += n;
    }
    return tokens;
}

static enum qk_code finish_batch(struct qk_table *table, struct probe_batch *b, struct run_progress *progress,
                                 struct qk_err *err)
{
    for (size_t i = 0; i < b->n; i++) {
        qk_part_list_add(&b->list, b->numbers[i]);
    }
    progress->before += progress->batch;
    bool last = progress->before >= progress->total;
    return b->options->on_batch == NULL || last ? QK_OK : b->options->on_batch(b->options->on_batch_ctx, table, err);
}

static enum qk_code run_batches(struct qk_table *table, struct probe_batch *b, struct qk_runner *runner,
                                struct run_progress *progress, struct qk_err *err)
{
    size_t next = 0;
    for (progress->batch = fill_batch(b, &next); b->n > 0; progress->batch = fill_batch(b, &next)) {
        b->arena = qk_arena_new();
        if (b->arena == NULL) {
            return qk_fail_nomem(err, "probe batch");
        }
        enum qk_code code = run_batch(b, runner, progress, err);
        qk_arena_free(b->arena);
        QK_TRY(code);
        QK_TRY(finish_batch(table, b, progress, err));
    }
    return QK_OK;
}

/* Progress over n checkpoints, of which number i begins. */
static struct run_progress progress_of(const struct probe_batch *b, size_t n, size_t i, const struct qk_progress *outer)
{
    uint64_t tokens = 0, done = 0;
    for (size_t s = 0; s < b->set->n; s++) {
        uint64_t own = qk_part_has(&b->options->shard, s) ? b->set->sequences[s].n : 0;
        tokens += own;
        done += b->list.done[s] ? own : 0;
    }
    return (struct run_progress){.outer = outer, .before = i * tokens + done, .total = n * tokens};
}

static enum qk_code run_checkpoint(struct qk_table *table, struct probe_batch *b, size_t n, size_t i,
                                   const struct qk_progress *outer, struct qk_err *err)
{
    struct qk_runner *runner = NULL;
    struct run_progress progress = progress_of(b, n, i, outer);
    QK_TRY(qk_runner_new(b->input->model, b->pool, NULL, &runner, err));
    enum qk_code code = run_batches(table, b, runner, &progress, err);
    qk_runner_free(runner);
    return code;
}

enum qk_code qk_probe_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                          const struct qk_probe_set *set, const struct qk_probe_options *options, struct qk_pool *pool,
                          const struct qk_progress *progress, struct qk_err *err)
{
    struct probe_batch b = {.input = &inputs[i], .set = set, .options = options, .pool = pool};
    QK_TRY(qk_probe_nodes_of(table, inputs[i].name, &b.nodes, err));
    const struct qk_attr *mixing = qk_node_attr(b.nodes.entry, "mixing");
    if (mixing == NULL || mixing->type != QK_TYPE_STR || mixing->n != inputs[i].model->n_layers) {
        return qk_fail(err, QK_EINTERNAL, "/probe/%s: no attribute 'mixing'", inputs[i].name);
    }
    b.mixing = mixing->v.str;
    b.numbers = qk_calloc(set->n, sizeof(*b.numbers));
    enum qk_code code = b.numbers == NULL
                            ? qk_fail_nomem(err, "probe run")
                            : qk_part_list_open(table, b.nodes.entry, &qk_probe_part, set->n, &b.list, err);
    if (code == QK_OK) {
        code = run_checkpoint(table, &b, n, i, progress, err);
    }
    qk_free(b.numbers);
    qk_part_list_release(&b.list);
    return code;
}

/* Adds the batches of a run of one checkpoint to the plan. */
static void plan_batches(struct probe_batch *b, const struct qk_runner *runner, size_t *lengths,
                         struct qk_probe_plan *plan)
{
    size_t next = 0, tokens;
    while ((tokens = fill_batch(b, &next)) > 0) {
        for (size_t i = 0; i < b->n; i++) {
            lengths[i] = b->set->sequences[b->numbers[i]].n;
            plan->longest = lengths[i] > plan->longest ? lengths[i] : plan->longest;
            plan->flops += qk_probe_flops(qk_runner_spec(runner), b->options, lengths[i]);
        }
        size_t bytes = qk_runner_memory(runner, b->n, lengths);
        plan->memory = bytes > plan->memory ? bytes : plan->memory;
        plan->n_tokens += tokens;
        plan->n_sequences += b->n;
        plan->n_batches++;
    }
}

enum qk_code qk_probe_make_plan(const struct qk_table *table, const struct qk_run_input *input,
                                const struct qk_probe_set *set, const struct qk_probe_options *options,
                                struct qk_pool *pool, struct qk_probe_plan *ret, struct qk_err *err)
{
    struct probe_batch b = {.input = input, .set = set, .options = options, .pool = pool};
    struct qk_probe_plan plan = {.weight_bytes = input->ckpt->total_bytes};
    struct qk_runner *runner = NULL;
    QK_TRY(qk_runner_new(input->model, pool, NULL, &runner, err));
    b.numbers = qk_calloc(set->n, sizeof(*b.numbers));
    size_t *lengths = qk_calloc(set->n, sizeof(*lengths));
    enum qk_code code = QK_OK;
    if (b.numbers == NULL || lengths == NULL) {
        code = qk_fail_nomem(err, "probe run");
    } else {
        plan_batches(&b, runner, lengths, &plan);
    }
    for (size_t i = 0; i < table->n_nodes; i++) {
        plan.result_bytes += table->nodes[i]->is_group ? 0 : table->nodes[i]->n_values * sizeof(double);
    }
    qk_free(b.numbers);
    qk_free(lengths);
    qk_runner_free(runner);
    QK_TRY(code);
    *ret = plan;
    return QK_OK;
}
