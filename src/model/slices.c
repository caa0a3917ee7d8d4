/* Claims of rows, and what follows from them: every stored row of a layer in exactly one role. */
#include "slices.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

struct qk_claim {
    const struct qk_tensor *tensor;
    uint64_t first, count;
    bool transposed;
    enum qk_role role;
};

/* One slice on its way to its layer. */
struct entry {
    size_t layer;
    struct qk_slice slice;
};

struct entries {
    struct entry *items;
    size_t n, cap;
};

enum qk_code qk_claim_rows(struct qk_model_builder *b, const struct qk_rows *rows, enum qk_role role,
                           struct qk_err *err)
{
    if (rows->count == 0) {
        return QK_OK;
    }
    struct qk_claim *last = b->n_claims ? &b->claims[b->n_claims - 1] : NULL;
    if (last && last->tensor == rows->tensor && last->role == role && last->first + last->count == rows->first) {
        last->count += rows->count;
        return QK_OK;
    }
    if (b->n_claims == b->cap_claims) {
        size_t cap = b->cap_claims ? 2 * b->cap_claims : 64;
        struct qk_claim *grown = qk_realloc(b->claims, cap, sizeof *grown);
        if (!grown) {
            return qk_fail_nomem(err, "roles of rows");
        }
        b->claims = grown;
        b->cap_claims = cap;
    }
    b->claims[b->n_claims++] = (struct qk_claim){rows->tensor, rows->first, rows->count, rows->transposed, role};
    return QK_OK;
}

enum qk_code qk_claim_strided(struct qk_model_builder *b, const struct qk_tensor *t, bool transposed, uint64_t first,
                              uint64_t count, uint64_t stride, uint64_t n, enum qk_role role, struct qk_err *err)
{
    for (uint64_t i = 0; i < n; i++) {
        struct qk_rows rows = {t, first + i * stride, count, transposed};
        QK_TRY(qk_claim_rows(b, &rows, role, err));
    }
    return QK_OK;
}

static int compare_claims(const void *x, const void *y)
{
    const struct qk_claim *a = x, *b = y;
    if (a->tensor != b->tensor) {
        return a->tensor < b->tensor ? -1 : 1; /* one array: by address is by name */
    }
    return a->first < b->first ? -1 : a->first > b->first;
}

/* The claims on t: [*ret, *ret + count). */
static size_t claims_on(const struct qk_model_builder *b, const struct qk_tensor *t, const struct qk_claim **ret)
{
    size_t lo = 0, hi = b->n_claims;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->claims[mid].tensor < t) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *ret = b->claims + lo;
    for (hi = lo; hi < b->n_claims && b->claims[hi].tensor == t; hi++) {
    }
    return hi - lo;
}

static enum qk_code add_entry(struct entries *out, size_t layer, const struct qk_tensor *t, uint64_t first,
                              uint64_t count, bool transposed, enum qk_role role, struct qk_err *err)
{
    struct entry *last = out->n ? &out->items[out->n - 1] : NULL;
    if (last && last->slice.rows.tensor == t && last->slice.role == role) {
        last->slice.rows.count += count; /* cuts come in order, so this is the next row */
        return QK_OK;
    }
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 256;
        struct entry *grown = qk_realloc(out->items, cap, sizeof *grown);
        if (!grown) {
            return qk_fail_nomem(err, "slices of layers");
        }
        out->items = grown;
        out->cap = cap;
    }
    out->items[out->n++] = (struct entry){layer, {role, {t, first, count, transposed}}};
    return QK_OK;
}

/* Gate rows over up rows; a rank-3 tensor stacks such blocks, one per expert. */
static enum qk_code cut_halves(struct entries *out, size_t layer, const struct qk_tensor *t, uint64_t rows,
                               struct qk_err *err)
{
    uint64_t block = t->n_dims == 3 ? t->shape[1] : rows;
    for (uint64_t at = 0; at < rows; at += block) {
        QK_TRY(add_entry(out, layer, t, at, block / 2, false, QK_ROLE_MLP_GATE, err));
        QK_TRY(add_entry(out, layer, t, at + block / 2, block - block / 2, false, QK_ROLE_MLP_UP, err));
    }
    return QK_OK;
}

static enum qk_role default_role(const struct qk_model_builder *b, const char *suffix, bool *ret_halves)
{
    for (size_t i = 0; i < b->n_rules; i++) {
        if (qk_glob_match(b->rules[i].pattern, suffix)) {
            *ret_halves = false;
            return b->rules[i].role;
        }
    }
    return qk_role_by_name(suffix, ret_halves);
}

static enum qk_code cut_tensor(const struct qk_model_builder *b, struct entries *out, size_t layer,
                               const struct qk_tensor *t, const char *suffix, struct qk_err *err)
{
    const struct qk_claim *claims = NULL;
    size_t n = claims_on(b, t, &claims);
    bool halves = false, transposed = n > 0 && claims[0].transposed;
    enum qk_role role = default_role(b, suffix, &halves);
    uint64_t rows = 0, cols = 0, at = 0;
    qk_tensor_matrix(t, transposed, &rows, &cols);
    if (n == 0 && halves && rows > 1) {
        return cut_halves(out, layer, t, rows, err);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t first = claims[i].first, end = first + claims[i].count;
        if (first > at) {
            QK_TRY(add_entry(out, layer, t, at, first - at, transposed, role, err));
            at = first;
        }
        if (end > at) { /* a tied tensor's rows are claimed once per use */
            QK_TRY(add_entry(out, layer, t, at, end - at, transposed, claims[i].role, err));
            at = end;
        }
    }
    if (at < rows || rows == 0) {
        QK_TRY(add_entry(out, layer, t, at, rows - at, transposed, role, err));
    }
    return QK_OK;
}

