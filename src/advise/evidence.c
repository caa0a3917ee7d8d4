/* What a run file holds about one tuned checkpoint: see advise/evidence.h. */
#include "advise/evidence.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

/* Where each datum lies, how many axes it has, and whether its first axis is the layer. */
struct datum_row {
    const char *group, *leaf;
    size_t n_dims;
    bool of_base, over_layers;
};

static const struct datum_row datum_rows[QK_N_DATA] = {
    [QK_DATUM_QK_EFF] = {"drift", "qk_eff_rel_drift", 2, false, true},
    [QK_DATUM_QK_REL] = {"drift", "qk_rel_drift", 2, false, true},
    [QK_DATUM_QK_STATE] = {"drift", "qk_rel_drift_state", 2, false, true},
    [QK_DATUM_Q_ALIGNABLE] = {"drift", "q_alignable", 2, false, true},
    [QK_DATUM_K_ALIGNABLE] = {"drift", "k_alignable", 2, false, true},
    [QK_DATUM_Q_NORM_DELTA] = {"drift", "q_norm_delta", 2, false, true},
    [QK_DATUM_K_NORM_DELTA] = {"drift", "k_norm_delta", 2, false, true},
    [QK_DATUM_Q_FLOOR] = {"drift", "q_at_noise_floor", 2, false, true},
    [QK_DATUM_K_FLOOR] = {"drift", "k_at_noise_floor", 2, false, true},
    [QK_DATUM_DISTANCE] = {"drift", "qk_distance_drift", 3, false, true},
    [QK_DATUM_BAND] = {"drift", "qk_band_drift", 3, false, true},
    [QK_DATUM_MODULES] = {"drift", "module_rel_drift", 2, false, true},
    [QK_DATUM_OUTER] = {"drift", "outer_rel_drift", 1, false, false},
    [QK_DATUM_TAIL_LOSS] = {"routing", "tail_loss", 2, false, true},
    [QK_DATUM_TAIL_LOSS_LO] = {"routing", "tail_loss_lo", 2, false, true},
    [QK_DATUM_TAIL_LOSS_HI] = {"routing", "tail_loss_hi", 2, false, true},
    [QK_DATUM_TAIL_WINDOW] = {"routing", "tail_window", 2, false, true},
    [QK_DATUM_SHIFT] = {"routing", "distance_shift", 2, false, true},
    [QK_DATUM_SHIFT_LO] = {"routing", "distance_shift_lo", 2, false, true},
    [QK_DATUM_SHIFT_HI] = {"routing", "distance_shift_hi", 2, false, true},
    [QK_DATUM_BASE_NEEDLE] = {"probe", "retrieval_mass", 2, true, true},
    [QK_DATUM_TUNED_NEEDLE] = {"probe", "retrieval_mass", 2, false, true},
    [QK_DATUM_BASE_SCORE] = {"probe", "retrieval_score", 2, true, true},
    [QK_DATUM_TUNED_SCORE] = {"probe", "retrieval_score", 2, false, true},
    [QK_DATUM_BASE_SINK] = {"probe", "sink_mass", 2, true, true},
    [QK_DATUM_TUNED_SINK] = {"probe", "sink_mass", 2, false, true},
    [QK_DATUM_BASE_NLL] = {"probe", "nll", 1, true, false},
    [QK_DATUM_TUNED_NLL] = {"probe", "nll", 1, false, false},
};

double qk_cells_at(const struct qk_cells *cells, size_t row, size_t column, size_t depth)
{
    if (row >= cells->n_rows || column >= cells->width || depth >= cells->depth) {
        return NAN;
    }
    size_t i = (row * cells->width + column) * cells->depth + depth;
    if (cells->node->type == QK_TYPE_U8) {
        return cells->node->v.u8[i] == 255 ? (double)NAN : (double)cells->node->v.u8[i];
    }
    return cells->node->v.f64[i];
}

double qk_evidence_at(const struct qk_evidence *e, enum qk_datum datum, size_t layer, size_t head)
{
    return qk_cells_at(&e->data[datum], layer, head, 0);
}

double qk_evidence_listed(const struct qk_evidence *e, size_t layer, size_t head)
{
    bool there = e->listed.scores != NULL && layer < e->n_layers && head < e->listed.width;
    return there ? e->listed.scores[layer * e->listed.width + head] : (double)NAN;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* NAME of "/group/NAME", or NULL. */
static const char *entry_name(const struct qk_node *node, const char *group)
{
    size_t n = strlen(group);
    const char *path = node->path;
    bool inside = node->is_group && path[0] == '/' && strncmp(path + 1, group, n) == 0 && path[n + 1] == '/';
    return inside && strchr(path + n + 2, '/') == NULL ? path + n + 2 : NULL;
}

/* Checkpoints that the run compares with a base: entries of /drift and of /routing. */
static bool is_compared(const struct qk_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *drift = entry_name(table->nodes[i], "drift"), *routing = entry_name(table->nodes[i], "routing");
        if ((drift != NULL && strcmp(drift, name) == 0) || (routing != NULL && strcmp(routing, name) == 0)) {
            return true;
        }
    }
    return false;
}

