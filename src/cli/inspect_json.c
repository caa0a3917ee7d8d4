/* `inspect --json`: the machine-readable description of a checkpoint. */
#include <stdint.h>

#include "ckpt/adapter.h"
#include "inspect.h"
#include "row_ranges.h"

static void add_u64(struct qk_str *out, const char *key, uint64_t value)
{
    qk_str_addf(out, ", \"%s\": %llu", key, (unsigned long long)value);
}

static void add_text(struct qk_str *out, const char *key, const char *value)
{
    qk_str_addf(out, ", \"%s\": ", key);
    if (value != NULL) {
        qk_str_add_json(out, value);
    } else {
        qk_str_add(out, "null");
    }
}

static enum qk_code add_rows(struct qk_str *out, const struct qk_inspect_view *view, const struct qk_layer *layer,
                             const char *key, enum qk_role role, enum qk_part_rows which, struct qk_err *err)
{
    struct qk_row_ranges *sets;
    size_t n;
    QK_TRY(qk_row_ranges(layer, role, which, view->arena, &sets, &n, err));
    if (n == 0 && which != QK_PART_OWN) {
        return QK_OK;
    }
    qk_str_addf(out, ", \"%s\": [", key);
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "%s{\"tensor\": ", i > 0 ? ", " : "");
        qk_str_add_json(out, sets[i].tensor->name);
        qk_str_add(out, ", \"rows\": [");
        for (size_t r = 0; r < sets[i].n; r++) {
            qk_str_addf(out, "%s[%llu, %llu]", r > 0 ? ", " : "", (unsigned long long)sets[i].ranges[r].first,
                        (unsigned long long)sets[i].ranges[r].end);
        }
        qk_str_add(out, sets[i].transposed ? "], \"transposed\": true}" : "]}");
    }
    qk_str_addc(out, ']');
    return QK_OK;
}

static void add_position(struct qk_str *out, const struct qk_layer *layer)
{
    const struct qk_position *p = &layer->position;
    add_text(out, "position", layer->n_heads > 0 ? qk_position_name(p->kind) : NULL);
    if (p->kind != QK_POSITION_ROPE) {
        return;
    }
    qk_str_add(out, ", \"rope\": {\"theta\": ");
    qk_str_add_json_double(out, p->theta);
    add_u64(out, "first", p->first);
    add_u64(out, "rotary_dim", p->rotary_dim);
    qk_str_addf(out, ", \"interleaved\": %s", p->interleaved ? "true" : "false");
    add_text(out, "scaling", p->scaling);
    qk_str_addc(out, '}');
}

static const char *const qk_norm_names[] = {
    [QK_QK_NORM_NONE] = "none", [QK_QK_NORM_HEAD] = "head", [QK_QK_NORM_ALL] = "all"};

static enum qk_code add_layer(struct qk_str *out, const struct qk_inspect_view *view, const struct qk_layer *layer,
                              struct qk_err *err)
{
    qk_str_addf(out, "{\"index\": %zu", layer->index);
    add_text(out, "kind", qk_layer_kind_name(layer->kind));
    add_text(out, "mixer", layer->mixer);
    add_position(out, layer);
    add_u64(out, "n_heads", layer->n_heads);
    add_u64(out, "n_kv_heads", layer->n_kv_heads);
    add_u64(out, "n_value_heads", layer->n_value_heads);
    add_u64(out, "head_dim", layer->head_dim);
    add_u64(out, "v_head_dim", layer->v_head_dim);
    add_u64(out, "window", layer->window);
    add_text(out, "qk_norm", qk_norm_names[layer->qk_norm_kind]);
    qk_str_addf(out, ", \"bias\": %s", layer->q_bias != NULL || layer->k_bias != NULL ? "true" : "false");
    QK_TRY(add_rows(out, view, layer, "q", QK_ROLE_Q, QK_PART_OWN, err));
    QK_TRY(add_rows(out, view, layer, "k", QK_ROLE_K, QK_PART_OWN, err));
    QK_TRY(add_rows(out, view, layer, "q_inner", QK_ROLE_Q, QK_PART_INNER, err));
    QK_TRY(add_rows(out, view, layer, "k_inner", QK_ROLE_K, QK_PART_INNER, err));
    QK_TRY(add_rows(out, view, layer, "q_adapter", QK_ROLE_Q, QK_PART_ADAPTER, err));
    QK_TRY(add_rows(out, view, layer, "k_adapter", QK_ROLE_K, QK_PART_ADAPTER, err));
    qk_str_addc(out, '}');
    return QK_OK;
}

