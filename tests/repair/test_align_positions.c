/* Rotated Q and K of a RoPE model, seen through the forward pass.
 *
 * R commutes with the turning by position: the query that the attention sees at position t is R times the one of the
 * unrotated checkpoint, at every t, and one R shared by a group's Q and K changes no weight. An unrestricted rotation
 * fails both, which is tested too.
 *
 * Logits keep depending on distance alone. In layer 0, q and k of a token depend on the token and its position alone;
 * of two sequences that end in the same tokens behind beginnings of different lengths, a row's weights A_ts over those
 * tokens differ by the softmax's sum, so ln A_ts − ln A_ts' is the same in both. One token pushed away from the others
 * shows that the measure sees distances. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "ckpt/overlay.h"
#include "forward/runner.h"
#include "num/blas.h"
#include "repair/align.h"

enum { TAIL = 12, SHIFT = 37, FIRST = 3, MAX_HEADS = 8, MAX_DIM = 32, MAX_LEN = FIRST + SHIFT + TAIL + 1 };

struct pair {
    struct qk_ckpt *base, *tuned;
    struct qk_model *base_model, *tuned_model;
};

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

static void open_one(const char *below, struct qk_ckpt **ckpt, struct qk_model **model)
{
    char path[1024];
    struct qk_err err = {0};
    snprintf(path, sizeof path, "%s/weights/%s", getenv("QK_TEST_DATA"), below);
    must(qk_ckpt_open(path, ckpt, &err), &err);
    must(qk_model_open(*ckpt, model, &err), &err);
}

static struct pair open_pair(void)
{
    struct pair p = {0};
    open_one("llama/base", &p.base, &p.base_model);
    open_one("llama/sft", &p.tuned, &p.tuned_model);
    return p;
}

static void close_pair(struct pair *p)
{
    qk_model_free(p->base_model);
    qk_model_free(p->tuned_model);
    qk_ckpt_close(p->base);
    qk_ckpt_close(p->tuned);
}

static double *tensor_of(const struct qk_ckpt *ckpt, const struct qk_tensor *t)
{
    struct qk_err err = {0};
    void *raw = malloc(t->n_bytes);
    double *values = malloc(t->n_elements * sizeof *values);
    assert_true(raw != NULL && values != NULL);
    must(qk_ckpt_read(ckpt, t, 0, t->n_bytes, raw, &err), &err);
    qk_dtype_info(t->dtype)->to_f64(raw, t->n_elements, values);
    free(raw);
    return values;
}

/* Layer 0's Q or K (H·K, D) rotated: the tensor's bytes, and each head's R. */
struct rotated {
    const struct qk_tensor *tensor;
    double *map; /* (n_heads, K, K), each column-major */
    void *bytes;
};

/* The fixture's own drift is small: the tuned head's basis is cycled, so that much is to be undone. */
static void cycle_rows(double *w, size_t k, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        double first = w[j];
        for (size_t i = 0; i + 1 < k; i++) {
            w[i * d + j] = w[(i + 1) * d + j];
        }
        w[(k - 1) * d + j] = first;
    }
}

/* shared: the rotation found for head 0's key, for every head of Q and K, instead of each head's own. */
static struct rotated rotate(const struct pair *p, bool is_key, const struct qk_position *position, bool shared)
{
    const struct qk_layer *layer = &p->tuned_model->layers[0];
    size_t k = layer->head_dim, d = layer->n_in, n_heads = is_key ? layer->n_kv_heads : layer->n_heads;
    struct rotated r = {.tensor = (is_key ? layer->k : layer->q)->rows.tensor};
    const struct qk_tensor *from = shared ? layer->k->rows.tensor : r.tensor;
    double *w0 = tensor_of(p->base, qk_ckpt_find(p->base, from->name)), *w1 = tensor_of(p->tuned, from);
    double *weights = tensor_of(p->tuned, r.tensor), *result = calloc(r.tensor->n_elements, sizeof *result);
    double *memory = qk_alloc_aligned(qk_align_size(k, QK_ALIGN_TILE), sizeof *memory);
    r.map = calloc(n_heads * k * k, sizeof *r.map);
    r.bytes = malloc(r.tensor->n_bytes);
    assert_true(result != NULL && memory != NULL && r.map != NULL && r.bytes != NULL);
    struct qk_align_rule rule = {
        .action = QK_PLAN_ALIGN, .method = QK_PLAN_ROTATE, .is_key = is_key, .position = position};
    double *scratch = calloc(k * d, sizeof *scratch);
    assert_non_null(scratch);
    for (size_t h = 0; h < n_heads; h++) {
        struct qk_align a;
        struct qk_err err = {0};
        size_t at = shared ? 0 : h * k * d;
        if (!shared || h == 0) {
            cycle_rows(w1 + at, k, d);
        }
        must(qk_align_matrix(&a, &rule, k, d, false, w0 + at, w1 + at, NULL, d, scratch, memory, &err), &err);
        assert_int_equal(a.outcome, QK_ALIGN_MAPPED);
        memcpy(r.map + h * k * k, a.map, k * k * sizeof *a.map);
        qk_align_map_tile(&a, d, w0 + at, weights + h * k * d, NULL, d, result + h * k * d);
    }
    qk_dtype_info(r.tensor->dtype)->from_f64(result, r.tensor->n_elements, r.bytes);
    double *const all[] = {w0, w1, weights, result, scratch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]);
    }
    qk_free(memory);
    return r;
}