static const char *attr_of(const struct qk_node *node, const char *name)
{
    const char *value = node != NULL ? qk_node_attr_get_str(node, name) : NULL;
    return value != NULL ? value : "";
}

/* Wanted or, without, the one that the run's plan is for: a run of diagnose also holds the restored one, behind it. */
static enum qk_code choose(const struct qk_table *table, const char *wanted, const char **ret, struct qk_err *err)
{
    const char *last = NULL;
    const char *planned = wanted == NULL ? attr_of(qk_table_find(table, "/recommend"), "checkpoint") : NULL;
    struct qk_str names = {0};
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *name = entry_name(table->nodes[i], "checkpoints");
        if (name == NULL || !is_compared(table, name)) {
            continue;
        }
        qk_str_addf(&names, "%s%s", last == NULL ? "" : ", ", name);
        last = name;
        if ((wanted != NULL && strcmp(wanted, name) == 0) || (planned != NULL && strcmp(planned, name) == 0)) {
            break;
        }
    }
    enum qk_code code = QK_OK;
    if (last == NULL) {
        code = qk_fail(err, QK_EUSAGE, "/drift and /routing compare no checkpoint with a base");
        qk_err_hint(err, "drift BASE TUNED and probe BASE TUNED write such runs");
    } else if (wanted != NULL && strcmp(wanted, last) != 0) {
        code = qk_fail(err, QK_EUSAGE, "--checkpoint: no tuned checkpoint is called '%s'", wanted);
        qk_err_hint(err, "the run has: %s", names.failed ? "?" : names.s);
    } else {
        *ret = last;
    }
    qk_str_release(&names);
    return code;
}

static const struct qk_node *find(const struct qk_table *table, struct qk_arena *arena, const char *group,
                                  const char *name, const char *leaf, bool *failed)
{
    const char *path = leaf != NULL ? qk_arena_printf(arena, "/%s/%s/%s", group, name, leaf)
                                    : qk_arena_printf(arena, "/%s/%s", group, name);
    *failed = *failed || path == NULL;
    return path != NULL ? qk_table_find(table, path) : NULL;
}

static const char *base_of(const struct qk_table *table, const char *tuned, struct qk_arena *arena, bool *failed)
{
    static const char *const groups[] = {"drift", "routing", "probe"};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const char *base = attr_of(find(table, arena, groups[i], tuned, NULL, failed), "base");
        if (base[0] != '\0') {
            return base;
        }
    }
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *name = entry_name(table->nodes[i], "checkpoints");
        if (name != NULL && strcmp(attr_of(table->nodes[i], "role"), "base") == 0) {
            return name;
        }
    }
    return "";
}

/* A plan without the hashes of its pair would be refused. */
static enum qk_code check_hash(const char *name, const char *hash, bool failed, struct qk_err *err)
{
    if (failed) {
        return qk_fail_nomem(err, "names of datasets");
    }
    return strlen(hash) == 64 ? QK_OK
                              : qk_fail(err, QK_EFORMAT,
                                        "/checkpoints/%s: header_sha256: expected 64 hex digits, found "
                                        "\"%s\"",
                                        name, hash);
}

static struct qk_cells cells_of(const struct qk_node *node, const struct datum_row *row, size_t n_layers)
{
    bool fits = node != NULL && !node->is_group && (node->type == QK_TYPE_F64 || node->type == QK_TYPE_U8) &&
                node->n_dims == row->n_dims && node->n_values > 0 && (!row->over_layers || node->shape[0] == n_layers);
    if (!fits) {
        return (struct qk_cells){0};
    }
    return (struct qk_cells){node, node->shape[0], node->n_dims > 1 ? node->shape[1] : 1,
                             node->n_dims > 2 ? node->shape[2] : 1};
}

static double model_number(const struct qk_table *table, const char *name)
{
    const struct qk_node *model = qk_table_find(table, "/model");
    const struct qk_attr *attr = model != NULL ? qk_node_attr(model, name) : NULL;
    return attr == NULL || attr->n != 1 || attr->type == QK_TYPE_STR ? (double)NAN
           : attr->type == QK_TYPE_I64                               ? (double)attr->v.i64[0]
                                                                     : attr->v.f64[0];
}

