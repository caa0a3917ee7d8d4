/* Softmax attention in blocks of rows, with an observer that sees every row exactly once and exactly: nothing of size
 * T × T exists at any time.
 *
 *   A_ts = softmax_s( cap( scale · q_t·k_s ) ),  s ≤ t, t − s < window;   o_t = Σ_s A_ts v_s
 *
 * cap(x) = softcap · tanh(x / softcap) when softcap > 0. One head is worked on by one thread from its first row to its
 * last, so that what an observer adds up per head does not depend on the number of threads. float32 in and out, rows
 * computed in float32, row sums in float64 of parts of eight floats.
 * Source: Vaswani et al. 2017; blocks of rows as in Rabe & Staats 2021 (arXiv:2112.05682). */
#ifndef QK_FORWARD_ATTENTION_H
#define QK_FORWARD_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"

struct qk_attention {
    size_t n_queries;   /* rows of q; query i stands at position first_query + i */
    size_t n_keys;      /* rows of k and v; key j stands at position j (a cache holds all keys from 0 on) */
    size_t first_query; /* n_keys − n_queries when the queries are the last positions */
    size_t n_heads, n_kv_heads, head_dim, v_head_dim;
    size_t window; /* keys including self; 0 = all */
    double scale, softcap;
    const float *sinks; /* per head a logit that takes part in the softmax's sum only (gpt-oss), or NULL */
    /* element strides: q[(i · n_heads + h) · head_dim], k[(j · n_kv_heads + g) · head_dim], v likewise with v_head_dim
     */
    const float *q, *k, *v;
    float *out; /* (n_queries, n_heads, v_head_dim) */
};

/* A block of finished softmax rows of one head. Row r is query first_row + r (index into q, not the position); its
 * weights over the keys [first_key, first_key + n_keys) are a[r · ld …], zero where not visible. */
struct qk_attention_rows {
    size_t head, first_row, n_rows, first_key, n_keys, ld;
    size_t first_position; /* position of row first_row */
    const float *a;
    /* For an observer that takes unscaled rows, else NULL: the weights of row r are a times scale[r], and entropy[r] is
     * −Σ A ln A of them. */
    const double *scale, *entropy;
};

/* Called by one thread per head, in order of rows. worker in [0, qk_pool_size). */
struct qk_attention_observer {
    void *ctx;
    enum qk_code (*rows)(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err);
    bool unscaled; /* rows come with a scale, which spares a pass over the weights */
};

/* observer may be NULL. Scratch (per worker a block of rows and one head's keys and values) is allocated and released
 * inside. */
enum qk_code qk_attention_run(const struct qk_attention *attention, const struct qk_attention_observer *observer,
                              struct qk_pool *pool, struct qk_err *err) QK_CHECKED;
/* Bytes of that scratch. */
size_t qk_attention_scratch(const struct qk_attention *attention, size_t n_workers);

#endif
