/* The verdict: made-up runs with known rates, what is said of them, bytes, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "advise/diagnosis.h"
#include "base/alloc.h"
#include "made_run.h"

enum { N_TASKS = 2, N_CELL = 40 };

struct made {
    struct qk_table *table;
    struct qk_arena *arena;
    struct qk_diagnosis d;
};

#define MUST(call) assert_int_equal(call, QK_OK)

static struct qk_node *scale(struct qk_table *table, const char *path, enum qk_type type, size_t n)
{
    struct qk_node *node;
    MUST(qk_table_scale(table, path, type, n, &node, NULL));
    return node;
}

static struct qk_node *array(struct qk_table *table, const char *path, enum qk_type type, size_t n_dims,
                             const char *const *dims)
{
    struct qk_node *node;
    MUST(qk_table_array(table, path, type, n_dims, dims, &node, NULL));
    return node;
}

/* Recall of a checkpoint: hits of N_CELL in the first task; the second is all hits. */
static void add_recall(struct qk_table *table, const char *name, double hits)
{
    static const char *const dims[] = {"/model/task", "/model/length", "/model/depth"};
    char path[64];
    if (qk_table_find(table, "/model/task") == NULL) {
        struct qk_node *tasks = scale(table, "/model/task", QK_TYPE_STR, N_TASKS);
        tasks->v.str[0] = "s3";
        tasks->v.str[1] = "s1";
        (void)scale(table, "/model/length", QK_TYPE_I64, 2);
        (void)scale(table, "/model/depth", QK_TYPE_F64, 1);
    }
    (void)snprintf(path, sizeof path, "/niah/%s/score", name);
    struct qk_node *score = array(table, path, QK_TYPE_F64, 3, dims);
    (void)snprintf(path, sizeof path, "/niah/%s/n", name);
    struct qk_node *n = array(table, path, QK_TYPE_I64, 3, dims);
    for (size_t i = 0; i < N_TASKS * 2; i++) {
        bool empty = i == 1; /* a cell without cases: NaN */
        n->v.i64[i] = empty ? 0 : N_CELL;
        score->v.f64[i] = empty ? (double)NAN : i == 0 ? hits / N_CELL : 1.0;
    }
}

static void add_accuracy(struct qk_table *table, const char *name, double rate)
{
    char path[64];
    struct qk_node *entry;
    (void)snprintf(path, sizeof path, "/eval/%s", name);
    MUST(qk_table_group(table, path, &entry, NULL));
    MUST(qk_node_attr_str(table, entry, "set", "sums", NULL));
    (void)snprintf(path, sizeof path, "/eval/%s/sums/accuracy", name);
    array(table, path, QK_TYPE_F64, 0, NULL)->v.f64[0] = rate;
    (void)snprintf(path, sizeof path, "/eval/%s/sums/n", name);
    array(table, path, QK_TYPE_I64, 0, NULL)->v.i64[0] = 200;
}

struct control {
    const char *label;
    double recall, reasoning;
};

static void add_controls(struct qk_table *table, const struct control *controls, size_t n)
{
    static const char *const dims[] = {"/recommend/measured/variant"};
    struct qk_node *labels = scale(table, dims[0], QK_TYPE_STR, n + 1);
    static const char *const rates[] = {"/recommend/measured/recall", "/recommend/measured/reasoning"};
    static const char *const counts[] = {"/recommend/measured/recall_n", "/recommend/measured/reasoning_n"};
    for (size_t c = 0; c < 2; c++) {
        struct qk_node *rate = array(table, rates[c], QK_TYPE_F64, 1, dims);
        struct qk_node *count = array(table, counts[c], QK_TYPE_I64, 1, dims);
        for (size_t i = 0; i <= n; i++) {
            labels->v.str[i] = i < n ? controls[i].label : "1 restore, 3 blend 0.5";
            rate->v.f64[i] = i == n ? 0.5 : c == 0 ? controls[i].recall : controls[i].reasoning;
            count->v.i64[i] = 100;
        }
    }
    array(table, "/recommend/measured/stage", QK_TYPE_U8, 1, dims)->v.u8[n] = 1;
    array(table, "/recommend/measured/chosen", QK_TYPE_U8, 1, dims)->v.u8[n] = 1;
}

