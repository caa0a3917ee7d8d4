/* xoshiro256**: see base/rng.h. */
#include "base/rng.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void qk_rng_seed(struct qk_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng->s[i] = z ^ (z >> 31);
    }
    rng->has_spare = 0;
    rng->spare = 0;
}

uint64_t qk_rng_u64(struct qk_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return r;
}

double qk_rng_uniform(struct qk_rng *rng)
{
    return (double)(qk_rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t qk_rng_below(struct qk_rng *rng, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x;
    do {
        x = qk_rng_u64(rng);
    } while (x >= limit);
    return x % n;
}

double qk_rng_normal(struct qk_rng *rng)
{
    if (rng->has_spare) {
        rng->has_spare = 0;
        return rng->spare;
    }
    double u, v, q;
    do {
        u = 2 * qk_rng_uniform(rng) - 1;
        v = 2 * qk_rng_uniform(rng) - 1;
        q = u * u + v * v;
    } while (q >= 1 || q == 0);
    double f = sqrt(-2 * log(q) / q);
    rng->spare = v * f;
    rng->has_spare = 1;
    return u * f;
}
