/* Tied output layers in adapters: see adapter_tied.h. */
#include "adapter_tied.h"

#include <string.h>

#include "adapter_key.h"
#include "base/alloc.h"
#include "base/interrupt.h"
#include "base/str.h"

enum { BLOCK = 1 << 16 };

static const char *const output_layers[] = {"lm_head.weight", "embed_out.weight"};
static const char *const embeddings[] = {"embed_tokens.weight", "wte.weight", "embed_in.weight",
                                         "word_embeddings.weight"};

static bool ends_with_one(const char *name, const char *const *ends, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (qk_str_ends(name, ends[i])) {
            return true;
        }
    }
    return false;
}

bool qk_adapter_is_output_layer(const char *tensor)
{
    return ends_with_one(tensor, output_layers, sizeof output_layers / sizeof output_layers[0]);
}

static bool is_embedding(const char *tensor)
{
    return ends_with_one(tensor, embeddings, sizeof embeddings / sizeof embeddings[0]);
}

/* The embedding that the base would show: saved in the adapter, else the base's; NULL with factors or when there is
 * none. */
static enum qk_code find_embedding(const struct qk_adapter *adapter, struct qk_arena *arena, bool *ret_saved,
                                   const struct qk_tensor **ret, struct qk_err *err)
{
    const struct qk_tensor *found = NULL;
    bool saved = false, factors = false;
    for (size_t i = 0; i < adapter->base->n_tensors && found == NULL; i++) {
        const struct qk_tensor *t = &adapter->base->tensors[i];
        found = is_embedding(t->name) ? t : NULL;
    }
    for (size_t i = 0; i < adapter->n_tensors; i++) {
        struct qk_adapter_key key;
        enum qk_code code = qk_adapter_key_parse(adapter->tensors[i].name, arena, &key, err);
        if (code != QK_OK) {
            qk_err_context(err, "%s: %s", adapter->file->path, adapter->tensors[i].name);
            return code;
        }
        if (is_embedding(key.tensor) && key.kind == QK_ADAPTER_SAVED) {
            found = &adapter->tensors[i];
            saved = true;
        }
        factors =
            factors || (is_embedding(key.tensor) && key.kind != QK_ADAPTER_SAVED && key.kind != QK_ADAPTER_IGNORED);
    }
    *ret_saved = saved;
    *ret = factors ? NULL : found;
    return QK_OK;
}

static enum qk_code same_values(const struct qk_adapter *adapter, const struct qk_tensor *head,
                                const struct qk_tensor *embedding, bool saved, bool *ret, struct qk_err *err)
{
    const struct qk_dtype_info *x = qk_dtype_info(head->dtype), *y = qk_dtype_info(embedding->dtype);
    size_t xw = x->bits / 8, yw = y->bits / 8;
    unsigned char *raw = qk_alloc_aligned(BLOCK, xw + yw);
    double *values = qk_alloc_aligned(2 * BLOCK, sizeof *values);
    enum qk_code code = raw == NULL || values == NULL ? qk_fail_nomem(err, "output layer") : QK_OK;
    bool same = true;
    for (uint64_t at = 0; code == QK_OK && same && at < head->n_elements; at += BLOCK) {
        size_t n = head->n_elements - at < BLOCK ? (size_t)(head->n_elements - at) : BLOCK;
        code = qk_interrupt_check(err);
        if (code == QK_OK) {
            code = qk_adapter_read(adapter, head, at * xw, n * xw, raw, err);
        }
        if (code == QK_OK) {
            code = saved ? qk_adapter_read(adapter, embedding, at * yw, n * yw, raw + BLOCK * xw, err)
                         : qk_ckpt_read(adapter->base, embedding, at * yw, n * yw, raw + BLOCK * xw, err);
        }
        if (code == QK_OK) {
            x->to_f64(raw, n, values);
            y->to_f64(raw + BLOCK * xw, n, values + BLOCK);
            same = memcmp(values, values + BLOCK, n * sizeof *values) == 0;
        }
    }
    qk_free(values);
    qk_free(raw);
    *ret = same;
    return code;
}

enum qk_code qk_adapter_repeats_embedding(const struct qk_adapter *adapter, const struct qk_tensor *t,
                                          struct qk_arena *arena, bool *ret, struct qk_err *err)
{
    const struct qk_tensor *embedding = NULL;
    bool saved = false;
    QK_TRY(find_embedding(adapter, arena, &saved, &embedding, err));
    bool alike = embedding != NULL && embedding->n_dims == 2 && t->n_dims == 2 && qk_dtype_info(t->dtype)->is_float &&
                 qk_dtype_info(embedding->dtype)->is_float && qk_dtype_info(embedding->dtype)->bits > 8 &&
                 memcmp(t->shape, embedding->shape, 2 * sizeof *t->shape) == 0;
    *ret = false;
    return alike ? same_values(adapter, t, embedding, saved, ret, err) : QK_OK;
}
