/* What restore writes and what the patched checkpoint shows are the same bytes, whatever the number of threads; no
 * allocation failure leaves a file. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "repair/patched.h"
#include "repair/restore.h"

struct pair {
    struct qk_ckpt *base_ckpt, *tuned_ckpt;
    struct qk_model *base, *tuned;
};

static void open_one(const char *path, struct qk_ckpt **ckpt, struct qk_model **model)
{
    struct qk_err err;
    assert_int_equal(qk_ckpt_open(path, ckpt, &err), QK_OK);
    assert_int_equal(qk_model_open(*ckpt, model, &err), QK_OK);
}

static struct pair open_pair(const char *folder, const char *tuned)
{
    char path[1024];
    struct pair p;
    snprintf(path, sizeof path, "%s/%s/base", getenv("QK_SOURCE_ROOT"), folder);
    open_one(path, &p.base_ckpt, &p.base);
    snprintf(path, sizeof path, "%s/%s/%s", getenv("QK_SOURCE_ROOT"), folder, tuned);
    open_one(path, &p.tuned_ckpt, &p.tuned);
    return p;
}

static void close_pair(struct pair *p)
{
    qk_model_free(p->base);
    qk_model_free(p->tuned);
    qk_ckpt_close(p->base_ckpt);
    qk_ckpt_close(p->tuned_ckpt);
}

/* Every action at once: layers 0 to 5 of the pair. */
static const char units[] =
    "\"units\": [{\"layer\": 0, \"action\": \"restore\", \"with\": [\"q_norm\"]},"
    "{\"layer\": 1, \"action\": \"align\", \"side\": \"head\", \"lambda\": 0.1},"
    "{\"layer\": 2, \"kv_groups\": [1], \"action\": \"align\", \"side\": \"input\"},"
    "{\"layer\": 2, \"kv_groups\": [0, 2], \"tensors\": [\"k\"], \"action\": \"blend\", \"alpha\": 0.3},"
    "{\"layer\": 3, \"action\": \"align\", \"method\": \"rotate\"}, {\"layer\": 4, \"action\": \"keep\"}]}";

static void read_plan(const struct pair *p, const char *rest, struct qk_arena *arena, struct qk_plan *plan)
{
    char text[2048];
    struct qk_err err;
    snprintf(text, sizeof text,
             "{\"format\": \"qkscope-plan\", \"version\": 1, \"base\": {\"name\": \"b\", \"header_sha256\": \"%s\"}, "
             "\"tuned\": {\"name\": \"t\", \"header_sha256\": \"%s\"}, %s",
             p->base_ckpt->header_sha256, p->tuned_ckpt->header_sha256, rest);
    enum qk_code code = qk_plan_parse("plan", text, strlen(text), arena, plan, &err);
    if (code != QK_OK) {
        fail_msg("%s", err.text);
    }
}

static char *scratch(void)
{
    static char path[256];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/qk-restore-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static void remove_scratch(const char *path)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static size_t entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 2;
}

/* n bytes of every tensor at odd places: patches are cut anywhere. */
static void compare(const struct qk_ckpt *a, const struct qk_ckpt *b)
{
    enum { CUT = 4099 };
    static unsigned char x[CUT], y[CUT];
    struct qk_err err;
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct qk_tensor *t = &a->tensors[i];
        for (uint64_t at = 0; at < t->n_bytes; at += CUT) {
            size_t n = t->n_bytes - at < CUT ? (size_t)(t->n_bytes - at) : CUT;
            assert_int_equal(qk_ckpt_read(a, t, at, n, x, &err), QK_OK);
            assert_int_equal(qk_ckpt_read(b, &b->tensors[i], at, n, y, &err), QK_OK);
            if (memcmp(x, y, n) != 0) {
                fail_msg("%s differs after byte %llu", t->name, (unsigned long long)at);
            }
        }
    }
}

