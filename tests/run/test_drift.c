/* Properties of a drift run, over the metric table: ranges and states, declared invariances, threads, resuming,
 * selection, mismatched pairs, failing allocations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "analyses/metric.h"
#include "base/alloc.h"
#include "base/str.h"
#include "made_pair.h"
#include "num/blas.h"

static char work[256];
static struct made_weights base_weights, tuned_weights;

/* ---- one run ---------------------------------------------------------------------------------------------------- */

static const char *place(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", work, name);
    return path[turn];
}

static enum qk_code run_pair(const struct made_input *base, const struct made_input *tuned,
                             const struct qk_drift_options *options, size_t threads, struct qk_table **ret,
                             struct qk_err *err)
{
    struct qk_table *table;
    struct qk_pool *pool;
    QK_TRY(qk_table_new(&table, err));
    enum qk_code code = qk_pool_new(threads, &pool, err);
    if (code == QK_OK) {
        code = qk_drift_prepare(table, &base->input, &tuned->input, 1, options, err);
        if (code == QK_OK) {
            code = qk_drift_run(table, &base->input, &tuned->input, 1, options, pool, NULL, err);
        }
        qk_pool_free(pool);
    }
    if (code != QK_OK) {
        qk_table_free(table);
        return code;
    }
    *ret = table;
    return QK_OK;
}

/* Writes both, runs, and gives the table. */
static struct qk_table *drift(const struct made_weights *a, const struct made_weights *b, size_t threads)
{
    struct made_input base, tuned;
    struct qk_table *table = NULL;
    struct qk_err err = {0};
    const struct qk_drift_options options = {0};
    assert_true(made_write(a, place("base")) && made_write(b, place("tuned")));
    made_open(&base, place("base"), "base");
    made_open(&tuned, place("tuned"), "tuned");
    if (run_pair(&base, &tuned, &options, threads, &table, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    made_close(&base);
    made_close(&tuned);
    return table;
}

static const struct qk_node *node_of(const struct qk_table *table, const char *metric, const char *suffix)
{
    char path[256];
    snprintf(path, sizeof(path), "/drift/tuned/%s%s", metric, suffix);
    const struct qk_node *node = qk_table_find(table, path);
    if (node == NULL) {
        fail_msg("no %s", path);
    }
    return node;
}

static void fresh(enum made_family family, double size)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, 7 + (uint64_t)family);
    made_fill(&base_weights, family, &rng);
    tuned_weights = base_weights;
    made_move(&tuned_weights, size, &rng);
}

/* ---- ranges and states ------------------------------------------------------------------------------------------ */

static void check_cell(const struct qk_metric *m, const struct qk_node *values, size_t cell, size_t width,
                       enum qk_state state)
{
    bool defined = state == QK_STATE_DEFINED, any = false;
    for (size_t i = cell * width; i < (cell + 1) * width; i++) {
        if (values->type == QK_TYPE_U8) {
            any = values->v.u8[i] != QK_FLAG_MISSING;
            assert_true(!any || (values->v.u8[i] >= m->lo && values->v.u8[i] <= m->hi));
            continue;
        }
        double value = values->v.f64[i];
        any = any || !isnan(value);
        if (!isnan(value) && !(value >= m->lo && value <= m->hi)) {
            fail_msg("%s: cell %zu: %g is outside [%g, %g]", m->name, cell, value, m->lo, m->hi);
        }
    }
    if (defined != any && values->type == QK_TYPE_F64) {
        fail_msg("%s: cell %zu: state %s does not fit the value", m->name, cell, qk_state_name(state));
    }
}

static void check_table(const struct qk_table *table)
{
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        const struct qk_node *values = node_of(table, m->name, ""), *state = node_of(table, m->name, "_state");
        assert_int_equal(values->n_values % state->n_values, 0);
        for (size_t cell = 0; cell < state->n_values; cell++) {
            assert_true(state->v.u8[cell] < QK_N_STATES);
            check_cell(m, values, cell, values->n_values / state->n_values, (enum qk_state)state->v.u8[cell]);
        }
        const char *const attrs[] = {"title", "units", "long_name", "definition"};
        for (size_t a = 0; a < 4; a++) {
            assert_non_null(qk_node_attr_get_str(values, attrs[a]));
            assert_non_null(qk_node_attr_get_str(state, attrs[a]));
        }
    }
}

