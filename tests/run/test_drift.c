/* Properties of a drift run, over the metric table: ranges and states, threads, resuming, selection, mismatched pairs,
 * failing allocations. */
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
#include "gauge_moves.h"
#include "made_run.h"

/* ---- ranges and states ------------------------------------------------------------------------------------------ */

static void every_row_is_complete(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        assert_ptr_equal(qk_metric_find(m->group, m->name), m);
        assert_true(m->lo < m->hi && m->value != NULL && (m->needs != 0 || !is_drift(m)));
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
        if (!is_drift(metric)) {
            continue;
        }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),        cmocka_unit_test(values_keep_to_ranges_and_states),
        cmocka_unit_test(bad_heads_touch_nobody_else),  cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(an_interrupted_run_continues), cmocka_unit_test(a_selection_has_the_values_of_the_whole),
        cmocka_unit_test(other_models_are_refused),     cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
