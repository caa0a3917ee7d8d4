/* The layout of a drift run's results: /model with its axes, /checkpoints, and one dataset per metric with its state.
 */
#include "drift_table.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "num/blas.h"
#include "provenance.h"
#include "selection.h"

#define TAU_MAX 66

static const char state_suffix[] = "_state";

/* Linear layers may mix by more heads than they have query heads. */
static size_t n_mixing_heads(const struct qk_layer *layer)
{
    bool is_linear = layer->kind == QK_LAYER_LINEAR || layer->kind == QK_LAYER_SSM;
    return is_linear && layer->n_value_heads > layer->n_heads ? layer->n_value_heads : layer->n_heads;
}

struct qk_axes qk_axes_of(const struct qk_model *model)
{
    struct qk_axes axes = {.n_layers = model->n_layers};
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct qk_layer *layer = &model->layers[l];
        size_t n_heads = n_mixing_heads(layer);
        axes.n_heads = n_heads > axes.n_heads ? n_heads : axes.n_heads;
        if (layer->n_heads == 0) {
            continue;
        }
        axes.n_kv_heads = layer->n_kv_heads > axes.n_kv_heads ? layer->n_kv_heads : axes.n_kv_heads;
        axes.head_dim = layer->head_dim > axes.head_dim ? layer->head_dim : axes.head_dim;
        axes.max_in = layer->n_in > axes.max_in ? layer->n_in : axes.max_in;
    }
    double tau[TAU_MAX];
    axes.n_pairs = axes.head_dim / 2 > 0 ? axes.head_dim / 2 : 1;
    axes.n_tau = qk_tau_grid(model->max_position, tau);
    return axes;
}

