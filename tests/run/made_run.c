/* Runs of drift on made checkpoints. */
#include "made_run.h"

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
#include "num/blas.h"

static char work[256];
struct made_weights base_weights, tuned_weights;

const char *place(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", work, name);
    return path[turn];
}

enum qk_code run_pair(const struct made_input *base, const struct made_input *tuned,
                      const struct qk_drift_options *options, size_t threads, struct qk_table **ret, struct qk_err *err)
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
struct qk_table *drift(const struct made_weights *a, const struct made_weights *b, size_t threads)
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

const struct qk_node *node_of(const struct qk_table *table, const char *metric, const char *suffix)
{
    char path[256];
    snprintf(path, sizeof(path), "/drift/tuned/%s%s", metric, suffix);
    const struct qk_node *node = qk_table_find(table, path);
    if (node == NULL) {
        fail_msg("no %s", path);
    }
    return node;
}

void fresh(enum made_family family, double size)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, 7 + (uint64_t)family);
    made_fill(&base_weights, family, &rng);
    tuned_weights = base_weights;
    made_move(&tuned_weights, size, &rng);
}

bool is_drift(const struct qk_metric *metric)
{
    return qk_streq(metric->group, "drift");
}

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

void check_table(const struct qk_table *table)
{
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        if (!is_drift(m)) {
            continue;
        }
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

int set_up(void **unused)
{
    (void)unused;
    const char *tmp = getenv("TMPDIR");
    snprintf(work, sizeof(work), "%s/qk_drift_XXXXXX", tmp == NULL ? "/tmp" : tmp);
    qk_blas_init();
    return mkdtemp(work) == NULL;
}

int tear_down(void **unused)
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