/* What layer 0's attention worked on and gave. slot: which of the recorded tokens stands at a position, or −1. */
struct seen {
    size_t length, n_heads, n_kv_heads, head_dim;
    int slot[MAX_LEN];
    float q[MAX_LEN * MAX_HEADS * MAX_DIM], k[MAX_LEN * MAX_HEADS * MAX_DIM];
    float a[MAX_HEADS][TAIL][TAIL];
};

static enum qk_code on_rows(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err)
{
    struct seen *seen = ctx;
    (void)worker;
    (void)err;
    for (size_t r = 0; r < rows->n_rows; r++) {
        size_t t = rows->first_position + r;
        for (size_t s = rows->first_key; s <= t; s++) {
            if (seen->slot[t] >= 0 && seen->slot[s] >= 0) {
                seen->a[rows->head][seen->slot[t]][seen->slot[s]] = rows->a[r * rows->ld + s - rows->first_key];
            }
        }
    }
    return QK_OK;
}

static enum qk_code on_attention(void *ctx, const struct qk_forward_place *place, const struct qk_attention *attention,
                                 struct qk_attention_observer *ret, struct qk_err *err)
{
    struct seen *seen = ctx;
    (void)err;
    if (place->layer != 0) {
        return QK_OK;
    }
    assert_true(attention->n_heads <= MAX_HEADS && attention->head_dim <= MAX_DIM);
    assert_int_equal(attention->n_queries, seen->length);
    seen->n_heads = attention->n_heads;
    seen->n_kv_heads = attention->n_kv_heads;
    seen->head_dim = attention->head_dim;
    memcpy(seen->q, attention->q, seen->length * seen->n_heads * seen->head_dim * sizeof *seen->q);
    memcpy(seen->k, attention->k, seen->length * seen->n_kv_heads * seen->head_dim * sizeof *seen->k);
    *ret = (struct qk_attention_observer){.ctx = ctx, .rows = on_rows};
    return QK_OK;
}

/* A beginning of first tokens, then the recorded ones; gap: one other token behind the first of these. */
static void look(const struct qk_model *model, size_t first, bool gap, struct seen *seen)
{
    uint32_t ids[MAX_LEN];
    size_t length = 0;
    memset(seen, 0, sizeof *seen);
    for (size_t i = 0; i < first; i++) {
        seen->slot[length] = -1;
        ids[length++] = (uint32_t)(5 + i);
    }
    for (int i = 0; i < TAIL; i++) {
        if (gap && i == 1) {
            seen->slot[length] = -1;
            ids[length++] = 4;
        }
        seen->slot[length] = i;
        ids[length++] = (uint32_t)(100 + 7 * i);
    }
    seen->length = length;
    struct qk_pool *pool = NULL;
    struct qk_runner *runner = NULL;
    struct qk_err err = {0};
    const struct qk_sequence sequence = {length, ids};
    const struct qk_forward_hooks hooks = {.ctx = seen, .attention = on_attention};
    must(qk_pool_new(1, &pool, &err), &err);
    must(qk_runner_new(model, pool, NULL, &runner, &err), &err);
    must(qk_runner_forward(runner, 1, &sequence, &hooks, NULL, &err), &err);
    assert_true(seen->n_heads > 0);
    qk_runner_free(runner);
    qk_pool_free(pool);
}

static void look_rotated(const struct pair *p, const struct rotated *q, const struct rotated *k, size_t first, bool gap,
                         struct seen *seen)
{
    const struct qk_overlay_patch patches[] = {
        {q->tensor, 0, q->tensor->n_bytes, q->tensor->dtype, q->bytes, NULL, NULL},
        {k->tensor, 0, k->tensor->n_bytes, k->tensor->dtype, k->bytes, NULL, NULL},
    };
    struct qk_ckpt *over = NULL;
    struct qk_model *model = NULL;
    struct qk_err err = {0};
    must(qk_ckpt_overlay(p->tuned, "rotated", 2, patches, &over, &err), &err);
    must(qk_model_open(over, &model, &err), &err);
    look(model, first, gap, seen);
    qk_model_free(model);
    qk_ckpt_close(over);
}

