/* Made-up runs: see made_run.h. */
#include "made_run.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_TAU = 6, N_PAIRS = 4 };
static const char *const kinds[MADE_LAYERS] = {"linear", "full", "linear", "full", "sliding", "none"};
static const char *const positions[MADE_LAYERS] = {"rope", "rope", "rope", "nope", "rope", "nope"};
static const char *const norms[MADE_LAYERS] = {"none", "head", "none", "none", "none", "none"};
static const char *const modules[] = {"q", "k", "v", "o", "mlp_up", "mlp_down", "norms", "qk_bias"};
static const int64_t taus[N_TAU] = {0, 4, 16, 64, 512, 2048};
static const double wavelengths[N_PAIRS] = {6.28, 16, 512, 4096};
enum { N_MODULES = sizeof modules / sizeof modules[0] };

#define MUST(call) must((call), #call)
static void must(enum qk_code code, const char *what)
{
    if (code != QK_OK) {
        (void)fprintf(stderr, "made run: %s failed with code %d\n", what, (int)code);
    }
    assert(code == QK_OK);
}

static struct qk_node *scale(struct qk_table *table, const char *path, enum qk_type type, size_t n)
{
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    MUST(qk_table_scale(table, path, type, n, &node, &err));
    return node;
}

static struct qk_node *array(struct qk_table *table, const char *path, enum qk_type type, const char *a, const char *b,
                             const char *c)
{
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    const char *dims[] = {a, b, c};
    MUST(qk_table_array(table, path, type, c != NULL ? 3 : b != NULL ? 2 : 1, dims, &node, &err));
    return node;
}

static size_t heads_of(size_t layer, bool key)
{
    return strcmp(kinds[layer], "none") == 0 ? 0 : key ? MADE_KV_HEADS : MADE_HEADS;
}

/* A dataset over (layer, head or kv_head[, third]), value where the head exists. */
static void fill(struct qk_table *table, const char *path, bool key, const char *third, double value)
{
    struct qk_node *node =
        array(table, path, QK_TYPE_F64, "/model/layer", key ? "/model/kv_head" : "/model/head", third);
    size_t depth = third != NULL ? node->shape[2] : 1;
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        for (size_t i = 0; i < heads_of(l, key) * depth; i++) {
            node->v.f64[l * node->shape[1] * depth + i] = value;
        }
    }
}

static void add_model(struct qk_table *table)
{
    struct qk_node *model = NULL;
    struct qk_err err = {0};
    MUST(qk_table_group(table, "/model", &model, &err));
    MUST(qk_node_attr_str(table, model, "family", "hypenet", &err));
    MUST(qk_node_attr_i64(table, model, "vocab_size", 1000, &err));
    MUST(qk_node_attr_i64(table, model, "max_position", 2000, &err));
    (void)scale(table, "/model/layer", QK_TYPE_I64, MADE_LAYERS);
    (void)scale(table, "/model/head", QK_TYPE_I64, MADE_HEADS);
    (void)scale(table, "/model/kv_head", QK_TYPE_I64, MADE_KV_HEADS);
    (void)scale(table, "/model/pair", QK_TYPE_I64, N_PAIRS);
    (void)scale(table, "/model/sequence", QK_TYPE_I64, MADE_PROBES);
    memcpy(scale(table, "/model/tau", QK_TYPE_I64, N_TAU)->v.i64, taus, sizeof taus);
    struct qk_node *module = scale(table, "/model/module", QK_TYPE_STR, N_MODULES);
    for (size_t m = 0; m < N_MODULES; m++) {
        module->v.str[m] = modules[m];
    }
    scale(table, "/model/outer", QK_TYPE_STR, 1)->v.str[0] = "embedding";
    struct qk_node *kind = array(table, "/model/layer_kind", QK_TYPE_STR, "/model/layer", NULL, NULL);
    struct qk_node *position = array(table, "/model/position", QK_TYPE_STR, "/model/layer", NULL, NULL);
    struct qk_node *norm = array(table, "/model/qk_norm", QK_TYPE_STR, "/model/layer", NULL, NULL);
    struct qk_node *heads = array(table, "/model/n_heads", QK_TYPE_I64, "/model/layer", NULL, NULL);
    struct qk_node *kv = array(table, "/model/n_kv_heads", QK_TYPE_I64, "/model/layer", NULL, NULL);
    struct qk_node *waves = array(table, "/model/qk_band_wavelength", QK_TYPE_F64, "/model/layer", "/model/pair", NULL);
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        kind->v.str[l] = kinds[l];
        position->v.str[l] = positions[l];
        norm->v.str[l] = norms[l];
        heads->v.i64[l] = (int64_t)heads_of(l, false);
        kv->v.i64[l] = (int64_t)heads_of(l, true);
        memcpy(waves->v.f64 + l * N_PAIRS, wavelengths, sizeof wavelengths);
    }
}

static void add_checkpoint(struct qk_table *table, const char *name, const char *sha256)
{
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    char path[64];
    (void)snprintf(path, sizeof path, "/checkpoints/%s", name);
    MUST(qk_table_group(table, path, &node, &err));
    MUST(qk_node_attr_str(table, node, "role", strcmp(name, "base") == 0 ? "base" : "tuned", &err));
    MUST(qk_node_attr_str(table, node, "header_sha256", sha256, &err));
}

static void add_group(struct qk_table *table, const char *path)
{
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    MUST(qk_table_group(table, path, &node, &err));
    MUST(qk_node_attr_str(table, node, "base", "base", &err));
}

