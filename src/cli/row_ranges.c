/* The stored rows that play a role in a layer: see row_ranges.h. */
#include "row_ranges.h"

#include <stdlib.h>

#include "base/alloc.h"

struct tagged {
    const struct qk_tensor *tensor;
    bool transposed;
    size_t order; /* of the tensor's first use */
    uint64_t first, end;
};

uint64_t qk_logical_rows(const struct qk_tensor *tensor, bool transposed)
{
    if (tensor->n_dims == 0) {
        return 1;
    }
    uint64_t last = tensor->shape[tensor->n_dims - 1];
    if (transposed || tensor->n_dims == 1) {
        return last;
    }
    return last == 0 ? 0 : tensor->n_elements / last;
}

static int by_place(const void *pa, const void *pb)
{
    const struct tagged *a = pa, *b = pb;
    if (a->order != b->order) {
        return a->order < b->order ? -1 : 1;
    }
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    return a->end < b->end ? -1 : a->end > b->end ? 1 : 0;
}

static size_t order_of(const struct tagged *all, size_t n, const struct qk_tensor *tensor)
{
    for (size_t i = n; i > 0; i--) {
        if (all[i - 1].tensor == tensor) {
            return all[i - 1].order;
        }
    }
    return n;
}

static size_t add(struct tagged *all, size_t n, const struct qk_rows *rows)
{
    if (rows->tensor == NULL || rows->count == 0) {
        return n;
    }
    all[n] = (struct tagged){.tensor = rows->tensor,
                             .transposed = rows->transposed,
                             .order = order_of(all, n, rows->tensor),
                             .first = rows->first,
                             .end = rows->first + rows->count};
    return n + 1;
}

static size_t collect(const struct qk_head_part *parts, size_t n_parts, enum qk_part_rows which, struct tagged *all)
{
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++) {
        switch (which) {
        case QK_PART_OWN:
            n = add(all, n, &parts[i].rows);
            break;
        case QK_PART_INNER:
            n = add(all, n, &parts[i].inner);
            break;
        case QK_PART_ADAPTER:
            n = add(all, n, &parts[i].down);
            n = add(all, n, &parts[i].up);
            break;
        case QK_N_PART_ROWS:
            break;
        }
    }
    return n;
}

/* Sorted tagged rows → one entry per tensor with merged ranges; ranges are laid out in one block. */
static size_t merge(const struct tagged *all, size_t n, struct qk_row_ranges *sets, struct qk_row_range *ranges)
{
    size_t n_sets = 0;
    for (size_t i = 0; i < n; i++) {
        struct qk_row_ranges *set = n_sets > 0 ? &sets[n_sets - 1] : NULL;
        if (set == NULL || set->tensor != all[i].tensor) {
            set = &sets[n_sets++];
            *set =
                (struct qk_row_ranges){.tensor = all[i].tensor, .transposed = all[i].transposed, .ranges = &ranges[i]};
        }
        struct qk_row_range *last = set->n > 0 ? &set->ranges[set->n - 1] : NULL;
        if (last != NULL && all[i].first <= last->end) {
            last->end = all[i].end > last->end ? all[i].end : last->end;
        } else {
            set->ranges[set->n++] = (struct qk_row_range){all[i].first, all[i].end};
        }
    }
    return n_sets;
}

enum qk_code qk_row_ranges(const struct qk_layer *layer, enum qk_role role, enum qk_part_rows which,
                           struct qk_arena *arena, struct qk_row_ranges **ret, size_t *ret_n, struct qk_err *err)
{
    bool query = role == QK_ROLE_Q;
    const struct qk_head_part *parts = query ? layer->q : layer->k;
    size_t n_parts = query ? layer->n_heads * layer->n_q_parts : layer->n_kv_heads * layer->n_k_parts;
    if (parts == NULL) {
        n_parts = 0;
    }
    /* an adapter part has two row blocks; one more so that an empty layer still allocates */
    struct tagged *all = qk_calloc(2 * n_parts + 1, sizeof *all);
    struct qk_row_ranges *sets = qk_arena_alloc(arena, 2 * n_parts + 1, sizeof *sets);
    struct qk_row_range *ranges = qk_arena_alloc(arena, 2 * n_parts + 1, sizeof *ranges);
    if (all == NULL || sets == NULL || ranges == NULL) {
        qk_free(all);
        return qk_fail_nomem(err, "row ranges");
    }
    size_t n = collect(parts, n_parts, which, all);
    qsort(all, n, sizeof *all, by_place);
    *ret_n = merge(all, n, sets, ranges);
    *ret = sets;
    qk_free(all);
    return QK_OK;
}
