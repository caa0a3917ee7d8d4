/* Which tensors an adapter changes: see adapter_parts.h. */
#include "adapter_parts.h"

#include <stdio.h>
#include <string.h>

#include "adapter_key.h"
#include "adapter_tied.h"
#include "base/alloc.h"
#include "base/str.h"

struct join {
    const struct qk_adapter_config *config;
    struct qk_adapter *adapter;
    struct qk_arena *arena;
    struct qk_adapter_part *parts; /* one per tensor of the base; base NULL = not touched */
    const char *name;              /* of the adapter in the keys; NULL = none seen yet */
    size_t n;
};

/* The shape as text, in buf. */
static const char *shape_text(const struct qk_tensor *t, struct qk_str *buf)
{
    qk_str_clear(buf);
    qk_str_addc(buf, '(');
    for (size_t d = 0; d < t->n_dims; d++) {
        qk_str_addf(buf, "%s%llu", d > 0 ? ", " : "", (unsigned long long)t->shape[d]);
    }
    qk_str_addc(buf, ')');
    return buf->failed ? "?" : buf->s;
}

static enum qk_code bad_shape(const struct join *j, const struct qk_tensor *t, const char *expected, struct qk_err *err)
{
    struct qk_str found = {0};
    enum qk_code code = qk_fail(err, QK_EMISMATCH, "%s: %s: wrong shape (expected %s, found %s)",
                                j->adapter->file->path, t->name, expected, shape_text(t, &found));
    qk_str_release(&found);
    return code;
}

static enum qk_code fail_tensor(const struct join *j, enum qk_code code, const struct qk_tensor *t, const char *text,
                                struct qk_err *err)
{
    return qk_fail(err, code, "%s: %s: %s", j->adapter->file->path, t->name, text);
}

/* ---- joining ---------------------------------------------------------------------------------------------------- */

static enum qk_code not_in_base(const struct join *j, const struct qk_tensor *t, const struct qk_adapter_key *key,
                                struct qk_err *err)
{
    (void)qk_fail(err, QK_EMISMATCH, "%s: %s: the base has no such module (expected a tensor '%s' in %s, found none)",
                  j->adapter->file->path, t->name, key->tensor, j->adapter->base->path);
    if (qk_adapter_is_output_layer(key->tensor)) {
        qk_err_hint(err, "the base ties its output layer to the embedding and the adapter's differs from it; merge the "
                         "adapter with PEFT");
    } else {
        qk_err_hint(err, "is this the base that the adapter was trained on?");
    }
    return QK_EMISMATCH;
}

/* The place in a part where a tensor of this kind goes. */
static const struct qk_tensor **place_of(struct qk_adapter_part *part, enum qk_adapter_key_kind kind)
{
    switch (kind) {
    case QK_ADAPTER_A:
    case QK_ADAPTER_EMBEDDING_A:
        return &part->a;
    case QK_ADAPTER_B:
    case QK_ADAPTER_EMBEDDING_B:
        return &part->b;
    case QK_ADAPTER_B_BIAS:
        return &part->bias;
    case QK_ADAPTER_MAGNITUDE:
        return &part->magnitude;
    default:
        return &part->saved;
    }
}

static enum qk_code check_name(struct join *j, const struct qk_tensor *t, const struct qk_adapter_key *key,
                               struct qk_err *err)
{
    if (key->kind == QK_ADAPTER_SAVED) {
        return QK_OK;
    }
    if (j->name != NULL && !qk_streq(j->name, key->adapter)) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: more than one adapter in a file (expected the name '%s', found '%s')",
                       j->adapter->file->path, t->name, j->name, key->adapter);
    }
    j->name = key->adapter;
    return QK_OK;
}

static enum qk_code check_type(const struct join *j, const struct qk_tensor *t, struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
    if (!type->is_float || type->bits == 8) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: no type for an adapter (expected F32, BF16, F16 or F64, found %s)",
                       j->adapter->file->path, t->name, type->name);
    }
    return t->n_elements > 0 ? QK_OK : fail_tensor(j, QK_EFORMAT, t, "no elements", err);
}

