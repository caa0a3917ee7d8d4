/* Natural merge sort: see order.h. */
#include "order.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

typedef bool (*after_fn)(const void *a, const void *b);

static bool name_after(const void *a, const void *b)
{
    return strcmp(((const struct qk_named *)a)->name, ((const struct qk_named *)b)->name) > 0;
}

static bool extent_after(const void *a, const void *b)
{
    const struct qk_extent *x = a, *y = b;
    return x->begin != y->begin ? x->begin > y->begin : x->end > y->end;
}

struct sorter {
    after_fn after;
    size_t size; /* of an element */
};

/* End of the ascending run that starts at i. */
static size_t run_end(const struct sorter *sorter, const char *v, size_t i, size_t n)
{
    i++;
    while (i < n && !sorter->after(v + (i - 1) * sorter->size, v + i * sorter->size)) {
        i++;
    }
    return i;
}

/* Merges src[a, b) and src[b, c) into dst[a, c). */
static void merge(const struct sorter *sorter, const char *src, char *dst, size_t a, size_t b, size_t c)
{
    size_t i = a, j = b, size = sorter->size;
    for (size_t k = a; k < c; k++) {
        bool right = i == b || (j < c && sorter->after(src + i * size, src + j * size));
        memcpy(dst + k * size, src + (right ? j++ : i++) * size, size);
    }
}

/* One pass over all pairs of neighbouring runs; gives the number of runs left. ends[r] is the end of run r. */
static size_t merge_pairs(const struct sorter *sorter, const char *src, char *dst, size_t *ends, size_t n_runs)
{
    size_t left = 0, start = 0;
    for (size_t r = 0; r < n_runs; r += 2) {
        size_t middle = ends[r], end = r + 1 < n_runs ? ends[r + 1] : middle;
        merge(sorter, src, dst, start, middle, end);
        ends[left++] = end;
        start = end;
    }
    return left;
}

static enum qk_code sort(const struct sorter *sorter, void *v, size_t n, struct qk_err *err)
{
    if (n < 2 || run_end(sorter, v, 0, n) == n) {
        return QK_OK;
    }
    char *spare = qk_calloc(n, sorter->size);
    size_t *ends = qk_calloc(n, sizeof *ends);
    if (spare == NULL || ends == NULL) {
        qk_free(spare);
        qk_free(ends);
        return qk_fail_nomem(err, "sorting");
    }
    size_t n_runs = 0;
    for (size_t i = 0; i < n;) {
        i = run_end(sorter, v, i, n);
        ends[n_runs++] = i;
    }
    char *src = v, *dst = spare;
    while (n_runs > 1) {
        n_runs = merge_pairs(sorter, src, dst, ends, n_runs);
        char *t = src;
        src = dst;
        dst = t;
    }
    if (src != v) {
        memcpy(v, src, n * sorter->size);
    }
    qk_free(spare);
    qk_free(ends);
    return QK_OK;
}

enum qk_code qk_order_names(struct qk_named *v, size_t n, struct qk_err *err)
{
    return sort(&(struct sorter){name_after, sizeof *v}, v, n, err);
}

enum qk_code qk_order_extents(struct qk_extent *v, size_t n, struct qk_err *err)
{
    return sort(&(struct sorter){extent_after, sizeof *v}, v, n, err);
}
