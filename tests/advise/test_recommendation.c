/* Plans: which action follows from what, budget, groups, evidence and reasons, bytes; /recommend; mergekit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "advise/finding.h"
#include "advise/recommendation.h"
#include "base/alloc.h"
#include "made_run.h"

static const struct qk_recommend_options plain = {.budget = SIZE_MAX, .qkscope = "0", .command = "recommend"};

struct made {
    struct qk_table *table;
    struct qk_arena *arena;
    struct qk_evidence e;
    struct qk_recommendation r;
};

static struct made make(unsigned parts)
{
    struct made m = {.table = made_run(parts), .arena = qk_arena_new()};
    assert_non_null(m.arena);
    return m;
}

static void recommend(struct made *m, const struct qk_recommend_options *options)
{
    struct qk_err err = {0};
    m->e = made_evidence(m->table, m->arena);
    assert_int_equal(qk_recommend(&m->e, options, m->arena, &m->r, &err), QK_OK);
}

static void release(struct made *m)
{
    qk_arena_free(m->arena);
    qk_table_free(m->table);
}

static const struct qk_plan_unit *unit_of(const struct made *m, size_t layer, size_t group)
{
    for (size_t u = 0; u < m->r.plan.n_units; u++) {
        const struct qk_plan_unit *unit = &m->r.plan.units[u];
        bool same = unit->n_kv_groups == 0 ? group == SIZE_MAX : unit->kv_groups[0] == group;
        if (unit->layer == layer && same) {
            return unit;
        }
    }
    fail_msg("no unit for layer %zu", layer);
    return NULL;
}

static void assert_says(const char *text, const char *word)
{
    if (text == NULL || strstr(text, word) == NULL) {
        fail_msg("'%s' does not say '%s'", text != NULL ? text : "", word);
    }
}

static double evidence_of(const struct qk_plan_unit *unit, const char *key)
{
    for (size_t i = 0; i < unit->n_evidence; i++) {
        if (strcmp(unit->evidence[i].key, key) == 0) {
            return unit->evidence[i].value;
        }
    }
    return NAN;
}

/* Equal, or both missing. */
static bool equals(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-15;
}

static void lose_needle(struct made *m, size_t layer, size_t head, double fall)
{
    made_set(m->table, "/probe/tuned/retrieval_mass", layer, head, 0.5 - fall);
}

static void make_rotation(struct made *m, size_t layer)
{
    for (size_t h = 0; h < MADE_HEADS; h++) {
        made_set(m->table, "/drift/tuned/q_alignable", layer, h, 0.6);
        made_set(m->table, "/drift/tuned/k_alignable", layer, h / 2, 0.6);
    }
}

static void settle(struct made *m, size_t layer)
{
    for (size_t h = 0; h < MADE_HEADS; h++) {
        made_set(m->table, "/drift/tuned/q_at_noise_floor", layer, h, 1);
        made_set(m->table, "/drift/tuned/k_at_noise_floor", layer, h / 2, 2);
    }
}

static void actions_follow_from_loss_and_rotation(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    lose_needle(&m, 3, 1, 0.11);
    recommend(&m, &plain);
    assert_int_equal(m.r.plan.n_units, 2); /* the softmax layers over all keys */
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->action, QK_PLAN_KEEP);
    const struct qk_plan_unit *unit = unit_of(&m, 3, SIZE_MAX);
    assert_int_equal(unit->action, QK_PLAN_RESTORE);
    assert_int_equal(unit->tensors, QK_PLAN_Q | QK_PLAN_K);
    assert_says(unit->reason, "head 1 decides: its attention on the needle fell from 0.50 to 0.39");
    assert_true(equals(evidence_of(unit, "retrieval_mass"), 0.39));
    assert_true(equals(evidence_of(unit, "head"), 1.0));
    assert_true(equals(evidence_of(unit, "qk_eff_rel_drift"), 0.1));
    assert_true(isnan(evidence_of(unit, "retrieval_score")));
    release(&m);

    m = make(MADE_DRIFT | MADE_PROBE); /* a loss under the threshold, and a rotation */
    lose_needle(&m, 3, 1, 0.09);
    make_rotation(&m, 1);
    recommend(&m, &plain);
    assert_int_equal(unit_of(&m, 3, SIZE_MAX)->action, QK_PLAN_KEEP);
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->action, QK_PLAN_ALIGN);
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->method, QK_PLAN_ROTATE);
    release(&m);

    m = make(MADE_DRIFT | MADE_PROBE); /* a loss beats a rotation; without drift there is nothing to put back */
    lose_needle(&m, 1, 0, 0.3);
    make_rotation(&m, 1);
    lose_needle(&m, 3, 0, 0.3);
    settle(&m, 3);
    recommend(&m, &plain);
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->action, QK_PLAN_RESTORE);
    assert_int_equal(unit_of(&m, 3, SIZE_MAX)->action, QK_PLAN_KEEP);
    assert_says(unit_of(&m, 3, SIZE_MAX)->reason, "did not move beyond rounding");
    release(&m);
}