/* A count per layer of /model; 0 when it is not there. */
static size_t layer_count(const struct qk_table *table, const char *path, size_t layer)
{
    const struct qk_node *node = qk_table_find(table, path);
    bool there = node != NULL && !node->is_group && node->type == QK_TYPE_I64 && layer < node->n_values;
    return there && node->v.i64[layer] > 0 ? (size_t)node->v.i64[layer] : 0;
}

static const char *layer_word(const struct qk_table *table, const char *path, size_t layer)
{
    const struct qk_node *node = qk_table_find(table, path);
    bool there = node != NULL && !node->is_group && node->type == QK_TYPE_STR && layer < node->n_values;
    return there && node->v.str[layer] != NULL ? node->v.str[layer] : "";
}

static enum qk_code read_layers(struct qk_evidence *e, struct qk_arena *arena, struct qk_err *err)
{
    const struct qk_node *layer = qk_table_find(e->table, "/model/layer");
    if (layer == NULL || layer->is_group || layer->n_dims != 1) {
        return qk_fail(err, QK_EFORMAT, "/model/layer: no such scale");
    }
    e->n_layers = layer->shape[0];
    struct qk_evidence_layer *layers = qk_arena_alloc(arena, e->n_layers, sizeof *layers);
    if (layers == NULL) {
        return qk_fail_nomem(err, "layers of a recommendation");
    }
    for (size_t l = 0; l < e->n_layers; l++) {
        const char *norm = layer_word(e->table, "/model/qk_norm", l);
        if (!qk_layer_kind_by_name(layer_word(e->table, "/model/layer_kind", l), &layers[l].kind)) {
            return qk_fail(err, QK_EFORMAT, "/model/layer_kind: layer %zu has none that is known", l);
        }
        layers[l].n_heads = layer_count(e->table, "/model/n_heads", l);
        layers[l].n_kv_heads = layer_count(e->table, "/model/n_kv_heads", l);
        if (layers[l].n_kv_heads > layers[l].n_heads ||
            (layers[l].n_heads > 0 && (layers[l].n_kv_heads == 0 || layers[l].n_heads % layers[l].n_kv_heads != 0))) {
            return qk_fail(err, QK_EFORMAT, "/model/n_kv_heads: layer %zu (expected a divisor of %zu heads, found %zu)",
                           l, layers[l].n_heads, layers[l].n_kv_heads);
        }
        layers[l].has_rope = strcmp(layer_word(e->table, "/model/position", l), "rope") == 0;
        layers[l].has_qk_norm = norm[0] != '\0' && strcmp(norm, "none") != 0;
    }
    e->layers = layers;
    return QK_OK;
}

static bool any_value(const struct qk_cells *cells)
{
    for (size_t i = 0; i < cells->n_rows * cells->width; i++) {
        if (isfinite(qk_cells_at(cells, i / cells->width, i % cells->width, 0))) {
            return true;
        }
    }
    return false;
}

static void note_probes(struct qk_evidence *e, const struct qk_node *entry)
{
    const struct qk_attr *lengths = entry != NULL ? qk_node_attr(entry, "lengths") : NULL;
    e->longest_probe = NAN;
    for (size_t i = 0; lengths != NULL && lengths->type == QK_TYPE_I64 && i < lengths->n; i++) {
        e->longest_probe = fmax(e->longest_probe, (double)lengths->v.i64[i]);
    }
    e->n_probes = lengths != NULL ? lengths->n : 0;
}

enum qk_code qk_evidence_open(const struct qk_table *table, const char *checkpoint, struct qk_arena *arena,
                              struct qk_evidence *ret, struct qk_err *err)
{
    struct qk_evidence e = {.table = table};
    bool failed = false;
    QK_TRY(choose(table, checkpoint, &e.tuned, err));
    QK_TRY(read_layers(&e, arena, err));
    e.base = base_of(table, e.tuned, arena, &failed);
    e.base_sha256 = attr_of(find(table, arena, "checkpoints", e.base, NULL, &failed), "header_sha256");
    e.tuned_sha256 = attr_of(find(table, arena, "checkpoints", e.tuned, NULL, &failed), "header_sha256");
    e.base_sample = attr_of(find(table, arena, "checkpoints", e.base, NULL, &failed), "sample_sha256");
    e.tuned_sample = attr_of(find(table, arena, "checkpoints", e.tuned, NULL, &failed), "sample_sha256");
    QK_TRY(check_hash(e.base, e.base_sha256, failed, err));
    QK_TRY(check_hash(e.tuned, e.tuned_sha256, failed, err));
    e.family = attr_of(qk_table_find(table, "/model"), "family");
    e.vocab_size = model_number(table, "vocab_size");
    e.max_position = model_number(table, "max_position");
    for (size_t i = 0; i < QK_N_DATA; i++) {
        const struct datum_row *row = &datum_rows[i];
        const char *name = row->of_base ? e.base : e.tuned;
        e.data[i] = cells_of(find(table, arena, row->group, name, row->leaf, &failed), row, e.n_layers);
    }
    e.base_sums = find(table, arena, "probe", e.base, "sums/scalar", &failed);
    e.tuned_sums = find(table, arena, "probe", e.tuned, "sums/scalar", &failed);
    note_probes(&e, find(table, arena, "probe", e.tuned, NULL, &failed));
    if (failed) {
        return qk_fail_nomem(err, "names of datasets");
    }
    e.has_drift = any_value(&e.data[QK_DATUM_QK_EFF]) || any_value(&e.data[QK_DATUM_QK_REL]);
    e.has_needle = any_value(&e.data[QK_DATUM_BASE_NEEDLE]) && any_value(&e.data[QK_DATUM_TUNED_NEEDLE]);
    e.has_probe = e.has_needle || any_value(&e.data[QK_DATUM_SHIFT]);
    *ret = e;
    return QK_OK;
}

