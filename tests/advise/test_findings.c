/* Every finding triggers where its number reaches the threshold, at the right place, and not just below it; a quiet run
 * has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "advise/finding.h"
#include "made_run.h"

/* Brings the rule's number to value at (layer, head), or in the run. */
typedef void (*mover)(struct qk_table *table, size_t layer, size_t head, double value);

static void move_state(struct qk_table *t, size_t layer, size_t head, double value)
{
    made_set(t, "/drift/tuned/qk_rel_drift_state", layer, head, value >= 1.0 ? QK_STATE_UNDEFINED : 0);
}

static void move_layer_floor(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)head;
    for (size_t h = 0; h < MADE_HEADS; h++) {
        made_set(t, "/drift/tuned/q_at_noise_floor", layer, h, h % 2 + 1);
        made_set(t, "/drift/tuned/k_at_noise_floor", layer, h / 2, 1);
    }
    if (value < 1.0) {
        made_set(t, "/drift/tuned/q_at_noise_floor", layer, 0, 0);
    }
}

static void move_all_floors(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    for (size_t l = 0; l + 1 < MADE_LAYERS; l++) {
        move_layer_floor(t, l, head, l == 0 ? value : 1.0);
    }
}

static void move_modules(struct qk_table *t, const char *a, const char *b, double value)
{
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        if (l == 1 || l == 3) {
            made_module(t, l, a, value);
            made_module(t, l, b, value);
        }
    }
}

static void move_routing(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    move_modules(t, "q", "k", 0.1 * value);
}

static void move_extraction(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    move_modules(t, "v", "o", 0.1 * value);
}

static void move_linear(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    for (size_t l = 0; l <= 2; l += 2) {
        made_module(t, l, "q", 0.1 * value);
        made_module(t, l, "k", 0.1 * value);
    }
}

/* Mean of q and k over the layers is (4 · 0.1 + 2 · 0.01) / 6: layer 5 has modules but no heads. */
static void move_embedding(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    made_node(t, "/drift/tuned/outer_rel_drift")->v.f64[0] = value * 0.42 / 6.0;
}

static void move_mlp(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        made_module(t, l, "mlp_down", value * 0.42 / 6.0);
    }
}

static void move_alignable(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)head;
    for (size_t h = 0; h < MADE_HEADS; h++) {
        made_set(t, "/drift/tuned/q_alignable", layer, h, value);
        made_set(t, "/drift/tuned/k_alignable", layer, h / 2, value);
    }
}

static void move_third_axis(struct qk_table *t, const char *path, size_t layer, size_t head, size_t first, double value)
{
    struct qk_node *node = made_node(t, path);
    for (size_t i = first; i < node->shape[2]; i++) {
        node->v.f64[(layer * node->shape[1] + head) * node->shape[2] + i] = 0.1 * value;
    }
}

static void move_far(struct qk_table *t, size_t layer, size_t head, double value)
{
    move_third_axis(t, "/drift/tuned/qk_distance_drift", layer, head, 4, value);
}

static void move_slow(struct qk_table *t, size_t layer, size_t head, double value)
{
    move_third_axis(t, "/drift/tuned/qk_band_drift", layer, head, 2, value);
}

static void move_norms(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)head;
    made_module(t, layer, "norms", value);
}

static void move_biases(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)head;
    made_module(t, layer, "qk_bias", value);
}

static void move_kinds(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    made_node(t, "/model/layer_kind")->v.str[0] = value >= 1.0 ? "full" : "ssm";
    made_node(t, "/model/layer_kind")->v.str[2] = "full";
    for (size_t l = 0; l <= 2; l += 2) { /* as drifted as the others */
        static const char *const modules[] = {"q", "k", "v", "o"};
        for (size_t m = 0; m < 4; m++) {
            made_module(t, l, modules[m], value >= 1.0 ? 0.1 : 0.01);
        }
    }
}

