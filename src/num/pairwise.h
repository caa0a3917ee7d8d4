/* Sums in a fixed order: lanes inside a block, blocks in a binary tree.
 *
 * The rounding error grows with the logarithm of the number of blocks, and the result depends on the values alone, not
 * on alignment, instruction set or threads. */
#ifndef QK_NUM_PAIRWISE_H
#define QK_NUM_PAIRWISE_H

#include <stddef.h>
#include <stdint.h>

/* Starts as {0}. s[k] holds the sum of 2^k blocks while bit k of n is set. */
struct qk_pairwise {
    double s[64];
    uint64_t n;
};

static inline void qk_pairwise_add(struct qk_pairwise *sum, double block)
{
    size_t k = 0;
    for (; (sum->n >> k) & 1; k++) {
        block = sum->s[k] + block;
    }
    sum->s[k] = block;
    sum->n++;
}

static inline double qk_pairwise_sum(const struct qk_pairwise *sum)
{
    double total = 0;
    for (size_t k = 0; k < 64 && (sum->n >> k) != 0; k++) {
        if ((sum->n >> k) & 1) {
            total = sum->s[k] + total;
        }
    }
    return total;
}

/* Halves the n lanes (a power of two) until one is left. lanes is overwritten. */
static inline double qk_lanes_sum(double *lanes, size_t n)
{
    for (size_t half = n / 2; half > 0; half /= 2) {
        for (size_t j = 0; j < half; j++) {
            lanes[j] += lanes[j + half];
        }
    }
    return lanes[0];
}

#endif
