/* plan.json: what is written reads back the same; each broken rule is refused with file and field; no allocation
 * failure goes unnoticed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "repair/plan.h"

#define SHA_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SHA_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define HEAD                                                                                                           \
    "{\"format\": \"qkscope-plan\", \"version\": 1,\n \"base\": {\"name\": \"b\", \"header_sha256\": \"" SHA_A         \
    "\"},\n \"tuned\": {\"name\": \"t\", \"header_sha256\": \"" SHA_B "\"},\n"

static const char full[] = HEAD
    " \"units\": [\n"
    "  {\"layer\": 2, \"kv_groups\": [0, 3], \"tensors\": [\"q\"], \"action\": \"align\", \"method\": \"qk-pro\", "
    "\"side\": \"head\", \"lambda\": 0.25,\n   \"score\": 1.5,\n   \"evidence\": {\"tail_loss\": 0.1, \"rel_drift\": "
    "null},\n   \"reason\": \"it \\\"forgot\\\"\"},\n"
    "  {\"layer\": 2, \"kv_groups\": [1], \"tensors\": [\"q\", \"k\"], \"action\": \"align\", \"method\": \"qk-pro\", "
    "\"side\": \"input\", \"lambda\": \"inf\"},\n"
    "  {\"layer\": 5, \"kv_groups\": \"all\", \"tensors\": [\"q\", \"k\"], \"with\": [\"q_norm\"], \"action\": "
    "\"restore\"},\n"
    "  {\"layer\": 6, \"kv_groups\": \"all\", \"tensors\": [\"q\", \"k\"], \"action\": \"align\", \"method\": "
    "\"rotate\"},\n"
    "  {\"layer\": 7, \"kv_groups\": \"all\", \"tensors\": [\"k\"], \"action\": \"blend\", \"alpha\": 0.5},\n"
    "  {\"layer\": 8, \"kv_groups\": \"all\", \"tensors\": [\"q\", \"k\"], \"action\": \"keep\"}\n"
    " ],\n"
    " \"measured\": {\"recall\": {\"tuned\": 0.1, \"plan\": [true, null]}},\n"
    " \"provenance\": {\"qkscope\": \"0.1.0\", \"command\": \"qkscope recommend run.h5\"}}\n";

static void writes_what_it_read(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    struct qk_plan plan;
    struct qk_err err;
    struct qk_str out = {0};
    assert_int_equal(qk_plan_parse("plan.json", full, strlen(full), arena, &plan, &err), QK_OK);
    assert_int_equal(plan.n_units, 6);
    assert_int_equal(plan.units[0].n_kv_groups, 2);
    assert_int_equal(plan.units[0].kv_groups[1], 3);
    assert_int_equal(plan.units[0].side, QK_PLAN_SIDE_HEAD);
    assert_true(isnan(plan.units[0].evidence[1].value));
    assert_true(isinf(plan.units[1].lambda));
    assert_int_equal(plan.units[2].tensors, QK_PLAN_Q | QK_PLAN_K | QK_PLAN_Q_NORM);
    assert_int_equal(plan.units[4].tensors, QK_PLAN_K);
    assert_true(isnan(plan.units[5].score));
    qk_plan_write(&plan, &out);
    assert_string_equal(out.s, full);
    qk_str_release(&out);
    qk_arena_free(arena);
}

static void sorts_units(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "\"units\": [{\"layer\": 9, \"action\": \"keep\"}, {\"layer\": 1, \"kv_groups\": [4, 2], "
             "\"action\": \"keep\"}, {\"layer\": 1, \"kv_groups\": [1], \"action\": \"keep\"}]}";
    struct qk_arena *arena = qk_arena_new();
    struct qk_plan plan;
    struct qk_err err;
    assert_int_equal(qk_plan_parse("p", text, strlen(text), arena, &plan, &err), QK_OK);
    assert_int_equal(plan.units[0].kv_groups[0], 1);
    assert_int_equal(plan.units[1].kv_groups[0], 2);
    assert_int_equal(plan.units[2].layer, 9);
    qk_arena_free(arena);
}

static const struct {
    const char *rest; /* behind HEAD, or a whole document when it begins with a brace */
    const char *says; /* somewhere in the error */
} broken[] = {
    {"{}", "format: is missing"},
    {"[]", "expected an object"},
    {"{\"format\": \"qkscope-run\"}", "format: wrong value"},
    {"{\"format\": \"qkscope-plan\", \"version\": 2}", "version: wrong value (expected 1, found 2)"},
    {"\"units\": {}}", "units: wrong value"},
    {"\"unit\": []}", "unit: unknown member"},
    {"\"units\": [3]}", "units[0]: wrong value"},
    {"\"units\": [{\"layer\": 1}]}", "units[0].action: is missing"},
    {"\"units\": [{\"layer\": -1, \"action\": \"keep\"}]}", "units[0].layer"},
    {"\"units\": [{\"layer\": 1.5, \"action\": \"keep\"}]}", "units[0].layer"},
    {"\"units\": [{\"layer\": 1, \"action\": \"mend\"}]}",
     "units[0].action: wrong value (expected \"keep\", \"restore\", \"align\" or \"blend\", found \"mend\")"},
    {"\"units\": [{\"layer\": 1, \"action\": 1}]}", "units[0].action"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"extra\": 1}]}", "units[0].extra: unknown member"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"kv_groups\": []}]}", "units[0].kv_groups"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"kv_groups\": [1, 1]}]}", "each KV group once"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"kv_groups\": \"some\"}]}", "units[0].kv_groups"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"tensors\": []}]}", "names no tensors"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"tensors\": [\"v\"]}]}", "units[0].tensors"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"tensors\": [\"q\", \"q\"]}]}", "each name once"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"with\": [\"o_norm\"]}]}", "units[0].with"},
    {"\"units\": [{\"layer\": 1, \"action\": \"align\", \"method\": \"pro\"}]}", "units[0].method"},
    {"\"units\": [{\"layer\": 1, \"action\": \"align\", \"side\": \"left\"}]}", "units[0].side"},
    {"\"units\": [{\"layer\": 1, \"action\": \"align\", \"lambda\": -1}]}", "units[0].lambda"},
    {"\"units\": [{\"layer\": 1, \"action\": \"align\", \"lambda\": NaN}]}", "units[0].lambda"},
    {"\"units\": [{\"layer\": 1, \"action\": \"blend\", \"alpha\": 1.5}]}", "units[0].alpha"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"score\": \"high\"}]}", "units[0].score"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"evidence\": {\"a\": \"b\"}}]}", "units[0].evidence"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"evidence\": 3}]}", "units[0].evidence"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\", \"reason\": 3}]}", "units[0].reason"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\"}, {\"layer\": 1, \"action\": \"restore\"}]}",
     "layer 1 is named twice"},
    {"\"units\": [{\"layer\": 1, \"action\": \"keep\"}, {\"layer\": 1, \"kv_groups\": [7], \"tensors\": [\"k\"], "
     "\"action\": \"restore\"}]}",
     "KV group 7 of layer 1 is named twice"},
    {"\"units\": [{\"layer\": 1, \"kv_groups\": [0, 7], \"action\": \"keep\"}, {\"layer\": 1, \"kv_groups\": [7], "
     "\"tensors\": [\"k\"], \"action\": \"restore\"}]}",
     "KV group 7 of layer 1 is named twice"},
    {"\"units\": [], \"measured\": 1}", "measured"},
    {"\"units\": [], \"provenance\": {\"who\": \"x\"}}", "provenance.who: unknown member"},
    {"\"units\": []", "p.json"},
};

