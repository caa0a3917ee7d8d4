/* Finding the layers and their tensors, and checking shapes against what the config asks for. */
#include "model/builder.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

/* Index of the first tensor whose name is not below s. */
static size_t lower_bound(const struct qk_ckpt *ckpt, const char *s)
{
    size_t lo = 0, hi = ckpt->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(ckpt->tensors[mid].name, s) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool qk_has_tensors(const struct qk_ckpt *ckpt, const char *prefix)
{
    size_t i = lower_bound(ckpt, prefix);
    return i < ckpt->n_tensors && qk_str_starts(ckpt->tensors[i].name, prefix);
}

/* Tries the places where a family's layers are found in the wild. NULL when none has layer 0 (or out of memory). */
static const char *find_prefix(struct qk_model_builder *b, const char *prefix)
{
    const char *rest = strchr(prefix, '.') + 1; /* every prefix has a component before "layers." */
    const char *forms[] = {"%s", "model.language_model.%s", "language_model.%s", "model.%s"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        for (int bare = 0; bare < 2; bare++) {
            char *candidate = qk_arena_printf(b->arena, forms[i], bare ? rest : prefix);
            char *first = candidate ? qk_arena_printf(b->arena, "%s0.", candidate) : NULL;
            if (first && qk_has_tensors(b->ckpt, first)) {
                return candidate;
            }
        }
    }
    return NULL;
}

enum qk_code qk_build_layers(struct qk_model_builder *b, const char *prefix, const struct qk_dims *dims,
                             struct qk_err *err)
{
    struct qk_model *m = b->model;
    b->prefix = find_prefix(b, prefix);
    if (!b->prefix) {
        return qk_fail(err, QK_EFORMAT, "%s: no tensor of layer 0 (expected names that start with '%s0.')",
                       b->ckpt->path, prefix);
    }
    b->layers = qk_arena_alloc(b->arena, dims->n_layers, sizeof *b->layers);
    if (!b->layers) {
        return qk_fail_nomem(err, "layers");
    }
    b->n_layers = dims->n_layers;
    for (size_t i = 0; i < b->n_layers; i++) {
        b->layers[i].index = i;
        b->layers[i].kind = QK_LAYER_NONE;
        b->layers[i].mixer = "none";
    }
    m->prefix = b->prefix;
    m->n_layers = dims->n_layers;
    m->layers = b->layers;
    m->hidden_size = dims->hidden;
    QK_TRY(qk_cfg_count(b, "vocab_size", 0, 0, (size_t)1 << 31, &m->vocab_size, err));
    QK_TRY(qk_cfg_count(
        b, "max_position_embeddings|n_positions|max_seq_len|model_max_length|seq_length|max_sequence_length", 0, 0,
        (size_t)1 << 40, &m->max_position, err));
    return QK_OK;
}

const struct qk_tensor *qk_layer_find(const struct qk_model_builder *b, size_t layer, const char *name)
{
    char full[512];
    int n = snprintf(full, sizeof full, "%s%zu.%s", b->prefix, layer, name);
    return n > 0 && (size_t)n < sizeof full ? qk_ckpt_find(b->ckpt, full) : NULL;
}

enum qk_code qk_layer_tensor(const struct qk_model_builder *b, size_t layer, const char *name,
                             const struct qk_tensor **ret, struct qk_err *err)
{
    const struct qk_tensor *t = qk_layer_find(b, layer, name);
    if (!t) {
        return qk_fail(err, QK_EFORMAT, "%s: %s%zu.%s: missing tensor (%s has %zu layers)", b->ckpt->path, b->prefix,
                       layer, name, b->source, b->n_layers);
    }
    *ret = t;
    return QK_OK;
}

static void shape_text(const struct qk_tensor *t, char *text, size_t cap)
{
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < t->n_dims && len + 24 < cap; i++) {
        len += (size_t)snprintf(text + len, cap - len, "%s%llu", i ? ", " : "", (unsigned long long)t->shape[i]);
    }
}

enum qk_code qk_check_matrix(const struct qk_model_builder *b, const struct qk_tensor *t, bool transposed,
                             uint64_t rows, uint64_t cols, struct qk_err *err)
{
    uint64_t found_rows = 0, found_cols = 0;
    qk_tensor_matrix(t, transposed, &found_rows, &found_cols);
    if (found_rows != rows || found_cols != cols) {
        char text[256];
        shape_text(t, text, sizeof text);
        uint64_t first = transposed ? cols : rows, second = transposed ? rows : cols;
        return qk_fail(err, QK_EFORMAT, "%s: %s: shape does not fit the config (expected [%llu, %llu], found [%s])",
                       b->ckpt->path, t->name, (unsigned long long)first, (unsigned long long)second, text);
    }
    return QK_OK;
}

enum qk_code qk_layer_norm(const struct qk_model_builder *b, size_t layer, const char *name, bool plus_one, uint64_t n,
                           struct qk_norm_weight *ret, struct qk_err *err)
{
    const struct qk_tensor *t = NULL;
    if (!name) {
        *ret = (struct qk_norm_weight){0};
        return QK_OK;
    }
    QK_TRY(qk_layer_tensor(b, layer, name, &t, err));
    if (t->n_elements != n) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: wrong number of elements (expected %llu, found %llu)", b->ckpt->path,
                       t->name, (unsigned long long)n, (unsigned long long)t->n_elements);
    }
    *ret = (struct qk_norm_weight){.tensor = t, .plus_one = plus_one};
    return QK_OK;
}

enum qk_code qk_build_notice(struct qk_model_builder *b, struct qk_err *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (b->model->notice) {
        return QK_OK;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    b->model->notice = qk_arena_strdup(b->arena, text);
    return b->model->notice ? QK_OK : qk_fail_nomem(err, "notice");
}
