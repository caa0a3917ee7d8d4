/* The layout of a probe run's results: axes of probes, one entry per checkpoint with its sums. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "drift_table.h"
#include "probe_run.h"
#include "provenance.h"

const struct qk_part_sort qk_probe_part = {
    .group = "probe", .list = "sequences", .number = "n_sequences", .one = "sequence", .axis = "/model/sequence"};

/* ---- axes ------------------------------------------------------------------------------------------------------- */

struct axis_text {
    const char *path, *title, *units, *definition;
};

static const struct axis_text axis_sequence = {"/model/sequence", "Probe sequence", "1",
                                               "index of the probe sequence, from 0"};
static const struct axis_text axis_sum = {"/model/probe_sum", "Sum", "1", "what is added up over a sequence"};
static const struct axis_text axis_bin = {"/model/distance_bin", "Distance bin", "1",
                                          "index of the bin of distances bin_low to bin_high: 0, 1, 2–3, 4–7, …"};
static const struct axis_text axis_window = {"/model/window", "Window", "tokens", "longest distance in the window"};
static const struct axis_text axis_distance = {"/model/distance", "Distance", "tokens",
                                               "distance between query and key"};
static const struct axis_text axis_last = {"/model/last_position", "Position from the end", "tokens",
                                           "−1 is the last position of a sequence"};
static const struct axis_text axis_vocab = {"/model/vocab", "Token id", "1", "id in the vocabulary"};

/* Coordinates first, first + 1, … */
static enum qk_code add_axis(struct qk_table *table, const struct axis_text *text, size_t n, int64_t first,
                             struct qk_node **ret, struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(qk_table_scale(table, text->path, QK_TYPE_I64, n, &node, err));
    for (size_t i = 0; i < n; i++) {
        node->v.i64[i] = first + (int64_t)i;
    }
    *ret = node;
    return qk_result_describe(table, node, text->title, text->units, text->definition, err);
}

static enum qk_code add_bin_bounds(struct qk_table *table, size_t n, struct qk_err *err)
{
    struct qk_node *low, *high;
    QK_TRY(qk_table_array(table, "/model/bin_low", QK_TYPE_I64, 1, &axis_bin.path, &low, err));
    QK_TRY(qk_result_describe(table, low, "Shortest distance of a bin", "tokens", "in the bin", err));
    QK_TRY(qk_table_array(table, "/model/bin_high", QK_TYPE_I64, 1, &axis_bin.path, &high, err));
    QK_TRY(qk_result_describe(table, high, "Longest distance of a bin", "tokens", "in the bin", err));
    for (size_t b = 0; b < n; b++) {
        low->v.i64[b] = (int64_t)qk_distance_bin_low(b);
        high->v.i64[b] = (int64_t)qk_distance_bin_high(b);
    }
    return QK_OK;
}

static enum qk_code add_sum_axis(struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node, *meaning;
    QK_TRY(qk_table_scale(table, axis_sum.path, QK_TYPE_STR, QK_N_DISTANCE_SUMS, &node, err));
    QK_TRY(qk_result_describe(table, node, axis_sum.title, axis_sum.units, axis_sum.definition, err));
    QK_TRY(qk_table_array(table, "/model/probe_sum_definition", QK_TYPE_STR, 1, &axis_sum.path, &meaning, err));
    QK_TRY(qk_result_describe(table, meaning, "What the sum adds up", "1",
                              "per selected query t where nothing else is said; A = A_ts, d = t − s", err));
    for (size_t k = 0; k < QK_N_DISTANCE_SUMS; k++) {
        node->v.str[k] = qk_distance_sum_name(k);
        meaning->v.str[k] = qk_distance_sum_definition(k);
    }
    return QK_OK;
}

static enum qk_code add_axes(struct qk_table *table, const struct qk_model *model, const struct qk_probe_set *set,
                             const struct qk_probe_options *options, struct qk_err *err)
{
    struct qk_node *node;
    size_t n_bins = qk_distance_bin_count(set->longest), n_windows = qk_tail_window_count(set->longest);
    QK_TRY(add_axis(table, &axis_sequence, set->n, 0, &node, err));
    QK_TRY(add_sum_axis(table, err));
    QK_TRY(add_axis(table, &axis_bin, n_bins, 0, &node, err));
    QK_TRY(add_bin_bounds(table, n_bins, err));
    QK_TRY(add_axis(table, &axis_window, n_windows, 0, &node, err));
    for (size_t w = 0; w < n_windows; w++) {
        node->v.i64[w] = (int64_t)qk_tail_window(w);
    }
    if (options->exact_profile) {
        QK_TRY(add_axis(table, &axis_distance, set->longest, 0, &node, err));
    }
    if (options->n_logits > 0) {
        QK_TRY(add_axis(table, &axis_last, options->n_logits, -(int64_t)options->n_logits, &node, err));
        QK_TRY(add_axis(table, &axis_vocab, model->vocab_size, 0, &node, err));
    }
    return QK_OK;
}

