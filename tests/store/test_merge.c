/* Joining parts of a run: the whole equals a single run bit for bit; everything that does not fit is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/store.h"
#include "synthetic_run.h"
#include "table_equal.h"

enum { MAX_PARTS = 4 };
static const char *const part_names[MAX_PARTS] = {"a.h5", "b.h5", "c.h5", "d.h5"};
static const char *const two_tuned[] = {"sft", "rl", NULL}, *const rl_only[] = {"rl", NULL};

static struct qk_table *part(size_t first, size_t last)
{
    struct synthetic_run run = synthetic_whole();
    run.first = first;
    run.last = last;
    return synthetic_table(&run);
}

/* Merges and frees the parts. */
static enum qk_code merge(struct qk_table **parts, size_t n, struct qk_table **ret, struct qk_err *err)
{
    *err = (struct qk_err){0};
    enum qk_code code = qk_merge((const struct qk_table *const *)parts, part_names, n, ret, err);
    for (size_t i = 0; i < n; i++) {
        qk_table_free(parts[i]);
    }
    return code;
}

static void assert_refused(struct qk_table **parts, size_t n, const char *const *words)
{
    struct qk_table *whole = NULL;
    struct qk_err err;
    assert_int_equal(merge(parts, n, &whole, &err), QK_EMISMATCH);
    assert_null(whole);
    for (; *words != NULL; words++) {
        if (strstr(err.text, *words) == NULL) {
            fail_msg("'%s' does not say '%s'", err.text, *words);
        }
    }
}

static void assert_same_file(const struct qk_table *a, const struct qk_table *b)
{
    char directory[] = "/tmp/qk-merge-XXXXXX";
    assert_non_null(mkdtemp(directory));
    const struct qk_table *tables[] = {a, b};
    char *bytes[2];
    size_t n[2];
    for (size_t i = 0; i < 2; i++) {
        char *path = qk_path_join(directory, part_names[i]);
        assert_int_equal(qk_store_write(tables[i], path, false, NULL), QK_OK);
        assert_int_equal(qk_file_slurp(path, 1 << 28, &bytes[i], &n[i], NULL), QK_OK);
        unlink(path);
        qk_free(path);
    }
    rmdir(directory);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    qk_free(bytes[0]);
    qk_free(bytes[1]);
}