static void remove_drift(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    if (value >= 1.0) {
        made_remove(t, "/drift/tuned/qk_rel_drift");
        made_remove(t, "/drift/tuned/qk_eff_rel_drift");
    }
}

static void move_nll(struct qk_table *t, const char *name, double value)
{
    struct qk_node *nll = made_node(t, name);
    nll->v.f64[0] = value - 0.5;
    nll->v.f64[1] = value + 0.5;
}

static void move_broken(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    move_nll(t, "/probe/tuned/nll", value * log(1000.0));
}

static void move_base_broken(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    move_nll(t, "/probe/base/nll", value);
}

static void move_nll_growth(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    move_nll(t, "/probe/tuned/nll", 2.0 + value);
}

static void move_needle(struct qk_table *t, size_t layer, size_t head, double value)
{
    made_set(t, "/probe/tuned/retrieval_mass", layer, head, 0.5 - value);
}

static void move_tail(struct qk_table *t, size_t layer, size_t head, double value)
{
    made_set(t, "/routing/tuned/tail_loss_lo", layer, head, value);
    made_set(t, "/routing/tuned/tail_loss", layer, head, value + 0.01);
    made_set(t, "/routing/tuned/tail_loss_hi", layer, head, value + 0.02);
}

static void move_shift(struct qk_table *t, size_t layer, size_t head, double value)
{
    made_set(t, "/routing/tuned/distance_shift_hi", layer, head, -value);
    made_set(t, "/routing/tuned/distance_shift", layer, head, -value - 0.01);
}

static void move_sink(struct qk_table *t, size_t layer, size_t head, double value)
{
    made_set(t, "/probe/tuned/sink_mass", layer, head, 0.2 + value);
}

static void remove_probe(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    if (value >= 1.0) {
        made_remove(t, "/probe/tuned/retrieval_mass");
        made_remove(t, "/routing/tuned/distance_shift");
    }
}

static void remove_needle(struct qk_table *t, size_t layer, size_t head, double value)
{
    (void)layer;
    (void)head;
    if (value >= 1.0) {
        made_remove(t, "/probe/base/retrieval_mass");
    }
}

static void set_lengths(struct qk_table *t, const int64_t *lengths, size_t n)
{
    struct qk_err err = {0};
    assert_int_equal(qk_node_attr_i64s(t, made_node(t, "/probe/tuned"), "lengths", lengths, n, &err), QK_OK);
}

static void move_probe_count(struct qk_table *t, size_t layer, size_t head, double value)
{
    static const int64_t lengths[] = {1000, 1000};
    (void)layer;
    (void)head;
    set_lengths(t, lengths, value >= 1.0 ? 1 : 2);
}

static void move_length(struct qk_table *t, size_t layer, size_t head, double value)
{
    int64_t lengths[] = {10, (int64_t)(2000.0 / value)};
    (void)layer;
    (void)head;
    set_lengths(t, lengths, 2);
}