/* ---- an entry --------------------------------------------------------------------------------------------------- */

static const char *const layer_head_dims[] = {"/model/sequence", "/model/layer", "/model/head"};

/* A dataset over sequence, layer, head and one more axis. */
static enum qk_code add_sums(struct qk_table *table, const char *name, const char *leaf, const char *axis,
                             const char *title, const char *definition, struct qk_err *err)
{
    const char *const dims[] = {layer_head_dims[0], layer_head_dims[1], layer_head_dims[2], axis};
    char *path = qk_arena_printf(table->arena, "/probe/%s/sums/%s", name, leaf);
    struct qk_node *node;
    if (path == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_array(table, path, QK_TYPE_F64, 4, dims, &node, err));
    return qk_result_describe(table, node, title, "1", definition, err);
}

static enum qk_code add_scores(struct qk_table *table, const char *name, const struct qk_probe_options *options,
                               struct qk_err *err)
{
    static const char *const dims[] = {"/model/sequence", "/model/last_position", "/model/vocab"};
    char *nll = qk_arena_printf(table->arena, "/probe/%s/nll", name);
    char *logits = qk_arena_printf(table->arena, "/probe/%s/logits", name);
    struct qk_node *node;
    if (nll == NULL || logits == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_array(table, nll, QK_TYPE_F64, 1, dims, &node, err));
    QK_TRY(qk_result_describe(table, node, "Negative log-likelihood", "nats",
                              "mean over the tokens but the first of −ln p(token | all before it)", err));
    if (options->n_logits == 0) {
        return QK_OK;
    }
    QK_TRY(qk_table_array(table, logits, QK_TYPE_F64, 3, dims, &node, err));
    return qk_result_describe(table, node, "Logits", "1", "of the last positions; missing where a sequence is shorter",
                              err);
}

static enum qk_code describe_probes(struct qk_table *table, struct qk_node *entry, const struct qk_probe_set *set,
                                    const struct qk_probe_options *options, struct qk_err *err)
{
    static const char *const rules[] = {"all", "last", "every"};
    char *queries = options->queries == QK_QUERIES_ALL
                        ? qk_arena_strdup(table->arena, rules[0])
                        : qk_arena_printf(table->arena, "%s:%zu", rules[options->queries], options->n_queries);
    int64_t *lengths = qk_arena_alloc(table->arena, set->n, sizeof(*lengths));
    if (queries == NULL || lengths == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t i = 0; i < set->n; i++) {
        lengths[i] = (int64_t)set->sequences[i].n;
    }
    QK_TRY(qk_node_attr_str(table, entry, "set", set->name, err));
    QK_TRY(qk_node_attr_i64(table, entry, "n_sequences", (int64_t)set->n, err));
    QK_TRY(qk_node_attr_i64s(table, entry, "lengths", lengths, set->n, err));
    QK_TRY(qk_node_attr_str(table, entry, "token_sha256", set->sha256, err));
    QK_TRY(qk_node_attr_str(table, entry, "queries", queries, err));
    QK_TRY(qk_node_attr_i64(table, entry, "linear_queries", (int64_t)options->n_linear_queries, err));
    return qk_node_attr_i64(table, entry, "sink", (int64_t)options->n_sink, err);
}

static bool is_linear(const struct qk_layer *layer)
{
    return layer->kind == QK_LAYER_LINEAR || layer->kind == QK_LAYER_SSM;
}

/* What a layer's weights are. Mamba 1 mixes every channel by itself, so it has none between tokens. */
static const char *mixing_of(const struct qk_layer *layer, const struct qk_probe_options *options)
{
    if (options->layers != NULL && !options->layers[layer->index]) {
        return QK_MIXING_NOT_COMPUTED;
    }
    if (layer->kind == QK_LAYER_NONE || qk_streq(layer->mixer, "mamba1")) {
        return QK_MIXING_NONE;
    }
    if (is_linear(layer)) {
        return options->n_linear_queries == 0 ? QK_MIXING_NOT_COMPUTED : QK_MIXING_IMPLICIT;
    }
    return QK_MIXING_SOFTMAX;
}

