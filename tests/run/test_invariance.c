/* The invariances that metric rows declare, each tried by moving weights in memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/str.h"
#include "gauge_moves.h"
#include "made_run.h"

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
                if (is_drift(qk_metric_at(m)) && (qk_metric_at(m)->invariances & moves[i].bit) != 0) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(declared_invariances_hold),
        cmocka_unit_test(pure_gauge_moves_are_no_drift),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