static void assert_merges_to(struct qk_table **parts, size_t n, struct qk_table *single)
{
    struct qk_table *whole;
    struct qk_err err;
    if (merge(parts, n, &whole, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    assert_tables_equal(single, whole);
    assert_same_file(single, whole);
    qk_table_free(whole);
    qk_table_free(single);
}

static void test_layer_ranges(void **state)
{
    (void)state;
    struct qk_table *halves[] = {part(0, 2), part(3, 5)};
    assert_merges_to(halves, 2, part(0, 5));
    struct qk_table *mixed[] = {part(4, 5), part(0, 0), part(2, 3), part(1, 1)};
    assert_merges_to(mixed, 4, part(0, 5));
    struct qk_table *alone[] = {part(0, 5)};
    assert_merges_to(alone, 1, part(0, 5));
}

static void test_checkpoints(void **state)
{
    (void)state;
    struct synthetic_run both = synthetic_whole(), rl = synthetic_whole();
    both.tuned = two_tuned;
    rl.tuned = rl_only;
    struct qk_table *parts[] = {part(0, 5), synthetic_table(&rl)};
    assert_merges_to(parts, 2, synthetic_table(&both));
    struct qk_table *split[] = {part(0, 2), part(3, 5), synthetic_table(&rl)};
    assert_merges_to(split, 3, synthetic_table(&both));
}

static void must_set(struct qk_table *table, const char *path, const char *name, const char *value)
{
    assert_int_equal(qk_node_attr_str(table, qk_table_find(table, path), name, value, NULL), QK_OK);
}

static struct qk_node *add_array(struct qk_table *table, const char *path, const char *axis)
{
    struct qk_node *node;
    assert_int_equal(qk_table_array(table, path, QK_TYPE_F64, 1, &axis, &node, NULL), QK_OK);
    return node;
}

/* Entries side by side: each keeps its own configuration, but they must hold the same datasets. */
static void test_checkpoints_of_other_runs(void **state)
{
    (void)state;
    struct synthetic_run rl = synthetic_whole();
    rl.tuned = rl_only;
    rl.options = "all, for rl";
    struct qk_table *parts[] = {part(0, 5), synthetic_table(&rl)}, *whole;
    struct qk_err err;
    assert_int_equal(merge(parts, 2, &whole, &err), QK_OK);
    assert_string_equal(qk_node_attr_get_str(qk_table_find(whole, "/drift/sft"), "config_hash"), "all");
    assert_string_equal(qk_node_attr_get_str(qk_table_find(whole, "/drift/rl"), "config_hash"), "all, for rl");
    qk_table_free(whole);
    struct qk_table *blas[] = {part(0, 5), synthetic_table(&rl)};
    must_set(blas[1], "/drift", "blas", "reference");
    const char *const library[] = {"b.h5", "a.h5", "/drift: blas", "'openblas'", "'reference'", NULL};
    assert_refused(blas, 2, library);
    struct qk_table *cells[] = {part(0, 5), synthetic_table(&rl)};
    qk_table_find(cells[1], "/drift/rl/q_rel_drift_state")->v.u8[7] = QK_STATE_NOT_COMPUTED;
    const char *const kinds[] = {"b.h5", "/drift/rl/q_rel_drift_state", "other cells", "a.h5", "index 7", NULL};
    assert_refused(cells, 2, kinds);
    struct qk_table *more[] = {part(0, 5), synthetic_table(&rl)};
    add_array(more[1], "/drift/rl/extra", "/model/layer");
    const char *const words[] = {"a.h5", "/drift/sft/extra", "is missing", "b.h5 has /drift/rl/extra", NULL};
    assert_refused(more, 2, words);
    struct qk_table *less[] = {part(0, 5), synthetic_table(&rl)};
    add_array(less[0], "/drift/sft/extra", "/model/layer");
    const char *const missing[] = {"b.h5", "/drift/rl/extra", "is missing", "a.h5 has /drift/sft/extra", NULL};
    assert_refused(less, 2, missing);
}

static void test_gap(void **state)
{
    (void)state;
    struct qk_table *parts[] = {part(0, 1), part(4, 5)};
    const char *const words[] = {"/drift/sft", "layers", "2, 3", NULL};
    assert_refused(parts, 2, words);
    struct qk_table *alone[] = {part(1, 5)};
    const char *const first[] = {"/drift/sft", ": 0", NULL};
    assert_refused(alone, 1, first);
}

static void test_overlap(void **state)
{
    (void)state;
    struct qk_table *parts[] = {part(0, 1), part(2, 3), part(3, 5)};
    const char *const words[] = {"c.h5", "overlap with b.h5", "3", NULL};
    assert_refused(parts, 3, words);
}

static void test_other_options(void **state)
{
    (void)state;
    struct synthetic_run run = synthetic_whole();
    run.first = 3;
    run.options = "kinds=full";
    struct qk_table *parts[] = {part(0, 2), synthetic_table(&run)};
    const char *const words[] = {"b.h5", "a.h5", "/drift/sft", "config_hash", "'all'", "'kinds=full'", NULL};
    assert_refused(parts, 2, words);
}

static void test_other_inputs(void **state)
{
    (void)state;
    struct synthetic_run run = synthetic_whole();
    run.first = 3;
    run.base_bytes = 7;
    struct qk_table *parts[] = {part(0, 2), synthetic_table(&run)};
    const char *const words[] = {"b.h5", "a.h5", "/checkpoints/base", "total_bytes", "123456789", "found 7", NULL};
    assert_refused(parts, 2, words);
    run = synthetic_whole();
    run.first = 3;
    run.n_heads = 4;
    struct qk_table *heads[] = {part(0, 2), synthetic_table(&run)};
    const char *const shape[] = {"b.h5", "a.h5", "/model/head", "shape", NULL};
    assert_refused(heads, 2, shape);
}

/* Datasets that not all parts have: fine where no axis is shared out, else some rows would be missing. */
static void test_datasets_of_some_parts(void **state)
{
    (void)state;
    struct qk_table *parts[] = {part(0, 2), part(3, 5)}, *single = part(0, 5);
    add_array(parts[1], "/drift/sft/extra", "/model/module")->v.f64[0] = 1;
    add_array(single, "/drift/sft/extra", "/model/module")->v.f64[0] = 1;
    assert_merges_to(parts, 2, single);
    struct qk_table *later[] = {part(0, 2), part(3, 5)};
    add_array(later[1], "/drift/sft/extra", "/model/layer");
    const char *const words[] = {"b.h5", "/drift/sft/extra", "is not in a.h5", NULL};
    assert_refused(later, 2, words);
    struct qk_table *earlier[] = {part(0, 2), part(3, 5)};
    add_array(earlier[0], "/drift/sft/extra", "/model/layer");
    const char *const missing[] = {"b.h5", "/drift/sft/extra", "is missing", "a.h5", NULL};
    assert_refused(earlier, 2, missing);
    struct qk_table *outside[] = {part(0, 2), part(3, 5)};
    add_array(outside[1], "/model/extra", "/model/layer");
    const char *const model[] = {"b.h5", "/model/extra", "is not in a.h5", NULL};
    assert_refused(outside, 2, model);
}

static void test_values_that_must_agree(void **state)
{
    (void)state;
    struct qk_table *parts[] = {part(0, 2), part(3, 5)};
    qk_table_find(parts[1], "/drift/sft/outer_rel_drift")->v.f64[0] = 0.5;
    const char *const words[] = {"b.h5", "/drift/sft/outer_rel_drift", "values differ from a.h5", "index 0 of 2", NULL};
    assert_refused(parts, 2, words);
    struct qk_table *kinds[] = {part(0, 2), part(3, 5)};
    qk_table_find(kinds[1], "/model/layer_kind")->v.str[5] = "ssm";
    const char *const kind[] = {"b.h5", "/model/layer_kind", "index 5 of 6", NULL};
    assert_refused(kinds, 2, kind);
}

static void test_history(void **state)
{
    (void)state;
    struct qk_table *parts[] = {part(0, 2), part(3, 5)}, *whole;
    struct qk_err err;
    const char *const line = "qkscope drift base sft --layers 3-5 -o b.h5";
    assert_int_equal(qk_node_attr_strs(parts[1], parts[1]->nodes[0], "history", &line, 1, NULL), QK_OK);
    must_set(parts[1], "/", "created", "2026-01-02T00:00:00Z");
    must_set(parts[1], "/checkpoints/base", "path", "/mnt/ckpt");
    assert_int_equal(merge(parts, 2, &whole, &err), QK_OK);
    const struct qk_attr *history = qk_node_attr(whole->nodes[0], "history");
    assert_int_equal(history->n, 3);
    assert_string_equal(history->v.str[0], "qkscope drift base sft -o run.h5");
    assert_string_equal(history->v.str[2], line);
    assert_string_equal(qk_node_attr_get_str(whole->nodes[0], "created"), "2026-01-02T00:00:00Z");
    assert_string_equal(qk_node_attr_get_str(qk_table_find(whole, "/checkpoints/base"), "path"), "/data/ckpt");
    qk_table_free(whole);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct qk_table *parts[] = {part(0, 2), part(3, 5)}, *whole = NULL;
    enum qk_code code = QK_ENOMEM;
    size_t n_failures = 0;
    for (size_t k = 1; code != QK_OK; k++, n_failures++) {
        qk_alloc_fail_after(k);
        code = qk_merge((const struct qk_table *const *)parts, part_names, 2, &whole, NULL);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        assert_true((whole != NULL) == (code == QK_OK));
    }
    assert_true(n_failures > 2);
    struct qk_table *single = part(0, 5);
    assert_tables_equal(single, whole);
    qk_table_free(single);
    qk_table_free(whole);
    qk_table_free(parts[0]);
    qk_table_free(parts[1]);
}

/* ---- several measurements ---- */

enum { N_KINDS = 4 };

/* A run of measurement number kind alone: drift, two of cases and problems that sort behind it, one that no table
 * knows. */
static struct qk_table *measurement(size_t kind)
{
    static const char *const none[] = {NULL}, *const groups[] = {NULL, "/niah", "/eval", "/zeta"},
                             *const axes[] = {NULL, "/model/case", "/model/problem", "/model/angular"},
                             *const commands[] = {NULL, "qkscope niah base sft", "qkscope eval base sft", "other"},
                             *const lists[] = {NULL, "cases", "problems", NULL};
    static const int64_t all[] = {0, 1};
    struct synthetic_run run = synthetic_whole();
    if (kind == 0) {
        return synthetic_table(&run);
    }
    run.tuned = none;
    struct qk_table *table = synthetic_table(&run);
    struct qk_node *node;
    char path[64];
    const char *const names[] = {"sft", kind == 1 ? "early" : "late"};
    assert_int_equal(qk_table_scale(table, axes[kind], QK_TYPE_I64, 2, &node, NULL), QK_OK);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "/checkpoints/%s", names[i]);
        assert_int_equal(qk_table_group(table, path, &node, NULL), QK_OK);
        must_set(table, path, "role", "tuned");
        must_set(table, path, "path", "/data/ckpt");
        assert_int_equal(qk_node_attr_i64(table, node, "total_bytes", 5, NULL), QK_OK);
        snprintf(path, sizeof(path), "%s/%s/score", groups[kind], names[i]);
        add_array(table, path, axes[kind])->v.f64[0] = (double)kind;
        if (lists[kind] != NULL) {
            snprintf(path, sizeof(path), "%s/%s", groups[kind], names[i]);
            assert_int_equal(qk_table_group(table, path, &node, NULL), QK_OK);
            assert_int_equal(qk_node_attr_i64s(table, node, lists[kind], all, 2, NULL), QK_OK);
        }
    }
    must_set(table, "/", "title", groups[kind]);
    assert_int_equal(qk_node_attr_strs(table, table->nodes[0], "history", &commands[kind], 1, NULL), QK_OK);
    return table;
}

