/* Bounds: long pieces, hostile expressions and texts in time that grows with the text, failing allocations, threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/progress.h"
#include "text/tokenizer.h"

static struct qk_tokenizer *open_fixture(const char *name)
{
    char path[4096];
    struct qk_tokenizer *tokenizer = NULL;
    struct qk_err err = {0};
    snprintf(path, sizeof path, "%s/tokenizer/%s", getenv("QK_TEST_DATA"), name);
    if (qk_tokenizer_open(path, &tokenizer, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

static struct qk_tokenizer *parse(const char *json)
{
    struct qk_tokenizer *tokenizer = NULL;
    struct qk_err err = {0};
    if (qk_tokenizer_parse(json, strlen(json), "t", &tokenizer, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

/* Seconds for n bytes of a repeated unit; the text must come back when round is set. */
static double encode_repeated(const struct qk_tokenizer *tokenizer, const char *unit, size_t n, bool round,
                              enum qk_code expected)
{
    char *text = qk_calloc(n + 1, 1);
    size_t n_unit = strlen(unit);
    n -= n % n_unit;
    for (size_t i = 0; i < n; i++) {
        text[i] = unit[i % n_unit];
    }
    struct qk_encoding encoding = {0};
    struct qk_err err = {0};
    double start = qk_seconds();
    enum qk_code code = qk_tokenizer_encode(tokenizer, text, n, false, &encoding, &err);
    double seconds = qk_seconds() - start;
    if (code != expected) {
        fail_msg("%s: %s", unit, err.text);
    }
    if (round) {
        struct qk_str back = {0};
        assert_int_equal(qk_tokenizer_decode(tokenizer, encoding.ids, encoding.n, 0, &back, &err), QK_OK);
        assert_int_equal(back.len, n);
        assert_memory_equal(back.s, text, n);
        qk_str_release(&back);
    }
    qk_encoding_release(&encoding);
    qk_free(text);
    return seconds;
}

/* One piece of 400 kB each: quadratic work would take minutes. */
static void test_long_pieces(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen2_style", "llama3_style", "gpt2_style", "spm_metaspace"};
    static const char *const units[] = {"a", " ", "\n", "!", "ab", "1", " \n", "\xe2\x96\x81", "\xf0\x9f\x98\x80", "'"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct qk_tokenizer *tokenizer = open_fixture(names[i]);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            double seconds = encode_repeated(tokenizer, units[u], 400000, i < 3, QK_OK);
            if (seconds > 15.0) {
                fail_msg("%s: '%s': %.1f s", names[i], units[u], seconds);
            }
        }
        qk_tokenizer_free(tokenizer);
    }
}

/* Marks in reverse canonical order: putting them in order by exchanging neighbours would be quadratic. */
static void test_long_runs_of_marks(void **state)
{
    (void)state;
    struct qk_tokenizer *tokenizer = open_fixture("qwen2_style");
    assert_true(encode_repeated(tokenizer, "\xcc\x81\xcc\xa3", 400000, false, QK_OK) < 15.0);
    qk_tokenizer_free(tokenizer);
}

static void test_hostile_expressions(void **state)
{
    (void)state;
    static const char *const expressions[] = {"(a+)+[bc]", "(a|aa)+[bc]", "(?=(a*)*[bc])[de]", "(a*)*\\\\1[bc]",
                                              "(a?){30}a{30}[bc]"};
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"},"
                 "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
                 expressions[i]);
        struct qk_tokenizer *tokenizer = parse(json);
        double seconds = encode_repeated(tokenizer, "a", 20000, false, QK_EUNSUPPORTED);
        if (seconds > 30.0) {
            fail_msg("%s: %.1f s", expressions[i], seconds);
        }
        qk_tokenizer_free(tokenizer);
    }
}