/* with: another finding that the same change brings about, NULL = none. */
static const struct finding_case {
    const char *id;
    mover move;
    size_t layer, head;
    double reaching, below;
    const char *with;
} cases[] = {
    {"weights-undefined", move_state, 3, 2, 1.0, 0.0, NULL},
    {"nothing-drifted", move_all_floors, 0, 0, 1.0, 0.9, "layer-at-rounding-floor"},
    {"layer-at-rounding-floor", move_layer_floor, 3, 0, 1.0, 0.9, NULL},
    {"routing-moved-more", move_routing, 0, 0, 1.26, 1.2, NULL},
    {"extraction-moved-more", move_extraction, 0, 0, 1.26, 1.2, NULL},
    {"rest-moved-too", move_embedding, 0, 0, 0.51, 0.49, NULL},
    {"rest-moved-too", move_mlp, 0, 0, 0.51, 0.49, NULL},
    {"linear-layers-moved", move_linear, 0, 0, 0.51, 0.49, NULL},
    {"mostly-rotation", move_alignable, 3, 0, 0.5, 0.49, NULL},
    {"far-drift", move_far, 1, 3, 1.6, 1.4, NULL},
    {"slow-bands-drift", move_slow, 4, 1, 1.6, 1.4, NULL},
    {"qk-norms-changed", move_norms, 1, 0, 1e-9, 0.0, NULL},
    {"input-norms-changed", move_norms, 3, 0, 1e-9, 0.0, NULL},
    {"qk-biases-changed", move_biases, 3, 0, 1e-9, 0.0, NULL},
    {"pure-softmax-model", move_kinds, 0, 0, 1.0, 0.0, NULL},
    {"no-drift-data", remove_drift, 0, 0, 1.0, 0.0, NULL},
    {"model-broken", move_broken, 0, 0, 2.01, 0.99, "nll-jumped"},
    {"model-broken", move_broken, 0, 0, INFINITY, 0.3, "nll-jumped"},
    {"model-broken", move_broken, 0, 0, NAN, 0.3, "nll-jumped"},
    {"base-broken", move_base_broken, 0, 0, NAN, 2.0, NULL},
    {"worse-than-guessing", move_broken, 0, 0, 1.01, 0.99, "nll-jumped"},
    {"nll-jumped", move_nll_growth, 0, 0, 1.01, 0.99, NULL},
    {"needle-lost", move_needle, 3, 1, 0.11, 0.09, NULL},
    {"far-attention-lost", move_tail, 1, 2, 0.11, 0.09, NULL},
    {"range-lost", move_shift, 4, 3, 0.11, 0.09, NULL},
    {"sink-grew", move_sink, 0, 2, 0.11, 0.09, NULL},
    {"no-probe-data", remove_probe, 0, 0, 1.0, 0.0, NULL},
    {"no-needle", remove_needle, 0, 0, 1.0, 0.0, NULL},
    {"one-probe", move_probe_count, 0, 0, 1.0, 0.0, NULL},
    {"short-probes", move_length, 0, 0, 4.0, 3.9, NULL},
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

struct found {
    struct qk_arena *arena;
    const struct qk_finding *findings;
    size_t n;
};

static struct found find_all(const struct qk_table *table)
{
    struct found f = {.arena = qk_arena_new()};
    struct qk_err err = {0};
    assert_non_null(f.arena);
    struct qk_evidence e = made_evidence(table, f.arena);
    assert_int_equal(qk_findings_of(&e, f.arena, &f.findings, &f.n, &err), QK_OK);
    return f;
}

static const struct qk_finding *one(const struct found *f, const char *id)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->findings[i].rule->id, id) == 0) {
            return &f->findings[i];
        }
    }
    return NULL;
}

static void a_quiet_run_has_no_findings(void **state)
{
    (void)state;
    struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
    struct found f = find_all(table);
    if (f.n > 0) {
        fail_msg("%s", f.findings[0].rule->id);
    }
    qk_arena_free(f.arena);
    qk_table_free(table);
}

static void check_reaching(const struct finding_case *c)
{
    struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
    c->move(table, c->layer, c->head, c->reaching);
    struct found f = find_all(table);
    const struct qk_finding *finding = one(&f, c->id);
    if (finding == NULL) {
        fail_msg("%s does not apply at %g", c->id, c->reaching);
        return;
    }
    for (size_t i = 0; i < f.n; i++) {
        const char *id = f.findings[i].rule->id;
        bool expected = strcmp(id, c->id) == 0 || (c->with != NULL && strcmp(id, c->with) == 0) ||
                        (strcmp(c->id, "model-broken") == 0 && strcmp(id, "worse-than-guessing") == 0);
        if (!expected) {
            fail_msg("%s brings %s", c->id, id);
        }
    }
    if (finding->rule->scope != QK_FINDING_RUN) {
        assert_int_equal(finding->n_places, 1);
        assert_int_equal(finding->places[0].layer, c->layer);
        assert_int_equal(finding->places[0].head, c->head);
    } else {
        assert_int_equal(finding->n_places, 0);
    }
    bool number = isfinite(c->reaching) && isfinite(finding->value);
    assert_true(!number || fabs(finding->value - c->reaching) < 1e-9);
    qk_arena_free(f.arena);
    qk_table_free(table);
}