/* Recall of the base and, unless NULL, of a tuned checkpoint on the same two cases. */
static struct qk_table *recall_beside(const char *tuned, double base_score)
{
    static const char *const none[] = {NULL};
    static const int64_t all[] = {0, 1};
    struct synthetic_run run = synthetic_whole();
    run.tuned = none;
    struct qk_table *table = synthetic_table(&run);
    struct qk_node *node;
    char path[64];
    if (tuned != NULL) {
        snprintf(path, sizeof(path), "/checkpoints/%s", tuned);
        assert_int_equal(qk_table_group(table, path, &node, NULL), QK_OK);
        must_set(table, path, "role", "tuned");
    }
    assert_int_equal(qk_table_scale(table, "/model/case", QK_TYPE_I64, 2, &node, NULL), QK_OK);
    node->v.i64[1] = 1;
    const char *const names[] = {"base", tuned};
    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        snprintf(path, sizeof(path), "/niah/%s", names[i]);
        assert_int_equal(qk_table_group(table, path, &node, NULL), QK_OK);
        assert_int_equal(qk_node_attr_i64s(table, node, "cases", all, 2, NULL), QK_OK);
        snprintf(path, sizeof(path), "/niah/%s/score", names[i]);
        add_array(table, path, "/model/case")->v.f64[1] = i == 0 ? base_score : 0.25;
    }
    return table;
}

