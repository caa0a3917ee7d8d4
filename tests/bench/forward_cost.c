/* Times parts of the forward pass, for `make bench`. Every command prints one line of key=value pairs; times are the
 * best of several, in seconds; cpu: of all threads, which a busy machine stretches less.
 *
 *   forward_cost sgemm                                      rate of large float products on all cores
 *   forward_cost prefill CKPT N_SEQUENCES TOKENS LAST       scores for the LAST positions only (0: none)
 *   forward_cost decode CKPT PROMPT STEPS                   one token at a time behind a prompt
 *   forward_cost project CKPT TOKENS                        the first layers' projections alone
 *   forward_cost attention HEADS HEAD_DIM TOKENS            alone, with histogram, and its two products
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyses/attention_distance.h"
#include "base/alloc.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/str.h"
#include "ckpt/ckpt.h"
#include "forward/matmul.h"
#include "forward/runner.h"
#include "num/blas.h"
#include "num/sblas.h"

enum { MAX_ARGS = 4, ROUNDS = 5 };
/* Rounds stop when this many seconds are over. */
#define ENOUGH_SECONDS 4.0

static struct qk_pool *pool;

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fprintf(stderr, "forward_cost: error: %s\n", err->text);
        exit(qk_exit_status(code));
    }
}

static void *get(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "forward_cost: error: out of memory\n");
        exit(qk_exit_status(QK_ENOMEM));
    }
    return p;
}

static float *random_floats(size_t n, uint64_t seed, float size)
{
    float *x = get(qk_alloc_aligned(n, sizeof *x));
    struct qk_rng rng;
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        x[i] = size * (float)(int32_t)qk_rng_u64(&rng) * 0x1p-31f;
    }
    return x;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_cpu;

/* Best time of some rounds; best_cpu: the least of all threads' time. */
static double best_of(void (*round)(void *ctx), void *ctx)
{
    double best = INFINITY, began = qk_seconds();
    best_cpu = INFINITY;
    for (int r = 0; r < ROUNDS && (r < 2 || qk_seconds() - began < ENOUGH_SECONDS); r++) {
        double t = qk_seconds(), cpu = cpu_seconds();
        round(ctx);
        t = qk_seconds() - t;
        cpu = cpu_seconds() - cpu;
        best = t < best ? t : best;
        best_cpu = cpu < best_cpu ? cpu : best_cpu;
    }
    return best;
}

/* ---- sgemm ------------------------------------------------------------------------------------------------------ */

enum { SIDE = 1024 };

static enum qk_code sgemm_item(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    (void)i;
    (void)err;
    float *a = (float *)ctx + worker * 3 * SIDE * SIDE;
    qk_sgemm(false, true, SIDE, SIDE, SIDE, 1, a, SIDE, a + SIDE * SIDE, SIDE, 0, a + 2 * SIDE * SIDE, SIDE);
    return QK_OK;
}

static void sgemm_round(void *ctx)
{
    struct qk_err err = {0};
    must(qk_pool_for(pool, 8 * qk_pool_size(pool), sgemm_item, ctx, &err), &err);
}

static void run_sgemm(const char *ckpt, const uint64_t *n)
{
    (void)ckpt;
    (void)n;
    float *a = random_floats(qk_pool_size(pool) * 3 * SIDE * SIDE, 1, 1);
    double seconds = best_of(sgemm_round, a);
    printf("seconds=%.6g cpu=%.6g flops=%.6g threads=%zu\n", seconds, best_cpu,
           2.0 * SIDE * SIDE * SIDE * 8 * (double)qk_pool_size(pool), qk_pool_size(pool));
    qk_free(a);
}

/* ---- whole passes ----------------------------------------------------------------------------------------------- */

struct pass {
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    struct qk_runner *runner;
    size_t n, steps;
    struct qk_sequence *sequences;
    size_t *from;
    uint32_t *ids;
    double sum; /* of what came out, so that runs can be compared */
    double prompt_seconds, step_seconds;
};