/* ---- derived ---------------------------------------------------------------------------------------------------- */

bool qk_evidence_is_full(const struct qk_evidence *e, size_t layer)
{
    return e->layers[layer].kind == QK_LAYER_FULL && e->layers[layer].n_heads > 0;
}

bool qk_evidence_has_qk(const struct qk_evidence *e, size_t layer)
{
    return e->layers[layer].kind != QK_LAYER_NONE && e->layers[layer].n_heads > 0;
}

size_t qk_evidence_kv_head(const struct qk_evidence *e, size_t layer, size_t head)
{
    const struct qk_evidence_layer *l = &e->layers[layer];
    return l->n_kv_heads == 0 ? 0 : head / (l->n_heads / l->n_kv_heads);
}

double qk_evidence_drift(const struct qk_evidence *e, size_t layer, size_t head)
{
    double effective = qk_evidence_at(e, QK_DATUM_QK_EFF, layer, head);
    return isfinite(effective) ? effective : qk_evidence_at(e, QK_DATUM_QK_REL, layer, head);
}

double qk_evidence_alignable(const struct qk_evidence *e, size_t layer, size_t head)
{
    size_t g = qk_evidence_kv_head(e, layer, head);
    double share[2] = {qk_evidence_at(e, QK_DATUM_Q_ALIGNABLE, layer, head),
                       qk_evidence_at(e, QK_DATUM_K_ALIGNABLE, layer, g)};
    double delta[2] = {qk_evidence_at(e, QK_DATUM_Q_NORM_DELTA, layer, head),
                       qk_evidence_at(e, QK_DATUM_K_NORM_DELTA, layer, g)};
    double sum = 0.0, weight = 0.0;
    for (size_t i = 0; i < 2; i++) {
        double w = isfinite(delta[i]) ? delta[i] * delta[i] : 1.0;
        if (isfinite(share[i]) && w > 0.0) {
            sum += w * share[i];
            weight += w;
        }
    }
    return weight > 0.0 ? fmin(fmax(sum / weight, 0.0), 1.0) : (double)NAN;
}

bool qk_evidence_at_floor(const struct qk_evidence *e, size_t layer, size_t head)
{
    double q = qk_evidence_at(e, QK_DATUM_Q_FLOOR, layer, head);
    double k = qk_evidence_at(e, QK_DATUM_K_FLOOR, layer, qk_evidence_kv_head(e, layer, head));
    return q > 0.5 && k > 0.5;
}

double qk_evidence_module(const struct qk_evidence *e, size_t layer, const char *module)
{
    const struct qk_cells *cells = &e->data[QK_DATUM_MODULES];
    const struct qk_node *names = cells->node != NULL ? qk_table_find(e->table, cells->node->dims[1]) : NULL;
    for (size_t m = 0; names != NULL && names->type == QK_TYPE_STR && m < names->n_values && m < cells->width; m++) {
        if (names->v.str[m] != NULL && strcmp(names->v.str[m], module) == 0) {
            return qk_cells_at(cells, layer, m, 0);
        }
    }
    return NAN;
}

double qk_evidence_nll(const struct qk_evidence *e, bool of_base)
{
    const struct qk_cells *base = &e->data[QK_DATUM_BASE_NLL], *tuned = &e->data[QK_DATUM_TUNED_NLL];
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < base->n_rows && i < tuned->n_rows; i++) {
        double b = qk_cells_at(base, i, 0, 0), t = qk_cells_at(tuned, i, 0, 0);
        if (isfinite(b)) {
            sum += of_base ? b : isnan(t) ? (double)INFINITY : t;
            n++;
        }
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}
