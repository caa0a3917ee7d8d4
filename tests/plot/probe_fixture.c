/* Made-up probe runs: see probe_fixture.h. */
#include "probe_fixture.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"

/* Sequences of 8192 tokens. */
enum { N_BINS = 14, FIRST_TAIL_BIN = 8 }; /* distances above 64 */

#define MUST(call) must((call), #call)
static void must(enum qk_code code, const char *what)
{
    if (code != QK_OK) {
        (void)fprintf(stderr, "fixture: %s failed with code %d\n", what, (int)code);
    }
    assert(code == QK_OK);
}

static struct qk_node *new_array(struct qk_table *table, const char *group, const char *name, const char *leaf,
                                 const char *third)
{
    const char *const dims[] = {"/model/layer", "/model/head", third};
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "/%s/%s/%s", group, name, leaf);
    MUST(qk_table_array(table, path, QK_TYPE_F64, third != NULL ? 3 : 2, dims, &node, &err));
    return node;
}

static void add_axes(struct qk_table *table)
{
    static const char *const axis = "/model/distance_bin";
    struct qk_node *bin = NULL, *low = NULL, *high = NULL;
    struct qk_err err = {0};
    MUST(qk_table_scale(table, axis, QK_TYPE_I64, N_BINS, &bin, &err));
    MUST(qk_table_array(table, "/model/bin_low", QK_TYPE_I64, 1, &axis, &low, &err));
    MUST(qk_table_array(table, "/model/bin_high", QK_TYPE_I64, 1, &axis, &high, &err));
    for (int64_t b = 0; b < N_BINS; b++) {
        bin->v.i64[b] = b;
        low->v.i64[b] = b == 0 ? 0 : (int64_t)1 << (b - 1);
        high->v.i64[b] = b == 0 ? 0 : ((int64_t)1 << b) - 1;
    }
}

static bool is_linear(const struct qk_table *table, size_t layer)
{
    return strcmp(qk_table_find(table, "/model/layer_kind")->v.str[layer], "linear") == 0;
}

static size_t n_heads(const struct qk_table *table, size_t layer)
{
    return (size_t)qk_table_find(table, "/model/n_heads")->v.i64[layer];
}

/* What a head keeps of the base's far attention. */
static double kept(const struct qk_table *table, size_t layer, size_t head, size_t checkpoint)
{
    bool lost = (layer * 7 + head * 3) % 5 == 0;
    double most = lost ? (is_linear(table, layer) ? 0.2 : 0.85) : 0.06 * sin((double)(layer + 3 * head));
    return checkpoint == 0 ? 1 : 1 - most / (double)checkpoint;
}

/* A local part that falls with distance, a far bump (softmax layers), a sink at the far end; implied mixing fades out
 * with a half-life of its own. */
static void fill_histogram(const struct qk_table *table, size_t layer, size_t head, size_t checkpoint, double *v)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, 1000 * layer + head);
    double far = (head % 3 == 0 ? 0.45 : 0.15) * exp(0.2 * qk_rng_normal(&rng)) * kept(table, layer, head, checkpoint);
    double centre = 9.5 + 1.5 * sin((double)(head + layer)), life = 2 + 3 * fabs(sin((double)(layer + 2 * head)));
    double total = 0;
    for (size_t b = 0; b < N_BINS; b++) {
        double x = (double)b;
        double local = is_linear(table, layer) ? exp2(x - exp2(x - life)) / 40 : exp(-0.45 * x);
        double bump = is_linear(table, layer) ? 0 : far * exp(-0.4 * (x - centre) * (x - centre));
        v[b] = local + bump + (!is_linear(table, layer) && b + 2 >= N_BINS ? 0.08 : 0);
        total += v[b];
    }
    for (size_t b = 0; b < N_BINS; b++) {
        v[b] /= total;
    }
}

static void add_probe(struct qk_table *table, const char *name, size_t checkpoint)
{
    const char *mixing[128];
    struct qk_node *entry = NULL;
    struct qk_err err = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "/probe/%s", name);
    MUST(qk_table_group(table, path, &entry, &err));
    struct qk_node *node = new_array(table, "probe", name, "distance_histogram", "/model/distance_bin");
    struct qk_node *needle = new_array(table, "probe", name, "retrieval_mass", NULL);
    assert(node->shape[0] <= sizeof mixing / sizeof mixing[0]);
    for (size_t l = 0; l < node->shape[0]; l++) {
        mixing[l] = n_heads(table, l) == 0 ? "none" : is_linear(table, l) ? "implicit" : "softmax";
        for (size_t h = 0; h < n_heads(table, l); h++) {
            fill_histogram(table, l, h, checkpoint, node->v.f64 + (l * node->shape[1] + h) * N_BINS);
            double reads = (l * 5 + h) % 7 == 0 ? 0.9 : 0.01;
            needle->v.f64[l * node->shape[1] + h] = reads * fmin(kept(table, l, h, checkpoint), 1);
        }
    }
    MUST(qk_node_attr_strs(table, entry, "mixing", mixing, node->shape[0], &err));
}