static enum qk_code add_entry(struct qk_table *table, const struct qk_run_input *input, const char *base,
                              const char *config_hash, const struct qk_probe_set *set,
                              const struct qk_probe_options *options, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/probe/%s", input->name);
    const char **mixing = qk_arena_alloc(table->arena, input->model->n_layers, sizeof(*mixing));
    char *sums = qk_arena_printf(table->arena, "/probe/%s/sums", input->name);
    struct qk_node *entry, *group;
    if (path == NULL || mixing == NULL || sums == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t l = 0; l < input->model->n_layers; l++) {
        mixing[l] = mixing_of(&input->model->layers[l], options);
    }
    QK_TRY(qk_table_group(table, path, &entry, err));
    QK_TRY(qk_node_attr_str(table, entry, "base", base, err));
    QK_TRY(qk_node_attr_str(table, entry, "config_hash", config_hash, err));
    QK_TRY(describe_probes(table, entry, set, options, err));
    QK_TRY(qk_node_attr_strs(table, entry, "mixing", mixing, input->model->n_layers, err));
    QK_TRY(qk_node_attr_i64s(table, entry, "sequences", NULL, 0, err));
    /* before the datasets, as in a file that is read back */
    QK_TRY(qk_table_group(table, sums, &group, err));
    QK_TRY(add_scores(table, input->name, options, err));
    QK_TRY(add_sums(table, input->name, "scalar", axis_sum.path, "Sums over a sequence's queries",
                    "see probe_sum_definition", err));
    QK_TRY(add_sums(table, input->name, "bins", axis_bin.path, "Sums of attention by distance",
                    "Σ over selected queries t of Σ A_ts with t − s in the bin", err));
    QK_TRY(add_sums(table, input->name, "tail", axis_window.path, "Sums of attention beyond a window",
                    "Σ over selected queries t of Σ A_ts with t − s > window, sink keys left out", err));
    return !options->exact_profile
               ? QK_OK
               : add_sums(table, input->name, "profile", axis_distance.path, "Sums of attention at each distance",
                          "Σ over selected queries t of A_ts with t − s = distance", err);
}

/* ---- provenance ------------------------------------------------------------------------------------------------- */

static void add_number(struct qk_str *str, const char *option, size_t n)
{
    qk_str_addf(str, " --%s %zu", option, n);
}

/* The command line that the configuration stands for, without shard, threads and output. */
static void add_command(struct qk_str *str, const struct qk_run_input *inputs, size_t n, size_t base,
                        const struct qk_probe_set *set, const struct qk_probe_options *options)
{
    static const char *const rules[] = {"all", "last", "every"};
    qk_str_add(str, "qkscope probe");
    for (size_t i = 0; i < n; i++) {
        qk_provenance_add_operand(str, &inputs[i]);
    }
    if (base != 0) {
        qk_str_add(str, " --base ");
        qk_provenance_add_word(str, inputs[base].name);
    }
    if (set->words != NULL) {
        qk_str_addf(str, " --niah %s", set->words);
    } else {
        qk_str_add(str, set->length > 0 ? " --text " : " --tokens ");
        qk_provenance_add_word(str, set->path);
    }
    if (set->length > 0) {
        add_number(str, "length", set->length);
    }
    if (set->most > 0) {
        add_number(str, "max-probes", set->most);
    }
    if (options->queries != QK_QUERIES_ALL) {
        qk_str_addf(str, " --queries %s:%zu", rules[options->queries], options->n_queries);
    }
    add_number(str, "linear-queries", options->n_linear_queries);
    add_number(str, "sink", options->n_sink);
    if (options->n_logits > 0) {
        add_number(str, "logits-last", options->n_logits);
    }
    qk_str_add(str, options->exact_profile ? " --exact-profile" : "");
    for (size_t l = 0, shown = 0; options->layers != NULL && l < inputs[0].model->n_layers; l++) {
        if (options->layers[l]) {
            qk_str_addf(str, "%s%zu", shown++ == 0 ? " --layers " : ",", l);
        }
    }
}

/* What parts of a run must agree in. The command has all options; paths in it are the caller's affair, so hashes of the
 * inputs stand beside it. */
static enum qk_code hash_config(const struct qk_run_input *input, const char *sample, const char *base_sample,
                                const struct qk_probe_set *set, const struct qk_probe_options *options, char ret[65],
                                struct qk_err *err)
{
    struct qk_str text = {0};
    qk_str_addf(&text, "probe 2|%s|%s|%s|%s|%s|%d:%zu|%zu|%zu|%zu|%d|", QK_VERSION, input->name, sample, base_sample,
                set->sha256, (int)options->queries, options->n_queries, options->n_linear_queries, options->n_sink,
                options->n_logits, options->exact_profile);
    for (size_t l = 0; l < input->model->n_layers; l++) {
        qk_str_addc(&text, options->layers == NULL || options->layers[l] ? '1' : '0');
    }
    for (size_t i = 0; i < set->n; i++) {
        for (size_t s = 0; s < set->sequences[i].n_spans; s++) {
            const struct qk_probe_span *span = &set->sequences[i].spans[s];
            qk_str_addf(&text, "|%zu:%s:%zu:%zu", i, span->name, span->start, span->end);
        }
    }
    return qk_provenance_hash(&text, ret, err);
}