/* What recommend --measure decided from them. */
static void set_cause(struct qk_table *table, const char *cause)
{
    struct qk_node *measured;
    MUST(qk_table_group(table, "/recommend/measured", &measured, NULL));
    MUST(qk_node_attr_str(table, measured, "cause", cause, NULL));
}

/* The restored checkpoint, probed: attention on the needle as tuned. */
static void add_restored_probe(struct qk_table *table)
{
    static const char *const dims[] = {"/model/layer", "/model/head"};
    static const char *const leaves[] = {"tail_loss", "distance_shift"};
    struct qk_node *checkpoint;
    char path[64];
    MUST(qk_table_group(table, "/checkpoints/restored", &checkpoint, NULL));
    MUST(qk_node_attr_str(table, checkpoint, "header_sha256", MADE_TUNED_SHA256, NULL));
    MUST(qk_node_attr_str(table, checkpoint, "role", "tuned", NULL));
    struct qk_node *mass = array(table, "/probe/restored/retrieval_mass", QK_TYPE_F64, 2, dims);
    const struct qk_node *tuned = made_node(table, "/probe/tuned/retrieval_mass");
    for (size_t i = 0; i < mass->n_values; i++) {
        mass->v.f64[i] = tuned->v.f64[i];
    }
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "/routing/restored/%s", leaves[i]);
        struct qk_node *node = array(table, path, QK_TYPE_F64, 2, dims);
        memset(node->v.f64, 0, node->n_values * sizeof(double));
    }
}

static struct made make(unsigned parts)
{
    struct made m = {.table = made_run(parts), .arena = qk_arena_new()};
    assert_non_null(m.arena);
    return m;
}

static void diagnose(struct made *m, const char *restored)
{
    const struct qk_diagnosis_question question = {
        .base = "base", .tuned = "tuned", .restored = restored, .max_reasoning_loss = 3.0};
    MUST(qk_diagnosis_of(m->table, &question, m->arena, &m->d, NULL));
}

static void release(struct made *m)
{
    qk_arena_free(m->arena);
    qk_table_free(m->table);
}

static void assert_says(const struct made *m, const char *words)
{
    if (strstr(m->d.text, words) == NULL) {
        fail_msg("'%s' is not in: %s", words, m->d.text);
    }
}

static void assert_is_silent(const struct made *m, const char *words)
{
    if (strstr(m->d.text, words) != NULL) {
        fail_msg("'%s' is in: %s", words, m->d.text);
    }
}

static void a_run_without_recall_claims_nothing(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    diagnose(&m, NULL);
    assert_int_equal(m.d.lost, QK_LOST_UNKNOWN);
    assert_int_equal(m.d.culprit, QK_CULPRIT_UNKNOWN);
    assert_int_equal(m.d.repair, QK_REPAIR_UNKNOWN);
    assert_says(&m, "was not measured");
    assert_is_silent(&m, "needles");
    release(&m);
    m = (struct made){.arena = qk_arena_new()}; /* nothing at all */
    MUST(qk_table_new(&m.table, NULL));
    diagnose(&m, "restored");
    assert_int_equal(m.d.lost, QK_LOST_UNKNOWN);
    release(&m);
}

static void a_fall_within_chance_is_no_loss(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT);
    add_recall(m.table, "base", 40);
    add_recall(m.table, "tuned", 38);
    add_recall(m.table, "restored", 40);
    diagnose(&m, "restored");
    assert_int_equal(m.d.lost, QK_LOST_NONE);
    assert_says(&m, "Nothing was lost");
    assert_says(&m, "within chance");
    assert_is_silent(&m, "Repair:");
    release(&m);
}

static void a_base_that_finds_little_is_told(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT);
    add_recall(m.table, "base", 0);
    add_recall(m.table, "tuned", 0);
    for (size_t i = 2; i < 4; i++) {
        made_node(m.table, "/niah/base/score")->v.f64[i] = 0.0;
    }
    diagnose(&m, NULL);
    assert_says(&m, "base itself finds 0 %, so that these documents hardly test it");
    release(&m);
}