static double tail(const double *v)
{
    double sum = 0;
    for (size_t b = FIRST_TAIL_BIN; b < N_BINS; b++) {
        sum += v[b];
    }
    return sum;
}

static double log_distance(const double *v)
{
    double sum = 0;
    for (size_t b = 1; b < N_BINS; b++) {
        sum += v[b] * ((double)b - 0.4);
    }
    return sum;
}

static void add_routing(struct qk_table *table, const char *name, size_t checkpoint)
{
    struct qk_node *loss = new_array(table, "routing", name, "tail_loss", NULL);
    struct qk_node *shift = new_array(table, "routing", name, "distance_shift", NULL);
    struct qk_node *ends[4] = {new_array(table, "routing", name, "tail_loss_lo", NULL),
                               new_array(table, "routing", name, "tail_loss_hi", NULL),
                               new_array(table, "routing", name, "distance_shift_lo", NULL),
                               new_array(table, "routing", name, "distance_shift_hi", NULL)};
    for (size_t l = 0; l < loss->shape[0]; l++) {
        for (size_t h = 0; h < n_heads(table, l); h++) {
            double base[N_BINS], tuned[N_BINS];
            size_t i = l * loss->shape[1] + h;
            fill_histogram(table, l, h, 0, base);
            fill_histogram(table, l, h, checkpoint, tuned);
            shift->v.f64[i] = log_distance(tuned) - log_distance(base);
            ends[2]->v.f64[i] = shift->v.f64[i] - 0.05;
            ends[3]->v.f64[i] = shift->v.f64[i] + 0.05;
            if (tail(base) >= 0.01) {
                loss->v.f64[i] = 1 - tail(tuned) / tail(base);
                ends[0]->v.f64[i] = loss->v.f64[i] - 0.02;
                ends[1]->v.f64[i] = loss->v.f64[i] + 0.02;
            }
        }
    }
}

static void add_all(struct qk_table *table, const char *const *names, size_t n)
{
    add_axes(table);
    for (size_t i = 0; i < n; i++) {
        add_probe(table, names[i], i);
    }
    for (size_t i = 1; i < n; i++) {
        struct qk_node *group = NULL;
        struct qk_err err = {0};
        char path[512];
        (void)snprintf(path, sizeof path, "/routing/%s", names[i]);
        MUST(qk_table_group(table, path, &group, &err));
        add_routing(table, names[i], i);
    }
}

/* What `recommend --store` adds about the first tuned checkpoint: softmax layers are considered. */
static void add_recommendation(struct qk_table *table, const char *checkpoint)
{
    static const char *const axis = "/model/layer";
    static const char *const parts[] = {"score", "routing_loss", "drift", "alignable"};
    struct qk_node *group = NULL, *action = NULL, *node = NULL;
    struct qk_err err = {0};
    MUST(qk_table_group(table, "/recommend", &group, &err));
    MUST(qk_node_attr_str(table, group, "checkpoint", checkpoint, &err));
    MUST(qk_node_attr_str(table, group, "basis", "probe and drift", &err));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/recommend/%s", parts[i]);
        MUST(qk_table_array(table, path, QK_TYPE_F64, 1, &axis, &node, &err));
        for (size_t l = 0; l < node->n_values; l++) {
            bool considered = !is_linear(table, l) && n_heads(table, l) > 0;
            node->v.f64[l] = considered ? 0.3 + 0.25 * sin((double)(l * (i + 1))) : NAN;
        }
    }
    MUST(qk_table_array(table, "/recommend/action", QK_TYPE_U8, 1, &axis, &action, &err));
    for (size_t l = 0; l < action->n_values; l++) {
        action->v.u8[l] = (uint8_t)(l % 3);
    }
}

struct qk_table *run_fixture(const struct drift_shape *shape, const char *const *names, size_t n)
{
    struct qk_table *table = drift_fixture(shape, names, n);
    add_all(table, names, n);
    add_recommendation(table, names[1]);
    return table;
}

struct qk_table *probe_fixture(const struct drift_shape *shape, const char *const *names, size_t n)
{
    struct qk_table *table = drift_fixture(shape, names, 1);
    for (size_t i = 1; i < n; i++) {
        struct qk_node *node = NULL;
        struct qk_err err = {0};
        char path[512];
        (void)snprintf(path, sizeof path, "/checkpoints/%s", names[i]);
        MUST(qk_table_group(table, path, &node, &err));
        MUST(qk_node_attr_str(table, node, "role", "tuned", &err));
    }
    add_all(table, names, n);
    return table;
}