static void without_probes_the_plan_says_what_it_cannot_know(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT);
    struct qk_recommend_options all = plain;
    all.all_units = true;
    settle(&m, 1);
    recommend(&m, &all);
    assert_int_equal(m.r.plan.n_units, 5);
    assert_int_equal(m.r.basis, QK_BASIS_DRIFT);
    assert_int_equal(unit_of(&m, 3, SIZE_MAX)->action, QK_PLAN_RESTORE);
    assert_says(unit_of(&m, 3, SIZE_MAX)->reason, "cannot be known without probes");
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->action, QK_PLAN_KEEP);
    assert_int_equal(unit_of(&m, 0, SIZE_MAX)->action, QK_PLAN_KEEP); /* linear */
    assert_says(unit_of(&m, 0, SIZE_MAX)->reason, "no loss is known without probes");
    release(&m);
}

static void without_drift_the_loss_alone_decides(void **state)
{
    (void)state;
    struct made m = make(MADE_PROBE);
    lose_needle(&m, 3, 1, 0.2);
    recommend(&m, &plain);
    const struct qk_plan_unit *unit = unit_of(&m, 3, SIZE_MAX);
    assert_int_equal(unit->action, QK_PLAN_RESTORE);
    assert_true(equals(unit->score, 0.2));
    assert_says(unit->reason, "whether its weights moved is not known");
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->action, QK_PLAN_KEEP);
    release(&m);
}

static void layers_that_lack_data_have_no_score(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    static const char *const probed[] = {"/probe/tuned/retrieval_mass", "/routing/tuned/tail_loss",
                                         "/routing/tuned/tail_loss_lo", "/routing/tuned/distance_shift",
                                         "/routing/tuned/distance_shift_hi"};
    for (size_t i = 0; i < sizeof probed / sizeof probed[0]; i++) {
        for (size_t h = 0; h < MADE_HEADS; h++) {
            made_set(m.table, probed[i], 3, h, NAN);
        }
    }
    recommend(&m, &plain);
    assert_true(isnan(unit_of(&m, 3, SIZE_MAX)->score));
    assert_int_equal(unit_of(&m, 3, SIZE_MAX)->action, QK_PLAN_KEEP);
    assert_says(unit_of(&m, 3, SIZE_MAX)->reason, "no score");
    release(&m);
}

static void a_budget_takes_the_best_units(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    struct qk_recommend_options options = plain;
    options.by_group = true;
    lose_needle(&m, 1, 0, 0.2); /* group 0 */
    lose_needle(&m, 1, 3, 0.4); /* group 1 */
    lose_needle(&m, 3, 2, 0.3); /* group 1 */
    for (size_t budget = 0; budget <= 4; budget++) {
        options.budget = budget;
        recommend(&m, &options);
        assert_int_equal(m.r.plan.n_units, 4);
        assert_int_equal(m.r.n_changed, budget < 3 ? budget : 3);
        assert_int_equal(unit_of(&m, 1, 1)->action == QK_PLAN_RESTORE, budget >= 1);
        assert_int_equal(unit_of(&m, 3, 1)->action == QK_PLAN_RESTORE, budget >= 2);
        assert_int_equal(unit_of(&m, 1, 0)->action == QK_PLAN_RESTORE, budget >= 3);
        assert_int_equal(unit_of(&m, 3, 0)->action, QK_PLAN_KEEP);
        if (budget == 2) {
            assert_says(unit_of(&m, 1, 0)->reason, "budget");
        }
    }
    /* a layer has the score of its highest group */
    double best = unit_of(&m, 1, 1)->score;
    recommend(&m, &plain);
    assert_true(equals(unit_of(&m, 1, SIZE_MAX)->score, best));
    release(&m);
}

static void norms_go_with_restored_layers_that_have_them(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT);
    struct qk_recommend_options options = plain;
    options.with = QK_PLAN_Q_NORM | QK_PLAN_K_NORM;
    recommend(&m, &options);
    assert_int_equal(unit_of(&m, 1, SIZE_MAX)->tensors, QK_PLAN_Q | QK_PLAN_K | QK_PLAN_Q_NORM | QK_PLAN_K_NORM);
    assert_int_equal(unit_of(&m, 3, SIZE_MAX)->tensors, QK_PLAN_Q | QK_PLAN_K);
    release(&m);
}

