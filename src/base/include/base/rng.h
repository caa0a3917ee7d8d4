/* xoshiro256** seeded by splitmix64 (Blackman & Vigna 2018): the same numbers on every machine. */
#ifndef QK_BASE_RNG_H
#define QK_BASE_RNG_H

#include <stdint.h>

struct qk_rng {
    uint64_t s[4];
    double spare; /* second Gaussian of a pair */
    int has_spare;
};

void qk_rng_seed(struct qk_rng *rng, uint64_t seed);
uint64_t qk_rng_u64(struct qk_rng *rng);
/* Uniform in [0, 1). */
double qk_rng_uniform(struct qk_rng *rng);
/* Unbiased in [0, n), n ≥ 1. */
uint64_t qk_rng_below(struct qk_rng *rng, uint64_t n);
/* Standard normal (polar method). */
double qk_rng_normal(struct qk_rng *rng);

#endif
