/* Mixture of experts: every token goes to its top_k experts by router score; tokens are gathered per expert, so that
 * each expert's weights are read once per block of tokens.
 *
 *   w = softmax or sigmoid(router x); chosen by w + choice_bias; y = scale · Σ_chosen w_e (/ Σ w) expert_e(x) + shared
 *
 * Source: Shazeer et al. 2017 (arXiv:1701.06538); sigmoid scores and bias for the choice: DeepSeek-V3. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "mixer.h"
#include "mlp.h"

/* Scores of one token, in place. */
static void score(const struct qk_moe_spec *moe, float *w)
{
    double max = (double)w[0], sum = 0;
    if (moe->sigmoid) {
        qk_activate(QK_ACT_SIGMOID, moe->n_experts, w);
        return;
    }
    for (size_t e = 1; e < moe->n_experts; e++) {
        max = (double)w[e] > max ? (double)w[e] : max;
    }
    for (size_t e = 0; e < moe->n_experts; e++) {
        sum += exp((double)w[e] - max);
    }
    for (size_t e = 0; e < moe->n_experts; e++) {
        w[e] = (float)(exp((double)w[e] - max) / sum);
    }
}

/* A group's rank: the sum of its best scores. */
static double rank_group(const struct qk_moe_spec *moe, const float *bias, const float *w, size_t group)
{
    size_t size = moe->n_experts / moe->n_groups, first = group * size;
    double sum = 0;
    for (size_t e = first; e < first + size; e++) {
        float own = w[e] + (bias ? bias[e] : 0);
        size_t better = 0;
        for (size_t other = first; other < first + size; other++) {
            float s = w[other] + (bias ? bias[other] : 0);
            better += s > own || (s == own && other < e);
        }
        sum += better < moe->group_best ? (double)own : 0;
    }
    return sum;
}

/* Marks the experts of all but the best groups. marks: n_experts flags, all clear. */
static void shut_groups(const struct qk_moe_spec *moe, const float *bias, const float *w, bool *marks)
{
    size_t size = moe->n_groups > 1 ? moe->n_experts / moe->n_groups : 0;
    for (size_t g = 0; size > 0 && g < moe->n_groups; g++) {
        double own = rank_group(moe, bias, w, g);
        size_t better = 0;
        for (size_t other = 0; other < moe->n_groups; other++) {
            double rank = rank_group(moe, bias, w, other);
            better += rank > own || (rank == own && other < g);
        }
        for (size_t e = g * size; better >= moe->n_groups_kept && e < (g + 1) * size; e++) {
            marks[e] = true;
        }
    }
}

/* Leaves the weights of the chosen experts in w, zero for all others. chosen: 2 · n_experts flags. */
static void choose(const struct qk_moe_spec *moe, const float *bias, float *w, bool *chosen)
{
    bool *shut = chosen + moe->n_experts;
    double sum = 0;
    memset(chosen, 0, 2 * moe->n_experts * sizeof *chosen);
    shut_groups(moe, bias, w, shut);
    for (size_t k = 0; k < moe->top_k; k++) {
        size_t best = moe->n_experts;
        float best_score = 0;
        for (size_t e = 0; e < moe->n_experts; e++) {
            float s = w[e] + (bias ? bias[e] : 0);
            if (!chosen[e] && !shut[e] && (best == moe->n_experts || s > best_score)) {
                best = e;
                best_score = s;
            }
        }
        chosen[best] = true;
        sum += (double)w[best];
    }
    double factor = moe->scale / (moe->renormalise ? sum + (moe->sigmoid ? 1e-20 : 0) : 1);
    for (size_t e = 0; e < moe->n_experts; e++) {
        w[e] = chosen[e] ? (float)((double)w[e] * factor) : 0;
    }
}

struct gathered {
    float *x, *y;
    size_t *token;
};