static enum qk_code join_tensor(struct join *j, const struct qk_tensor *t, struct qk_err *err)
{
    struct qk_adapter_key key;
    const struct qk_tensor *base;
    enum qk_code code = qk_adapter_key_parse(t->name, j->arena, &key, err);
    if (code != QK_OK) {
        qk_err_context(err, "%s: %s", j->adapter->file->path, t->name);
        return code;
    }
    if (key.kind == QK_ADAPTER_IGNORED) {
        return QK_OK;
    }
    QK_TRY(check_name(j, t, &key, err));
    QK_TRY(check_type(j, t, err));
    QK_TRY(qk_adapter_key_find(j->adapter->base, key.tensor, j->arena, &base, err));
    if (base == NULL) {
        bool repeats = false;
        if (key.kind == QK_ADAPTER_SAVED && qk_adapter_is_output_layer(key.tensor)) {
            QK_TRY(qk_adapter_repeats_embedding(j->adapter, t, j->arena, &repeats, err));
        }
        return repeats ? QK_OK : not_in_base(j, t, &key, err);
    }
    struct qk_adapter_part *part = &j->parts[base - j->adapter->base->tensors];
    const struct qk_tensor **place = place_of(part, key.kind);
    if (*place != NULL) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: given twice (the other is %s)", j->adapter->file->path, t->name,
                       (*place)->name);
    }
    *place = t;
    j->n += part->base == NULL;
    part->base = base;
    part->module = key.module;
    part->is_embedding = part->is_embedding || key.kind == QK_ADAPTER_EMBEDDING_A || key.kind == QK_ADAPTER_EMBEDDING_B;
    return QK_OK;
}

/* ---- checking --------------------------------------------------------------------------------------------------- */

static enum qk_code check_base(const struct join *j, const struct qk_adapter_part *p, struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(p->base->dtype);
    const struct qk_tensor *t = p->b != NULL ? p->b : p->bias;
    size_t dims = p->b != NULL ? 2 : 1;
    if (!type->is_float) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: the base's tensor holds no weights that can be added to (expected a float type, found "
                       "%s)",
                       j->adapter->file->path, t->name, type->name);
    }
    if (p->base->n_dims != dims) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: only linear layers and embeddings are supported (expected a base tensor of %zu "
                       "dimension%s, found %zu)",
                       j->adapter->file->path, t->name, dims, dims == 1 ? "" : "s", p->base->n_dims);
    }
    return QK_OK;
}

static enum qk_code check_partners(const struct join *j, const struct qk_adapter_part *p, struct qk_err *err)
{
    const struct qk_tensor *one = p->a != NULL ? p->a : p->b;
    if (one == NULL) {
        return p->magnitude == NULL ? QK_OK
                                    : fail_tensor(j, QK_EFORMAT, p->magnitude, "a magnitude without its factors", err);
    }
    if (p->a == NULL || p->b == NULL) {
        return fail_tensor(j, QK_EFORMAT, one,
                           p->a == NULL ? "partner is missing (expected the factor A of the same module, found none)"
                                        : "partner is missing (expected the factor B of the same module, found none)",
                           err);
    }
    if (j->config->dora && p->is_embedding) {
        return fail_tensor(j, QK_EUNSUPPORTED, p->a, "DoRA of an embedding is not supported", err);
    }
    if (j->config->dora && p->magnitude == NULL) {
        return fail_tensor(
            j, QK_EFORMAT, p->a,
            "DoRA's magnitude is missing (expected lora_magnitude_vector of the same module, found none)", err);
    }
    if (!j->config->dora && p->magnitude != NULL) {
        return fail_tensor(j, QK_EFORMAT, p->magnitude, "a magnitude, but the config does not say use_dora", err);
    }
    return QK_OK;
}

static enum qk_code check_targets(const struct join *j, const struct qk_adapter_part *p, struct qk_err *err)
{
    bool chosen;
    QK_TRY(qk_adapter_config_targets(j->config, p->module, &chosen, err));
    if (!chosen) {
        (void)qk_fail(err, QK_EFORMAT,
                      "%s: %s: the config does not choose module '%s' (expected it among target_modules, found "
                      "factors for it)",
                      j->adapter->file->path, p->a->name, p->module);
        qk_err_hint(err, "PEFT would leave these factors out; %s does not belong to the weights",
                    j->adapter->config_path);
        return QK_EFORMAT;
    }
    return QK_OK;
}