static void every_finding_triggers_at_its_threshold(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        check_reaching(&cases[i]);
        struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
        cases[i].move(table, cases[i].layer, cases[i].head, cases[i].below);
        struct found f = find_all(table);
        if (one(&f, cases[i].id) != NULL) {
            fail_msg("%s applies at %g", cases[i].id, cases[i].below);
        }
        qk_arena_free(f.arena);
        qk_table_free(table);
    }
}

static void every_rule_has_a_case_and_all_its_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < qk_finding_rule_count(); i++) {
        const struct qk_finding_rule *rule = qk_finding_rule_at(i);
        bool tested = false;
        for (size_t c = 0; c < N_CASES; c++) {
            tested = tested || strcmp(cases[c].id, rule->id) == 0;
        }
        if (!tested) {
            fail_msg("%s has no case", rule->id);
        }
        assert_ptr_equal(qk_finding_rule_find(rule->id), rule);
        for (const char *s = rule->id; *s != '\0'; s++) {
            assert_true(islower((unsigned char)*s) || *s == '-');
        }
        const char *const words[] = {rule->metrics, rule->rule, rule->basis, rule->title, rule->advice};
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            assert_non_null(words[w]);
            assert_true(strlen(words[w]) > 2 && strchr(words[w], '\n') == NULL);
        }
        assert_true(rule->advice[strlen(rule->advice) - 1] == '.' && rule->title[strlen(rule->title) - 1] != '.');
    }
    assert_null(qk_finding_rule_find("no-such-finding"));
}

static void the_strongest_place_and_the_worst_severity_come_first(void **state)
{
    (void)state;
    struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
    move_norms(table, 3, 0, 0.1);
    move_tail(table, 1, 0, 0.3);
    move_needle(table, 1, 0, 0.2);
    move_needle(table, 3, 2, 0.3);
    move_needle(table, 3, 1, 0.2);
    struct found f = find_all(table);
    assert_int_equal(f.n, 3);
    assert_string_equal(f.findings[0].rule->id, "needle-lost");
    assert_string_equal(f.findings[1].rule->id, "far-attention-lost");
    assert_string_equal(f.findings[2].rule->id, "input-norms-changed");
    static const size_t order[][2] = {{3, 2}, {1, 0}, {3, 1}};
    assert_int_equal(f.findings[0].n_places, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(f.findings[0].places[i].layer, order[i][0]);
        assert_int_equal(f.findings[0].places[i].head, order[i][1]);
    }
    qk_arena_free(f.arena);
    qk_table_free(table);
}

static void heads_that_are_no_retrieval_heads_lose_no_needle(void **state)
{
    (void)state;
    struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
    made_set(table, "/probe/base/retrieval_mass", 3, 1, 0.09);
    made_set(table, "/probe/tuned/retrieval_mass", 3, 1, -0.05);
    struct found f = find_all(table);
    assert_null(one(&f, "needle-lost"));
    qk_arena_free(f.arena);
    qk_table_free(table);
}

static void a_shrinking_sink_is_no_lost_range(void **state)
{
    (void)state;
    struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
    move_shift(table, 3, 1, 0.5);
    made_set(table, "/routing/tuned/tail_loss_hi", 3, 1, -0.2);
    struct found f = find_all(table);
    assert_null(one(&f, "range-lost"));
    qk_arena_free(f.arena);
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_run_has_no_findings),
        cmocka_unit_test(every_finding_triggers_at_its_threshold),
        cmocka_unit_test(every_rule_has_a_case_and_all_its_words),
        cmocka_unit_test(the_strongest_place_and_the_worst_severity_come_first),
        cmocka_unit_test(heads_that_are_no_retrieval_heads_lose_no_needle),
        cmocka_unit_test(a_shrinking_sink_is_no_lost_range),
    };
    return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