static void every_row_is_complete(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        assert_ptr_equal(qk_metric_find(m->group, m->name), m);
        assert_true(m->lo < m->hi && m->value != NULL && m->needs != 0);
        const char *const texts[] = {m->name, m->title, m->units, m->definition, m->meaning, m->source, m->dims[0]};
        for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
            assert_true(texts[t] != NULL && texts[t][0] != '\0' && qk_name_is_clean(texts[t]));
        }
    }
}

static void values_keep_to_ranges_and_states(void **unused)
{
    (void)unused;
    static const double sizes[] = {0.0, 1e-12, 1e-6, 0.05, 3.0};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (int family = MADE_SMOLLM3; family <= MADE_QWEN3; family++) {
            fresh((enum made_family)family, sizes[s]);
            struct qk_table *table = drift(&base_weights, &tuned_weights, 1);
            check_table(table);
            qk_table_free(table);
        }
    }
}

static void bad_heads_touch_nobody_else(void **unused)
{
    (void)unused;
    fresh(MADE_QWEN3, 0.05);
    struct qk_table *clean = drift(&base_weights, &tuned_weights, 1);
    tuned_weights.q[0][1 * MADE_K + 2][3] = NAN;
    base_weights.k[1][0][0] = INFINITY;
    memset(base_weights.q[2], 0, MADE_K * sizeof(base_weights.q[2][0]));
    struct qk_table *table = drift(&base_weights, &tuned_weights, 1);
    check_table(table);
    const struct qk_node *q = node_of(table, "q_rel_drift", "_state"), *k = node_of(table, "k_rel_drift", "_state");
    const struct qk_node *qk = node_of(table, "qk_rel_drift", "_state");
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        for (size_t h = 0; h < MADE_HEADS; h++) {
            bool bad_q = (l == 0 && h == 1) || (l == 2 && h == 0), bad_k = l == 1 && h < 2;
            assert_int_equal(q->v.u8[l * MADE_HEADS + h], bad_q ? QK_STATE_UNDEFINED : QK_STATE_DEFINED);
            assert_int_equal(qk->v.u8[l * MADE_HEADS + h], bad_q || bad_k ? QK_STATE_UNDEFINED : QK_STATE_DEFINED);
            double before = node_of(clean, "qk_rel_drift", "")->v.f64[l * MADE_HEADS + h];
            double after = node_of(table, "qk_rel_drift", "")->v.f64[l * MADE_HEADS + h];
            assert_true(bad_q || bad_k ? isnan(after) : before == after);
        }
    }
    assert_int_equal(k->v.u8[1 * MADE_KV], QK_STATE_UNDEFINED);
    assert_int_equal(k->v.u8[1 * MADE_KV + 1], QK_STATE_DEFINED);
    qk_table_free(clean);
    qk_table_free(table);
}

/* ---- invariances ------------------------------------------------------------------------------------------------ */

/* rows := m · rows, n rows of MADE_D. */
static void multiply(const double *m, size_t n, double (*rows)[MADE_D])
{
    for (size_t c = 0; c < MADE_D; c++) {
        double column[MADE_K] = {0};
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                column[i] += m[i * n + j] * rows[j][c];
            }
        }
        for (size_t i = 0; i < n; i++) {
            rows[i][c] = column[i];
        }
    }
}

/* A well-conditioned (n, n) matrix g and its inverse transpose: products of shears and scalings. */
static void gauge(struct qk_rng *rng, size_t n, double *g, double *inverse_t)
{
    for (size_t i = 0; i < n * n; i++) {
        g[i] = inverse_t[i] = i % (n + 1) == 0 ? 1.0 : 0.0;
    }
    for (size_t step = 0; step < 3 * n; step++) {
        size_t a = (size_t)qk_rng_below(rng, n), b = (size_t)qk_rng_below(rng, n);
        double s = 0.3 * qk_rng_normal(rng);
        for (size_t c = 0; c < n && a != b; c++) {
            g[a * n + c] += s * g[b * n + c];
            inverse_t[b * n + c] -= s * inverse_t[a * n + c];
        }
    }
}

