/* Made-up recall: see recall_fixture.h. */
#include "recall_fixture.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "num/stats.h"

static const char *const usual_tasks[] = {"s1", "s2", "s3"};
static const char *const prompt_task[] = {"prompts"};
const struct recall_shape recall_usual = {usual_tasks, 3, 4, 5, 4};
const struct recall_shape recall_large = {usual_tasks, 3, 9, 20, 10};
const struct recall_shape recall_point = {prompt_task, 1, 1, 1, 50};

#define MUST(call) must((call), #call)
static void must(enum qk_code code, const char *what)
{
    if (code != QK_OK) {
        (void)fprintf(stderr, "fixture: %s failed with code %d\n", what, (int)code);
    }
    assert(code == QK_OK);
}

static const char *const cell_dims[] = {"/model/task", "/model/length", "/model/depth"};

static void add_axes(struct qk_table *table, const struct recall_shape *shape)
{
    struct qk_node *task, *length, *depth;
    struct qk_err err = {0};
    MUST(qk_table_scale(table, cell_dims[0], QK_TYPE_STR, shape->n_tasks, &task, &err));
    MUST(qk_table_scale(table, cell_dims[1], QK_TYPE_I64, shape->n_lengths, &length, &err));
    MUST(qk_table_scale(table, cell_dims[2], QK_TYPE_F64, shape->n_depths, &depth, &err));
    memcpy(task->v.str, shape->tasks, shape->n_tasks * sizeof *shape->tasks);
    for (size_t i = 0; i < shape->n_lengths; i++) {
        length->v.i64[i] = (int64_t)512 << i;
    }
    for (size_t i = 0; i < shape->n_depths; i++) {
        depth->v.f64[i] = shape->n_depths > 1 ? ((double)i + 0.5) / (double)shape->n_depths : NAN;
    }
}

static struct qk_node *cells(struct qk_table *table, const char *name, const char *leaf, enum qk_type type)
{
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "/niah/%s/%s", name, leaf);
    MUST(qk_table_array(table, path, type, 3, cell_dims, &node, &err));
    return node;
}

/* Hits of a cell: a tuned checkpoint loses with the task's number, with length, and in the middle of the document. */
static double hits_of(const struct recall_shape *shape, size_t checkpoint, size_t task, size_t length, size_t depth)
{
    double middle = sin(3.1416 * ((double)depth + 0.5) / (double)shape->n_depths);
    double lost =
        checkpoint == 0 ? 0 : (0.1 + 0.2 * (double)task) * (0.5 + 0.25 * (double)length) * (0.6 + 0.6 * middle);
    lost = checkpoint > 1 ? 0.35 * lost : lost;
    double kept = fmin(fmax(1 - lost, 0), 1);
    return floor(kept * (double)shape->n_cases + 0.5);
}

void add_recall(struct qk_table *table, const struct recall_shape *shape, const char *const *names, size_t n)
{
    add_axes(table, shape);
    for (size_t c = 0; c < n; c++) {
        struct qk_node *score = cells(table, names[c], "score", QK_TYPE_F64);
        struct qk_node *lo = cells(table, names[c], "score_lo", QK_TYPE_F64);
        struct qk_node *hi = cells(table, names[c], "score_hi", QK_TYPE_F64);
        struct qk_node *count = cells(table, names[c], "n", QK_TYPE_I64);
        for (size_t i = 0; i < score->n_values; i++) {
            size_t d = i % shape->n_depths, l = i / shape->n_depths % shape->n_lengths;
            size_t t = i / (shape->n_depths * shape->n_lengths);
            if (c + 1 == n && i + 1 == score->n_values && i > 0) {
                continue; /* no cases: NaN and 0 */
            }
            double hits = hits_of(shape, c, t, l, d), cases = (double)shape->n_cases;
            score->v.f64[i] = hits / cases;
            count->v.i64[i] = (int64_t)shape->n_cases;
            qk_wilson(hits, cases, &lo->v.f64[i], &hi->v.f64[i]);
        }
    }
}

/* ---- /recommend/measured ---------------------------------------------------------------------------------------- */

enum { CONTROL, SEARCH, HELD_OUT, N_SEARCHED = 12, N_LENGTHS = 3 };