size_t qk_tau_grid(size_t max_position, double *tau)
{
    size_t n = 0, last = max_position > 0 ? max_position : 4096;
    tau[n++] = 0.0;
    for (size_t t = 1; t < last && n < TAU_MAX - 1; t *= 2) {
        tau[n++] = (double)t;
    }
    tau[n++] = (double)last;
    return n;
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

enum qk_code qk_result_describe(struct qk_table *table, struct qk_node *node, const char *title, const char *units,
                                const char *definition, struct qk_err *err)
{
    QK_TRY(qk_node_attr_str(table, node, "title", title, err));
    QK_TRY(qk_node_attr_str(table, node, "units", units, err));
    QK_TRY(qk_node_attr_str(table, node, "long_name", title, err));
    return qk_node_attr_str(table, node, "definition", definition, err);
}

/* flag_values 0, 1 … and flag_meanings, as the CF conventions write them. */
static enum qk_code describe_flags(struct qk_table *table, struct qk_node *node, const char *const *names, size_t n,
                                   struct qk_err *err)
{
    int64_t values[16];
    struct qk_str meanings = {0};
    for (size_t i = 0; i < n; i++) {
        values[i] = (int64_t)i;
        qk_str_addf(&meanings, "%s%s", i == 0 ? "" : " ", names[i]);
    }
    enum qk_code code = meanings.failed ? qk_fail_nomem(err, "flag meanings")
                                        : qk_node_attr_i64s(table, node, "flag_values", values, n, err);
    if (code == QK_OK) {
        code = qk_node_attr_str(table, node, "flag_meanings", meanings.s, err);
    }
    qk_str_release(&meanings);
    return code;
}

/* ---- axes ------------------------------------------------------------------------------------------------------- */

struct scale_text {
    const char *path, *title, *units, *definition;
};

static const struct scale_text scale_layer = {"/model/layer", "Layer", "1", "index of the layer, from 0"};
static const struct scale_text scale_head = {
    "/model/head", "Query head", "1",
    "index of the query head, from 0; in linear layers that mix by more value heads, of the value head"};
static const struct scale_text scale_kv_head = {"/model/kv_head", "Key head", "1",
                                                "index of the key head (KV group), from 0; query head h reads key head "
                                                "h / (heads / key heads)"};
static const struct scale_text scale_angle = {"/model/angle", "Principal angle", "1",
                                              "rank of the principal angle, largest first"};
static const struct scale_text scale_pair = {"/model/pair", "Frequency pair", "1",
                                             "index of the pair of dimensions that RoPE turns together"};
static const struct scale_text scale_tau = {"/model/tau", "Distance", "tokens", "distance between query and key"};
static const struct scale_text scale_module = {"/model/module", "Module", "1",
                                               "part of a layer: q, k, v, o, output gate, MLP, norms, and the parts of "
                                               "linear layers"};
static const struct scale_text scale_outer = {"/model/outer", "Outer module", "1",
                                              "tensors outside the layers, by role"};

/* An index axis 0 … n − 1. */
static enum qk_code add_index(struct qk_table *table, const struct scale_text *text, size_t n, struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(qk_table_scale(table, text->path, QK_TYPE_I64, n, &node, err));
    for (size_t i = 0; i < n; i++) {
        node->v.i64[i] = (int64_t)i;
    }
    return qk_result_describe(table, node, text->title, text->units, text->definition, err);
}

static enum qk_code add_names(struct qk_table *table, const struct scale_text *text, size_t n,
                              const char *(*name)(size_t), struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(qk_table_scale(table, text->path, QK_TYPE_STR, n, &node, err));
    for (size_t i = 0; i < n; i++) {
        node->v.str[i] = name(i);
    }
    return qk_result_describe(table, node, text->title, text->units, text->definition, err);
}

static enum qk_code add_axes(struct qk_table *table, const struct qk_model *model, const struct qk_axes *axes,
                             struct qk_err *err)
{
    QK_TRY(add_index(table, &scale_layer, axes->n_layers, err));
    QK_TRY(add_index(table, &scale_head, axes->n_heads, err));
    QK_TRY(add_index(table, &scale_kv_head, axes->n_kv_heads, err));
    QK_TRY(add_index(table, &scale_angle, axes->head_dim, err));
    QK_TRY(add_index(table, &scale_pair, axes->n_pairs, err));
    double tau[TAU_MAX];
    size_t n_tau = qk_tau_grid(model->max_position, tau);
    struct qk_node *node;
    QK_TRY(qk_table_scale(table, scale_tau.path, QK_TYPE_I64, n_tau, &node, err));
    for (size_t t = 0; t < n_tau; t++) {
        node->v.i64[t] = (int64_t)tau[t];
    }
    QK_TRY(qk_result_describe(table, node, scale_tau.title, scale_tau.units, scale_tau.definition, err));
    QK_TRY(add_names(table, &scale_module, qk_module_count(), qk_module_name, err));
    return add_names(table, &scale_outer, qk_outer_count(), qk_outer_name, err);
}

/* ---- facts about the layers ------------------------------------------------------------------------------------- */

static int64_t fact_n_heads(const struct qk_layer *layer)
{
    return (int64_t)layer->n_heads;
}

static int64_t fact_n_kv_heads(const struct qk_layer *layer)
{
    return (int64_t)layer->n_kv_heads;
}

static int64_t fact_head_dim(const struct qk_layer *layer)
{
    return (int64_t)layer->head_dim;
}

static int64_t fact_n_in(const struct qk_layer *layer)
{
    return (int64_t)layer->n_in;
}

static int64_t fact_window(const struct qk_layer *layer)
{
    return (int64_t)layer->window;
}

static int64_t fact_rotary_dim(const struct qk_layer *layer)
{
    return layer->position.kind == QK_POSITION_ROPE ? (int64_t)layer->position.rotary_dim : 0;
}

static const char *fact_kind(const struct qk_layer *layer)
{
    return qk_layer_kind_name(layer->kind);
}

static const char *fact_mixer(const struct qk_layer *layer)
{
    return layer->mixer;
}

static const char *fact_position(const struct qk_layer *layer)
{
    return layer->n_heads == 0 ? "none" : qk_position_name(layer->position.kind);
}

static const char *fact_qk_norm(const struct qk_layer *layer)
{
    static const char *const names[] = {"none", "head", "all"};
    return names[layer->qk_norm_kind];
}

/* One dataset over layers: a text or an integer. */
static const struct layer_fact {
    const char *path, *title, *units, *definition;
    const char *(*text)(const struct qk_layer *);
    int64_t (*count)(const struct qk_layer *);
} layer_facts[] = {
    {"/model/layer_kind", "Kind of layer", "1",
     "full: softmax attention over all keys; sliding: over a window; linear; ssm; none: no Q and K", fact_kind, NULL},
    {"/model/mixer", "Token mixer", "1", "what mixes tokens in the layer", fact_mixer, NULL},
    {"/model/n_heads", "Query heads", "1", "number of query heads of the layer", NULL, fact_n_heads},
    {"/model/n_kv_heads", "Key heads", "1", "number of key heads of the layer", NULL, fact_n_kv_heads},
    {"/model/head_dim", "Head dimension", "1", "rows of one head of W_Q and of W_K", NULL, fact_head_dim},
    {"/model/n_in", "Input size", "1", "columns of W_Q and W_K", NULL, fact_n_in},
    {"/model/position", "Position encoding", "1", "rope, nope, learned or alibi; none where there is no Q and K",
     fact_position, NULL},
    {"/model/rotary_dim", "Rotary dimensions", "1", "dimensions of a head that RoPE turns; 0 without RoPE", NULL,
     fact_rotary_dim},
    {"/model/sliding_window", "Attention window", "tokens", "keys that a query sees, itself included; 0: all", NULL,
     fact_window},
    {"/model/qk_norm", "q/k norm", "1", "none; head: one norm per head; all: one norm over all heads together",
     fact_qk_norm, NULL},
};

static enum qk_code add_layer_facts(struct qk_table *table, const struct qk_model *model, struct qk_err *err)
{
    const char *const dims[] = {"/model/layer"};
    for (size_t f = 0; f < sizeof(layer_facts) / sizeof(layer_facts[0]); f++) {
        const struct layer_fact *fact = &layer_facts[f];
        struct qk_node *node;
        QK_TRY(qk_table_array(table, fact->path, fact->text != NULL ? QK_TYPE_STR : QK_TYPE_I64, 1, dims, &node, err));
        QK_TRY(qk_result_describe(table, node, fact->title, fact->units, fact->definition, err));
        for (size_t l = 0; l < model->n_layers; l++) {
            if (fact->text == NULL) {
                node->v.i64[l] = fact->count(&model->layers[l]);
                continue;
            }
            const char *text = fact->text(&model->layers[l]);
            node->v.str[l] = qk_arena_strdup(table->arena, text == NULL ? "" : text);
            if (node->v.str[l] == NULL) {
                return qk_fail_nomem(err, fact->path);
            }
        }
    }
    return QK_OK;
}

static enum qk_code add_wavelengths(struct qk_table *table, const struct qk_model *model, struct qk_err *err)
{
    const char *const dims[] = {"/model/layer", "/model/pair"};
    struct qk_node *node;
    QK_TRY(qk_table_array(table, "/model/qk_band_wavelength", QK_TYPE_F64, 2, dims, &node, err));
    QK_TRY(qk_result_describe(table, node, "Wavelength of a frequency pair", "tokens",
                              "2π / inv_freq, scaling included; missing beyond the rotary dimensions and without RoPE",
                              err));
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct qk_position *position = &model->layers[l].position;
        size_t n = position->kind == QK_POSITION_ROPE && model->layers[l].n_heads > 0 ? position->rotary_dim / 2 : 0;
        for (size_t p = 0; p < n && p < node->shape[1]; p++) {
            node->v.f64[l * node->shape[1] + p] = 2.0 * M_PI / position->inv_freq[p];
        }
    }
    return QK_OK;
}