/* "<prefix><number>.<suffix>" with a number below n_layers, written without leading zeros. */
static bool layer_of(const struct qk_model_builder *b, const char *name, size_t *ret_layer, const char **ret_suffix)
{
    size_t n = strlen(b->prefix), layer = 0;
    if (strncmp(name, b->prefix, n) != 0) {
        return false;
    }
    const char *s = name + n;
    if (s[0] == '0' && s[1] != '.') {
        return false;
    }
    const char *digits = s;
    for (; *s >= '0' && *s <= '9' && s - digits < 6; s++) {
        layer = 10 * layer + (size_t)(*s - '0');
    }
    if (s == digits || *s != '.' || layer >= b->n_layers) {
        return false;
    }
    *ret_layer = layer;
    *ret_suffix = s + 1;
    return true;
}

static const struct {
    const char *name; /* right below the text model, ".weight" or ".bias" taken off */
    const char *role;
} outer_names[] = {
    {"embed_tokens", "embedding"},
    {"wte", "embedding"},
    {"word_embeddings", "embedding"},
    {"embed_in", "embedding"},
    {"tok_embeddings", "embedding"},
    {"embeddings", "embedding"},
    {"norm", "final_norm"},
    {"ln_f", "final_norm"},
    {"norm_f", "final_norm"},
    {"final_layer_norm", "final_norm"},
    {"final_layernorm", "final_norm"},
    {"embedding_norm", "final_norm"},
};
static const char *const head_names[] = {"lm_head", "embed_out", "output"};

static const char *outer_role(const struct qk_model_builder *b, const char *name)
{
    /* "model.layers." → "model." */
    size_t root = strlen(b->prefix) - 1;
    while (root > 0 && b->prefix[root - 1] != '.') {
        root--;
    }
    const char *leaf = strncmp(name, b->prefix, root) == 0 ? name + root : "";
    size_t n = strcspn(leaf, ".");
    bool parameter = qk_streq(leaf + n, ".weight") || qk_streq(leaf + n, ".bias");
    for (size_t i = 0; parameter && i < sizeof outer_names / sizeof *outer_names; i++) {
        if (strlen(outer_names[i].name) == n && !memcmp(outer_names[i].name, leaf, n)) {
            return outer_names[i].role;
        }
    }
    const char *end = strrchr(name, '.');
    if (!end || (!qk_streq(end, ".weight") && !qk_streq(end, ".bias"))) {
        return "other";
    }
    const char *module = end;
    while (module > name && module[-1] != '.') {
        module--;
    }
    if (qk_str_starts(name, "lm_head.linear.")) {
        return "lm_head";
    }
    bool shallow = module == name || qk_str_starts(name, "model.lm_head.") || qk_str_starts(name, "language_model.");
    for (size_t i = 0; shallow && i < sizeof head_names / sizeof *head_names; i++) {
        if (strlen(head_names[i]) == (size_t)(end - module) && !memcmp(head_names[i], module, (size_t)(end - module))) {
            return "lm_head";
        }
    }
    return "other";
}

static enum qk_code collect(struct qk_model_builder *b, struct entries *out, struct qk_err *err)
{
    struct qk_outer *outer = qk_arena_alloc(b->arena, b->ckpt->n_tensors, sizeof *outer);
    size_t n_outer = 0;
    if (!outer) {
        return qk_fail_nomem(err, "tensors outside the layers");
    }
    for (size_t i = 0; i < b->ckpt->n_tensors; i++) {
        const struct qk_tensor *t = &b->ckpt->tensors[i];
        size_t layer = 0;
        const char *suffix = NULL;
        if (layer_of(b, t->name, &layer, &suffix)) {
            QK_TRY(cut_tensor(b, out, layer, t, suffix, err));
        } else {
            outer[n_outer++] = (struct qk_outer){outer_role(b, t->name), t};
        }
    }
    b->model->outer = outer;
    b->model->n_outer = n_outer;
    return QK_OK;
}

/* Counting sort by (layer, role); within those the order of names and rows stays. */
static enum qk_code distribute(struct qk_model_builder *b, const struct entries *in, struct qk_err *err)
{
    size_t n_keys = b->n_layers * QK_N_ROLES;
    size_t *start = qk_calloc(n_keys + 1, sizeof *start);
    struct qk_slice *slices = qk_arena_alloc(b->arena, in->n, sizeof *slices);
    if (!start || !slices) {
        qk_free(start);
        return qk_fail_nomem(err, "slices of layers");
    }
    for (size_t i = 0; i < in->n; i++) {
        start[in->items[i].layer * QK_N_ROLES + in->items[i].slice.role + 1]++;
    }
    for (size_t k = 0; k < n_keys; k++) {
        start[k + 1] += start[k];
    }
    for (size_t l = 0; l < b->n_layers; l++) {
        b->layers[l].slices = slices + start[l * QK_N_ROLES];
        b->layers[l].n_slices = start[(l + 1) * QK_N_ROLES] - start[l * QK_N_ROLES];
    }
    for (size_t i = 0; i < in->n; i++) {
        slices[start[in->items[i].layer * QK_N_ROLES + in->items[i].slice.role]++] = in->items[i].slice;
    }
    qk_free(start);
    return QK_OK;
}

enum qk_code qk_build_slices(struct qk_model_builder *b, struct qk_err *err)
{
    struct entries entries = {0};
    if (b->n_claims) {
        qsort(b->claims, b->n_claims, sizeof *b->claims, compare_claims);
    }
    enum qk_code code = collect(b, &entries, err);
    if (code == QK_OK) {
        code = distribute(b, &entries, err);
    }
    qk_free(entries.items);
    return code;
}