static enum qk_code run_expert(struct qk_weights *weights, struct qk_scratch *scratch, const struct qk_moe_spec *moe,
                               size_t e, size_t n, const float *x, const float *w, const struct gathered *g, float *y,
                               struct qk_err *err)
{
    size_t d = moe->router.n_in, m = 0;
    for (size_t t = 0; t < n; t++) {
        if (w[t * moe->n_experts + e] != 0) {
            memcpy(g->x + m * d, x + t * d, d * sizeof *x);
            g->token[m++] = t;
        }
    }
    if (m == 0) {
        return QK_OK;
    }
    QK_TRY(qk_mlp_run(weights, scratch, &moe->experts[e], m, g->x, g->y, err));
    for (size_t i = 0; i < m; i++) {
        float factor = w[g->token[i] * moe->n_experts + e];
        for (size_t j = 0; j < d; j++) {
            y[g->token[i] * d + j] += factor * g->y[i * d + j];
        }
    }
    return QK_OK;
}

static enum qk_code add_shared(struct qk_weights *weights, struct qk_scratch *scratch, const struct qk_moe_spec *moe,
                               size_t n, const float *x, float *out, float *y, struct qk_err *err)
{
    size_t d = moe->router.n_in;
    float *gate = NULL;
    QK_TRY(qk_mlp_run(weights, scratch, moe->shared, n, x, out, err));
    if (moe->shared_gate.n_blocks > 0) {
        QK_TRY(qk_scratch_take(scratch, n, 1, &gate, err));
        QK_TRY(qk_weights_project(weights, &moe->shared_gate, n, x, gate, err));
        qk_activate(QK_ACT_SIGMOID, n, gate);
    }
    for (size_t i = 0; i < n * d; i++) {
        y[i] += gate ? gate[i / d] * out[i] : out[i];
    }
    return QK_OK;
}

static enum qk_code route(struct qk_weights *weights, const struct qk_moe_spec *moe, size_t n, const float *x, float *w,
                          struct qk_err *err)
{
    const float *bias = NULL;
    QK_TRY(qk_weights_project(weights, &moe->router, n, x, w, err));
    QK_TRY(qk_weights_tensor(weights, moe->choice_bias, false, &bias, err));
    bool *chosen = qk_calloc(2 * moe->n_experts, sizeof *chosen);
    if (!chosen) {
        return qk_fail_nomem(err, "router");
    }
    for (size_t t = 0; t < n; t++) {
        score(moe, w + t * moe->n_experts);
        choose(moe, bias, w + t * moe->n_experts, chosen);
    }
    qk_free(chosen);
    return QK_OK;
}

enum qk_code qk_moe_run(struct qk_weights *weights, struct qk_scratch *scratch, const struct qk_moe_spec *moe, size_t n,
                        const float *x, float *y, struct qk_err *err)
{
    size_t mark = scratch->n, d = moe->router.n_in;
    float *w = NULL;
    struct gathered g = {0};
    QK_TRY(qk_scratch_take(scratch, n, moe->n_experts, &w, err));
    QK_TRY(qk_scratch_take(scratch, n, d, &g.x, err));
    QK_TRY(qk_scratch_take(scratch, n, d, &g.y, err));
    QK_TRY(route(weights, moe, n, x, w, err));
    g.token = qk_calloc(n, sizeof *g.token);
    if (!g.token) {
        return qk_fail_nomem(err, "router");
    }
    memset(y, 0, n * d * sizeof *y);
    enum qk_code code = QK_OK;
    for (size_t e = 0; code == QK_OK && e < moe->n_experts; e++) {
        code = run_expert(weights, scratch, moe, e, n, x, w, &g, y, err);
    }
    qk_free(g.token);
    QK_TRY(code);
    if (moe->shared) {
        QK_TRY(add_shared(weights, scratch, moe, n, x, g.y, y, err));
    }
    scratch->n = mark;
    return QK_OK;
}

size_t qk_moe_floats(const struct qk_moe_spec *moe)
{
    size_t expert = qk_mlp_floats(&moe->experts[0]), shared = moe->shared ? qk_mlp_floats(moe->shared) : 0;
    return moe->n_experts + 2 * moe->router.n_in + (expert > shared ? expert : shared);
}
