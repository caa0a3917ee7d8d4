/* A parallel-for over a fixed set of threads: see base/pool.h. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/interrupt.h"

struct qk_pool {
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    size_t n_threads, n_started; /* workers incl. the caller; threads really running */
    pthread_t *threads;
    bool quit;
    /* the loop at hand, all under mutex: */
    uint64_t round;
    qk_pool_item item;
    void *ctx;
    size_t n, next, n_busy;
    bool failed;
    size_t failed_at;
    struct qk_err err;
};

struct start_argument {
    struct qk_pool *pool;
    size_t worker;
};

static void record_failure(struct qk_pool *pool, size_t i, enum qk_code code, const struct qk_err *err)
{
    if (!pool->failed || i < pool->failed_at) {
        pool->failed = true;
        pool->failed_at = i;
        pool->err = *err;
        pool->err.code = code;
    }
}

/* Takes items until none is left. Called and left with the mutex held. */
static void take_items(struct qk_pool *pool, size_t worker)
{
    pool->n_busy++;
    while (pool->next < pool->n && !pool->failed) {
        size_t i = pool->next++;
        struct qk_err err = {0};
        pthread_mutex_unlock(&pool->mutex);
        enum qk_code code = qk_interrupt_check(&err);
        if (code == QK_OK) {
            code = pool->item(pool->ctx, i, worker, &err);
        }
        pthread_mutex_lock(&pool->mutex);
        if (code != QK_OK) {
            record_failure(pool, i, code, &err);
        }
    }
    pool->n_busy--;
}

static void *worker_main(void *arg)
{
    struct start_argument start = *(struct start_argument *)arg;
    qk_free(arg);
    struct qk_pool *pool = start.pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->quit && pool->round == seen) {
            pthread_cond_wait(&pool->start, &pool->mutex);
        }
        if (pool->quit) {
            break;
        }
        seen = pool->round;
        take_items(pool, start.worker);
        if (pool->n_busy == 0) {
            pthread_cond_signal(&pool->done);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* The signal must reach the main thread, which then unwinds. */
static int start_thread(struct qk_pool *pool, size_t worker)
{
    struct start_argument *arg = qk_calloc(1, sizeof *arg);
    if (arg == NULL) {
        return -1;
    }
    *arg = (struct start_argument){pool, worker};
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&pool->threads[worker - 1], NULL, worker_main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed != 0) {
        qk_free(arg);
    }
    return failed;
}

enum qk_code qk_pool_new(size_t n_threads, struct qk_pool **ret, struct qk_err *err)
{
    if (n_threads == 0) {
        n_threads = qk_cores_available();
    }
    struct qk_pool *pool = qk_calloc(1, sizeof *pool);
    if (pool == NULL) {
        return qk_fail_nomem(err, "thread pool");
    }
    pool->threads = qk_calloc(n_threads, sizeof *pool->threads);
    if (pool->threads == NULL) {
        qk_free(pool);
        return qk_fail_nomem(err, "thread pool");
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->n_threads = n_threads;
    for (size_t w = 1; w < n_threads; w++) {
        if (start_thread(pool, w) != 0) {
            qk_pool_free(pool);
            return qk_fail(err, QK_ENOMEM, "cannot start thread %zu of %zu", w + 1, n_threads);
        }
        pool->n_started++;
    }
    *ret = pool;
    return QK_OK;
}

void qk_pool_free(struct qk_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->quit = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->n_started; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->mutex);
    qk_free(pool->threads);
    qk_free(pool);
}

size_t qk_pool_size(const struct qk_pool *pool)
{
    return pool->n_threads;
}

enum qk_code qk_pool_for(struct qk_pool *pool, size_t n, qk_pool_item item, void *ctx, struct qk_err *err)
{
    pthread_mutex_lock(&pool->mutex);
    pool->item = item;
    pool->ctx = ctx;
    pool->n = n;
    pool->next = 0;
    pool->failed = false;
    pool->round++;
    if (n > 1) {
        pthread_cond_broadcast(&pool->start);
    }
    take_items(pool, 0);
    while (pool->n_busy > 0) {
        pthread_cond_wait(&pool->done, &pool->mutex);
    }
    enum qk_code code = QK_OK;
    if (pool->failed) {
        code = pool->err.code;
        if (err != NULL) {
            *err = pool->err;
        }
    }
    pool->n = 0; /* a thread that wakes late finds nothing to do */
    pthread_mutex_unlock(&pool->mutex);
    return code;
}

/* Cores that a cgroup v2 quota allows, rounded up; 0 when there is no quota. */
static size_t cgroup_quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f == NULL) {
        return 0;
    }
    unsigned long long quota = 0, period = 0;
    int n = fscanf(f, "%llu %llu", &quota, &period);
    fclose(f);
    return n == 2 && period > 0 ? (size_t)((quota + period - 1) / period) : 0;
}

size_t qk_cores_available(void)
{
    cpu_set_t set;
    size_t cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        cores = (size_t)CPU_COUNT(&set);
    }
    size_t quota = cgroup_quota();
    if (quota > 0 && quota < cores) {
        cores = quota;
    }
    return cores == 0 ? 1 : cores;
}