/* The base that was measured again beside another checkpoint is taken once, when it gave the same numbers. */
static void test_base_measured_again(void **state)
{
    (void)state;
    struct qk_table *parts[] = {recall_beside("sft", 0.5), recall_beside("rl", 0.5)}, *whole = NULL;
    struct qk_err err;
    assert_int_equal(merge(parts, 2, &whole, &err), QK_OK);
    const struct qk_attr *cases = qk_node_attr(qk_table_find(whole, "/niah/base"), "cases");
    assert_int_equal(cases->n, 2);
    assert_int_equal(cases->v.i64[1], 1);
    assert_true(qk_table_find(whole, "/niah/base/score")->v.f64[1] == 0.5);
    assert_true(qk_table_find(whole, "/niah/sft/score")->v.f64[1] == 0.25);
    assert_true(qk_table_find(whole, "/niah/rl/score")->v.f64[1] == 0.25);
    qk_table_free(whole);
    struct qk_table *other[] = {recall_beside("sft", 0.5), recall_beside("rl", 0.75)};
    const char *const differs[] = {"b.h5", "/niah/base/score", "values differ from a.h5", "index 1 of 2", NULL};
    assert_refused(other, 2, differs);
    for (size_t first = 0; first < 2; first++) {
        struct qk_table *alone[] = {recall_beside(first == 0 ? NULL : "sft", 0.5),
                                    recall_beside(first == 0 ? "sft" : NULL, 0.5)};
        assert_int_equal(merge(alone, 2, &whole, &err), QK_OK);
        assert_true(qk_table_find(whole, "/niah/base/score")->v.f64[1] == 0.5);
        assert_true(qk_table_find(whole, "/niah/sft/score")->v.f64[1] == 0.25);
        qk_table_free(whole);
    }
    struct qk_table *again[] = {recall_beside("sft", 0.5), recall_beside("sft", 0.5)};
    const char *const overlap[] = {"b.h5", "/niah/base", "overlap with a.h5", NULL};
    assert_refused(again, 2, overlap);
}