/* Text that each step makes longer ends at a bound. */
static void test_growing_text(void **state)
{
    (void)state;
    struct qk_str json = {0};
    qk_str_add(&json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (size_t i = 0; i < 40; i++) {
        qk_str_addf(&json, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}",
                    i > 0 ? "," : "");
    }
    qk_str_add(&json, "]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
    struct qk_tokenizer *tokenizer = parse(json.s);
    (void)encode_repeated(tokenizer, "a", 100, false, QK_EUNSUPPORTED);
    qk_tokenizer_free(tokenizer);
    qk_str_release(&json);
}

/* ---- failing allocations ---- */

static const char all_parts[] =
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<S>\",\"special\":true},{\"id\":5,\"content\":\"X\"}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Lowercase\"},{\"type\":"
    "\"Replace\",\"pattern\":{\"Regex\":\"[\\\\s&&[^\\\\n]]+\"},\"content\":\" \"}]},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+\"}"
    ","
    "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true}]"
    "},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<S>\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":{\"<S>\":{\"ids\":[4]}}},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":"
    "\"a\"},{\"type\":\"ByteLevel\"},{\"type\":\"Fuse\"}]},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"continuing_subword_prefix\":\"\",\"vocab\":{\"a\":0,\"b\":1,"
    "\"ab\":"
    "2,\"?\":3},\"merges\":[\"a b\"]}}";

static enum qk_code use_all(const char *text, struct qk_err *err)
{
    struct qk_tokenizer *tokenizer = NULL;
    struct qk_encoding encoding = {0};
    struct qk_str out = {0};
    enum qk_code code = qk_tokenizer_parse(all_parts, strlen(all_parts), "t", &tokenizer, err);
    if (code == QK_OK) {
        code = qk_tokenizer_encode(tokenizer, text, strlen(text), true, &encoding, err);
    }
    if (code == QK_OK) {
        code = qk_tokenizer_decode(tokenizer, encoding.ids, encoding.n, 0, &out, err);
    }
    qk_str_release(&out);
    qk_encoding_release(&encoding);
    qk_tokenizer_free(tokenizer);
    return code;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    struct qk_err err = {0};
    static const char text[] = "ab \xef\xac\x81 e\xcc\x81 <S>x AAB \xff ab";
    enum qk_code code;
    size_t k = 0;
    do {
        qk_alloc_fail_after(++k);
        code = use_all(text, &err);
        qk_alloc_fail_after(0);
        if (code != QK_OK && code != QK_ENOMEM) {
            fail_msg("allocation %zu: %s", k, err.text);
        }
    } while (code != QK_OK && k < 100000);
    assert_int_equal(code, QK_OK);
    assert_true(k > 50);
}

/* ---- threads ---- */

struct shared {
    const struct qk_tokenizer *tokenizer;
    const char *text;
    size_t n;
    size_t n_ids[64];
};

static enum qk_code encode_item(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct shared *shared = ctx;
    struct qk_encoding encoding = {0};
    (void)worker;
    QK_TRY(qk_tokenizer_encode(shared->tokenizer, shared->text, shared->n, false, &encoding, err));
    shared->n_ids[i] = encoding.n;
    qk_encoding_release(&encoding);
    return QK_OK;
}

static void test_threads(void **state)
{
    (void)state;
    struct qk_tokenizer *tokenizer = open_fixture("qwen2_style");
    static const char text[] = "In the beginning God created the heaven and the earth. cafe\xcc\x81 123 <|im_end|>";
    struct shared shared = {.tokenizer = tokenizer, .text = text, .n = sizeof text - 1};
    struct qk_pool *pool;
    struct qk_err err = {0};
    assert_int_equal(qk_pool_new(4, &pool, &err), QK_OK);
    assert_int_equal(qk_pool_for(pool, 64, encode_item, &shared, &err), QK_OK);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(shared.n_ids[i], shared.n_ids[0]);
    }
    assert_true(shared.n_ids[0] > 5);
    qk_pool_free(pool);
    qk_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_pieces),         cmocka_unit_test(test_long_runs_of_marks),
        cmocka_unit_test(test_hostile_expressions), cmocka_unit_test(test_growing_text),
        cmocka_unit_test(test_failing_allocations), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
