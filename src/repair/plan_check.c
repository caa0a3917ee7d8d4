/* Order and disjointness of a plan's units: see plan_check.h. */
#include "plan_check.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"

/* One KV group of one unit; "all" sorts before every group. */
struct claim {
    size_t layer, group; /* group + 1; 0 = all */
    unsigned tensors;
};

static int by_place(const void *pa, const void *pb)
{
    const struct claim *a = pa, *b = pb;
    if (a->layer != b->layer) {
        return a->layer < b->layer ? -1 : 1;
    }
    return (a->group > b->group) - (a->group < b->group);
}

static size_t first_group(const struct qk_plan_unit *unit)
{
    return unit->n_kv_groups == 0 ? 0 : unit->kv_groups[0];
}

static int by_layer(const void *pa, const void *pb)
{
    const struct qk_plan_unit *a = pa, *b = pb;
    if (a->layer != b->layer) {
        return a->layer < b->layer ? -1 : 1;
    }
    if (first_group(a) != first_group(b)) {
        return first_group(a) < first_group(b) ? -1 : 1;
    }
    return (a->tensors > b->tensors) - (a->tensors < b->tensors);
}

void qk_plan_sort(struct qk_plan_unit *units, size_t n)
{
    if (n > 0) {
        qsort(units, n, sizeof *units, by_layer);
    }
}

static size_t collect(const struct qk_plan_unit *units, size_t n, struct claim *claims)
{
    size_t count = 0;
    for (size_t u = 0; u < n; u++) {
        unsigned tensors = units[u].tensors & (QK_PLAN_Q | QK_PLAN_K);
        for (size_t g = 0; g < units[u].n_kv_groups; g++) {
            claims[count++] = (struct claim){units[u].layer, units[u].kv_groups[g] + 1, tensors};
        }
        if (units[u].n_kv_groups == 0) {
            claims[count++] = (struct claim){units[u].layer, 0, tensors};
        }
    }
    return count;
}

/* The first claim of what was claimed before, or NULL. */
static const struct claim *find_doubled(const struct claim *claims, size_t n)
{
    unsigned whole = 0, group = 0; /* claimed of the whole layer; of the group at hand */
    for (size_t i = 0; i < n; i++) {
        bool new_layer = i == 0 || claims[i].layer != claims[i - 1].layer;
        whole = new_layer ? 0 : whole;
        group = new_layer || claims[i].group != claims[i - 1].group ? 0 : group;
        if (((whole | group) & claims[i].tensors) != 0) {
            return &claims[i];
        }
        *(claims[i].group == 0 ? &whole : &group) |= claims[i].tensors;
    }
    return NULL;
}

enum qk_code qk_plan_check_units(const char *name, const struct qk_plan_unit *units, size_t n, struct qk_err *err)
{
    size_t count = 0;
    for (size_t u = 0; u < n; u++) {
        count += units[u].n_kv_groups == 0 ? 1 : units[u].n_kv_groups;
    }
    struct claim *claims = qk_calloc(count + 1, sizeof *claims);
    if (claims == NULL) {
        return qk_fail_nomem(err, name);
    }
    count = collect(units, n, claims);
    qsort(claims, count, sizeof *claims, by_place);
    const struct claim *twice = find_doubled(claims, count);
    enum qk_code code = QK_OK;
    if (twice != NULL && twice->group == 0) {
        code = qk_fail(err, QK_EFORMAT, "%s: units: layer %zu is named twice (expected each unit's rows once)", name,
                       twice->layer);
    } else if (twice != NULL) {
        code = qk_fail(err, QK_EFORMAT,
                       "%s: units: KV group %zu of layer %zu is named twice (expected each unit's rows once)", name,
                       twice->group - 1, twice->layer);
    }
    qk_free(claims);
    return code;
}