static void identical_weights_are_told(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT);
    struct qk_node *modules = made_node(m.table, "/drift/tuned/module_rel_drift");
    for (size_t i = 0; i < modules->n_values; i++) {
        modules->v.f64[i] = 0.0;
    }
    struct qk_node *outer = made_node(m.table, "/drift/tuned/outer_rel_drift");
    outer->v.f64[0] = 1e-9;
    diagnose(&m, NULL);
    assert_int_equal(m.d.lost, QK_LOST_UNKNOWN);
    outer->v.f64[0] = 0.0;
    diagnose(&m, NULL);
    assert_int_equal(m.d.lost, QK_LOST_SAME);
    assert_string_equal(m.d.text, "Nothing was lost: the weights of tuned are those of base.\n");
    release(&m);
}

static void few_cases_are_not_enough_for_nothing(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT);
    add_recall(m.table, "base", 40);
    add_recall(m.table, "tuned", 20);
    static const char *const counts[] = {"/niah/base/n", "/niah/tuned/n"};
    for (size_t c = 0; c < 2; c++) {
        struct qk_node *n = made_node(m.table, counts[c]);
        for (size_t i = 0; i < n->n_values; i++) {
            n->v.i64[i] = i == 0 ? 4 : 0;
        }
    }
    diagnose(&m, NULL);
    assert_int_equal(m.d.lost, QK_LOST_NONE);
    assert_says(&m, "No loss was shown, but few cases could hide one");
    assert_says(&m, "tuned finds 50 % of the needles, base found 100 %; 4 cases leave room for a loss of 85 points");
    release(&m);
}

/* s3: 40 of 40 -> 10, restored 35; by what the controls say. */
static struct made lost(double all_qk, double all_but, const char *cause)
{
    const struct control controls[] = {
        {"base", 1.0, 0.2},       {"tuned", 0.3, 0.98},           {"softmax Q/K", 0.5, 0.95},
        {"all Q/K", all_qk, 0.3}, {"all but Q/K", all_but, 0.35},
    };
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    add_recall(m.table, "base", 40);
    add_recall(m.table, "tuned", 10);
    add_recall(m.table, "restored", 35);
    add_controls(m.table, controls, sizeof controls / sizeof controls[0]);
    if (cause != NULL) {
        set_cause(m.table, cause);
    }
    return m;
}

