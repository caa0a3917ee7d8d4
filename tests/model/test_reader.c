/* The head reader beyond values: identity, misuse, types that hold no weights, norm weights, its size, and failing
 * allocations at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "fixture.h"

static const char llama_config[] = "{\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":1,"
                                   "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":4}";
static const char mla_config[] =
    "{\"model_type\":\"deepseek_v3\",\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":2,\"qk_nope_head_dim\":4,\"qk_rope_head_dim\":2,\"v_head_dim\":4,\"q_lora_rank\":6,"
    "\"kv_lora_rank\":5}";

static float values[512];

static void fill(void)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        values[i] = (float)(i % 37) - 18.25f;
    }
}

static void write_llama(struct fixture *f, const char *q_type, const float *k)
{
    fixture_init(f);
    fixture_add(f, "model.layers.0.self_attn.q_proj.weight", q_type, "8,8", NULL);
    fixture_add(f, "model.layers.0.self_attn.k_proj.weight", "F32", "4,8", k);
    fixture_add(f, "model.layers.0.input_layernorm.weight", "F32", "8", values);
    fixture_write(f, llama_config, 1);
}

static void write_mla(struct fixture *f, const float *q_norm, const float *kv_a)
{
    fixture_init(f);
    fixture_add(f, "model.layers.0.self_attn.q_a_proj.weight", "F32", "6,8", values + 3);
    fixture_add(f, "model.layers.0.self_attn.q_a_layernorm.weight", "F32", "6", q_norm);
    fixture_add(f, "model.layers.0.self_attn.q_b_proj.weight", "F32", "12,6", values + 5);
    fixture_add(f, "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", "F32", "7,8", kv_a);
    fixture_add(f, "model.layers.0.self_attn.kv_a_layernorm.weight", "F32", "5", values + 9);
    fixture_add(f, "model.layers.0.self_attn.kv_b_proj.weight", "F32", "16,5", values + 11);
    fixture_add(f, "model.layers.0.input_layernorm.weight", "F32", "8", values);
    fixture_write(f, mla_config, 1);
}

struct opened {
    struct fixture fixture;
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    struct qk_head_reader *reader;
};

static void open_reader(struct opened *o, size_t tile)
{
    struct qk_err err = {0};
    fixture_open(&o->fixture, &o->ckpt, &o->model);
    assert_int_equal(qk_head_reader_new(o->model, tile, &o->reader, &err), QK_OK);
}

static void close_reader(struct opened *o)
{
    qk_head_reader_free(o->reader);
    fixture_close(o->ckpt, o->model);
    fixture_release(&o->fixture);
}

static void load(struct opened *o, enum qk_role role, size_t head)
{
    struct qk_err err = {0};
    if (qk_head_reader_load(o->reader, &o->model->layers[0], role, head, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
}

static void test_identical(void **state)
{
    (void)state;
    struct opened a, b, norm, latent;
    fill();
    write_mla(&a.fixture, values, values + 100);
    write_mla(&b.fixture, values, values + 100);
    write_mla(&norm.fixture, values + 1, values + 100);
    write_mla(&latent.fixture, values, values + 101);
    struct opened *all[] = {&a, &b, &norm, &latent};
    for (size_t i = 0; i < 4; i++) {
        open_reader(all[i], 8);
        assert_false(qk_head_reader_identical(a.reader, all[i]->reader)); /* nothing loaded there yet */
        load(all[i], QK_ROLE_Q, 1);
    }
    assert_true(qk_head_reader_identical(a.reader, b.reader));
    assert_false(qk_head_reader_identical(a.reader, norm.reader)); /* only the latent's norm differs */
    assert_true(qk_head_reader_identical(a.reader, latent.reader));
    for (size_t i = 0; i < 4; i++) {
        load(all[i], QK_ROLE_K, 0);
    }
    assert_true(qk_head_reader_identical(a.reader, b.reader));
    assert_true(qk_head_reader_identical(a.reader, norm.reader));
    assert_false(qk_head_reader_identical(a.reader, latent.reader));
    load(&b, QK_ROLE_K, 1);
    assert_false(qk_head_reader_identical(a.reader, b.reader));
    for (size_t i = 0; i < 4; i++) {
        close_reader(all[i]);
    }
}

/* Loading another head and coming back gives the first head's numbers: shared latents are kept between heads. */
static void test_reload(void **state)
{
    (void)state;
    struct opened o;
    struct qk_err err = {0};
    double first[48], again[48], ulp2 = 0;
    fill();
    write_mla(&o.fixture, values, values + 100);
    open_reader(&o, 8);
    load(&o, QK_ROLE_Q, 0);
    assert_int_equal(qk_head_reader_tile(o.reader, 0, 8, first, 8, &ulp2, &err), QK_OK);
    load(&o, QK_ROLE_K, 1);
    load(&o, QK_ROLE_Q, 1);
    load(&o, QK_ROLE_Q, 0);
    assert_int_equal(qk_head_reader_tile(o.reader, 0, 8, again, 8, NULL, &err), QK_OK);
    assert_memory_equal(first, again, sizeof first);
    assert_true(ulp2 > 0);
    close_reader(&o);
}