static void plans_read_back_and_are_the_same_bytes(void **state)
{
    (void)state;
    struct qk_str texts[2] = {{0}, {0}};
    for (size_t i = 0; i < 2; i++) {
        struct made m = make(MADE_DRIFT | MADE_PROBE);
        struct qk_recommend_options options = plain;
        struct qk_plan back;
        struct qk_err err = {0};
        options.by_group = options.all_units = true;
        lose_needle(&m, 3, 1, 0.25);
        lose_needle(&m, 0, 2, 1.0 / 3.0);
        make_rotation(&m, 1);
        recommend(&m, &options);
        qk_plan_write(&m.r.plan, &texts[i]);
        assert_false(texts[i].failed);
        if (qk_plan_parse("plan", texts[i].s, texts[i].len, m.arena, &back, &err) != QK_OK) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(back.n_units, m.r.plan.n_units);
        assert_string_equal(back.tuned.header_sha256, MADE_TUNED_SHA256);
        assert_string_equal(back.base.name, "base");
        release(&m);
    }
    assert_string_equal(texts[0].s, texts[1].s);
    qk_str_release(&texts[0]);
    qk_str_release(&texts[1]);
}

static void the_table_gets_one_recommendation(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    struct qk_err err = {0};
    lose_needle(&m, 3, 1, 0.25);
    recommend(&m, &plain);
    size_t before = m.table->n_nodes;
    assert_int_equal(qk_recommendation_add(&m.r, &m.e, m.table, &err), QK_OK);
    size_t after = m.table->n_nodes;
    assert_int_equal(qk_recommendation_add(&m.r, &m.e, m.table, &err), QK_OK);
    assert_int_equal(m.table->n_nodes, after);
    assert_int_equal(after - before, 8);
    const struct qk_node *score = made_node(m.table, "/recommend/score");
    assert_true(equals(score->v.f64[3], unit_of(&m, 3, SIZE_MAX)->score) && isnan(score->v.f64[0]));
    assert_int_equal(made_node(m.table, "/recommend/action")->v.u8[3], QK_PLAN_RESTORE);
    assert_int_equal(made_node(m.table, "/recommend/score_state")->v.u8[0], QK_STATE_NOT_APPLICABLE);
    assert_int_equal(made_node(m.table, "/recommend/score_state")->v.u8[3], QK_STATE_DEFINED);
    assert_says(made_node(m.table, "/recommend/plan")->v.str[0], "qkscope-plan");
    for (size_t i = before; i < after; i++) {
        const struct qk_node *node = m.table->nodes[i];
        if (!node->is_group) {
            assert_non_null(qk_node_attr_get_str(node, "title"));
            assert_non_null(qk_node_attr_get_str(node, "units"));
            assert_non_null(qk_node_attr_get_str(node, "definition"));
        }
    }
    release(&m);
}

static void mergekit_says_layers_and_names_what_it_cannot(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    struct qk_str out = {0};
    struct qk_err err = {0};
    lose_needle(&m, 3, 1, 0.25);
    make_rotation(&m, 1);
    recommend(&m, &plain);
    assert_int_equal(qk_plan_mergekit(&m.r.plan, &m.e, "b\"ase", "tuned", &out, &err), QK_OK);
    assert_says(out.s, "# not said here: align of layer 1 (aligning needs arithmetic within a tensor)\n");
    assert_says(out.s, "        - filter: layers.3.self_attn.q_proj\n          value: 0\n");
    assert_says(out.s, "        - filter: layers.3.self_attn.k_proj\n          value: 1\n");
    assert_says(out.s, "  - model: \"b\\\"ase\"\n");
    assert_null(strstr(out.s, "layers.1."));
    qk_str_release(&out);
    struct qk_recommend_options groups = plain;
    groups.by_group = true;
    recommend(&m, &groups);
    assert_int_equal(qk_plan_mergekit(&m.r.plan, &m.e, "base", "tuned", &out, &err), QK_EUNSUPPORTED);
    recommend(&m, &plain);
    m.e.family = "gpt2"; /* fused */
    assert_int_equal(qk_plan_mergekit(&m.r.plan, &m.e, "base", "tuned", &out, &err), QK_EUNSUPPORTED);
    assert_null(out.s);
    qk_str_release(&out);
    release(&m);
}