/* Joins the n tables (freed) in the order given, as the command does. */
static struct qk_table *join(struct qk_table **parts, size_t n)
{
    struct qk_table *whole = NULL;
    struct qk_err err = {0};
    if (merge(parts, n, &whole, &err) != QK_OK || qk_run_order(whole, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return whole;
}

/* All at once or by steps, in any order: the same file. */
static void test_measurements_in_any_order(void **state)
{
    (void)state;
    struct qk_table *first[] = {measurement(0), measurement(1), measurement(2), measurement(3)};
    struct qk_table *whole = join(first, N_KINDS);
    assert_string_equal(qk_node_attr_get_str(whole->nodes[0], "title"),
                        "Attention routing before and after fine-tuning");
    assert_non_null(qk_table_find(whole, "/drift/sft/q_rel_drift"));
    assert_non_null(qk_table_find(whole, "/zeta/late/score"));
    for (size_t code = 0; code < 256; code++) {
        size_t order[N_KINDS], seen = 0;
        for (size_t i = 0; i < N_KINDS; i++) {
            order[i] = code >> (2 * i) & 3;
            seen |= (size_t)1 << order[i];
        }
        if (seen != 15) {
            continue;
        }
        struct qk_table *all[N_KINDS];
        for (size_t i = 0; i < N_KINDS; i++) {
            all[i] = measurement(order[i]);
        }
        struct qk_table *at_once = join(all, N_KINDS);
        assert_tables_equal(whole, at_once);
        assert_same_file(whole, at_once);
        qk_table_free(at_once);
        struct qk_table *pair[] = {measurement(order[0]), measurement(order[1])};
        struct qk_table *other[] = {measurement(order[2]), measurement(order[3])};
        struct qk_table *pairs[] = {join(pair, 2), join(other, 2)};
        struct qk_table *by_steps = join(pairs, 2);
        assert_tables_equal(whole, by_steps);
        qk_table_free(by_steps);
    }
    qk_table_free(whole);
}

static void test_measurements_that_do_not_fit(void **state)
{
    (void)state;
    struct qk_table *hash[] = {measurement(0), measurement(1)};
    must_set(hash[0], "/checkpoints/sft", "header_sha256", "1");
    must_set(hash[1], "/checkpoints/sft", "header_sha256", "2");
    const char *const inputs[] = {"b.h5", "/checkpoints/sft", "header_sha256", "expected '1', found '2'", NULL};
    assert_refused(hash, 2, inputs);
    struct qk_table *bases[] = {measurement(1), measurement(0)};
    must_set(bases[0], "/checkpoints/early", "role", "base");
    const char *const second[] = {"a.h5", "/checkpoints/early", "second base", "/checkpoints/base", NULL};
    assert_refused(bases, 2, second);
    struct qk_table *model[] = {measurement(0), measurement(1)};
    must_set(model[1], "/model", "model_type", "llama");
    const char *const type[] = {"b.h5", "/model", "model_type", "'hypenet'", "'llama'", NULL};
    assert_refused(model, 2, type);
    struct qk_table *axis[] = {measurement(1), measurement(2)};
    struct qk_node *node;
    assert_int_equal(qk_table_scale(axis[1], "/model/case", QK_TYPE_I64, 3, &node, NULL), QK_OK);
    const char *const shape[] = {"b.h5", "/model/case", "shape", "a.h5", NULL};
    assert_refused(axis, 2, shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_ranges),
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_checkpoints_of_other_runs),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_base_measured_again),
        cmocka_unit_test(test_other_options),
        cmocka_unit_test(test_other_inputs),
        cmocka_unit_test(test_datasets_of_some_parts),
        cmocka_unit_test(test_values_that_must_agree),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_measurements_in_any_order),
        cmocka_unit_test(test_measurements_that_do_not_fit),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