static struct pass open_pass(const char *path, size_t n, size_t tokens, size_t last)
{
    struct pass p = {.n = n};
    struct qk_err err = {0};
    must(qk_ckpt_open(path, &p.ckpt, &err), &err);
    must(qk_model_open(p.ckpt, &p.model, &err), &err);
    must(qk_runner_new(p.model, pool, NULL, &p.runner, &err), &err);
    p.sequences = get(qk_calloc(n, sizeof *p.sequences));
    p.from = get(qk_calloc(n, sizeof *p.from));
    p.ids = get(qk_calloc(n * tokens, sizeof *p.ids));
    for (size_t i = 0; i < n * tokens; i++) { /* peer_forward.py makes the same */
        p.ids[i] = (uint32_t)((i * 2654435761u >> 7) % p.model->vocab_size);
    }
    for (size_t s = 0; s < n; s++) {
        p.sequences[s] = (struct qk_sequence){tokens, p.ids + s * tokens};
        p.from[s] = tokens - last;
    }
    return p;
}

static void close_pass(struct pass *p)
{
    qk_runner_free(p->runner);
    qk_model_free(p->model);
    qk_ckpt_close(p->ckpt);
    qk_free(p->sequences);
    qk_free(p->from);
    qk_free(p->ids);
}

static enum qk_code on_token(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err)
{
    (void)sequence, (void)t, (void)argmax, (void)err;
    struct pass *p = ctx;
    p->sum += isnan(nll) ? 0 : nll;
    return QK_OK;
}

static void prefill_round(void *ctx)
{
    struct pass *p = ctx;
    struct qk_err err = {0};
    struct qk_forward_hooks hooks = {.ctx = p, .token = on_token};
    struct qk_forward_options options = {.scores_from = p->from};
    p->sum = 0;
    must(qk_runner_forward(p->runner, p->n, p->sequences, &hooks, &options, &err), &err);
}

static void run_prefill(const char *ckpt, const uint64_t *n)
{
    struct pass p = open_pass(ckpt, n[0], n[1], n[2]);
    double seconds = best_of(prefill_round, &p);
    printf("seconds=%.6g cpu=%.6g tokens=%zu sum=%.9g\n", seconds, best_cpu, (size_t)(n[0] * n[1]), p.sum);
    close_pass(&p);
}

static void decode_round(void *ctx)
{
    struct pass *p = ctx;
    struct qk_err err = {0};
    struct qk_session *session = NULL;
    float *logits = get(qk_calloc(p->model->vocab_size, sizeof *logits));
    size_t prompt = p->sequences[0].n - p->steps;
    must(qk_session_new(p->runner, p->sequences[0].n, &session, &err), &err);
    double t = qk_seconds();
    must(qk_session_feed(session, prompt, p->ids, logits, &err), &err);
    p->prompt_seconds = qk_seconds() - t;
    t = qk_seconds();
    for (size_t i = 0; i < p->steps; i++) {
        must(qk_session_feed(session, 1, p->ids + prompt + i, logits, &err), &err);
    }
    t = qk_seconds() - t;
    p->step_seconds = p->step_seconds == 0 || t < p->step_seconds ? t : p->step_seconds;
    p->sum = (double)logits[0];
    qk_session_free(session);
    qk_free(logits);
}

static void run_decode(const char *ckpt, const uint64_t *n)
{
    struct pass p = open_pass(ckpt, 1, n[0] + n[1], 1);
    p.steps = n[1];
    best_of(decode_round, &p);
    printf("seconds=%.6g tokens=%zu prompt_seconds=%.6g sum=%.9g\n", p.step_seconds, p.steps, p.prompt_seconds, p.sum);
    close_pass(&p);
}

/* ---- projections ------------------------------------------------------------------------------------------------ */

struct projections {
    const struct pass *pass;
    size_t n_tokens, n;
    struct qk_projection_weight weights[64];
    struct qk_rows rows[64];
    size_t d[64];
    float *x, *y;
};

static void project_round(void *ctx)
{
    struct projections *p = ctx;
    struct qk_err err = {0};
    for (size_t i = 0; i < p->n; i++) {
        size_t n = qk_projection_rows(&p->weights[i]);
        must(qk_matmul(p->pass->ckpt, &p->weights[i], p->n_tokens, p->d[i], p->x, p->d[i], p->y, n, pool, &err), &err);
    }
}

