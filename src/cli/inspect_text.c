/* `inspect` for people: layers that are alike are described once, however many there are. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckpt/adapter.h"
#include "inspect.h"
#include "paragraph.h"
#include "row_ranges.h"

/* Names come from files: nothing in them may steer the terminal. */
static void add_plain(struct qk_str *out, const char *s)
{
    for (; *s != 0; s++) {
        qk_str_addc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
    }
}

/* 4123456 → "4,123,456" */
static void add_grouped(struct qk_str *out, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, value);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) {
            qk_str_addc(out, ',');
        }
        qk_str_addc(out, digits[i]);
    }
}

static void add_shape(struct qk_str *out, const struct qk_tensor *t)
{
    if (t->n_dims == 0) {
        qk_str_add(out, "scalar");
    }
    for (size_t d = 0; d < t->n_dims; d++) {
        qk_str_addf(out, "%s%" PRIu64, d > 0 ? "x" : "", t->shape[d]);
    }
}

/* ---- one layer's description ---- */

/* The name without the part that tells the layer, so that equal layers read equal. */
static const char *inner_name(const struct qk_model *m, const struct qk_layer *layer, const char *name)
{
    char prefix[512];
    int n = snprintf(prefix, sizeof prefix, "%s%zu.", m->prefix != NULL ? m->prefix : "", layer->index);
    return n > 0 && (size_t)n < sizeof prefix && qk_str_starts(name, prefix) ? name + n : name;
}

static void add_ranges(struct qk_str *out, const struct qk_row_ranges *set)
{
    if (set->n == 1 && set->ranges[0].first == 0 &&
        set->ranges[0].end == qk_logical_rows(set->tensor, set->transposed)) {
        return;
    }
    size_t shown = set->n <= 3 ? set->n : 2;
    qk_str_add(out, set->transposed ? ", columns " : ", rows ");
    for (size_t i = 0; i < shown; i++) {
        qk_str_addf(out, "%s%" PRIu64 ":%" PRIu64, i > 0 ? ", " : "", set->ranges[i].first, set->ranges[i].end);
    }
    if (shown < set->n) {
        qk_str_addf(out, ", … %" PRIu64 ":%" PRIu64 " (%zu blocks)", set->ranges[set->n - 1].first,
                    set->ranges[set->n - 1].end, set->n);
    }
}

static enum qk_code add_role(struct qk_str *out, const struct qk_inspect_view *view, const struct qk_layer *layer,
                             const char *label, enum qk_role role, enum qk_part_rows which, struct qk_err *err)
{
    struct qk_row_ranges *sets;
    size_t n;
    QK_TRY(qk_row_ranges(layer, role, which, view->arena, &sets, &n, err));
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "      %-3s", i == 0 ? label : "");
        add_plain(out, inner_name(view->model, layer, sets[i].tensor->name));
        qk_str_add(out, "  (");
        add_shape(out, sets[i].tensor);
        qk_str_addf(out, " %s", qk_dtype_info(sets[i].tensor->dtype)->name);
        add_ranges(out, &sets[i]);
        qk_str_add(out, which == QK_PART_INNER     ? ", latent projection in front)\n"
                        : which == QK_PART_ADAPTER ? ", low-rank adapter beside)\n"
                                                   : ")\n");
    }
    return QK_OK;
}

static void add_position(struct qk_str *out, const struct qk_layer *layer)
{
    const struct qk_position *p = &layer->position;
    qk_str_addf(out, "; %s", qk_position_name(p->kind));
    if (p->kind != QK_POSITION_ROPE) {
        return;
    }
    qk_str_add(out, " (theta ");
    qk_str_addf(out, p->theta < 1e15 ? "%.0f" : "%g", p->theta);
    if (p->rotary_dim != layer->head_dim) {
        qk_str_addf(out, ", %zu of %zu dimensions", p->rotary_dim, layer->head_dim);
    }
    if (p->scaling != NULL && !qk_streq(p->scaling, "default")) {
        qk_str_addf(out, ", %s scaling", p->scaling);
    }
    qk_str_add(out, p->interleaved ? ", interleaved)" : ")");
}

static const char *const qk_norm_text[] = {
    [QK_QK_NORM_NONE] = "", [QK_QK_NORM_HEAD] = "; q/k norm per head", [QK_QK_NORM_ALL] = "; q/k norm over all heads"};

