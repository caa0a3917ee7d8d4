/* Routing loss on sums whose losses are known by hand, and its intervals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyses/attention_distance.h"
#include "analyses/drift.h"
#include "analyses/metric.h"
#include "analyses/routing_loss.h"
#include "base/rng.h"
#include "num/stats.h"

enum { N = 6, BINS = 9, WINDOWS = 2 };

struct head {
    double scalar[N][QK_N_DISTANCE_SUMS], bins[N][BINS], tail[N][WINDOWS];
};

static void assert_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("expected %.17g, found %.17g", expected, found);
    }
}

static struct qk_head_sums sums_of(const struct head *h)
{
    return (struct qk_head_sums){h->scalar[0], h->bins[0], h->tail[0], QK_N_DISTANCE_SUMS, BINS, WINDOWS};
}

/* Ten queries per sequence, all mass in one bin, tail as given per query. */
static void fill(struct head *h, size_t bin, double log_distance, double tail0, double tail1)
{
    memset(h, 0, sizeof(*h));
    for (size_t i = 0; i < N; i++) {
        h->scalar[i][QK_SUM_QUERIES] = 10.0;
        h->scalar[i][QK_SUM_LOG_DISTANCE] = 10.0 * log_distance;
        h->bins[i][bin] = 10.0;
        h->tail[i][0] = 10.0 * tail0;
        h->tail[i][1] = 10.0 * tail1;
    }
}

static void measure(const struct head *base, const struct head *tuned, size_t n, struct qk_routing_loss *ret)
{
    struct qk_head_sums b = sums_of(base), t = sums_of(tuned);
    uint32_t *counts = calloc((size_t)QK_BOOTSTRAP_RESAMPLES * N, sizeof(*counts));
    double *work = calloc(qk_routing_loss_work(n, BINS, WINDOWS), sizeof(*work));
    assert_true(counts != NULL && work != NULL);
    qk_bootstrap_counts(QK_BOOTSTRAP_SEED, QK_BOOTSTRAP_RESAMPLES, n, counts);
    qk_routing_loss_of(&b, &t, n, BINS, WINDOWS, counts, work, ret);
    free(counts);
    free(work);
}

static void test_known_losses(void **state)
{
    (void)state;
    struct head base, tuned;
    struct qk_routing_loss loss;
    fill(&base, 7, 6.5, 0.5, 0.02);
    fill(&tuned, 4, 3.5, 0.1, 0.005);
    measure(&base, &tuned, N, &loss);
    assert_near(loss.tail_window, 128.0, 0.0);
    assert_near(loss.value[QK_LOSS_TAIL], 0.75, 1e-12);
    assert_near(loss.value[QK_LOSS_SHIFT], -3.0, 1e-12);
    assert_near(loss.value[QK_LOSS_EMD], 3.0, 1e-12);
    for (size_t k = 0; k < QK_N_LOSSES; k++) {
        /* probes that are all alike leave no doubt */
        assert_near(loss.lo[k], loss.value[k], 1e-12);
        assert_near(loss.hi[k], loss.value[k], 1e-12);
    }
    fill(&base, 7, 6.5, 0.5, 0.009);
    measure(&base, &tuned, N, &loss);
    assert_near(loss.tail_window, 64.0, 0.0);
    assert_near(loss.value[QK_LOSS_TAIL], 0.8, 1e-12);
    measure(&base, &base, N, &loss);
    for (size_t k = 0; k < QK_N_LOSSES; k++) {
        assert_near(loss.value[k], 0.0, 0.0);
    }
}

static void test_absent(void **state)
{
    (void)state;
    struct head base, tuned;
    struct qk_routing_loss loss;
    double value;
    struct qk_drift_unit unit = {.loss = &loss};
    fill(&base, 3, 2.0, 0.001, 0.0);
    fill(&tuned, 3, 2.0, 0.001, 0.0);
    measure(&base, &tuned, N, &loss);
    assert_int_equal(qk_metric_find("routing", "tail_loss")->value(&unit, &value), QK_STATE_NOT_APPLICABLE);
    assert_int_equal(qk_metric_find("routing", "tail_loss_lo")->value(&unit, &value), QK_STATE_NOT_APPLICABLE);
    assert_int_equal(qk_metric_find("routing", "emd")->value(&unit, &value), QK_STATE_DEFINED);
    measure(&base, &tuned, 1, &loss);
    assert_int_equal(qk_metric_find("routing", "emd")->value(&unit, &value), QK_STATE_DEFINED);
    assert_int_equal(qk_metric_find("routing", "emd_hi")->value(&unit, &value), QK_STATE_NOT_APPLICABLE);
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < QK_N_DISTANCE_SUMS; k++) {
            tuned.scalar[i][k] = NAN;
        }
    }
    measure(&base, &tuned, N, &loss);
    assert_int_equal(qk_metric_find("routing", "emd")->value(&unit, &value), QK_STATE_NOT_APPLICABLE);
}

/* Random sums: the interval holds the value and narrows around it; the same twice. */
static void test_interval(void **state)
{
    (void)state;
    struct head base, tuned;
    struct qk_rng rng;
    qk_rng_seed(&rng, 5);
    for (size_t trial = 0; trial < 20; trial++) {
        fill(&base, 7, 6.0, 0.5, 0.1);
        fill(&tuned, 6, 5.0, 0.3, 0.05);
        for (size_t i = 0; i < N; i++) {
            for (size_t b = 0; b < BINS; b++) {
                base.bins[i][b] = qk_rng_uniform(&rng);
                tuned.bins[i][b] = qk_rng_uniform(&rng);
            }
            tuned.scalar[i][QK_SUM_LOG_DISTANCE] += qk_rng_normal(&rng);
            tuned.tail[i][1] += 0.2 * qk_rng_uniform(&rng);
        }
        struct qk_routing_loss loss, again;
        measure(&base, &tuned, N, &loss);
        measure(&base, &tuned, N, &again);
        assert_memory_equal(&loss, &again, sizeof(loss));
        for (size_t k = 0; k < QK_N_LOSSES; k++) {
            assert_true(loss.lo[k] < loss.hi[k]);
        }
        assert_true(loss.lo[QK_LOSS_SHIFT] <= loss.value[QK_LOSS_SHIFT]);
        assert_true(loss.value[QK_LOSS_SHIFT] <= loss.hi[QK_LOSS_SHIFT]);
        assert_true(loss.lo[QK_LOSS_TAIL] <= loss.value[QK_LOSS_TAIL]);
        assert_true(loss.value[QK_LOSS_TAIL] <= loss.hi[QK_LOSS_TAIL]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_losses),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
