/* Alignments: what is refused, what is known without arithmetic, tiles, notices. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "num/blas.h"
#include "repair/align.h"

enum { K = 8, D = 1100 };

struct matrices {
    double w0[K * D], w1[K * D], key0[K * D], result[K * D], other[K * D];
};

static struct matrices *made(void)
{
    struct matrices *m = calloc(1, sizeof *m);
    assert_non_null(m);
    uint64_t state = 88172645463325252u;
    double *fill[] = {m->w0, m->w1, m->key0};
    for (size_t i = 0; i < 3 * K * D; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        fill[i % 3][i / 3] = (double)(state >> 11) * 0x1p-53 - 0.5;
    }
    return m;
}

static double *memory_of(size_t k)
{
    size_t n = qk_align_size(k, QK_ALIGN_TILE);
    assert_true(n > 0);
    double *memory = qk_alloc_aligned(n, sizeof *memory);
    assert_non_null(memory);
    /* init must not rely on zeroes */
    memset(memory, 0xEE, n * sizeof *memory);
    return memory;
}

static const struct qk_position rope = {.kind = QK_POSITION_ROPE, .first = 0, .rotary_dim = K};
static const struct qk_position partial = {.kind = QK_POSITION_ROPE, .first = 2, .rotary_dim = 4, .interleaved = true};

static const struct qk_align_rule input = {
    .action = QK_PLAN_ALIGN, .method = QK_PLAN_QK_PRO, .side = QK_PLAN_SIDE_INPUT, .lambda = 0.01};
static const struct qk_align_rule head = {
    .action = QK_PLAN_ALIGN, .method = QK_PLAN_QK_PRO, .side = QK_PLAN_SIDE_HEAD, .lambda = 0.01};
static const struct qk_align_rule head_strong = {
    .action = QK_PLAN_ALIGN, .method = QK_PLAN_QK_PRO, .side = QK_PLAN_SIDE_HEAD, .lambda = 30};
static const struct qk_align_rule rotate = {.action = QK_PLAN_ALIGN, .method = QK_PLAN_ROTATE};
static const struct qk_align_rule rotate_rope = {.action = QK_PLAN_ALIGN, .method = QK_PLAN_ROTATE, .position = &rope};
static const struct qk_align_rule rotate_partial = {
    .action = QK_PLAN_ALIGN, .method = QK_PLAN_ROTATE, .position = &partial};
static const struct qk_align_rule blend = {.action = QK_PLAN_BLEND, .alpha = 0.3};

static const struct qk_align_rule *const fitted[] = {&input,       &head,           &head_strong, &rotate,
                                                     &rotate_rope, &rotate_partial, &blend};
enum { N_FITTED = sizeof fitted / sizeof fitted[0] };

static enum qk_code whole(const struct qk_align_rule *rule, const struct matrices *m, double *dst, bool has_bias,
                          struct qk_err *err)
{
    double *memory = memory_of(K);
    struct qk_align a;
    enum qk_code code = qk_align_matrix(&a, rule, K, D, has_bias, m->w0, m->w1, m->key0, D, dst, memory, err);
    qk_free(memory);
    return code;
}

static void nan_and_inf_are_refused(void **state)
{
    (void)state;
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e200};
    static const size_t places[] = {0, 5 * D + 517, K * D - 1};
    struct matrices *m = made();
    double *const matrix[] = {m->w0, m->w1, m->key0};
    for (size_t r = 0; r < N_FITTED; r++) {
        bool pro = fitted[r]->action == QK_PLAN_ALIGN && fitted[r]->method == QK_PLAN_QK_PRO;
        for (size_t which = 0; which < (pro ? 3u : 2u); which++) {
            for (size_t i = 0; i < sizeof bad / sizeof bad[0] * 3; i++) {
                double *at = matrix[which] + places[i % 3], kept = *at, value = bad[i / 3];
                /* a huge number is fine where nothing is squared */
                if (value == 1e200 && (fitted[r] == &blend || (pro && which < 2))) {
                    continue;
                }
                struct qk_err err = {0};
                memset(m->result, 0x55, sizeof m->result);
                *at = value;
                assert_int_equal(whole(fitted[r], m, m->result, false, &err), QK_EFORMAT);
                assert_non_null(strstr(err.text, "NaN, Inf"));
                *at = kept;
            }
        }
        struct qk_err err = {0};
        assert_int_equal(whole(fitted[r], m, m->result, false, &err), QK_OK);
    }
    free(m);
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct matrices *m = made();
    struct qk_err err = {0};
    static const double lambdas[] = {-1e-9, -INFINITY, NAN}, alphas[] = {-0.1, 1.0001, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++) {
        struct qk_align_rule rule = head;
        rule.lambda = lambdas[i];
        assert_int_equal(whole(&rule, m, m->result, false, &err), QK_EUSAGE);
        assert_non_null(strstr(err.text, "lambda"));
    }
    for (size_t i = 0; i < 4; i++) {
        struct qk_align_rule rule = blend;
        rule.alpha = alphas[i];
        assert_int_equal(whole(&rule, m, m->result, false, &err), QK_EUSAGE);
        assert_non_null(strstr(err.text, "alpha"));
    }
    static const struct qk_position wrong[] = {
        {.kind = QK_POSITION_ROPE, .rotary_dim = K + 2},
        {.kind = QK_POSITION_ROPE, .first = 4, .rotary_dim = 6},
        {.kind = QK_POSITION_ROPE, .first = K + 1, .rotary_dim = 2},
        {.kind = QK_POSITION_ROPE, .rotary_dim = 3},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct qk_align_rule rule = rotate;
        rule.position = &wrong[i];
        assert_int_equal(whole(&rule, m, m->result, false, &err), QK_EUNSUPPORTED);
    }
    assert_int_equal(qk_align_size(SIZE_MAX / 2, 4), 0);
    assert_int_equal(qk_align_size(64, SIZE_MAX / 64), 0);
    free(m);
}