static void add_flags(struct qk_table *table, const char *path, bool key)
{
    struct qk_node *node = array(table, path, QK_TYPE_U8, "/model/layer", key ? "/model/kv_head" : "/model/head", NULL);
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        for (size_t i = 0; i < node->shape[1]; i++) {
            node->v.u8[l * node->shape[1] + i] = i < heads_of(l, key) ? 0 : 255;
        }
    }
}

static void add_drift(struct qk_table *table)
{
    add_group(table, "/drift/tuned");
    fill(table, "/drift/tuned/qk_rel_drift", false, NULL, 0.1);
    fill(table, "/drift/tuned/qk_eff_rel_drift", false, NULL, 0.1);
    fill(table, "/drift/tuned/q_alignable", false, NULL, 0.1);
    fill(table, "/drift/tuned/k_alignable", true, NULL, 0.1);
    fill(table, "/drift/tuned/q_norm_delta", false, NULL, 2.0);
    fill(table, "/drift/tuned/k_norm_delta", true, NULL, 2.0);
    fill(table, "/drift/tuned/qk_distance_drift", false, "/model/tau", 0.1);
    fill(table, "/drift/tuned/qk_band_drift", false, "/model/pair", 0.1);
    add_flags(table, "/drift/tuned/q_at_noise_floor", false);
    add_flags(table, "/drift/tuned/k_at_noise_floor", true);
    add_flags(table, "/drift/tuned/qk_rel_drift_state", false);
    struct qk_node *module =
        array(table, "/drift/tuned/module_rel_drift", QK_TYPE_F64, "/model/layer", "/model/module", NULL);
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        double qkvo = strcmp(kinds[l], "linear") == 0 ? 0.01 : 0.1;
        for (size_t m = 0; m + 1 < N_MODULES; m++) {
            module->v.f64[l * N_MODULES + m] = m < 4 ? qkvo : 0.0;
        }
    }
    array(table, "/drift/tuned/outer_rel_drift", QK_TYPE_F64, "/model/outer", NULL, NULL)->v.f64[0] = 0.0;
}

static void add_probe(struct qk_table *table, const char *name)
{
    static const int64_t lengths[MADE_PROBES] = {900, 1000};
    struct qk_err err = {0};
    char path[64];
    (void)snprintf(path, sizeof path, "/probe/%s", name);
    add_group(table, path);
    MUST(qk_node_attr_i64s(table, made_node(table, path), "lengths", lengths, MADE_PROBES, &err));
    (void)snprintf(path, sizeof path, "/probe/%s/retrieval_mass", name);
    fill(table, path, false, NULL, 0.5);
    (void)snprintf(path, sizeof path, "/probe/%s/sink_mass", name);
    fill(table, path, false, NULL, 0.2);
    (void)snprintf(path, sizeof path, "/probe/%s/nll", name);
    struct qk_node *nll = array(table, path, QK_TYPE_F64, "/model/sequence", NULL, NULL);
    nll->v.f64[0] = nll->v.f64[1] = 2.0;
}

static void add_routing(struct qk_table *table)
{
    static const struct {
        const char *leaf;
        double value;
    } rows[] = {{"tail_loss", 0.0},      {"tail_loss_lo", -0.01},      {"tail_loss_hi", 0.01},     {"tail_window", 256},
                {"distance_shift", 0.0}, {"distance_shift_lo", -0.01}, {"distance_shift_hi", 0.01}};
    add_group(table, "/routing/tuned");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/routing/tuned/%s", rows[i].leaf);
        fill(table, path, false, NULL, rows[i].value);
    }
}

struct qk_table *made_run(unsigned parts)
{
    struct qk_table *table = NULL;
    struct qk_err err = {0};
    MUST(qk_table_new(&table, &err));
    add_model(table);
    add_checkpoint(table, "base", MADE_BASE_SHA256);
    add_checkpoint(table, "tuned", MADE_TUNED_SHA256);
    if ((parts & MADE_DRIFT) != 0) {
        add_drift(table);
    }
    if ((parts & MADE_PROBE) != 0) {
        add_probe(table, "base");
        add_probe(table, "tuned");
        add_routing(table);
    }
    return table;
}

struct qk_node *made_node(struct qk_table *table, const char *path)
{
    struct qk_node *node = qk_table_find(table, path);
    if (node == NULL) {
        (void)fprintf(stderr, "made run: no %s\n", path);
    }
    assert(node != NULL);
    return node;
}

void made_set(struct qk_table *table, const char *path, size_t layer, size_t i, double value)
{
    struct qk_node *node = made_node(table, path);
    size_t at = layer * (node->n_dims > 1 ? node->shape[1] : 1) + i;
    assert(at < node->n_values && node->n_dims <= 2);
    if (node->type == QK_TYPE_U8) {
        node->v.u8[at] = (uint8_t)value;
    } else {
        node->v.f64[at] = value;
    }
}

void made_module(struct qk_table *table, size_t layer, const char *module, double value)
{
    for (size_t m = 0; m < N_MODULES; m++) {
        if (strcmp(modules[m], module) == 0) {
            made_set(table, "/drift/tuned/module_rel_drift", layer, m, value);
            return;
        }
    }
    assert(!"unknown module");
}

void made_remove(struct qk_table *table, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (strcmp(table->nodes[i]->path, path) != 0) {
            table->nodes[n++] = table->nodes[i];
        }
    }
    assert(n + 1 == table->n_nodes);
    table->n_nodes = n;
}

struct qk_evidence made_evidence(const struct qk_table *table, struct qk_arena *arena)
{
    struct qk_evidence e;
    struct qk_err err = {0};
    MUST(qk_evidence_open(table, NULL, arena, &e, &err));
    return e;
}
