/* Made-up drift runs: see drift_fixture.h. */
#include "drift_fixture.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"

static const size_t amnesia_full[] = {2, 5, 7, SIZE_MAX};
static const size_t hypenet_full[] = {1, 2, 4, 6, 7, 10, 24, 33, 34, SIZE_MAX};
static const size_t widest_full[] = {5, 11, 17, 23, 29, 35, 41, 47, 53, 59, 65, 71, 77, 83, SIZE_MAX};

const struct drift_shape shape_amnesia = {"amnesia", 8, 6, 3, 32, amnesia_full, 6, 0, 0.22};
const struct drift_shape shape_hypenet = {"hypenet", 36, 32, 8, 128, hypenet_full, 32, 0, 0.08};
const struct drift_shape shape_single = {"single", 1, 1, 1, 16, NULL, 1, 0, 0.3};
const struct drift_shape shape_large = {"large", 80, 64, 8, 64, NULL, 8, 0, 0.002};
const struct drift_shape shape_widest = {"widest", 94, 128, 8, 32, widest_full, 128, 6, 0.05};

static const char *const module_names[] = {"q",        "k",      "v",        "o",      "gate", "qk_norm",
                                           "mlp_gate", "mlp_up", "mlp_down", "router", "norm", "decay",
                                           "beta",     "conv",   "ssm",      "other"};
enum { N_MODULES = sizeof module_names / sizeof module_names[0], N_TAU = 18 };

#define MUST(call) must((call), #call)
static void must(enum qk_code code, const char *what)
{
    if (code != QK_OK) {
        (void)fprintf(stderr, "fixture: %s failed with code %d\n", what, (int)code);
    }
    assert(code == QK_OK);
}

static bool is_full(const struct drift_shape *shape, size_t layer)
{
    if (shape->full == NULL) {
        return true;
    }
    for (size_t i = 0; shape->full[i] != SIZE_MAX; i++) {
        if (shape->full[i] == layer) {
            return true;
        }
    }
    return false;
}

static bool has_qk(const struct drift_shape *shape, size_t layer)
{
    return layer + shape->n_none < shape->n_layers;
}

static size_t heads_of(const struct drift_shape *shape, size_t layer, bool key)
{
    if (!has_qk(shape, layer)) {
        return 0;
    }
    return !key ? shape->n_heads : is_full(shape, layer) ? shape->n_kv_heads : shape->linear_kv_heads;
}