/* ---- public ----------------------------------------------------------------------------------------------------- */

enum qk_code qk_probe_prepare(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t base,
                              const struct qk_probe_set *set, const struct qk_probe_options *options,
                              struct qk_err *err)
{
    struct qk_str command = {0};
    if (set->n > QK_PROBE_MOST) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: %zu probes (expected at most %d in one run)", set->path, set->n,
                       QK_PROBE_MOST);
    }
    add_command(&command, inputs, n, base, set, options);
    QK_TRY(qk_provenance_command(table, "Attention distance on probe sequences", &command, err));
    QK_TRY(qk_result_model(table, inputs[base].model, err));
    QK_TRY(add_axes(table, inputs[base].model, set, options, err));
    char(*samples)[65];
    QK_TRY(qk_provenance_checkpoints(table, inputs, n, base, &samples, err));
    for (size_t i = 0; i < n; i++) {
        char hash[65];
        QK_TRY(hash_config(&inputs[i], samples[i], samples[base], set, options, hash, err));
        QK_TRY(add_entry(table, &inputs[i], inputs[base].name, hash, set, options, err));
    }
    return QK_OK;
}

static struct qk_node *find_below(const struct qk_table *table, const char *name, const char *leaf)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/probe/%s%s", name, leaf);
    struct qk_node *node = path.failed ? NULL : qk_table_find(table, path.s);
    qk_str_release(&path);
    return node;
}

static bool has_shape(const struct qk_node *node, size_t n_dims, const size_t *shape)
{
    if (node == NULL || node->is_group || node->type != QK_TYPE_F64 || node->n_dims != n_dims) {
        return false;
    }
    for (size_t i = 0; i < n_dims; i++) {
        if (node->shape[i] != shape[i]) {
            return false;
        }
    }
    return true;
}

enum qk_code qk_probe_nodes_of(const struct qk_table *table, const char *name, struct qk_probe_nodes *ret,
                               struct qk_err *err)
{
    struct qk_probe_nodes nodes = {
        .entry = find_below(table, name, ""),
        .scalar = find_below(table, name, "/sums/scalar"),
        .bins = find_below(table, name, "/sums/bins"),
        .tail = find_below(table, name, "/sums/tail"),
        .profile = find_below(table, name, "/sums/profile"),
        .nll = find_below(table, name, "/nll"),
        .logits = find_below(table, name, "/logits"),
    };
    if (nodes.entry == NULL || nodes.scalar == NULL || nodes.scalar->n_dims != 4 || nodes.bins == NULL ||
        nodes.bins->n_dims != 4 || nodes.tail == NULL || nodes.tail->n_dims != 4) {
        return qk_fail(err, QK_EFORMAT, "/probe/%s: its sums are missing", name);
    }
    size_t shape[4] = {nodes.scalar->shape[0], nodes.scalar->shape[1], nodes.scalar->shape[2], QK_N_DISTANCE_SUMS};
    bool fits = has_shape(nodes.scalar, 4, shape) && has_shape(nodes.nll, 1, shape);
    shape[3] = nodes.n_bins = nodes.bins->shape[3];
    fits = fits && has_shape(nodes.bins, 4, shape);
    shape[3] = nodes.n_windows = nodes.tail->shape[3];
    fits = fits && has_shape(nodes.tail, 4, shape);
    if (nodes.profile != NULL) {
        shape[3] = nodes.n_profile = nodes.profile->n_dims == 4 ? nodes.profile->shape[3] : 0;
        fits = fits && has_shape(nodes.profile, 4, shape);
    }
    if (!fits) {
        return qk_fail(err, QK_EFORMAT, "/probe/%s: its sums do not fit each other", name);
    }
    nodes.n_layers = shape[1];
    nodes.n_heads = shape[2];
    *ret = nodes;
    return QK_OK;
}

struct qk_distance_sums qk_probe_sums_at(const struct qk_probe_nodes *nodes, size_t sequence, size_t layer, size_t head)
{
    size_t cell = (sequence * nodes->n_layers + layer) * nodes->n_heads + head;
    return (struct qk_distance_sums){
        .scalar = nodes->scalar->v.f64 + cell * QK_N_DISTANCE_SUMS,
        .bins = nodes->bins->v.f64 + cell * nodes->n_bins,
        .tail = nodes->tail->v.f64 + cell * nodes->n_windows,
        .profile = nodes->profile == NULL ? NULL : nodes->profile->v.f64 + cell * nodes->n_profile,
    };
}