/* A random orthogonal matrix: Givens rotations. */
static void rotation(struct qk_rng *rng, double *r)
{
    for (size_t i = 0; i < MADE_K * MADE_K; i++) {
        r[i] = i % (MADE_K + 1) == 0 ? 1.0 : 0.0;
    }
    for (size_t a = 0; a < MADE_K; a++) {
        for (size_t b = a + 1; b < MADE_K; b++) {
            double angle = 6.0 * qk_rng_uniform(rng), c = cos(angle), s = sin(angle);
            for (size_t i = 0; i < MADE_K; i++) {
                double x = r[a * MADE_K + i], y = r[b * MADE_K + i];
                r[a * MADE_K + i] = c * x - s * y;
                r[b * MADE_K + i] = s * x + c * y;
            }
        }
    }
}

/* q_m on the query heads of group g in layer l, k_m on its key head. */
static void apply(struct made_weights *w, size_t l, size_t g, const double *q_m, const double *k_m)
{
    size_t group = MADE_HEADS / MADE_KV;
    for (size_t h = g * group; h < (g + 1) * group; h++) {
        multiply(q_m, MADE_K, &w->q[l][h * MADE_K]);
    }
    multiply(k_m, MADE_K, &w->k[l][g * MADE_K]);
}

static void move_gl_k(struct qk_rng *rng, size_t l)
{
    double m[MADE_K * MADE_K], inverse_t[MADE_K * MADE_K];
    for (size_t g = 0; g < MADE_KV; g++) {
        gauge(rng, MADE_K, m, inverse_t);
        apply(&tuned_weights, l, g, m, inverse_t);
    }
}

/* One complex scalar per frequency pair (p, p + K/2), its inverse conjugate on K: as real matrices, M and M⁻ᵀ. */
static void move_rope_scalar(struct qk_rng *rng, size_t l)
{
    for (size_t g = 0; g < MADE_KV; g++) {
        double m[MADE_K * MADE_K] = {0}, inverse_t[MADE_K * MADE_K] = {0};
        for (size_t p = 0; p < MADE_K / 2; p++) {
            size_t i = p, j = p + MADE_K / 2;
            double re = 0.5 + qk_rng_uniform(rng), im = qk_rng_normal(rng), n = re * re + im * im;
            m[i * MADE_K + i] = m[j * MADE_K + j] = re;
            m[i * MADE_K + j] = -im;
            m[j * MADE_K + i] = im;
            inverse_t[i * MADE_K + i] = inverse_t[j * MADE_K + j] = re / n;
            inverse_t[i * MADE_K + j] = -im / n;
            inverse_t[j * MADE_K + i] = im / n;
        }
        apply(&tuned_weights, l, g, m, inverse_t);
    }
}

static void move_norm_scale(struct qk_rng *rng, size_t l)
{
    for (size_t h = 0; h < MADE_HEADS + MADE_KV; h++) {
        double f = 0.2 + 3.0 * qk_rng_uniform(rng);
        double(*rows)[MADE_D] =
            h < MADE_HEADS ? &tuned_weights.q[l][h * MADE_K] : &tuned_weights.k[l][(h - MADE_HEADS) * MADE_K];
        for (size_t i = 0; i < MADE_K; i++) {
            for (size_t c = 0; c < MADE_D; c++) {
                rows[i][c] *= f;
            }
        }
    }
}

static void move_symmetric(struct qk_rng *rng, size_t l)
{
    (void)rng;
    if (l == 0) {
        struct made_weights keep = base_weights;
        base_weights = tuned_weights;
        tuned_weights = keep;
    }
}