/* ‖rotated − R plain‖ over all positions and heads, relative. */
static double distance_from_map(const float *plain, const float *turned, const double *map, size_t length,
                                size_t n_heads, size_t k)
{
    double gap = 0, size = 0;
    for (size_t at = 0; at < length * n_heads; at++) {
        const double *r = map + at % n_heads * k * k;
        for (size_t i = 0; i < k; i++) {
            double expected = 0;
            for (size_t j = 0; j < k; j++) {
                expected += r[i + j * k] * (double)plain[at * k + j];
            }
            double difference = (double)turned[at * k + i] - expected;
            gap += difference * difference;
            size += expected * expected;
        }
    }
    return sqrt(gap / size);
}

static double largest_difference_of_weights(const struct seen *a, const struct seen *b)
{
    double worst = 0;
    for (size_t h = 0; h < a->n_heads; h++) {
        for (size_t i = 0; i < (size_t)TAIL * TAIL; i++) {
            worst = fmax(worst, fabs((double)a->a[h][i / TAIL][i % TAIL] - (double)b->a[h][i / TAIL][i % TAIL]));
        }
    }
    return worst;
}

/* Largest change of the difference of two logits of one row. */
static double largest_shift(const struct seen *near, const struct seen *far)
{
    double worst = 0;
    for (size_t h = 0; h < near->n_heads; h++) {
        for (size_t t = 1; t < TAIL; t++) {
            for (size_t s = 1; s <= t; s++) {
                double here = log((double)near->a[h][t][s]) - log((double)near->a[h][t][0]);
                double there = log((double)far->a[h][t][s]) - log((double)far->a[h][t][0]);
                worst = fmax(worst, fabs(here - there));
            }
        }
    }
    return worst;
}

static void release(struct rotated *r)
{
    free(r->map);
    free(r->bytes);
}

/* float32 rounding of rows of some ten terms stays below some 1e-6; a rotation that does not commute is off by whole
 * parts. */
static const double ROUNDING = 1e-5, SEEN = 1e-2;

static void acts_alike_at_every_position(void **state)
{
    (void)state;
    static struct seen plain, turned;
    struct pair p = open_pair();
    const struct qk_position free_of_rope = {.kind = QK_POSITION_NONE};
    look(p.tuned_model, FIRST + SHIFT, false, &plain);
    for (int restricted = 0; restricted < 2; restricted++) {
        const struct qk_position *position = restricted ? &p.tuned_model->layers[0].position : &free_of_rope;
        struct rotated q = rotate(&p, false, position, false), k = rotate(&p, true, position, false);
        look_rotated(&p, &q, &k, FIRST + SHIFT, false, &turned);
        double of_q = distance_from_map(plain.q, turned.q, q.map, plain.length, plain.n_heads, plain.head_dim);
        double of_k = distance_from_map(plain.k, turned.k, k.map, plain.length, plain.n_kv_heads, plain.head_dim);
        assert_true(restricted ? of_q < ROUNDING && of_k < ROUNDING : of_q > SEEN && of_k > SEEN);
        release(&q);
        release(&k);
    }
    close_pair(&p);
}

static void a_shared_rotation_changes_no_weight(void **state)
{
    (void)state;
    static struct seen plain, turned;
    struct pair p = open_pair();
    const struct qk_position free_of_rope = {.kind = QK_POSITION_NONE};
    look(p.tuned_model, FIRST + SHIFT, false, &plain);
    for (int restricted = 0; restricted < 2; restricted++) {
        const struct qk_position *position = restricted ? &p.tuned_model->layers[0].position : &free_of_rope;
        struct rotated q = rotate(&p, false, position, true), k = rotate(&p, true, position, true);
        look_rotated(&p, &q, &k, FIRST + SHIFT, false, &turned);
        double change = largest_difference_of_weights(&plain, &turned);
        assert_true(restricted ? change < ROUNDING : change > 1e-4);
        release(&q);
        release(&k);
    }
    close_pair(&p);
}

static void logits_depend_on_distance_alone(void **state)
{
    (void)state;
    static struct seen near, far, apart;
    struct pair p = open_pair();
    const struct qk_position *position = &p.tuned_model->layers[0].position;
    struct rotated q = rotate(&p, false, position, false), k = rotate(&p, true, position, false);
    look_rotated(&p, &q, &k, FIRST, false, &near);
    look_rotated(&p, &q, &k, FIRST + SHIFT, false, &far);
    look_rotated(&p, &q, &k, FIRST, true, &apart);
    assert_true(largest_shift(&near, &far) < 10 * ROUNDING); /* logarithms of float32 weights */
    assert_true(largest_shift(&near, &apart) > SEEN);
    release(&q);
    release(&k);
    close_pair(&p);
}

int main(void)
{
    qk_blas_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acts_alike_at_every_position),
        cmocka_unit_test(a_shared_rotation_changes_no_weight),
        cmocka_unit_test(logits_depend_on_distance_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