enum qk_code qk_result_model(struct qk_table *table, const struct qk_model *model, struct qk_err *err)
{
    struct qk_axes axes = qk_axes_of(model);
    struct qk_node *group;
    if (axes.n_kv_heads == 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: no layer has query and key projections", model->ckpt->path);
    }
    QK_TRY(qk_table_group(table, "/model", &group, err));
    QK_TRY(qk_node_attr_str(table, group, "model_type", model->model_type, err));
    QK_TRY(qk_node_attr_str(table, group, "family", model->family->name, err));
    QK_TRY(qk_node_attr_i64(table, group, "hidden_size", (int64_t)model->hidden_size, err));
    QK_TRY(qk_node_attr_i64(table, group, "vocab_size", (int64_t)model->vocab_size, err));
    QK_TRY(qk_node_attr_i64(table, group, "max_position", (int64_t)model->max_position, err));
    QK_TRY(add_axes(table, model, &axes, err));
    QK_TRY(add_layer_facts(table, model, err));
    return add_wavelengths(table, model, err);
}

/* ---- metrics ---------------------------------------------------------------------------------------------------- */

static size_t n_dims_of(const struct qk_metric *metric)
{
    size_t n = 0;
    while (n < QK_TABLE_MAX_DIMS && metric->dims[n] != NULL) {
        n++;
    }
    return n;
}