/* Every matrix of layers 0 to 3 whose name ends in "_proj.weight" or "_gate.weight". */
static void run_project(const char *ckpt, const uint64_t *n)
{
    struct pass pass = open_pass(ckpt, 1, 1, 1);
    struct projections p = {.pass = &pass, .n_tokens = n[0]};
    size_t widest = 0;
    double flops = 0;
    for (size_t i = 0; i < pass.ckpt->n_tensors && p.n < 64; i++) {
        const struct qk_tensor *t = &pass.ckpt->tensors[i];
        if (t->n_dims != 2 || (strstr(t->name, "_proj.weight") == NULL && strstr(t->name, "_gate.weight") == NULL)) {
            continue;
        }
        p.rows[p.n] = (struct qk_rows){t, 0, t->shape[0], false};
        p.weights[p.n] = (struct qk_projection_weight){.n_blocks = 1, .blocks = &p.rows[p.n]};
        p.d[p.n++] = (size_t)t->shape[1];
        widest = t->shape[0] > widest ? (size_t)t->shape[0] : widest;
        widest = t->shape[1] > widest ? (size_t)t->shape[1] : widest;
        flops += 2.0 * (double)t->shape[0] * (double)t->shape[1] * (double)n[0];
    }
    p.x = random_floats(n[0] * widest, 3, 1);
    p.y = random_floats(n[0] * widest, 4, 1);
    double seconds = best_of(project_round, &p);
    printf("seconds=%.6g cpu=%.6g flops=%.6g products=%zu\n", seconds, best_cpu, flops, p.n);
    qk_free(p.x);
    qk_free(p.y);
    close_pass(&pass);
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

struct attention {
    struct qk_attention at;
    struct qk_attention_observer observer;
    struct qk_distance_plan plan;
    double *scalar, *bins, *tail; /* per head */
    float *block, *work;          /* per worker: rows of weights; of the histogram */
};

enum { ROWS = 64 };

static struct qk_distance_sums sums_of(const struct attention *a, size_t head)
{
    return (struct qk_distance_sums){.scalar = a->scalar + head * QK_N_DISTANCE_SUMS,
                                     .bins = a->bins + head * a->plan.n_bins,
                                     .tail = a->tail + head * a->plan.n_windows};
}

static enum qk_code on_rows(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err)
{
    (void)err;
    const struct attention *a = ctx;
    struct qk_distance_sums sums = sums_of(a, rows->head);
    struct qk_distance_block block = {.first_position = rows->first_position,
                                      .n_rows = rows->n_rows,
                                      .first_key = rows->first_key,
                                      .n_keys = rows->n_keys,
                                      .ld = rows->ld,
                                      .a = rows->a,
                                      .scale = rows->scale,
                                      .entropy = rows->entropy};
    qk_distance_add_block(&a->plan, &block, a->work + worker * qk_distance_block_work(a->plan.n_tokens), &sums);
    return QK_OK;
}

static void bare_round(void *ctx)
{
    struct attention *a = ctx;
    struct qk_err err = {0};
    must(qk_attention_run(&a->at, NULL, pool, &err), &err);
}

static void observed_round(void *ctx)
{
    struct attention *a = ctx;
    struct qk_err err = {0};
    must(qk_attention_run(&a->at, &a->observer, pool, &err), &err);
}

/* Q Kᵀ and A V of one head over what a causal row sees, nothing between them. */
static enum qk_code products_head(void *ctx, size_t head, size_t worker, struct qk_err *err)
{
    (void)err;
    const struct attention *a = ctx;
    const struct qk_attention *at = &a->at;
    size_t ld = at->n_heads * at->head_dim, from = head * at->head_dim;
    float *block = a->block + worker * ROWS * at->n_keys;
    for (size_t row = 0; row < at->n_queries; row += ROWS) {
        size_t n = at->n_queries - row < ROWS ? at->n_queries - row : ROWS, n_keys = row + n;
        qk_sgemm(false, true, n, n_keys, at->head_dim, 1, at->q + row * ld + from, ld, at->k + from, ld, 0, block,
                 at->n_keys);
        qk_sgemm(false, false, n, at->head_dim, n_keys, 1, block, at->n_keys, at->v + from, ld, 0,
                 at->out + row * ld + from, ld);
    }
    return QK_OK;
}

static void products_round(void *ctx)
{
    struct attention *a = ctx;
    struct qk_err err = {0};
    must(qk_pool_for(pool, a->at.n_heads, products_head, a, &err), &err);
}

static void run_attention(const char *ckpt, const uint64_t *n)
{
    (void)ckpt;
    size_t heads = n[0], d = n[1], tokens = n[2], size = heads * d * tokens;
    struct qk_arena *arena = get(qk_arena_new());
    struct qk_err err = {0};
    struct attention a = {.plan = {.n_tokens = tokens,
                                   .n_sink = 4,
                                   .n_bins = qk_distance_bin_count(tokens),
                                   .n_windows = qk_tail_window_count(tokens)}};
    float *q = random_floats(size, 1, 2), *k = random_floats(size, 2, 2), *v = random_floats(size, 3, 1);
    a.at = (struct qk_attention){.n_queries = tokens,
                                 .n_keys = tokens,
                                 .n_heads = heads,
                                 .n_kv_heads = heads,
                                 .head_dim = d,
                                 .v_head_dim = d,
                                 .scale = 1 / sqrt((double)d),
                                 .q = q,
                                 .k = k,
                                 .v = v};
    a.at.out = random_floats(size, 4, 1);
    bool *selected = get(qk_calloc(tokens, sizeof *selected));
    memset(selected, 1, tokens);
    a.plan.selected = selected;
    must(qk_distance_plan_ramp(&a.plan, arena, &err), &err);
    a.scalar = get(qk_calloc(heads * (QK_N_DISTANCE_SUMS + a.plan.n_bins + a.plan.n_windows), sizeof *a.scalar));
    a.bins = a.scalar + heads * QK_N_DISTANCE_SUMS;
    a.tail = a.bins + heads * a.plan.n_bins;
    a.block = get(qk_alloc_aligned(qk_pool_size(pool) * ROWS * tokens, sizeof *a.block));
    a.work = get(qk_alloc_aligned(qk_pool_size(pool) * qk_distance_block_work(tokens), sizeof *a.work));
    a.observer = (struct qk_attention_observer){.ctx = &a, .rows = on_rows, .unscaled = true};
    double bare = best_of(bare_round, &a), bare_cpu = best_cpu;
    double seen = best_of(observed_round, &a), seen_cpu = best_cpu, products = best_of(products_round, &a);
    printf("bare=%.6g histogram=%.6g products=%.6g bare_cpu=%.6g histogram_cpu=%.6g products_cpu=%.6g "
           "mean_distance=%.9g\n",
           bare, seen, products, bare_cpu, seen_cpu, best_cpu, a.scalar[QK_SUM_DISTANCE] / a.scalar[QK_SUM_QUERIES]);
    qk_free(q);
    qk_free(k);
    qk_free(v);
    qk_free(a.at.out);
    qk_free(a.block);
    qk_free(a.work);
    qk_free(a.scalar);
    qk_free(selected);
    qk_arena_free(arena);
}

static const struct {
    const char *name;
    bool ckpt;
    int n_numbers;
    void (*run)(const char *ckpt, const uint64_t *numbers);
} commands[] = {
    {"sgemm", false, 0, run_sgemm},    {"prefill", true, 3, run_prefill},      {"decode", true, 2, run_decode},
    {"project", true, 1, run_project}, {"attention", false, 3, run_attention},
};

int main(int argc, char **argv)
{
    struct qk_err err = {0};
    const char *threads = getenv("QK_BENCH_THREADS");
    qk_blas_init();
    must(qk_pool_new(threads == NULL ? 0 : (size_t)atoi(threads), &pool, &err), &err);
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
        uint64_t numbers[MAX_ARGS] = {0};
        int at = commands[i].ckpt ? 3 : 2, good = argc == at + commands[i].n_numbers;
        for (int j = 0; good && j < commands[i].n_numbers; j++) {
            good = qk_parse_u64(argv[at + j], 0, SIZE_MAX >> 16, &numbers[j]);
        }
        if (good && qk_streq(argv[1], commands[i].name)) {
            commands[i].run(argv[2], numbers);
            qk_pool_free(pool);
            return 0;
        }
    }
    fprintf(stderr, "usage: see the head of tests/bench/forward_cost.c\n");
    return 2;
}