static void move_basis(struct qk_rng *rng, size_t l)
{
    double r[MADE_K * MADE_K];
    for (size_t g = 0; g < MADE_KV; g++) {
        rotation(rng, r);
        apply(&base_weights, l, g, r, r);
        apply(&tuned_weights, l, g, r, r);
    }
}

static void move_common_scale(struct qk_rng *rng, size_t l)
{
    (void)rng;
    struct made_weights *const both[] = {&base_weights, &tuned_weights};
    size_t n = (sizeof(base_weights) - offsetof(struct made_weights, q)) / sizeof(double);
    for (size_t s = 0; s < 2 && l == 0; s++) {
        double *x = (double *)(void *)both[s]->q;
        for (size_t i = 0; i < n; i++) {
            x[i] *= 3.1;
        }
    }
}

static const struct {
    unsigned bit;
    const char *name;
    void (*move)(struct qk_rng *rng, size_t layer);
    unsigned families; /* bits of made_family where the move is one */
    unsigned layers;   /* bits of SmolLM3's layers: 1 does not rotate; Qwen3: all */
} moves[] = {
    {QK_INV_GL_K, "GL(K)", move_gl_k, 1u << MADE_SMOLLM3, 2},
    {QK_INV_ROPE_SCALAR, "complex scalars", move_rope_scalar, 1u << MADE_SMOLLM3, 5},
    {QK_INV_NORM_SCALE, "norm scale", move_norm_scale, 1u << MADE_QWEN3, 7},
    {QK_INV_SYMMETRIC, "swap", move_symmetric, 3, 7},
    {QK_INV_BASIS, "basis", move_basis, 3, 7},
    {QK_INV_COMMON_SCALE, "common scale", move_common_scale, 3, 7},
};

/* What double precision leaves of an invariant: forms to 1e-9 of the value plus rounding of the moved heads; angles and
 * residuals, whose squares are differences, to its square root. */
static double tolerance(const struct qk_metric *m, double value)
{
    bool root = (m->needs & (QK_NEED_ANGLES | QK_NEED_PROCRUSTES)) != 0;
    return root ? 1e-7 : 1e-9 * fabs(value) + 3e-14;
}

/* The same layers' values of m in both tables. */
static size_t compare_metric(const struct qk_metric *m, const char *move, unsigned layers, const struct qk_table *a,
                             const struct qk_table *b)
{
    const struct qk_node *x = node_of(a, m->name, ""), *y = node_of(b, m->name, "");
    size_t per_row = x->n_values / x->shape[0], n = 0;
    bool by_layer = qk_streq(m->dims[0], "layer");
    for (size_t i = 0; i < x->n_values && x->type == QK_TYPE_F64; i++) {
        if (by_layer && (layers & (1u << (i / per_row))) == 0) {
            continue;
        }
        double u = x->v.f64[i], v = y->v.f64[i];
        if (isnan(u) != isnan(v) || fabs(u - v) > tolerance(m, u)) {
            fail_msg("%s under %s: [%zu] %.17g became %.17g", m->name, move, i, u, v);
        }
        n += !isnan(u);
    }
    return n;
}

static void declared_invariances_hold(void **unused)
{
    (void)unused;
    static const double sizes[] = {1e-6, 0.05, 0.8};
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        size_t compared = 0;
        for (size_t s = 0; s < 6; s++) {
            enum made_family family = (enum made_family)(s % 2);
            if ((moves[i].families & (1u << (unsigned)family)) == 0) {
                continue;
            }
            struct qk_rng rng;
            qk_rng_seed(&rng, 100 + i);
            fresh(family, sizes[s / 2]);
            struct qk_table *before = drift(&base_weights, &tuned_weights, 1);
            for (size_t l = 0; l < MADE_LAYERS; l++) {
                if ((moves[i].layers & (1u << l)) != 0) {
                    moves[i].move(&rng, l);
                }
            }
            struct qk_table *after = drift(&base_weights, &tuned_weights, 1);
            for (size_t m = 0; m < qk_metric_count(); m++) {
                if ((qk_metric_at(m)->invariances & moves[i].bit) != 0) {
                    compared += compare_metric(qk_metric_at(m), moves[i].name, moves[i].layers, before, after);
                }
            }
            check_table(after);
            qk_table_free(before);
            qk_table_free(after);
        }
        assert_true(compared > 20);
    }
}