static void runs_that_compare_nothing_are_refused(void **state)
{
    (void)state;
    struct made m = make(0);
    struct qk_evidence e;
    struct qk_err err = {0};
    assert_int_equal(qk_evidence_open(m.table, NULL, m.arena, &e, &err), QK_EUSAGE);
    release(&m);
    m = make(MADE_DRIFT);
    assert_int_equal(qk_evidence_open(m.table, "other", m.arena, &e, &err), QK_EUSAGE);
    assert_says(err.hint, "tuned");
    assert_int_equal(qk_evidence_open(m.table, "base", m.arena, &e, &err), QK_EUSAGE);
    made_node(m.table, "/model/n_kv_heads")->v.i64[1] = 3;
    assert_int_equal(qk_evidence_open(m.table, NULL, m.arena, &e, &err), QK_EFORMAT);
    assert_says(err.text, "/model/n_kv_heads");
    made_node(m.table, "/model/n_kv_heads")->v.i64[1] = 2;
    struct qk_node *base = made_node(m.table, "/checkpoints/base");
    assert_int_equal(qk_node_attr_str(m.table, base, "header_sha256", "", &err), QK_OK);
    assert_int_equal(qk_evidence_open(m.table, NULL, m.arena, &e, &err), QK_EFORMAT);
    assert_says(err.text, "header_sha256");
    assert_int_equal(qk_node_attr_str(m.table, base, "header_sha256", MADE_BASE_SHA256, &err), QK_OK);
    made_remove(m.table, "/drift/tuned/qk_rel_drift");
    made_remove(m.table, "/drift/tuned/qk_eff_rel_drift");
    m.e = made_evidence(m.table, m.arena);
    assert_int_equal(qk_recommend(&m.e, &plain, m.arena, &m.r, &err), QK_EUSAGE);
    release(&m);
}

/* A dataset of another shape than the layers have counts as missing: no wild read. */
static void misshapen_datasets_count_as_missing(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    struct qk_node *node = made_node(m.table, "/drift/tuned/qk_eff_rel_drift");
    node->n_dims = 1;
    node->shape[0] = 24;
    made_node(m.table, "/drift/tuned/q_alignable")->type = QK_TYPE_I64;
    recommend(&m, &plain);
    assert_null(m.e.data[QK_DATUM_QK_EFF].node);
    assert_null(m.e.data[QK_DATUM_Q_ALIGNABLE].node);
    assert_true(equals(qk_evidence_drift(&m.e, 1, 0), 0.1)); /* qk_rel_drift in its place */
    release(&m);
}

/* Every allocation fails once: an error comes back, nothing is lost or written over. */
static void failing_allocations_are_errors(void **state)
{
    (void)state;
    struct made m = make(MADE_DRIFT | MADE_PROBE);
    size_t n_failed = 0;
    lose_needle(&m, 3, 1, 0.25);
    for (size_t k = 1;; k++) {
        const struct qk_finding *findings = NULL;
        size_t n_findings = 0;
        struct qk_err err = {0};
        struct qk_str text = {0};
        qk_alloc_fail_after(k);
        struct qk_arena *arena = qk_arena_new();
        enum qk_code code = arena == NULL ? QK_ENOMEM : qk_evidence_open(m.table, NULL, arena, &m.e, &err);
        code = code == QK_OK ? qk_findings_of(&m.e, arena, &findings, &n_findings, &err) : code;
        code = code == QK_OK ? qk_recommend(&m.e, &plain, arena, &m.r, &err) : code;
        code = code == QK_OK ? qk_plan_mergekit(&m.r.plan, &m.e, "base", "tuned", &text, &err) : code;
        code = code == QK_OK ? qk_recommendation_add(&m.r, &m.e, m.table, &err) : code;
        qk_alloc_fail_after(0);
        qk_str_release(&text);
        qk_arena_free(arena);
        if (code == QK_OK) {
            break;
        }
        assert_int_equal(code, QK_ENOMEM);
        n_failed++;
    }
    assert_true(n_failed > 10);
    release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_follow_from_loss_and_rotation),
        cmocka_unit_test(without_probes_the_plan_says_what_it_cannot_know),
        cmocka_unit_test(without_drift_the_loss_alone_decides),
        cmocka_unit_test(layers_that_lack_data_have_no_score),
        cmocka_unit_test(a_budget_takes_the_best_units),
        cmocka_unit_test(norms_go_with_restored_layers_that_have_them),
        cmocka_unit_test(plans_read_back_and_are_the_same_bytes),
        cmocka_unit_test(the_table_gets_one_recommendation),
        cmocka_unit_test(mergekit_says_layers_and_names_what_it_cannot),
        cmocka_unit_test(runs_that_compare_nothing_are_refused),
        cmocka_unit_test(misshapen_datasets_count_as_missing),
        cmocka_unit_test(failing_allocations_are_errors),
    };
    return cmocka_run_group_tests_name("recommendation", tests, NULL, NULL);
}
