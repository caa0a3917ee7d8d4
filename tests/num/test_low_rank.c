/* Low-rank products of rows: against the plain sum, for every length around the tile and every instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "num/low_rank.h"
#include "simd.h"

enum { MOST = 200, RANKS = 9, LD = MOST + 3 };

static void against_the_sum(void **state)
{
    (void)state;
    static float left[RANKS], right[RANKS * LD];
    static double start[MOST], want[MOST], got[MOST + 1];
    struct qk_rng rng;
    qk_rng_seed(&rng, 5);
    for (size_t i = 0; i < RANKS; i++) {
        left[i] = (float)qk_rng_normal(&rng);
    }
    for (size_t i = 0; i < RANKS * LD; i++) {
        right[i] = (float)qk_rng_normal(&rng);
    }
    for (size_t i = 0; i < MOST; i++) {
        start[i] = qk_rng_normal(&rng);
    }
    for (size_t rank = 0; rank <= RANKS; rank += 3) {
        for (size_t n = 0; n <= MOST; n++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0.0;
                for (size_t k = 0; k < rank; k++) {
                    sum += (double)left[k] * (double)right[k * LD + j];
                }
                want[j] = start[j] + 0.75 * sum;
            }
            for (enum qk_simd most = QK_SIMD_BASE; most <= QK_SIMD_V4; most++) {
                qk_simd_limit(most);
                memcpy(got, start, sizeof start);
                got[n] = 17.0;
                qk_low_rank_add(n, rank, 0.75, left, right, LD, got);
                assert_memory_equal(got, want, n * sizeof *got); /* to the bit */
                assert_true(got[n] == 17.0);
            }
        }
    }
    qk_simd_limit(QK_SIMD_V4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_the_sum)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