static void the_cause_is_the_one_that_was_measured(void **state)
{
    (void)state;
    const struct {
        double all_qk, all_but;
        const char *cause;
        enum qk_culprit culprit;
        const char *says;
    } rows[] = {
        {0.95, 0.35, "qk", QK_CULPRIT_QK, "returns 93 % ("},
        {0.95, 1.00, "qk", QK_CULPRIT_QK, "Either is enough"},
        {0.70, 1.00, "partly_qk", QK_CULPRIT_PARTLY, "main cause? In part"},
        {0.40, 1.00, "not_qk", QK_CULPRIT_OTHER, "main cause? No"},
        {0.40, 0.35, "not_qk", QK_CULPRIT_OTHER, "is not the main cause"},
        {0.95, 0.35, "not_qk", QK_CULPRIT_OTHER, "main cause? No"}, /* not decided again */
        {0.95, 0.35, "nothing_lost", QK_CULPRIT_UNKNOWN, "whether drift of Q and K is the cause was not measured"},
        {0.95, 0.35, NULL, QK_CULPRIT_UNKNOWN, "whether drift of Q and K is the cause was not measured"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m = lost(rows[i].all_qk, rows[i].all_but, rows[i].cause);
        diagnose(&m, "restored");
        assert_int_equal(m.d.lost, QK_LOST_RECALL);
        assert_int_equal(m.d.culprit, rows[i].culprit);
        assert_says(&m, rows[i].says);
        assert_says(&m, "1 restore, 3 blend 0.5");
        assert_says(&m, "s3 100 -> 25");
        release(&m);
    }
}

static void no_loss_in_the_controls_gives_no_cause(void **state)
{
    (void)state;
    const struct control controls[] = {{"base", 1.0, 0.2}, {"tuned", 0.99, 0.9}, {"all Q/K", 1.0, 0.3}};
    struct made m = make(MADE_DRIFT);
    add_recall(m.table, "base", 40);
    add_recall(m.table, "tuned", 10);
    add_controls(m.table, controls, 3);
    set_cause(m.table, "nothing_lost");
    diagnose(&m, NULL);
    assert_int_equal(m.d.lost, QK_LOST_RECALL);
    assert_int_equal(m.d.culprit, QK_CULPRIT_UNKNOWN);
    assert_int_equal(m.d.repair, QK_REPAIR_UNKNOWN);
    assert_is_silent(&m, "Cause:");
    release(&m);
}

static void a_repair_is_judged_by_gain_and_price(void **state)
{
    (void)state;
    const struct {
        double restored_hits, restored_reasoning; /* NaN: not measured */
        enum qk_repair repair;
        const char *says;
    } rows[] = {
        {35, 0.97, QK_REPAIR_HELPS, "brings it to 96 % for 1.0 points of reasoning."},
        {35, 0.60, QK_REPAIR_COSTLY, "costs 38.0 points of reasoning, more than the 3 allowed"},
        {35, NAN, QK_REPAIR_UNPRICED, "Reasoning was not measured"},
        {12, 0.98, QK_REPAIR_USELESS, "keep the tuned checkpoint"},
        {5, 0.98, QK_REPAIR_USELESS, "does not bring it back"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m = make(MADE_DRIFT | MADE_PROBE);
        add_recall(m.table, "base", 40);
        add_recall(m.table, "tuned", 10);
        add_recall(m.table, "restored", rows[i].restored_hits);
        if (!isnan(rows[i].restored_reasoning)) {
            add_accuracy(m.table, "base", 0.2);
            add_accuracy(m.table, "tuned", 0.98);
            add_accuracy(m.table, "restored", rows[i].restored_reasoning);
        }
        diagnose(&m, "restored");
        assert_int_equal(m.d.repair, rows[i].repair);
        assert_says(&m, rows[i].says);
        release(&m);
    }
}

/* Intervals against Newcombe 1998, table II, method 10: 56/70 - 48/80 = 0.2 (0.0524 to 0.3339). */
static void differences_carry_newcombes_interval(void **state)
{
    (void)state;
    struct made m = make(0);
    struct qk_node *entry;
    add_recall(m.table, "base", 40);
    add_recall(m.table, "tuned", 10);
    add_recall(m.table, "restored", 35);
    const struct {
        const char *name;
        double rate;
        int64_t n;
    } rows[] = {{"tuned", 48.0 / 80.0, 80}, {"restored", 56.0 / 70.0, 70}};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        add_accuracy(m.table, rows[i].name, rows[i].rate);
        (void)snprintf(path, sizeof path, "/eval/%s/sums/n", rows[i].name);
        entry = made_node(m.table, path);
        entry->v.i64[0] = rows[i].n;
    }
    diagnose(&m, "restored");
    assert_says(&m, "+20.0 points (+5.2 to +33.4)");
    release(&m);
}

static void heads_are_named_by_what_they_lost(void **state)
{
    (void)state;
    struct made m = lost(0.95, 0.35, "qk");
    made_set(m.table, "/probe/tuned/retrieval_mass", 1, 2, 0.01);
    made_set(m.table, "/drift/tuned/qk_eff_rel_drift", 3, 1, 0.77);
    made_set(m.table, "/routing/tuned/distance_shift", 1, 3, -1.0);
    made_set(m.table, "/routing/tuned/distance_shift_lo", 1, 3, -1.5);
    made_set(m.table, "/routing/tuned/distance_shift_hi", 1, 3, -0.5);
    diagnose(&m, "restored");
    assert_says(&m, "fell in heads (layer.head, base -> tuned): 1.2 (0.50 -> 0.01). The distance");
    assert_says(&m, "shorter than in base in 1.3 by 50 % (29 to 65). The routing");
    assert_says(&m, "most in: 3.1 (77 %)");
    release(&m);
}

/* Heads 1.0 to 1.2 lost the needle: what the restored checkpoint gives back of it. */
static void heads_are_seen_again_in_the_restored(void **state)
{
    (void)state;
    const struct {
        size_t n_lost;
        double again[3];
        const char *says;
    } rows[] = {
        {3,
         {0.5, 0.31, 0.11},
         "In restored, 2 of these 3 heads have half or more of the fall back; the others do not."},
        {3, {0.1, 0.05, 0.6}, "In restored, 1 of these 3 heads has half or more of the fall back"},
        {3, {0.1, 0.1, 0.29}, "In restored, none of these 3 heads has half of the fall back."},
        {3, {0.5, 0.5, 0.31}, "In restored, all of these 3 heads have half or more of the fall back."},
        {1, {0.4, 0.5, 0.5}, "1.0 (0.50 -> 0.10 -> 0.40). In restored, this head has at least half of the fall back."},
        {1, {0.2, 0.5, 0.5}, "1.0 (0.50 -> 0.10 -> 0.20). In restored, this head has less than half of the fall back."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m = lost(0.95, 0.35, "qk");
        for (size_t h = 0; h < rows[i].n_lost; h++) {
            made_set(m.table, "/probe/tuned/retrieval_mass", 1, h, 0.1);
        }
        made_set(m.table, "/routing/tuned/distance_shift", 1, 3, -1.0);
        made_set(m.table, "/routing/tuned/distance_shift_hi", 1, 3, -0.5);
        add_restored_probe(m.table);
        for (size_t h = 0; h < 3; h++) {
            made_set(m.table, "/probe/restored/retrieval_mass", 1, h, rows[i].again[h]);
        }
        made_set(m.table, "/routing/restored/distance_shift", 1, 3, i == 0 ? -0.2 : 0.1);
        diagnose(&m, "restored");
        assert_says(&m, "(layer.head, base -> tuned -> restored)");
        assert_says(&m, rows[i].says);
        assert_says(&m, i == 0 ? ", in restored by 13 %." : ", in restored no more.");
        diagnose(&m, NULL);
        assert_says(&m, "(layer.head, base -> tuned)");
        assert_is_silent(&m, "of the fall back");
        release(&m);
    }
}

static void the_verdict_goes_into_the_table(void **state)
{
    (void)state;
    struct made m = lost(0.4, 1.0, "not_qk");
    diagnose(&m, "restored");
    MUST(qk_diagnosis_add(&m.d, m.table, NULL));
    const struct qk_node *node = made_node(m.table, "/verdict");
    assert_int_equal(node->n_dims, 0);
    assert_string_equal(node->v.str[0], m.d.text);
    assert_string_equal(qk_node_attr_get_str(node, "main_cause"), "no");
    assert_string_equal(qk_node_attr_get_str(node, "lost"), "recall");
    assert_string_equal(qk_node_attr_get_str(node, "repair"), "helps, cost not measured");
    release(&m);
}

static void foreign_shapes_are_refused(void **state)
{
    (void)state;
    struct made m = lost(0.4, 1.0, "not_qk");
    struct qk_err err = {0};
    const struct qk_diagnosis_question question = {.base = "base", .tuned = "tuned", .max_reasoning_loss = 3.0};
    made_node(m.table, "/niah/tuned/n")->type = QK_TYPE_F64;
    assert_int_equal(qk_diagnosis_of(m.table, &question, m.arena, &m.d, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "/niah/tuned/n"));
    release(&m);
}

static void failing_allocations_are_reported(void **state)
{
    (void)state;
    const struct qk_diagnosis_question question = {
        .base = "base", .tuned = "tuned", .restored = "restored", .max_reasoning_loss = 3.0};
    size_t n = 0;
    for (enum qk_code code = QK_ENOMEM; code != QK_OK; n++) {
        struct made m = lost(0.95, 0.35, "qk");
        qk_alloc_fail_after(n + 1);
        code = qk_diagnosis_of(m.table, &question, m.arena, &m.d, NULL);
        code = code == QK_OK ? qk_diagnosis_add(&m.d, m.table, NULL) : code;
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        release(&m);
        assert_in_range(n, 0, 1000);
    }
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_without_recall_claims_nothing),
        cmocka_unit_test(a_fall_within_chance_is_no_loss),
        cmocka_unit_test(few_cases_are_not_enough_for_nothing),
        cmocka_unit_test(a_base_that_finds_little_is_told),
        cmocka_unit_test(identical_weights_are_told),
        cmocka_unit_test(the_cause_is_the_one_that_was_measured),
        cmocka_unit_test(no_loss_in_the_controls_gives_no_cause),
        cmocka_unit_test(a_repair_is_judged_by_gain_and_price),
        cmocka_unit_test(differences_carry_newcombes_interval),
        cmocka_unit_test(heads_are_named_by_what_they_lost),
        cmocka_unit_test(heads_are_seen_again_in_the_restored),
        cmocka_unit_test(the_verdict_goes_into_the_table),
        cmocka_unit_test(foreign_shapes_are_refused),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
