/* What the differing rows of a tensor are: ranges, layers, roles, heads. See compare_report.h. */
#include <math.h>
#include <string.h>

#include "compare_report.h"

/* Ranges of differing rows; list NULL: only counted. */
static size_t find_ranges(const struct qk_compare_sums *sums, struct qk_compare_rows *list)
{
    size_t n = 0;
    for (uint64_t row = 0; row < sums->n_rows; row++) {
        if (!qk_compare_sums_row_differs(sums, row)) {
            continue;
        }
        uint64_t first = row;
        while (row + 1 < sums->n_rows && qk_compare_sums_row_differs(sums, row + 1)) {
            row++;
        }
        if (list != NULL) {
            list[n] = (struct qk_compare_rows){first, row - first + 1};
        }
        n++;
    }
    return n;
}

static uint64_t count_in(const struct qk_compare_sums *sums, const struct qk_rows *rows)
{
    return rows->tensor == sums->a ? qk_compare_sums_count(sums, rows->first, rows->count) : 0;
}

/* Whether head h's own rows or bias in this tensor differ. */
static bool head_differs(const struct qk_compare_sums *sums, const struct qk_layer *layer, bool is_key, size_t h)
{
    size_t n_parts = is_key ? layer->n_k_parts : layer->n_q_parts;
    const struct qk_head_part *parts = (is_key ? layer->k : layer->q) + h * n_parts;
    const struct qk_rows *bias = is_key ? layer->k_bias : layer->q_bias;
    for (size_t p = 0; p < n_parts; p++) {
        if (count_in(sums, &parts[p].rows) > 0) {
            return true;
        }
    }
    return bias != NULL && count_in(sums, &bias[h]) > 0;
}

static enum qk_code find_heads(const struct qk_compare_sums *sums, const struct qk_layer *layer, bool is_key,
                               struct qk_arena *arena, struct qk_compare_part *part, struct qk_err *err)
{
    size_t n_heads = is_key ? layer->n_kv_heads : layer->n_heads;
    size_t *heads = qk_arena_alloc(arena, n_heads + 1, sizeof *heads);
    if (heads == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    part->heads = heads;
    for (size_t h = 0; h < n_heads; h++) {
        if (head_differs(sums, layer, is_key, h)) {
            heads[part->n_heads++] = h;
        }
    }
    return QK_OK;
}

/* The layer's parts of this tensor that differ, one a role; a bias of Q or K is told apart by its heads. */
static enum qk_code layer_parts(const struct qk_compare_sums *sums, const struct qk_layer *layer,
                                struct qk_arena *arena, struct qk_compare_part *list, size_t *n, struct qk_err *err)
{
    uint64_t rows[QK_N_ROLES] = {0};
    for (size_t s = 0; s < layer->n_slices; s++) {
        rows[layer->slices[s].role] += count_in(sums, &layer->slices[s].rows);
    }
    for (size_t role = 0; role < QK_N_ROLES; role++) {
        if (rows[role] == 0) {
            continue;
        }
        struct qk_compare_part *part = &list[(*n)++];
        *part = (struct qk_compare_part){
            .role = qk_role_name((enum qk_role)role), .layer = layer->index, .n_rows = rows[role]};
        if (role == QK_ROLE_Q || role == QK_ROLE_K) {
            QK_TRY(find_heads(sums, layer, role == QK_ROLE_K, arena, part, err));
        } else if (role == QK_ROLE_QK_BIAS) {
            QK_TRY(find_heads(sums, layer, false, arena, part, err));
            if (part->n_heads == 0) {
                QK_TRY(find_heads(sums, layer, true, arena, part, err));
            }
        }
    }
    return QK_OK;
}

static bool layer_has(const struct qk_layer *layer, const struct qk_tensor *tensor)
{
    for (size_t s = 0; s < layer->n_slices; s++) {
        if (layer->slices[s].rows.tensor == tensor) {
            return true;
        }
    }
    return false;
}

static enum qk_code find_parts(const struct qk_compare_sums *sums, const struct qk_model *model, struct qk_arena *arena,
                               struct qk_compare_tensor *ret, struct qk_err *err)
{
    size_t n_layers = 0, n = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        n_layers += layer_has(&model->layers[l], sums->a);
    }
    struct qk_compare_part *list = qk_arena_alloc(arena, n_layers * QK_N_ROLES + model->n_outer + 1, sizeof *list);
    if (list == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    for (size_t l = 0; l < model->n_layers; l++) {
        if (layer_has(&model->layers[l], sums->a)) {
            QK_TRY(layer_parts(sums, &model->layers[l], arena, list, &n, err));
        }
    }
    for (size_t i = 0; i < model->n_outer; i++) {
        if (model->outer[i].tensor == sums->a) {
            list[n++] =
                (struct qk_compare_part){.role = model->outer[i].role, .layer = SIZE_MAX, .n_rows = ret->n_differing};
        }
    }
    ret->parts = list;
    ret->n_parts = n;
    return QK_OK;
}

enum qk_code qk_compare_describe(const struct qk_compare_sums *sums, const struct qk_model *model,
                                 struct qk_arena *arena, struct qk_compare_tensor *ret, struct qk_err *err)
{
    ret->n_rows = sums->n_rows;
    ret->n_planned_rows = sums->n_planned_rows;
    if (atomic_load(&sums->n_different) == 0) {
        return QK_OK;
    }
    size_t n = find_ranges(sums, NULL);
    struct qk_compare_rows *ranges = qk_arena_alloc(arena, n, sizeof *ranges);
    if (ranges == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    ret->n_ranges = find_ranges(sums, ranges);
    ret->ranges = ranges;
    ret->n_differing = qk_compare_sums_count(sums, 0, sums->n_rows);
    ret->first_byte = atomic_load(&sums->first_byte);
    uint64_t bits = atomic_load(&sums->max_bits);
    memcpy(&ret->max_abs, &bits, sizeof bits);
    const struct qk_dtype_info *type = qk_dtype_info(sums->a->dtype);
    ret->max_abs = type->is_float ? ret->max_abs : NAN;
    return model != NULL ? find_parts(sums, model, arena, ret, err) : QK_OK;
}