static struct qk_node *scale(struct qk_table *table, const char *path, enum qk_type type, size_t n)
{
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    MUST(qk_table_scale(table, path, type, n, &node, &err));
    for (size_t i = 0; type == QK_TYPE_I64 && i < n; i++) {
        node->v.i64[i] = (int64_t)i;
    }
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

static void add_model(struct qk_table *table, const struct drift_shape *s)
{
    size_t kv = s->n_kv_heads > s->linear_kv_heads ? s->n_kv_heads : s->linear_kv_heads;
    (void)scale(table, "/model/layer", QK_TYPE_I64, s->n_layers);
    (void)scale(table, "/model/head", QK_TYPE_I64, s->n_heads);
    (void)scale(table, "/model/kv_head", QK_TYPE_I64, kv);
    (void)scale(table, "/model/angle", QK_TYPE_I64, s->head_dim);
    (void)scale(table, "/model/rope_pair", QK_TYPE_I64, s->head_dim / 2);
    struct qk_node *tau = scale(table, "/model/tau", QK_TYPE_I64, N_TAU);
    for (size_t i = 0; i < N_TAU; i++) {
        tau->v.i64[i] = i == 0 ? 0 : (int64_t)1 << (i - 1);
    }
    struct qk_node *module = scale(table, "/model/module", QK_TYPE_STR, N_MODULES);
    for (size_t i = 0; i < N_MODULES; i++) {
        module->v.str[i] = module_names[i];
    }
    struct qk_node *kind = array(table, "/model/layer_kind", QK_TYPE_STR, "/model/layer", NULL, NULL);
    struct qk_node *n_heads = array(table, "/model/n_heads", QK_TYPE_I64, "/model/layer", NULL, NULL);
    struct qk_node *n_kv = array(table, "/model/n_kv_heads", QK_TYPE_I64, "/model/layer", NULL, NULL);
    struct qk_node *wavelength =
        array(table, "/model/wavelength", QK_TYPE_F64, "/model/layer", "/model/rope_pair", NULL);
    for (size_t l = 0; l < s->n_layers; l++) {
        kind->v.str[l] = !has_qk(s, l) ? "none" : is_full(s, l) ? "full" : "linear";
        n_heads->v.i64[l] = (int64_t)heads_of(s, l, false);
        n_kv->v.i64[l] = (int64_t)heads_of(s, l, true);
        for (size_t p = 0; p < s->head_dim / 2; p++) {
            bool rope = s->full == NULL || !is_full(s, l);
            double turn = pow(1e6, -2.0 * (double)p / (double)s->head_dim);
            wavelength->v.f64[l * (s->head_dim / 2) + p] = rope && has_qk(s, l) ? 6.283185307179586 / turn : NAN;
        }
    }
}

/* Drift of a layer: a slow wave over depth, softmax layers a little above the rest, layer 1 of large models unmoved. */
static double layer_level(const struct drift_shape *s, size_t l, size_t tuned)
{
    double depth = (double)(l + 1) / (double)s->n_layers;
    double level = s->level * (0.7 + 0.6 * sin(3 * depth)) * (is_full(s, l) ? 1.2 : 1) * (1 + 0.4 * (double)tuned);
    return s->n_layers > 40 && l == 1 ? 0 : level;
}

static void fill_heads(struct qk_table *table, const struct drift_shape *s, const char *name, const char *metric,
                       bool key, double factor, double spread, size_t tuned)
{
    char path[512];
    (void)snprintf(path, sizeof path, "/drift/%s/%s", name, metric);
    struct qk_node *node =
        array(table, path, QK_TYPE_F64, "/model/layer", key ? "/model/kv_head" : "/model/head", NULL);
    struct qk_rng rng;
    qk_rng_seed(&rng, 7 + 31 * tuned + strlen(metric));
    for (size_t l = 0; l < s->n_layers; l++) {
        for (size_t h = 0; h < heads_of(s, l, key); h++) {
            double base = spread > 0 ? layer_level(s, l, tuned) : 0.0016;
            node->v.f64[l * node->shape[1] + h] =
                base * factor * exp((spread > 0 ? spread : 0.05) * qk_rng_normal(&rng));
        }
    }
}

static void fill_depth(struct qk_table *table, const struct drift_shape *s, const char *name, const char *metric,
                       const char *axis, bool key, size_t tuned)
{
    char path[512];
    (void)snprintf(path, sizeof path, "/drift/%s/%s", name, metric);
    struct qk_node *node =
        array(table, path, QK_TYPE_F64, "/model/layer", key ? "/model/kv_head" : "/model/head", axis);
    struct qk_rng rng;
    qk_rng_seed(&rng, 99 + tuned + strlen(metric));
    size_t depth = node->shape[2];
    for (size_t l = 0; l < s->n_layers; l++) {
        bool rope = s->full == NULL || !is_full(s, l);
        for (size_t h = 0; h < heads_of(s, l, key); h++) {
            double level = layer_level(s, l, tuned) * exp(0.2 * qk_rng_normal(&rng));
            for (size_t k = 0; k < depth; k++) {
                double p = ((double)k + 0.5) / (double)depth, v = 0;
                if (strcmp(axis, "/model/angle") == 0) {
                    v = fmin(1.5707963, level * 3 * pow(1 - p, 1.5));
                } else if (strcmp(axis, "/model/tau") == 0) {
                    v = rope ? level * (1 + 0.8 * p + 0.1 * sin((double)(k * k))) : level;
                } else {
                    v = rope ? level * (1.4 - p) : NAN;
                }
                node->v.f64[(l * node->shape[1] + h) * depth + k] = v;
            }
        }
    }
}

static void fill_modules(struct qk_table *table, const struct drift_shape *s, const char *name, size_t tuned)
{
    char path[512];
    (void)snprintf(path, sizeof path, "/drift/%s/module_rel_drift", name);
    struct qk_node *node = array(table, path, QK_TYPE_F64, "/model/layer", "/model/module", NULL);
    for (size_t l = 0; l < s->n_layers; l++) {
        for (size_t m = 0; m < N_MODULES; m++) {
            bool linear_only = m >= 11,
                 has = linear_only ? !is_full(s, l) && m < 13 : m != 9 && (m != 4 || is_full(s, l));
            bool moved = m < 4 || s->n_layers > 8;
            double v = !moved ? 0 : layer_level(s, l, tuned) * (1 + 0.1 * (double)m) / (m >= 6 ? 4 : 1);
            node->v.f64[l * N_MODULES + m] = has ? v : NAN;
        }
    }
}

static void add_checkpoint(struct qk_table *table, const char *name, const char *role)
{
    char path[512];
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    (void)snprintf(path, sizeof path, "/checkpoints/%s", name);
    MUST(qk_table_group(table, path, &node, &err));
    MUST(qk_node_attr_str(table, node, "role", role, &err));
}

static void add_tuned(struct qk_table *table, const struct drift_shape *s, const char *name, size_t tuned)
{
    add_checkpoint(table, name, "tuned");
    fill_heads(table, s, name, "q_rel_drift", false, 1, s->n_layers == 80 ? 1.6 : 0.25, tuned);
    fill_heads(table, s, name, "k_rel_drift", true, 0.8, s->n_layers == 80 ? 1.6 : 0.25, tuned);
    fill_heads(table, s, name, "qk_rel_drift", false, 1.3, 0.3, tuned);
    fill_heads(table, s, name, "qk_eff_rel_drift", false, 1.2, 0.3, tuned);
    fill_heads(table, s, name, "q_noise_floor", false, 1, 0, tuned);
    fill_heads(table, s, name, "k_noise_floor", true, 1, 0, tuned);
    fill_depth(table, s, name, "q_principal_angles", "/model/angle", false, tuned);
    fill_depth(table, s, name, "k_principal_angles", "/model/angle", true, tuned);
    fill_depth(table, s, name, "qk_distance_drift", "/model/tau", false, tuned);
    fill_depth(table, s, name, "qk_band_drift", "/model/rope_pair", false, tuned);
    fill_modules(table, s, name, tuned);
}

struct qk_table *drift_fixture(const struct drift_shape *shape, const char *const *names, size_t n)
{
    struct qk_table *table = NULL;
    struct qk_err err = {0};
    MUST(qk_table_new(&table, &err));
    add_model(table, shape);
    add_checkpoint(table, names[0], "base");
    for (size_t i = 1; i < n; i++) {
        add_tuned(table, shape, names[i], i - 1);
    }
    return table;
}

void drift_fixture_fill(struct qk_table *table, const char *checkpoint, const char *metric, double value)
{
    char path[512];
    (void)snprintf(path, sizeof path, "/drift/%s/%s", checkpoint, metric);
    struct qk_node *node = qk_table_find(table, path);
    assert(node != NULL);
    for (size_t i = 0; i < node->n_values; i++) {
        node->v.f64[i] = value;
    }
}