static const struct variant {
    const char *label;
    uint8_t stage, chosen;
    double recall, reasoning; /* shares; the first N_SEARCHED of the search are made up in a row */
} variants[] = {
    {"base", CONTROL, 0, 1.00, 0.39},
    {"tuned", CONTROL, 0, 0.21, 0.78},
    {"softmax Q/K", CONTROL, 0, 0.46, 0.75},
    {"all Q/K", CONTROL, 0, 0.96, 0.55},
    {"all Q", CONTROL, 0, 0.62, 0.66},
    {"all K", CONTROL, 0, 0.54, 0.69},
    {"all but softmax Q/K", CONTROL, 0, 0.71, 0.45},
    {"all but Q/K", CONTROL, 0, 0.29, 0.58},
    {"V", CONTROL, 0, 0.25, 0.72},
    {"O", CONTROL, 0, 0.21, 0.74},
    {"MLP", CONTROL, 0, 0.17, 0.63},
    {"embedding and head", CONTROL, 0, 0.21, 0.77},
    {"5 restore, 1 blend 0.25", SEARCH, 1, 0.79, 0.76},
    {"base", HELD_OUT, 0, 0.99, 0.40},
    {"tuned", HELD_OUT, 0, 0.22, 0.77},
    {"softmax Q/K", HELD_OUT, 0, 0.44, 0.74},
    {"plan", HELD_OUT, 1, 0.75, 0.755},
};
enum { N_NAMED = sizeof variants / sizeof variants[0], N_VARIANTS = N_NAMED + N_SEARCHED - 1 };

#define VARIANT "/recommend/measured/variant"
#define LENGTH  "/recommend/measured/length"

static struct qk_node *over_variants(struct qk_table *table, const char *leaf, enum qk_type type, size_t n_dims)
{
    static const char *const dims[] = {VARIANT, LENGTH};
    struct qk_node *node = NULL;
    struct qk_err err = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "/recommend/measured/%s", leaf);
    MUST(qk_table_array(table, path, type, n_dims, dims, &node, &err));
    return node;
}

static struct variant variant_at(size_t i)
{
    if (i < N_NAMED) {
        return variants[i];
    }
    double x = (double)(i - N_NAMED);
    return (struct variant){"2 restore", SEARCH, 0, 0.3 + 0.04 * x, 0.77 - 0.012 * x + 0.02 * sin(3 * x)};
}

/* Values, and the ends of their intervals for n cases. */
struct rates {
    struct qk_node *rate, *lo, *hi;
    double n;
};

static struct rates rates_of(struct qk_table *table, const char *const leaves[3], size_t n_dims, double n)
{
    return (struct rates){over_variants(table, leaves[0], QK_TYPE_F64, n_dims),
                          over_variants(table, leaves[1], QK_TYPE_F64, n_dims),
                          over_variants(table, leaves[2], QK_TYPE_F64, n_dims), n};
}

static void put(struct rates *rates, size_t i, double share)
{
    double hits = floor(fmin(fmax(share, 0), 1) * rates->n + 0.5);
    rates->rate->v.f64[i] = hits / rates->n;
    qk_wilson(hits, rates->n, &rates->lo->v.f64[i], &rates->hi->v.f64[i]);
}

void add_measured(struct qk_table *table, bool reasoning)
{
    static const char *const leaves[3][3] = {
        {"recall", "recall_lo", "recall_hi"},
        {"reasoning", "reasoning_lo", "reasoning_hi"},
        {"recall_by_length", "recall_by_length_lo", "recall_by_length_hi"},
    };
    struct qk_node *label, *length;
    struct qk_err err = {0};
    MUST(qk_table_scale(table, VARIANT, QK_TYPE_STR, N_VARIANTS, &label, &err));
    MUST(qk_table_scale(table, LENGTH, QK_TYPE_I64, N_LENGTHS, &length, &err));
    struct rates recall = rates_of(table, leaves[0], 1, 48), problems = rates_of(table, leaves[1], 1, 128),
                 by_length = rates_of(table, leaves[2], 2, 16);
    struct qk_node *recall_n = over_variants(table, "recall_n", QK_TYPE_I64, 1);
    struct qk_node *reasoning_n = over_variants(table, "reasoning_n", QK_TYPE_I64, 1);
    struct qk_node *stage = over_variants(table, "stage", QK_TYPE_U8, 1);
    struct qk_node *chosen = over_variants(table, "chosen", QK_TYPE_U8, 1);
    for (size_t i = 0; i < N_VARIANTS; i++) {
        struct variant v = variant_at(i);
        label->v.str[i] = v.label;
        stage->v.u8[i] = v.stage;
        chosen->v.u8[i] = v.chosen;
        recall_n->v.i64[i] = 48;
        put(&recall, i, v.recall);
        if (reasoning) {
            reasoning_n->v.i64[i] = 128;
            put(&problems, i, v.reasoning);
        }
        for (size_t l = 0; l < N_LENGTHS; l++) {
            length->v.i64[l] = (int64_t)512 << l;
            put(&by_length, i * N_LENGTHS + l, v.recall + (1 - v.recall) * (0.15 - 0.15 * (double)l));
        }
    }
}
