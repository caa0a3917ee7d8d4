/* What this machine can do at most, measured now: memory read bandwidth and double-precision matrix products, on the
 * cores that are there. Prints "bandwidth_GBs gemm_GFs core_name" for `make bench`. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/progress.h"
#include "num/blas.h"

enum { PART_BYTES = 256 << 20, M = 512, REPEAT = 24 };

struct work {
    uint64_t *memory;
    uint64_t sums[64];
    double *matrices;
};

static enum qk_code read_item(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    (void)worker;
    (void)err;
    struct work *w = ctx;
    const uint64_t *p = w->memory + i * (PART_BYTES / sizeof *p);
    uint64_t lanes[8] = {0};
    for (size_t k = 0; k < PART_BYTES / sizeof *p; k += 8) {
        for (size_t j = 0; j < 8; j++) {
            lanes[j] ^= p[k + j];
        }
    }
    for (size_t j = 0; j < 8; j++) {
        w->sums[i % 64] ^= lanes[j];
    }
    return QK_OK;
}

static enum qk_code gemm_item(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    (void)i;
    (void)err;
    struct work *w = ctx;
    double *a = w->matrices + worker * 3 * M * M;
    for (int r = 0; r < REPEAT; r++) {
        qk_gemm(true, false, M, M, M, 1, a, M, a + M * M, M, 0, a + 2 * M * M, M);
    }
    return QK_OK;
}

int main(void)
{
    qk_blas_init();
    struct qk_pool *pool;
    struct qk_err err = {0};
    if (qk_pool_new(0, &pool, &err) != QK_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 5;
    }
    size_t n = qk_pool_size(pool);
    struct work w = {0};
    w.memory = qk_alloc_aligned(n, PART_BYTES);
    w.matrices = qk_alloc_aligned(n, 3 * M * M * sizeof *w.matrices);
    if (w.memory == NULL || w.matrices == NULL) {
        return 5;
    }
    memset(w.memory, 1, n * PART_BYTES);
    for (size_t i = 0; i < n * 3 * M * M; i++) {
        w.matrices[i] = 1.0 / (double)(i % 1000 + 1);
    }
    double best_read = 1e9, best_gemm = 1e9;
    for (int r = 0; r < 5; r++) {
        double t = qk_seconds();
        if (qk_pool_for(pool, n, read_item, &w, &err) != QK_OK) {
            return 70;
        }
        t = qk_seconds() - t;
        best_read = t < best_read ? t : best_read;
        t = qk_seconds();
        if (qk_pool_for(pool, n, gemm_item, &w, &err) != QK_OK) {
            return 70;
        }
        t = qk_seconds() - t;
        best_gemm = t < best_gemm ? t : best_gemm;
    }
    printf("%.2f %.2f %s\n", (double)(n * PART_BYTES) / best_read * 1e-9,
           2.0 * M * M * M * REPEAT * (double)n / best_gemm * 1e-9, qk_blas_core());
    qk_free(w.memory);
    qk_free(w.matrices);
    qk_pool_free(pool);
    return w.sums[0] == 42;
}