/* Where the result is one of the inputs it is that input bit for bit, negative zeros and NaN payloads included. */
static void known_outcomes_copy(void **state)
{
    (void)state;
    struct matrices *m = made();
    m->w0[3] = m->w1[7] = -0.0;
    m->w0[4] = m->w1[9] = NAN;
    struct qk_align_rule rule = head;
    struct {
        struct qk_align_rule rule;
        const double *expected;
    } cases[] = {
        {{.action = QK_PLAN_RESTORE}, m->w0},
        {{.action = QK_PLAN_KEEP}, m->w1},
        {{.action = QK_PLAN_BLEND, .alpha = 0}, m->w1},
        {{.action = QK_PLAN_BLEND, .alpha = 1}, m->w0},
        {rule, m->w1},
        {rule, m->w0},
    };
    cases[4].rule.lambda = INFINITY;
    cases[5].rule.is_key = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_err err = {0};
        assert_int_equal(whole(&cases[i].rule, m, m->result, false, &err), QK_OK);
        assert_memory_equal(m->result, cases[i].expected, sizeof m->result);
    }
    free(m);
}

/* Unchanged heads stay unchanged, whatever is done to them. */
static void no_drift_no_change(void **state)
{
    (void)state;
    struct matrices *m = made();
    m->w0[11] = -0.0;
    memcpy(m->w1, m->w0, sizeof m->w1);
    for (size_t r = 0; r < N_FITTED; r++) {
        struct qk_err err = {0};
        assert_int_equal(whole(fitted[r], m, m->result, r % 2 == 0, &err), QK_OK);
        assert_memory_equal(m->result, m->w1, sizeof m->result);
    }
    free(m);
}

/* Tiles may be mapped in any order and from rows that lie apart; a bias is a column like others. */
static void tiles_and_bias(void **state)
{
    (void)state;
    struct matrices *m = made();
    double *memory = memory_of(K);
    for (size_t r = 0; r < N_FITTED; r++) {
        struct qk_err err = {0};
        struct qk_align a;
        assert_int_equal(whole(fitted[r], m, m->result, false, &err), QK_OK);
        assert_int_equal(qk_align_init(&a, fitted[r], K, QK_ALIGN_TILE, memory, &err), QK_OK);
        for (size_t col = 0; col < D; col += QK_ALIGN_TILE) {
            size_t n = D - col < QK_ALIGN_TILE ? D - col : QK_ALIGN_TILE;
            qk_align_fit_tile(&a, n, m->w0 + col, m->w1 + col, m->key0 + col, D);
            qk_align_fit_tile(&a, 0, NULL, NULL, NULL, D);
        }
        assert_int_equal(qk_align_solve(&a, &err), QK_OK);
        for (size_t tile = D / QK_ALIGN_TILE + 1; tile-- > 0;) {
            size_t col = tile * QK_ALIGN_TILE, n = D - col < QK_ALIGN_TILE ? D - col : QK_ALIGN_TILE;
            qk_align_map_tile(&a, n, m->w0 + col, m->w1 + col, m->key0 + col, D, m->other + col);
        }
        assert_memory_equal(m->result, m->other, sizeof m->result);
        assert_int_equal(whole(fitted[r], m, m->other, true, &err), QK_OK);
        for (size_t i = 0; i < (size_t)K * D; i++) {
            assert_true(fabs(m->result[i] - m->other[i]) < 1e-13);
        }
    }
    qk_free(memory);
    free(m);
}

static void notices_say_what_is_behind(void **state)
{
    (void)state;
    struct qk_layer layer = {.index = 3, .kind = QK_LAYER_FULL};
    struct qk_plan_unit unit = {.layer = 3, .tensors = QK_PLAN_Q | QK_PLAN_K, .action = QK_PLAN_ALIGN};
    struct qk_str text = {0};
    unit.method = QK_PLAN_ROTATE;
    qk_align_notice(&layer, &unit, &text);
    assert_int_equal(text.len, 0);
    layer.qk_norm_kind = QK_QK_NORM_HEAD;
    qk_align_notice(&layer, &unit, &text);
    assert_non_null(strstr(text.s, "layer 3: the q/k norm"));
    qk_str_clear(&text);
    layer.qk_norm_kind = QK_QK_NORM_NONE;
    layer.kind = QK_LAYER_LINEAR;
    qk_align_notice(&layer, &unit, &text);
    assert_non_null(strstr(text.s, "convolution"));
    qk_str_clear(&text);
    unit.method = QK_PLAN_QK_PRO;
    qk_align_notice(&layer, &unit, &text);
    assert_int_equal(text.len, 0);
    unit.tensors = QK_PLAN_Q;
    qk_align_notice(&layer, &unit, &text);
    assert_non_null(strstr(text.s, "K is left tuned"));
    qk_str_release(&text);
}

int main(void)
{
    qk_blas_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_and_inf_are_refused), cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(known_outcomes_copy),     cmocka_unit_test(no_drift_no_change),
        cmocka_unit_test(tiles_and_bias),          cmocka_unit_test(notices_say_what_is_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