/* Everything but the layer's number. */
static enum qk_code describe_layer(struct qk_str *out, const struct qk_inspect_view *view, const struct qk_layer *layer,
                                   struct qk_err *err)
{
    if (layer->n_heads == 0) {
        qk_str_add(out, "      no queries and keys\n");
        return QK_OK;
    }
    qk_str_addf(out, "      %zu query head%s, %zu key head%s of %zu", layer->n_heads, layer->n_heads == 1 ? "" : "s",
                layer->n_kv_heads, layer->n_kv_heads == 1 ? "" : "s", layer->head_dim);
    if (layer->n_value_heads != layer->n_kv_heads) {
        qk_str_addf(out, ", %zu value heads of %zu", layer->n_value_heads, layer->v_head_dim);
    }
    if (layer->window > 0) {
        qk_str_addf(out, "; window %zu", layer->window);
    }
    add_position(out, layer);
    qk_str_add(out, qk_norm_text[layer->qk_norm_kind]);
    qk_str_add(out, layer->q_bias != NULL || layer->k_bias != NULL ? "; q/k bias\n" : "\n");
    QK_TRY(add_role(out, view, layer, "q", QK_ROLE_Q, QK_PART_OWN, err));
    QK_TRY(add_role(out, view, layer, "", QK_ROLE_Q, QK_PART_INNER, err));
    QK_TRY(add_role(out, view, layer, "", QK_ROLE_Q, QK_PART_ADAPTER, err));
    QK_TRY(add_role(out, view, layer, "k", QK_ROLE_K, QK_PART_OWN, err));
    QK_TRY(add_role(out, view, layer, "", QK_ROLE_K, QK_PART_INNER, err));
    return add_role(out, view, layer, "", QK_ROLE_K, QK_PART_ADAPTER, err);
}

static enum qk_code layer_text(const struct qk_inspect_view *view, const struct qk_layer *layer, const char **ret,
                               struct qk_err *err)
{
    struct qk_str text = {0};
    enum qk_code code = describe_layer(&text, view, layer, err);
    *ret = code == QK_OK && !text.failed ? qk_arena_strdup(view->arena, text.s) : NULL;
    qk_str_release(&text);
    return code != QK_OK ? code : *ret == NULL ? qk_fail_nomem(err, "layer description") : QK_OK;
}

/* ---- all layers ---- */

/* "0-1, 3-4, 6" of those layers whose group is g. */
static void add_numbers(struct qk_str *out, const size_t *group, size_t n, size_t g)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (group[i] != g) {
            continue;
        }
        size_t last = i;
        while (last + 1 < n && group[last + 1] == g) {
            last++;
        }
        qk_str_addf(out, "%s%zu", first ? "" : ", ", i);
        if (last > i) {
            qk_str_addf(out, "-%zu", last);
        }
        first = false;
        i = last;
    }
}

static bool alike(const struct qk_layer *a, const char *text_a, const struct qk_layer *b, const char *text_b)
{
    return a->kind == b->kind && qk_streq(a->mixer, b->mixer) && qk_streq(text_a, text_b);
}

static void add_group(struct qk_str *out, const struct qk_layer *layer, const char *text, const size_t *group, size_t n,
                      size_t g, size_t width)
{
    struct qk_str numbers = {0};
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += group[i] == g ? 1 : 0;
    }
    add_numbers(&numbers, group, n, g);
    size_t before = out->len;
    qk_str_addf(out, "\n  %s", count == 1 ? "layer " : "layers ");
    out->failed = out->failed || numbers.failed;
    if (!out->failed) {
        qk_str_addf(&numbers, ": %s (%s)", qk_layer_kind_name(layer->kind), layer->mixer);
        qk_paragraph(out, numbers.s, numbers.len, out->len - before - 1, 9, width);
    }
    qk_str_release(&numbers);
    qk_str_add(out, text);
}

/* F full, S sliding, l linear, m state space, - none: the order at a glance, where kinds differ. */
static void add_map(struct qk_str *out, const struct qk_model *m)
{
    static const char letters[QK_N_LAYER_KINDS + 1] = "FSlm-";
    unsigned kinds = 0;
    for (size_t l = 0; l < m->n_layers; l++) {
        kinds |= 1u << m->layers[l].kind;
    }
    if ((kinds & (kinds - 1)) == 0) {
        return;
    }
    qk_str_add(out, "  layer kinds");
    for (size_t l = 0; l < m->n_layers; l++) {
        if (l % 50 == 0 && l > 0) {
            qk_str_add(out, "\n             ");
        }
        qk_str_addf(out, "%s%c", l % 10 == 0 ? " " : "", letters[m->layers[l].kind]);
    }
    qk_str_add(out, "  (");
    const char *comma = "";
    for (unsigned k = 0; k < QK_N_LAYER_KINDS; k++) {
        if ((kinds & (1u << k)) != 0) {
            qk_str_addf(out, "%s%c %s", comma, letters[k], qk_layer_kind_name((enum qk_layer_kind)k));
            comma = ", ";
        }
    }
    qk_str_add(out, ")\n");
}

static enum qk_code add_layers(struct qk_str *out, const struct qk_inspect_view *view, size_t width, struct qk_err *err)
{
    const struct qk_model *m = view->model;
    size_t n = m->n_layers;
    const char **text = qk_arena_alloc(view->arena, n, sizeof *text);
    size_t *group = qk_arena_alloc(view->arena, n, sizeof *group);
    if (text == NULL || group == NULL) {
        return qk_fail_nomem(err, "layer table");
    }
    for (size_t l = 0; l < n; l++) {
        QK_TRY(layer_text(view, &m->layers[l], &text[l], err));
        group[l] = l;
        for (size_t g = 0; g < l && view->layers == NULL && group[l] == l; g++) {
            if (group[g] == g && alike(&m->layers[g], text[g], &m->layers[l], text[l])) {
                group[l] = g;
            }
        }
    }
    for (size_t l = 0; l < n; l++) {
        if (group[l] == l && (view->layers == NULL || view->layers[l])) {
            add_group(out, &m->layers[l], text[l], group, n, l, width);
        }
    }
    return QK_OK;
}