static void written_is_patched(void **state)
{
    (void)state;
    struct pair p = open_pair("examples/amnesia", "sft");
    struct qk_arena *arena = qk_arena_new();
    struct qk_plan plan;
    struct qk_edits *edits;
    struct qk_err err;
    char *dir = scratch(), target[300];
    read_plan(&p, units, arena, &plan);
    assert_int_equal(qk_edits_new(&plan, p.base, p.tuned, &edits, &err), QK_OK);
    for (size_t threads = 1; threads <= 3; threads += 2) {
        struct qk_pool *pool;
        struct qk_patched *patched;
        struct qk_ckpt *written;
        struct qk_restore_options options = {.force = threads > 1, .command = "test"};
        snprintf(target, sizeof target, "%s/out", dir);
        assert_int_equal(qk_pool_new(threads, &pool, &err), QK_OK);
        assert_int_equal(qk_restore_write(&plan, edits, target, &options, pool, &err), QK_OK);
        qk_pool_free(pool);
        assert_int_equal(qk_pool_new(4 - threads, &pool, &err), QK_OK);
        assert_int_equal(qk_patched_new(edits, "patched", pool, &patched, &err), QK_OK);
        assert_int_equal(qk_ckpt_open(target, &written, &err), QK_OK);
        compare(qk_patched_ckpt(patched), written);
        assert_string_equal(written->header_sha256, p.tuned_ckpt->header_sha256);
        qk_ckpt_close(written);
        qk_patched_free(patched);
        qk_pool_free(pool);
    }
    assert_int_equal(entries(dir), 1);
    qk_edits_free(edits);
    qk_arena_free(arena);
    remove_scratch(dir);
    close_pair(&p);
}

static const struct {
    const char *units, *says;
    enum qk_code code;
} refused[] = {
    {"\"units\": [{\"layer\": 99, \"action\": \"restore\"}]}", "has no layer 99", QK_EUSAGE},
    {"\"units\": [{\"layer\": 2, \"kv_groups\": [3], \"action\": \"restore\"}]}", "has no KV group 3", QK_EUSAGE},
    {"\"units\": [{\"layer\": 0, \"kv_groups\": [1], \"action\": \"restore\"}, {\"layer\": 0, \"kv_groups\": [64], "
     "\"action\": \"keep\"}, {\"layer\": 99, \"action\": \"restore\"}]}",
     "has no layer 99", QK_EUSAGE},
};

static void refuses_units_that_do_not_fit(void **state)
{
    (void)state;
    struct pair p = open_pair("examples/amnesia", "sft");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct qk_arena *arena = qk_arena_new();
        struct qk_plan plan;
        struct qk_edits *edits = NULL;
        struct qk_err err;
        read_plan(&p, refused[i].units, arena, &plan);
        assert_int_equal(qk_edits_new(&plan, p.base, p.tuned, &edits, &err), refused[i].code);
        assert_non_null(strstr(err.text, refused[i].says));
        assert_null(edits);
        qk_arena_free(arena);
    }
    close_pair(&p);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    struct pair p = open_pair("tests/data/weights/llama", "sft");
    struct qk_arena *arena = qk_arena_new();
    struct qk_plan plan;
    struct qk_pool *pool;
    struct qk_err err;
    char *dir = scratch(), target[300];
    bool done = false;
    snprintf(target, sizeof target, "%s/out", dir);
    read_plan(&p,
              "\"units\": [{\"layer\": 0, \"action\": \"restore\"}, {\"layer\": 1, \"action\": \"align\", \"method\": "
              "\"rotate\"}]}",
              arena, &plan);
    assert_int_equal(qk_pool_new(1, &pool, &err), QK_OK);
    size_t k = 1;
    for (; !done; k++) {
        struct qk_edits *edits = NULL;
        struct qk_patched *patched = NULL;
        struct qk_restore_options options = {.command = "test"};
        assert_in_range(k, 1, 5000);
        qk_alloc_fail_after(k);
        enum qk_code code = qk_edits_new(&plan, p.base, p.tuned, &edits, &err);
        if (code == QK_OK) {
            code = qk_patched_new(edits, "patched", pool, &patched, &err);
        }
        if (code == QK_OK) {
            code = qk_restore_write(&plan, edits, target, &options, pool, &err);
        }
        qk_alloc_fail_after(0);
        qk_patched_free(patched);
        qk_edits_free(edits);
        done = code == QK_OK;
        if (!done && (code != QK_ENOMEM || entries(dir) != 0)) {
            fail_msg("allocation %zu: code %d, %zu entries left: %s", k, (int)code, entries(dir), err.text);
        }
    }
    assert_in_range(k, 50, 5000);
    assert_int_equal(entries(dir), 1);
    qk_pool_free(pool);
    qk_arena_free(arena);
    remove_scratch(dir);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_patched),
        cmocka_unit_test(refuses_units_that_do_not_fit),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