static void test_misuse(void **state)
{
    (void)state;
    struct opened o;
    struct qk_err err = {0};
    double w[64];
    fill();
    write_llama(&o.fixture, "F32", values);
    open_reader(&o, 4);
    assert_int_equal(qk_head_reader_tile(o.reader, 0, 4, w, 4, NULL, &err), QK_EINTERNAL); /* nothing loaded */
    load(&o, QK_ROLE_K, 0);
    assert_int_equal(qk_head_reader_tile(o.reader, 0, 5, w, 8, NULL, &err), QK_EINTERNAL); /* wider than the tile */
    assert_int_equal(qk_head_reader_tile(o.reader, 6, 3, w, 8, NULL, &err), QK_EINTERNAL); /* beyond the last column */
    assert_int_equal(qk_head_reader_tile(o.reader, 9, 0, w, 8, NULL, &err), QK_EINTERNAL);
    assert_int_equal(qk_head_reader_tile(o.reader, 0, 4, w, 3, NULL, &err), QK_EINTERNAL); /* rows would overlap */
    assert_int_equal(qk_head_reader_tile(o.reader, 8, 0, w, 8, NULL, &err), QK_OK);
    assert_int_equal(qk_head_reader_tile(o.reader, 4, 4, w, 8, NULL, &err), QK_OK);
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            assert_true(w[i * 8 + j] == (double)values[i * 8 + 4 + j]);
        }
    }
    assert_true(qk_head_reader_bytes(o.model, 4) >= 4 * 8 * sizeof(float));
    close_reader(&o);
}

static void test_no_weights(void **state)
{
    (void)state;
    struct opened o;
    struct qk_err err = {0};
    fill();
    write_llama(&o.fixture, "I32", values);
    open_reader(&o, 4);
    assert_int_equal(qk_head_reader_load(o.reader, &o.model->layers[0], QK_ROLE_Q, 0, &err), QK_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "model.layers.0.self_attn.q_proj.weight: dtype I32"));
    load(&o, QK_ROLE_K, 0); /* a failure leaves the reader usable */
    close_reader(&o);
}

static void test_norm_weight(void **state)
{
    (void)state;
    struct opened o;
    struct qk_err err = {0};
    double g[8];
    fill();
    write_llama(&o.fixture, "F32", values);
    open_reader(&o, 4);
    struct qk_norm_weight w = o.model->layers[0].input_norm;
    assert_int_equal(qk_norm_weight_read(o.model, &w, 8, g, &err), QK_OK);
    assert_true(g[3] == (double)values[3]);
    w.plus_one = true;
    assert_int_equal(qk_norm_weight_read(o.model, &w, 8, g, &err), QK_OK);
    assert_true(g[3] == (double)values[3] + 1);
    assert_int_equal(qk_norm_weight_read(o.model, &w, 7, g, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "input_layernorm.weight: wrong number of elements (expected 7, found 8)"));
    w.tensor = NULL;
    w.plus_one = false;
    assert_int_equal(qk_norm_weight_read(o.model, &w, 8, g, &err), QK_OK);
    assert_true(g[0] == 1 && g[7] == 1);
    close_reader(&o);
}

static enum qk_code open_and_read(const struct qk_ckpt *ckpt, struct qk_err *err)
{
    struct qk_model *model = NULL;
    struct qk_head_reader *reader = NULL;
    double w[64];
    enum qk_code code = qk_model_open(ckpt, &model, err);
    if (code == QK_OK) {
        code = qk_head_reader_new(model, 8, &reader, err);
    }
    if (code == QK_OK) {
        code = qk_head_reader_load(reader, &model->layers[0], QK_ROLE_Q, 0, err);
    }
    if (code == QK_OK) {
        code = qk_head_reader_tile(reader, 0, 8, w, 8, NULL, err);
    }
    qk_head_reader_free(reader);
    qk_model_free(model);
    return code;
}

/* The k-th allocation fails, for every k until none does: always out of memory, never a crash or a leak. */
static void test_alloc(void **state)
{
    (void)state;
    struct fixture f;
    struct qk_ckpt *ckpt = NULL;
    struct qk_err err = {0};
    size_t failures = 0;
    fill();
    write_mla(&f, values, values + 100);
    assert_int_equal(qk_ckpt_open(f.dir, &ckpt, &err), QK_OK);
    for (size_t k = 1;; k++) {
        qk_alloc_fail_after(k);
        enum qk_code code = open_and_read(ckpt, &err);
        qk_alloc_fail_after(0);
        if (code == QK_OK) {
            break;
        }
        assert_int_equal(code, QK_ENOMEM);
        failures++;
    }
    assert_true(failures > 5);
    qk_ckpt_close(ckpt);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_identical),   cmocka_unit_test(test_reload),
                                       cmocka_unit_test(test_misuse),      cmocka_unit_test(test_no_weights),
                                       cmocka_unit_test(test_norm_weight), cmocka_unit_test(test_alloc)};
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