static void refuses_what_is_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        char text[2048];
        bool whole = broken[i].rest[0] != '"';
        snprintf(text, sizeof text, "%s%s", whole ? "" : HEAD, broken[i].rest);
        struct qk_arena *arena = qk_arena_new();
        struct qk_plan plan = {.n_units = 77};
        struct qk_err err;
        assert_int_equal(qk_plan_parse("p.json", text, strlen(text), arena, &plan, &err), QK_EFORMAT);
        if (strstr(err.text, broken[i].says) == NULL || strncmp(err.text, "p.json: ", 8) != 0) {
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, broken[i].says);
        }
        assert_int_equal(plan.n_units, 77);
        qk_arena_free(arena);
    }
}

static void accepts_units_side_by_side(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "\"units\": [{\"layer\": 1, \"tensors\": [\"q\"], \"action\": \"keep\"}, {\"layer\": 1, \"tensors\": "
             "[\"k\"], \"action\": \"restore\"}, {\"layer\": 2, \"kv_groups\": [0], \"action\": \"keep\"}, {\"layer\": "
             "2, \"kv_groups\": [1], \"action\": \"keep\"}]}";
    struct qk_arena *arena = qk_arena_new();
    struct qk_plan plan;
    struct qk_err err;
    assert_int_equal(qk_plan_parse("p", text, strlen(text), arena, &plan, &err), QK_OK);
    assert_int_equal(plan.n_units, 4);
    qk_arena_free(arena);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    bool done = false;
    for (size_t k = 1; !done; k++) {
        assert_in_range(k, 1, 10000);
        struct qk_arena *arena = qk_arena_new();
        struct qk_plan plan;
        struct qk_err err;
        assert_non_null(arena);
        qk_alloc_fail_after(k);
        enum qk_code code = qk_plan_parse("plan.json", full, strlen(full), arena, &plan, &err);
        qk_alloc_fail_after(0);
        done = code == QK_OK;
        if (!done) {
            assert_int_equal(code, QK_ENOMEM);
        }
        qk_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_read),          cmocka_unit_test(sorts_units),
        cmocka_unit_test(refuses_what_is_broken),       cmocka_unit_test(accepts_units_side_by_side),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