/* A gauge move of an unchanged layer leaves the form where it was to the last digits, however far the heads went. */
static void pure_gauge_moves_are_no_drift(void **unused)
{
    (void)unused;
    for (int family = MADE_SMOLLM3; family <= MADE_QWEN3; family++) {
        struct qk_rng rng;
        qk_rng_seed(&rng, 5);
        fresh((enum made_family)family, 0.0);
        if (family == MADE_SMOLLM3) {
            move_rope_scalar(&rng, 0);
            move_gl_k(&rng, 1);
        } else {
            move_norm_scale(&rng, 0);
            move_norm_scale(&rng, 1);
        }
        struct qk_table *table = drift(&base_weights, &tuned_weights, 1);
        const char *const metrics[] = {"qk_eff_rel_drift", "qk_rel_drift", "qk_distance_drift", "qk_band_drift"};
        for (size_t m = 0; m < (family == MADE_SMOLLM3 ? 4u : 1u); m++) {
            const struct qk_node *node = node_of(table, metrics[m], "");
            for (size_t i = 0; i < node->n_values; i++) {
                assert_true(isnan(node->v.f64[i]) || node->v.f64[i] < 1e-13);
            }
        }
        const double *moved = node_of(table, "q_rel_drift", "")->v.f64;
        assert_true(fmax(moved[0], moved[2]) > 0.1);
        qk_table_free(table);
    }
}

/* ---- threads, resuming, selection ------------------------------------------------------------------------------- */

static void assert_same_tables(const struct qk_table *a, const struct qk_table *b)
{
    static const size_t sizes[] = {
        [QK_TYPE_F64] = sizeof(double), [QK_TYPE_I64] = sizeof(int64_t), [QK_TYPE_U8] = sizeof(uint8_t)};
    assert_int_equal(a->n_nodes, b->n_nodes);
    for (size_t i = 0; i < a->n_nodes; i++) {
        const struct qk_node *x = a->nodes[i], *y = b->nodes[i];
        assert_string_equal(x->path, y->path);
        assert_int_equal(x->n_attrs, y->n_attrs);
        if (!x->is_group && x->type != QK_TYPE_STR) {
            assert_int_equal(x->n_values, y->n_values);
            if (memcmp(x->v.p, y->v.p, x->n_values * sizes[x->type]) != 0) {
                fail_msg("%s differs", x->path);
            }
        }
        const struct qk_attr *p = qk_node_attr(x, "layers"), *q = qk_node_attr(y, "layers");
        if (p != NULL) {
            assert_int_equal(p->n, q->n);
            assert_memory_equal(p->v.i64, q->v.i64, p->n * sizeof(int64_t));
        }
    }
}

static void threads_change_nothing(void **unused)
{
    (void)unused;
    for (int family = MADE_SMOLLM3; family <= MADE_QWEN3; family++) {
        struct qk_rng rng;
        qk_rng_seed(&rng, 9);
        fresh((enum made_family)family, 0.01);
        move_gl_k(&rng, 1);
        move_basis(&rng, 2);
        struct qk_table *one = drift(&base_weights, &tuned_weights, 1);
        for (size_t threads = 2; threads <= 8; threads *= 2) {
            struct qk_table *many = drift(&base_weights, &tuned_weights, threads);
            assert_same_tables(one, many);
            qk_table_free(many);
        }
        qk_table_free(one);
    }
}

static enum qk_code stop_after(void *ctx, const struct qk_table *table, size_t tuned, size_t layer, struct qk_err *err)
{
    (void)table;
    (void)tuned;
    return layer == *(size_t *)ctx ? qk_fail(err, QK_EINTERRUPTED, "stopped") : QK_OK;
}