/* ---- the whole ---- */

static void add_dtypes(struct qk_str *out, const struct qk_ckpt *ckpt)
{
    size_t count[QK_N_DTYPES] = {0};
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        count[ckpt->tensors[i].dtype]++;
    }
    for (unsigned d = 0; d < QK_N_DTYPES; d++) {
        if (count[d] == ckpt->n_tensors && count[d] > 0) {
            qk_str_addf(out, ", all %s", qk_dtype_info((enum qk_dtype)d)->name);
        } else if (count[d] > 0) {
            qk_str_addf(out, ", %zu %s", count[d], qk_dtype_info((enum qk_dtype)d)->name);
        }
    }
}

static void add_adapter(struct qk_str *out, const struct qk_adapter *adapter)
{
    size_t n_products = 0, n_saved = 0;
    uint64_t low = 0, high = 0;
    for (size_t i = 0; i < adapter->n_parts; i++) {
        uint64_t rank = adapter->parts[i].rank;
        n_saved += adapter->parts[i].saved != NULL;
        n_products += rank > 0;
        low = rank > 0 && (low == 0 || rank < low) ? rank : low;
        high = rank > high ? rank : high;
    }
    qk_str_addf(out, "  adapter over ");
    add_plain(out, adapter->base->path);
    qk_str_addf(out, ": %zu tensors with factors of rank %llu", n_products, (unsigned long long)low);
    if (high != low) {
        qk_str_addf(out, " to %llu", (unsigned long long)high);
    }
    if (n_saved > 0) {
        qk_str_addf(out, ", %zu replaced", n_saved);
    }
    qk_str_addc(out, '\n');
}

static void add_head(struct qk_str *out, const struct qk_inspect_view *view)
{
    const struct qk_ckpt *ckpt = view->ckpt;
    const struct qk_model *m = view->model;
    uint64_t n_parameters = 0;
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        n_parameters += ckpt->tensors[i].n_elements;
    }
    add_plain(out, view->name);
    qk_str_add(out, ": ");
    add_plain(out, m->model_type != NULL ? m->model_type : "no model_type");
    qk_str_addf(out, ", %s\n  %zu layers, hidden %zu, vocabulary %zu", m->family->title, m->n_layers, m->hidden_size,
                m->vocab_size);
    if (m->max_position > 0) {
        qk_str_addf(out, ", positions up to %zu", m->max_position);
    }
    qk_str_add(out, m->tied_embeddings ? ", tied embeddings\n  " : "\n  ");
    add_grouped(out, n_parameters);
    qk_str_add(out, " numbers, ");
    qk_str_add_bytes(out, ckpt->total_bytes);
    qk_str_addf(out, " in %zu file%s, %zu tensors", ckpt->n_shards, ckpt->n_shards == 1 ? "" : "s", ckpt->n_tensors);
    add_dtypes(out, ckpt);
    qk_str_addc(out, '\n');
    if (ckpt->adapter != NULL) {
        add_adapter(out, ckpt->adapter);
    }
    add_map(out, m);
}

static enum qk_code add_tensors(struct qk_str *out, const struct qk_inspect_view *view, struct qk_err *err)
{
    const char **roles;
    size_t *layers;
    QK_TRY(qk_tensor_roles(view, &roles, &layers, err));
    qk_str_add(out, "\nlayer\trole\tdtype\tshape\tbytes\tfile\toffset\ttensor\n");
    for (size_t i = 0; i < view->ckpt->n_tensors; i++) {
        const struct qk_tensor *t = &view->ckpt->tensors[i];
        if (layers[i] == (size_t)-1) {
            qk_str_add(out, "-");
        } else {
            qk_str_addf(out, "%zu", layers[i]);
        }
        qk_str_addf(out, "\t%s\t%s\t", roles[i][0] != 0 ? roles[i] : "-", qk_dtype_info(t->dtype)->name);
        add_shape(out, t);
        qk_str_addf(out, "\t%" PRIu64 "\t", t->n_bytes);
        add_plain(out, view->ckpt->shards[t->shard].file_name);
        qk_str_addf(out, "\t%" PRIu64 "\t", t->offset);
        add_plain(out, t->name);
        qk_str_addc(out, '\n');
    }
    return QK_OK;
}

enum qk_code qk_inspect_text(struct qk_str *out, const struct qk_inspect_view *view, size_t width, struct qk_err *err)
{
    add_head(out, view);
    QK_TRY(add_layers(out, view, width, err));
    return view->tensors ? add_tensors(out, view, err) : QK_OK;
}
