/* Opening real and synthetic checkpoints: tables, hashes against an independent computation, names, reads, scales. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/rules.h"

static char dir[64], path[4200];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/qk-ckpt-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-r", dir, NULL};
    return qk_child_run(argv, NULL, 30, NULL, 0, NULL);
}

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static const char *example(const char *name)
{
    snprintf(path, sizeof path, "%s/examples/amnesia/%s", getenv("QK_SOURCE_ROOT"), name);
    return path;
}

static void put_text(const char *name, const char *text)
{
    struct qk_err err;
    assert_int_equal(qk_atomic_put(in_dir(name), true, text, strlen(text), &err), QK_OK);
}

static void put_tensors(const char *name, const char *header, const void *data, size_t n)
{
    size_t len = strlen(header);
    unsigned char buf[4096] = {0};
    assert_true(8 + len + n <= sizeof buf);
    buf[0] = (unsigned char)len;
    buf[1] = (unsigned char)(len >> 8);
    memcpy(buf + 8, header, len);
    memcpy(buf + 8 + len, data, n);
    struct qk_err err;
    assert_int_equal(qk_atomic_put(in_dir(name), true, buf, 8 + len + n, &err), QK_OK);
}

static struct qk_ckpt *open_ok(const char *where)
{
    struct qk_ckpt *ckpt = NULL;
    struct qk_err err = {0};
    if (qk_ckpt_open(where, &ckpt, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return ckpt;
}

/* Python reads the same files with its own json and hashlib. */
static const char checker[] = "import sys, json, struct, hashlib\n"
                              "d = sys.argv[1]\n"
                              "raw = open(d + '/model.safetensors', 'rb').read()\n"
                              "n, = struct.unpack('<Q', raw[:8])\n"
                              "h = json.loads(raw[8:8 + n])\n"
                              "h.pop('__metadata__', None)\n"
                              "sha = lambda b: hashlib.sha256(b).hexdigest()\n"
                              "print(len(h), sha(raw[:8 + n]), sha(open(d + '/config.json', 'rb').read()), len(raw))\n"
                              "t = h['model.layers.2.self_attn.q_proj.weight']\n"
                              "b, e = t['data_offsets']\n"
                              "print(t['dtype'], *t['shape'], 8 + n + b, sha(raw[8 + n + b:8 + n + e]))\n";

static void sha_of_tensor(const struct qk_ckpt *ckpt, const struct qk_tensor *t, char ret[65])
{
    struct qk_err err;
    unsigned char *data = malloc(t->n_bytes);
    assert_non_null(data);
    size_t half = (size_t)t->n_bytes / 2;
    assert_int_equal(qk_ckpt_read(ckpt, t, 0, half, data, &err), QK_OK);
    assert_int_equal(qk_ckpt_read(ckpt, t, half, (size_t)t->n_bytes - half, data + half, &err), QK_OK);
    assert_int_equal(qk_atomic_put(in_dir("tensor"), true, data, (size_t)t->n_bytes, &err), QK_OK);
    char out[256]; /* hashed by sha256sum, not by our own code */
    const char *const argv[] = {"sha256sum", in_dir("tensor"), NULL};
    assert_int_equal(qk_child_run(argv, NULL, 30, out, sizeof out, &err), QK_OK);
    memcpy(ret, out, 64);
    ret[64] = 0;
    free(data);
}

