/* Thread pool: one parallel-for. Work items are independent; results must be written to places owned by the item, so
 * that they do not depend on the number of threads.
 *
 * BLAS runs at one thread inside the pool (num/blas.h switches it). Errors: the item with the lowest index that failed
 * is reported, after all running items ended; items not yet started are dropped. */
#ifndef QK_BASE_POOL_H
#define QK_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct qk_pool;

/* One item: i in [0, n), worker in [0, qk_pool_size) tells which scratch block to use. */
typedef enum qk_code (*qk_pool_item)(void *ctx, size_t i, size_t worker, struct qk_err *err);

/* n_threads 0 = all cores available to this process. The calling thread is worker 0, so n_threads − 1 are started. */
enum qk_code qk_pool_new(size_t n_threads, struct qk_pool **ret, struct qk_err *err) QK_CHECKED;
void qk_pool_free(struct qk_pool *pool);
size_t qk_pool_size(const struct qk_pool *pool);
/* Runs item(ctx, i, …) for all i; blocks until done. Items start in order of i. Checks qk_interrupted between items. */
enum qk_code qk_pool_for(struct qk_pool *pool, size_t n, qk_pool_item item, void *ctx, struct qk_err *err) QK_CHECKED;
/* Cores this process may run on (affinity and cgroup quota considered), at least 1. */
size_t qk_cores_available(void);

#endif