static enum qk_code describe_metric(struct qk_table *table, struct qk_node *node, const struct qk_metric *metric,
                                    struct qk_err *err)
{
    QK_TRY(qk_result_describe(table, node, metric->title, metric->units, metric->definition, err));
    QK_TRY(qk_node_attr_str(table, node, "meaning", metric->meaning, err));
    QK_TRY(qk_node_attr_str(table, node, "reference", metric->source, err));
    if (metric->flags == NULL) {
        return QK_OK;
    }
    size_t n = 0;
    while (metric->flags[n] != NULL) {
        n++;
    }
    QK_TRY(qk_node_attr_i64(table, node, "missing", QK_FLAG_MISSING, err));
    return describe_flags(table, node, metric->flags, n, err);
}

enum qk_code qk_result_metric(struct qk_table *table, const char *checkpoint, const struct qk_metric *metric,
                              struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/%s/%s/%s", metric->group, checkpoint, metric->name);
    char *state_path =
        qk_arena_printf(table->arena, "/%s/%s/%s%s", metric->group, checkpoint, metric->name, state_suffix);
    char *title = qk_arena_printf(table->arena, "State of: %s", metric->title);
    const char *dims[QK_TABLE_MAX_DIMS] = {0};
    size_t n = n_dims_of(metric);
    for (size_t i = 0; i < n; i++) {
        dims[i] = qk_arena_printf(table->arena, "/model/%s", metric->dims[i]);
        if (dims[i] == NULL) {
            return qk_fail_nomem(err, "result table");
        }
    }
    if (path == NULL || state_path == NULL || title == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    struct qk_node *values, *state;
    QK_TRY(qk_table_array(table, path, metric->flags == NULL ? QK_TYPE_F64 : QK_TYPE_U8, n, dims, &values, err));
    QK_TRY(describe_metric(table, values, metric, err));
    if (values->type == QK_TYPE_U8) {
        memset(values->v.u8, QK_FLAG_MISSING, values->n_values);
    }
    QK_TRY(qk_table_array(table, state_path, QK_TYPE_U8, n < 2 ? n : 2, dims, &state, err));
    memset(state->v.u8, QK_STATE_NOT_COMPUTED, state->n_values);
    QK_TRY(qk_result_describe(table, state, title, "1", "why a value is there or missing", err));
    const char *names[QK_N_STATES];
    for (size_t i = 0; i < QK_N_STATES; i++) {
        names[i] = qk_state_name((enum qk_state)i);
    }
    return describe_flags(table, state, names, QK_N_STATES, err);
}

static enum qk_code add_drift(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                              const char *config_hash, const struct qk_selection *selection, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/drift/%s", tuned->name);
    struct qk_node *group;
    if (path == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_group(table, path, &group, err));
    QK_TRY(qk_node_attr_str(table, group, "base", base->name, err));
    QK_TRY(qk_node_attr_str(table, group, "config_hash", config_hash, err));
    QK_TRY(qk_node_attr_i64s(table, group, "layers", NULL, 0, err));
    for (size_t m = 0; m < selection->n_metrics; m++) {
        QK_TRY(qk_result_metric(table, tuned->name, selection->metrics[m], err));
    }
    return QK_OK;
}

enum qk_code qk_drift_prepare(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                              size_t n_tuned, const struct qk_drift_options *options, struct qk_err *err)
{
    struct qk_selection selection;
    char base_sample[65];
    QK_TRY(qk_selection_make(table->arena, options, &selection, err));
    QK_TRY(qk_provenance_root(table, base, tuned, n_tuned, options, err));
    QK_TRY(qk_result_model(table, base->model, err));
    QK_TRY(qk_provenance_checkpoint(table, base, "base", base_sample, err));
    for (size_t i = 0; i < n_tuned; i++) {
        char sample[65], hash[65];
        QK_TRY(qk_provenance_checkpoint(table, &tuned[i], "tuned", sample, err));
        qk_provenance_config_hash(base, base_sample, &tuned[i], sample, options, &selection, hash);
        QK_TRY(add_drift(table, base, &tuned[i], hash, &selection, err));
    }
    struct qk_node *drift = qk_table_find(table, "/drift");
    return drift == NULL ? QK_OK : qk_node_attr_str(table, drift, "blas", qk_blas_config(), err);
}

/* ---- filling ---------------------------------------------------------------------------------------------------- */

enum qk_code qk_drift_nodes(const struct qk_table *table, const char *checkpoint, const struct qk_metric *metric,
                            struct qk_node **ret_values, struct qk_node **ret_state, struct qk_err *err)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/%s/%s/%s", metric->group, checkpoint, metric->name);
    struct qk_node *values = path.failed ? NULL : qk_table_find(table, path.s);
    qk_str_add(&path, state_suffix);
    struct qk_node *state = path.failed ? NULL : qk_table_find(table, path.s);
    bool failed = path.failed;
    qk_str_release(&path);
    if (failed) {
        return qk_fail_nomem(err, "result table");
    }
    if (values == NULL || state == NULL) {
        return qk_fail(err, QK_EINTERNAL, "result table: no dataset for %s of '%s'", metric->name, checkpoint);
    }
    *ret_values = values;
    *ret_state = state;
    return QK_OK;
}