static void check_example(const char *name)
{
    struct qk_ckpt *ckpt = open_ok(example(name));
    assert_string_equal(ckpt->name, name);
    const struct qk_tensor *t = qk_ckpt_find(ckpt, "model.layers.2.self_attn.q_proj.weight");
    assert_non_null(t);
    char sha[65], expected[1024], out[1024];
    sha_of_tensor(ckpt, t, sha);
    snprintf(expected, sizeof expected, "%zu %s %s %llu\n%s %llu %llu %llu %s\n", ckpt->n_tensors, ckpt->header_sha256,
             ckpt->config_sha256, (unsigned long long)(ckpt->total_bytes + ckpt->shards[0].header_bytes),
             qk_dtype_info(t->dtype)->name, (unsigned long long)t->shape[0], (unsigned long long)t->shape[1],
             (unsigned long long)t->offset, sha);
    struct qk_err err = {0};
    const char *const argv[] = {getenv("QK_PYTHON"), "-c", checker, example(name), NULL};
    if (qk_child_run(argv, NULL, 60, out, sizeof out, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(out, expected);
    for (size_t i = 1; i < ckpt->n_tensors; i++) {
        assert_true(strcmp(ckpt->tensors[i - 1].name, ckpt->tensors[i].name) < 0);
        assert_ptr_equal(qk_ckpt_find(ckpt, ckpt->tensors[i].name), &ckpt->tensors[i]);
    }
    assert_null(qk_ckpt_find(ckpt, ""));
    assert_null(qk_ckpt_find(ckpt, "zzz"));
    assert_null(qk_ckpt_find(ckpt, "model.layers.2.self_attn.q_proj.weigh"));
    const char *format;
    assert_true(qk_json_string(qk_json_get(ckpt->shards[0].metadata, "format"), &format));
    assert_string_equal(format, "pt");
    qk_ckpt_close(ckpt);
}

static void test_bundled_pair(void **state)
{
    (void)state;
    check_example("base");
    check_example("sft");
}

static void put_sharded(void)
{
    static const float a[] = {1.5f, -2.0f}, z[] = {3.0f};
    put_text("config.json", "{\"model_type\":\"llama\"}");
    put_tensors("m-1.safetensors",
                "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                "\"empty\":{\"dtype\":\"BF16\",\"shape\":[4,0],\"data_offsets\":[8,8]}}",
                a, sizeof a);
    put_tensors("m-2.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", z, sizeof z);
    put_text("model.safetensors.index.json",
             "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\","
             "\"empty\":\"m-1.safetensors\"}}");
}

static void test_sharded(void **state)
{
    (void)state;
    put_sharded();
    struct qk_ckpt *ckpt = open_ok(dir);
    assert_int_equal(ckpt->n_shards, 2);
    assert_string_equal(ckpt->shards[0].file_name, "m-1.safetensors");
    assert_int_equal(ckpt->n_tensors, 3);
    assert_int_equal(ckpt->total_bytes, 12);
    const struct qk_tensor *a = qk_ckpt_find(ckpt, "a"), *b = qk_ckpt_find(ckpt, "b"), *e = qk_ckpt_find(ckpt, "empty");
    assert_int_equal(a->shard, 1);
    assert_int_equal(a->n_dims, 0);
    assert_int_equal(a->n_elements, 1);
    assert_int_equal(b->shard, 0);
    assert_int_equal(e->n_elements, 0);
    float value;
    struct qk_err err;
    assert_int_equal(qk_ckpt_read(ckpt, b, 4, 4, &value, &err), QK_OK);
    assert_true(value == -2.0f);
    assert_int_equal(qk_ckpt_read(ckpt, a, 0, 4, &value, &err), QK_OK);
    assert_true(value == 3.0f);
    assert_int_equal(qk_ckpt_read(ckpt, e, 0, 0, &value, &err), QK_OK);
    assert_int_equal(qk_ckpt_read(ckpt, b, 4, 5, &value, &err), QK_EINTERNAL);
    assert_int_equal(qk_ckpt_read(ckpt, b, UINT64_MAX, 1, &value, &err), QK_EINTERNAL);
    qk_ckpt_close(ckpt);
}

static void test_file_that_shrinks_is_noticed(void **state)
{
    (void)state;
    put_sharded();
    struct qk_ckpt *ckpt = open_ok(dir);
    const struct qk_tensor *b = qk_ckpt_find(ckpt, "b");
    assert_int_equal(truncate(ckpt->shards[0].path, (off_t)b->offset + 6), 0);
    float value;
    struct qk_err err = {0};
    assert_int_equal(qk_ckpt_read(ckpt, b, 4, 4, &value, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "m-1.safetensors"));
    assert_non_null(strstr(err.text, "truncated"));
    qk_ckpt_close(ckpt);
}

static void test_more_shards_than_the_soft_limit_on_open_files(void **state)
{
    (void)state;
    put_sharded();
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = 24;
    assert_true(tight.rlim_cur < before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct qk_ckpt *all[20];
    for (size_t i = 0; i < 20; i++) {
        all[i] = open_ok(dir);
    }
    for (size_t i = 0; i < 20; i++) {
        qk_ckpt_close(all[i]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void expect_name(const char *where, const char *name)
{
    struct qk_ckpt *ckpt = open_ok(where);
    assert_string_equal(ckpt->name, name);
    assert_string_equal(ckpt->path, where);
    qk_ckpt_close(ckpt);
}

static void test_names(void **state)
{
    (void)state;
    static const float one[] = {1.0f};
    put_text("model/config.json", "{}");
    put_tensors("model/model.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", one, 4);
    put_tensors("model/tuned.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", one, 4);
    put_text("odd\n\xff"
             "name/config.json",
             "{}");
    put_tensors("odd\n\xff"
                "name/model.safetensors",
                "{}", one, 0);
    char where[4200];
    static const char *const same[] = {"model",
                                       "model/",
                                       "model///",
                                       "model/.",
                                       "model/../model",
                                       "model/model.safetensors",
                                       "model/./model.safetensors"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        snprintf(where, sizeof where, "%s/%s", dir, same[i]);
        expect_name(where, "model");
    }
    snprintf(where, sizeof where, "%s/model/tuned.safetensors", dir);
    expect_name(where, "tuned");
    snprintf(where, sizeof where,
             "%s/odd\n\xff"
             "name",
             dir);
    expect_name(where, "odd__name");
    char old[4096];
    assert_non_null(getcwd(old, sizeof old));
    assert_int_equal(chdir(in_dir("model")), 0);
    expect_name(".", "model");
    expect_name("./", "model");
    expect_name("../model", "model");
    expect_name("model.safetensors", "model");
    expect_name("tuned.safetensors", "tuned");
    assert_int_equal(chdir(old), 0);
}

static void expect_scale(const char *tensor, double value)
{
    struct qk_ckpt *ckpt = open_ok(dir);
    struct qk_err err = {0};
    double scale = 0.0;
    if (qk_ckpt_scale(ckpt, qk_ckpt_find(ckpt, tensor), &scale, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(scale == value);
    qk_ckpt_close(ckpt);
}

static void expect_no_scale(const char *tensor, enum qk_code code, const char *text)
{
    struct qk_ckpt *ckpt = open_ok(dir);
    struct qk_err err = {0};
    double scale = 7.0;
    assert_int_equal(qk_ckpt_scale(ckpt, qk_ckpt_find(ckpt, tensor), &scale, &err), code);
    assert_true(scale == 7.0);
    assert_non_null(strstr(err.text, text));
    qk_ckpt_close(ckpt);
}

static void test_scales(void **state)
{
    (void)state;
    put_text("config.json", "{}");
    /* BF16 0x3f00 = 0.5, F32 0x40400000 = 3, 0x7f800000 = infinity */
    static const unsigned char data[] = {1, 0, 0,    0x3f, 1, 0, 0, 0x40, 0x40, 1, 0, 0,    0,    0, 0, 0, 1, 1,
                                         0, 0, 0x80, 0x7f, 1, 0, 0, 0x40, 0x40, 0, 0, 0x40, 0x40, 1, 1, 1, 1};
    put_tensors("model.safetensors",
                "{\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]},"
                "\"pad1\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]},"
                "\"a.weight_scale\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[2,4]},"
                "\"b.weight\":{\"dtype\":\"F8_E5M2\",\"shape\":[1],\"data_offsets\":[4,5]},"
                "\"b.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[5,9]},"
                "\"c.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[9,10]},"
                "\"c.scale\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[10,14]},"
                "\"pad2\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[14,16]},"
                "\"d.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[16,17]},"
                "\"e.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[17,18]},"
                "\"e.weight_scale\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[18,22]},"
                "\"f.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[22,23]},"
                "\"f.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[23,31]},"
                "\"g.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[31,32]},"
                "\"g.weight_scale\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[32,33]},"
                "\"h.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[33,34]},"
                "\"h.weight_scale\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[34,35]}}",
                data, sizeof data);
    expect_scale("a.weight", 0.5);
    expect_scale("b.weight", 3.0);
    expect_scale("d.weight", 1.0);
    expect_scale("a.weight_scale", 1.0);
    expect_scale("h.weight", 1.0);
    expect_no_scale("c.weight", QK_EFORMAT, "c.scale: unusable scale (expected a finite number above 0, found 0)");
    expect_no_scale("e.weight", QK_EFORMAT,
                    "e.weight_scale: unusable scale (expected a finite number above 0, found inf)");
    expect_no_scale("f.weight", QK_EUNSUPPORTED, "f.weight_scale_inv: scales of blocks or rows");
    expect_no_scale("g.weight", QK_EUNSUPPORTED, "g.weight_scale: scale of unusable type");
}

static void test_ambiguous_scale(void **state)
{
    (void)state;
    put_text("config.json", "{}");
    static const unsigned char data[9] = {1, 0, 0, 0x40, 0x40, 0, 0, 0x40, 0x40};
    put_tensors("model.safetensors",
                "{\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]},"
                "\"a.weight_scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]},"
                "\"a.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[5,9]}}",
                data, sizeof data);
    expect_no_scale("a.weight", QK_EFORMAT, "a.weight: scale is ambiguous");
}

static void test_rules_are_well_formed(void **state)
{
    (void)state;
    for (size_t r = 0; r < QK_N_RULES; r++) {
        assert_int_equal(qk_rules[r].rule, r);
        assert_true(qk_rules[r].id[0] != 0 && qk_rules[r].statement[0] != 0);
        assert_int_equal(strspn(qk_rules[r].id, "abcdefghijklmnopqrstuvwxyz-"), strlen(qk_rules[r].id));
        assert_true(qk_rules[r].code == QK_EFORMAT || qk_rules[r].code == QK_EUNSUPPORTED ||
                    qk_rules[r].code == QK_EIO);
        for (size_t other = 0; other < r; other++) {
            assert_string_not_equal(qk_rules[r].id, qk_rules[other].id);
        }
    }
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(test_bundled_pair),
        IN_DIR(test_sharded),
        IN_DIR(test_file_that_shrinks_is_noticed),
        IN_DIR(test_more_shards_than_the_soft_limit_on_open_files),
        IN_DIR(test_names),
        IN_DIR(test_scales),
        IN_DIR(test_ambiguous_scale),
        cmocka_unit_test(test_rules_are_well_formed),
    };
    return cmocka_run_group_tests_name("ckpt", tests, NULL, NULL);
}