static void an_interrupted_run_continues(void **unused)
{
    (void)unused;
    fresh(MADE_QWEN3, 0.05);
    struct qk_table *whole = drift(&base_weights, &tuned_weights, 2), *partial, *table;
    struct made_input base, tuned;
    struct qk_pool *pool;
    struct qk_err err = {0};
    made_open(&base, place("base"), "base");
    made_open(&tuned, place("tuned"), "tuned");
    assert_int_equal(qk_pool_new(2, &pool, &err), QK_OK);
    for (size_t stop = 0; stop < MADE_LAYERS; stop++) {
        bool done[MADE_LAYERS] = {false};
        struct qk_drift_options options = {.on_layer = stop_after, .on_layer_ctx = &stop};
        assert_int_equal(qk_table_new(&partial, &err), QK_OK);
        assert_int_equal(qk_drift_prepare(partial, &base.input, &tuned.input, 1, &options, &err), QK_OK);
        assert_int_equal(qk_drift_run(partial, &base.input, &tuned.input, 1, &options, pool, NULL, &err),
                         QK_EINTERRUPTED);
        options = (struct qk_drift_options){.done = done};
        assert_int_equal(qk_table_new(&table, &err), QK_OK);
        assert_int_equal(qk_drift_prepare(table, &base.input, &tuned.input, 1, &options, &err), QK_OK);
        assert_int_equal(qk_drift_resume(table, partial, &tuned.input, 1, MADE_LAYERS, done, &err), QK_OK);
        for (size_t l = 0; l < MADE_LAYERS; l++) {
            assert_int_equal(done[l], l <= stop);
        }
        assert_int_equal(qk_drift_run(table, &base.input, &tuned.input, 1, &options, pool, NULL, &err), QK_OK);
        assert_same_tables(whole, table);
        qk_table_free(table);
        options = (struct qk_drift_options){.kinds = 1u << QK_LAYER_FULL};
        assert_int_equal(qk_table_new(&table, &err), QK_OK);
        const char *const metrics[] = {"q_*"};
        options.metrics = metrics;
        options.n_metrics = 1;
        assert_int_equal(qk_drift_prepare(table, &base.input, &tuned.input, 1, &options, &err), QK_OK);
        assert_int_equal(qk_drift_resume(table, partial, &tuned.input, 1, MADE_LAYERS, done, &err), QK_EMISMATCH);
        qk_table_free(table);
        qk_table_free(partial);
    }
    qk_pool_free(pool);
    made_close(&base);
    made_close(&tuned);
    qk_table_free(whole);
}

static void a_selection_has_the_values_of_the_whole(void **unused)
{
    (void)unused;
    fresh(MADE_SMOLLM3, 0.05);
    struct qk_table *whole = drift(&base_weights, &tuned_weights, 1), *part;
    struct made_input base, tuned;
    struct qk_err err = {0};
    made_open(&base, place("base"), "base");
    made_open(&tuned, place("tuned"), "tuned");
    const bool layers[MADE_LAYERS] = {false, true, false};
    for (size_t m = 0; m < qk_metric_count(); m++) {
        const struct qk_metric *metric = qk_metric_at(m);
        const char *const names[] = {metric->name};
        const struct qk_drift_options options = {.layers = layers, .metrics = names, .n_metrics = 1};
        assert_int_equal(run_pair(&base, &tuned, &options, 1, &part, &err), QK_OK);
        const struct qk_node *x = node_of(whole, metric->name, ""), *y = node_of(part, metric->name, "");
        const struct qk_node *state = node_of(part, metric->name, "_state");
        size_t size = x->type == QK_TYPE_U8 ? 1 : sizeof(double), row = x->n_values / x->shape[0] * size;
        if (qk_streq(metric->dims[0], "layer")) {
            assert_memory_equal((const char *)x->v.p + row, (const char *)y->v.p + row, row);
            assert_int_equal(state->v.u8[0], QK_STATE_NOT_COMPUTED);
        } else {
            assert_memory_equal(x->v.p, y->v.p, x->n_values * size);
        }
        assert_null(qk_table_find(part, m == 0 ? "/drift/tuned/q_cosine" : "/drift/tuned/q_norm_base"));
        qk_table_free(part);
    }
    const char *const unknown[] = {"q_rel_drfit"};
    const struct qk_drift_options options = {.metrics = unknown, .n_metrics = 1};
    assert_int_equal(run_pair(&base, &tuned, &options, 1, &part, &err), QK_EUSAGE);
    assert_non_null(strstr(err.hint, "q_rel_drift"));
    made_close(&base);
    made_close(&tuned);
    qk_table_free(whole);
}