static void add_shards(struct qk_str *out, const struct qk_ckpt *ckpt)
{
    qk_str_add(out, ",\n \"shards\": [");
    for (size_t i = 0; i < ckpt->n_shards; i++) {
        qk_str_addf(out, "%s\n  {\"file\": ", i > 0 ? "," : "");
        qk_str_add_json(out, ckpt->shards[i].file_name);
        add_u64(out, "bytes", ckpt->shards[i].file_bytes);
        add_u64(out, "header_bytes", ckpt->shards[i].header_bytes);
        add_u64(out, "n_tensors", ckpt->shards[i].n_tensors);
        add_text(out, "header_sha256", ckpt->shards[i].header_sha256);
        qk_str_addc(out, '}');
    }
    qk_str_addc(out, ']');
}

static void add_adapter(struct qk_str *out, const struct qk_adapter *adapter)
{
    qk_str_add(out, ",\n \"adapter\": {\"base\": ");
    qk_str_add_json(out, adapter->base->path);
    add_text(out, "file", adapter->file->path);
    qk_str_add(out, ", \"parts\": [");
    for (size_t i = 0; i < adapter->n_parts; i++) {
        const struct qk_adapter_part *part = &adapter->parts[i];
        qk_str_add(out, i > 0 ? ",\n  {\"tensor\": " : "\n  {\"tensor\": ");
        qk_str_add_json(out, part->base->name);
        add_u64(out, "rank", part->rank);
        qk_str_add(out, ", \"scale\": ");
        qk_str_add_json_double(out, part->scale);
        qk_str_addf(out, ", \"replaced\": %s, \"dora\": %s}", part->saved != NULL ? "true" : "false",
                    part->magnitude != NULL ? "true" : "false");
    }
    qk_str_add(out, "]}");
}

static enum qk_code add_tensors(struct qk_str *out, const struct qk_inspect_view *view, struct qk_err *err)
{
    const char **roles;
    size_t *layers;
    QK_TRY(qk_tensor_roles(view, &roles, &layers, err));
    qk_str_add(out, ",\n \"tensors\": [");
    for (size_t i = 0; i < view->ckpt->n_tensors; i++) {
        const struct qk_tensor *t = &view->ckpt->tensors[i];
        qk_str_addf(out, "%s\n  {\"name\": ", i > 0 ? "," : "");
        qk_str_add_json(out, t->name);
        add_text(out, "dtype", qk_dtype_info(t->dtype)->name);
        qk_str_add(out, ", \"shape\": [");
        for (size_t d = 0; d < t->n_dims; d++) {
            qk_str_addf(out, "%s%llu", d > 0 ? ", " : "", (unsigned long long)t->shape[d]);
        }
        qk_str_addc(out, ']');
        add_u64(out, "bytes", t->n_bytes);
        add_text(out, "file", view->ckpt->shards[t->shard].file_name);
        add_u64(out, "offset", t->offset);
        if (layers[i] != (size_t)-1) {
            add_u64(out, "layer", layers[i]);
        } else {
            qk_str_add(out, ", \"layer\": null");
        }
        add_text(out, "role", roles[i]);
        qk_str_addc(out, '}');
    }
    qk_str_addc(out, ']');
    return QK_OK;
}

static uint64_t n_parameters(const struct qk_ckpt *ckpt)
{
    uint64_t n = 0;
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        n += ckpt->tensors[i].n_elements;
    }
    return n;
}

enum qk_code qk_inspect_json(struct qk_str *out, const struct qk_inspect_view *view, struct qk_err *err)
{
    const struct qk_model *m = view->model;
    qk_str_add(out, "{\"model_type\": ");
    qk_str_add_json(out, m->model_type != NULL ? m->model_type : "");
    add_text(out, "family", m->family->name);
    add_text(out, "name", view->name);
    add_text(out, "path", view->ckpt->path);
    add_text(out, "notice", m->notice);
    add_u64(out, "n_layers", m->n_layers);
    add_u64(out, "hidden_size", m->hidden_size);
    add_u64(out, "vocab_size", m->vocab_size);
    add_u64(out, "max_position", m->max_position);
    qk_str_addf(out, ", \"tied_embeddings\": %s", m->tied_embeddings ? "true" : "false");
    add_u64(out, "n_tensors", view->ckpt->n_tensors);
    add_u64(out, "n_parameters", n_parameters(view->ckpt));
    add_u64(out, "total_bytes", view->ckpt->total_bytes);
    add_text(out, "config_sha256", view->ckpt->config_sha256);
    add_text(out, "header_sha256", view->ckpt->header_sha256);
    add_shards(out, view->ckpt);
    if (view->ckpt->adapter != NULL) {
        add_adapter(out, view->ckpt->adapter);
    }
    qk_str_add(out, ",\n \"layers\": [");
    bool first = true;
    for (size_t l = 0; l < m->n_layers; l++) {
        if (view->layers == NULL || view->layers[l]) {
            qk_str_add(out, first ? "\n  " : ",\n  ");
            first = false;
            QK_TRY(add_layer(out, view, &m->layers[l], err));
        }
    }
    qk_str_addc(out, ']');
    if (view->tensors) {
        QK_TRY(add_tensors(out, view, err));
    }
    qk_str_add(out, "}\n");
    return QK_OK;
}