void qk_drift_put(const struct qk_metric *metric, struct qk_node *values, struct qk_node *state, size_t row,
                  size_t column, const struct qk_drift_unit *unit)
{
    size_t cell = state->n_dims < 2 ? row : row * state->shape[1] + column;
    if (values->type == QK_TYPE_U8) {
        double flag = QK_FLAG_MISSING;
        state->v.u8[cell] = (uint8_t)metric->value(unit, &flag);
        values->v.u8[cell] = (uint8_t)flag;
        return;
    }
    size_t n = values->n_values / state->n_values;
    double *dst = values->v.f64 + cell * n;
    for (size_t i = 0; i < n; i++) {
        dst[i] = NAN;
    }
    state->v.u8[cell] = (uint8_t)metric->value(unit, dst);
}

void qk_drift_put_absent(struct qk_node *state, size_t row, size_t column)
{
    state->v.u8[state->n_dims < 2 ? row : row * state->shape[1] + column] = QK_STATE_NOT_APPLICABLE;
}

enum qk_code qk_drift_mark_layer(struct qk_table *table, const char *checkpoint, size_t layer, struct qk_err *err)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/drift/%s", checkpoint);
    struct qk_node *group = path.failed ? NULL : qk_table_find(table, path.s);
    bool failed = path.failed;
    qk_str_release(&path);
    if (failed) {
        return qk_fail_nomem(err, "result table");
    }
    const struct qk_attr *attr = group == NULL ? NULL : qk_node_attr(group, "layers");
    if (attr == NULL || attr->type != QK_TYPE_I64) {
        return qk_fail(err, QK_EINTERNAL, "result table: no layer list for '%s'", checkpoint);
    }
    int64_t *layers = qk_arena_alloc(table->arena, attr->n + 1, sizeof(*layers));
    if (layers == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    size_t n = 0, i = 0;
    while (i < attr->n && attr->v.i64[i] < (int64_t)layer) {
        layers[n++] = attr->v.i64[i++];
    }
    layers[n++] = (int64_t)layer;
    while (i < attr->n) {
        layers[n++] = attr->v.i64[i++];
    }
    return qk_node_attr_i64s(table, group, "layers", layers, n, err);
}