/* ---- mismatch, memory ------------------------------------------------------------------------------------------- */

static void other_models_are_refused(void **unused)
{
    (void)unused;
    struct made_input base, tuned;
    struct qk_err err = {0};
    fresh(MADE_QWEN3, 0.05);
    assert_true(made_write(&base_weights, place("base")) && made_write(&tuned_weights, place("tuned")));
    made_open(&base, place("base"), "base");
    made_open(&tuned, place("tuned"), "tuned");
    assert_int_equal(qk_run_check_pair(&base.input, &tuned.input, NULL, &err), QK_OK);
    made_close(&tuned);
    tuned_weights.family = MADE_SMOLLM3;
    assert_true(made_write(&tuned_weights, place("tuned")));
    made_open(&tuned, place("tuned"), "tuned");
    assert_int_equal(qk_run_check_pair(&base.input, &tuned.input, NULL, &err), QK_EMISMATCH);
    assert_non_null(strstr(err.text, "model_type: expected qwen3, found smollm3"));
    assert_non_null(strstr(err.text, "more"));
    made_close(&base);
    made_close(&tuned);
}

static void every_failing_allocation_is_reported(void **unused)
{
    (void)unused;
    fresh(MADE_QWEN3, 0.05);
    struct made_input base, tuned;
    struct qk_rng rng;
    qk_rng_seed(&rng, 1);
    move_basis(&rng, 0);
    move_norm_scale(&rng, 1);
    assert_true(made_write(&base_weights, place("base")) && made_write(&tuned_weights, place("tuned")));
    made_open(&base, place("base"), "base");
    made_open(&tuned, place("tuned"), "tuned");
    const char *const metrics[] = {"q_procrustes", "qk_*", "*module*", "q_principal_angles"};
    const struct qk_drift_options options = {.metrics = metrics, .n_metrics = 4};
    enum qk_code code = QK_ENOMEM;
    size_t k = 0;
    while (code != QK_OK && k < 100000) {
        struct qk_table *table = NULL;
        struct qk_err err = {0};
        qk_alloc_fail_after(++k);
        code = run_pair(&base, &tuned, &options, 1, &table, &err);
        qk_alloc_fail_after(0);
        if (code != QK_OK && code != QK_ENOMEM) {
            fail_msg("allocation %zu: code %d: %s", k, (int)code, err.text);
        }
        qk_table_free(table);
    }
    assert_true(code == QK_OK && k > 20);
    made_close(&base);
    made_close(&tuned);
}

static int set_up(void **unused)
{
    (void)unused;
    const char *tmp = getenv("TMPDIR");
    snprintf(work, sizeof(work), "%s/qk_drift_XXXXXX", tmp == NULL ? "/tmp" : tmp);
    qk_blas_init();
    return mkdtemp(work) == NULL;
}

static int tear_down(void **unused)
{
    (void)unused;
    const char *const files[] = {"base/config.json", "base/model.safetensors", "tuned/config.json",
                                 "tuned/model.safetensors"};
    for (size_t i = 0; i < 4; i++) {
        unlink(place(files[i]));
    }
    rmdir(place("base"));
    rmdir(place("tuned"));
    return rmdir(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),         cmocka_unit_test(values_keep_to_ranges_and_states),
        cmocka_unit_test(bad_heads_touch_nobody_else),   cmocka_unit_test(declared_invariances_hold),
        cmocka_unit_test(pure_gauge_moves_are_no_drift), cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(an_interrupted_run_continues),  cmocka_unit_test(a_selection_has_the_values_of_the_whole),
        cmocka_unit_test(other_models_are_refused),      cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