/* Shapes of the factors against the base: (r, in) and (out, r), with the base stored (out, in) or (in, out). */
static enum qk_code check_factors(const struct join *j, struct qk_adapter_part *p, struct qk_err *err)
{
    char expected[96];
    const struct qk_tensor *a = p->a, *b = p->b;
    uint64_t rank;
    QK_TRY(qk_adapter_config_module(j->config, p->module, &rank, &p->scale, err));
    if (a->n_dims != 2 || a->shape[0] != rank) {
        snprintf(expected, sizeof expected, "(%llu, …) by r and rank_pattern", (unsigned long long)rank);
        return bad_shape(j, a, expected, err);
    }
    if (b->n_dims != 2 || b->shape[1] != rank) {
        snprintf(expected, sizeof expected, "(…, %llu) by r and rank_pattern", (unsigned long long)rank);
        return bad_shape(j, b, expected, err);
    }
    uint64_t in = a->shape[1], out = b->shape[0], rows = p->base->shape[0], cols = p->base->shape[1];
    bool straight = out == rows && in == cols, turned = in == rows && out == cols;
    p->transposed = p->is_embedding || (turned && (!straight || j->config->fan_in_fan_out));
    if (p->transposed ? !turned : !straight) {
        bool other = p->is_embedding;
        snprintf(expected, sizeof expected, "(%llu, %llu) for the base's (%llu, %llu)", (unsigned long long)rank,
                 (unsigned long long)(other ? rows : cols), (unsigned long long)rows, (unsigned long long)cols);
        if (in != (other ? rows : cols)) {
            return bad_shape(j, a, expected, err);
        }
        snprintf(expected, sizeof expected, "(%llu, %llu) for the base's (%llu, %llu)",
                 (unsigned long long)(other ? cols : rows), (unsigned long long)rank, (unsigned long long)rows,
                 (unsigned long long)cols);
        return bad_shape(j, b, expected, err);
    }
    if (p->magnitude != NULL && p->magnitude->n_elements != out) {
        snprintf(expected, sizeof expected, "(%llu)", (unsigned long long)out);
        return bad_shape(j, p->magnitude, expected, err);
    }
    p->rank = rank;
    return QK_OK;
}

static enum qk_code check_saved(const struct join *j, const struct qk_adapter_part *p, struct qk_err *err)
{
    const struct qk_tensor *saved = p->saved, *base = p->base;
    struct qk_str expected = {0};
    enum qk_code code = QK_OK;
    if (saved->n_dims != base->n_dims || memcmp(saved->shape, base->shape, base->n_dims * sizeof *base->shape) != 0) {
        code = bad_shape(j, saved, shape_text(base, &expected), err);
        if (strstr(base->name, "emb") != NULL || qk_adapter_is_output_layer(base->name)) {
            qk_err_hint(err, "the vocabulary was resized: merge the adapter with PEFT");
        }
    }
    qk_str_release(&expected);
    return code;
}

static enum qk_code check_bias(const struct join *j, struct qk_adapter_part *p, struct qk_err *err)
{
    char expected[64];
    uint64_t rank;
    QK_TRY(check_base(j, p, err));
    if (p->bias->n_elements != p->base->n_elements) {
        snprintf(expected, sizeof expected, "(%llu)", (unsigned long long)p->base->n_elements);
        return bad_shape(j, p->bias, expected, err);
    }
    return qk_adapter_config_module(j->config, p->module, &rank, &p->scale, err);
}

static enum qk_code check_part(const struct join *j, struct qk_adapter_part *p, struct qk_err *err)
{
    QK_TRY(check_partners(j, p, err));
    if (p->saved != NULL) {
        QK_TRY(check_saved(j, p, err));
    }
    if (p->bias != NULL) {
        QK_TRY(check_bias(j, p, err));
    }
    if (p->a == NULL) {
        return QK_OK;
    }
    QK_TRY(check_base(j, p, err));
    QK_TRY(check_targets(j, p, err));
    return check_factors(j, p, err);
}

enum qk_code qk_adapter_parts_join(const struct qk_adapter_config *config, struct qk_adapter *adapter,
                                   struct qk_arena *arena, struct qk_err *err)
{
    struct join j = {.config = config, .adapter = adapter, .arena = arena};
    size_t n = adapter->base->n_tensors, at = 0;
    j.parts = qk_calloc(n + 1, sizeof *j.parts);
    enum qk_code code = j.parts == NULL ? qk_fail_nomem(err, adapter->path) : QK_OK;
    for (size_t i = 0; code == QK_OK && i < adapter->n_tensors; i++) {
        code = join_tensor(&j, &adapter->tensors[i], err);
    }
    if (code == QK_OK && j.n == 0) {
        code = qk_fail(err, QK_EFORMAT, "%s: changes nothing (expected factors lora_A and lora_B, found none)",
                       adapter->file->path);
    }
    struct qk_adapter_part *parts = code == QK_OK ? qk_arena_alloc(arena, j.n, sizeof *parts) : NULL;
    if (code == QK_OK && parts == NULL) {
        code = qk_fail_nomem(err, adapter->path);
    }
    for (size_t i = 0; code == QK_OK && i < n; i++) {
        if (j.parts[i].base != NULL) {
            code = check_part(&j, &j.parts[i], err);
            parts[at++] = j.parts[i];
        }
    }
    qk_free(j.parts);
    if (code == QK_OK) {
        adapter->parts = parts;
        adapter->n_parts = at;
    }
    return code;
}
