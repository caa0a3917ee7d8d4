/* Ids and text against the reference library, for five tokenizers and the bundled pair. */
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
#include "ckpt/json.h"
#include "text/tokenizer.h"

static struct qk_json *load(const char *root, const char *name)
{
    char path[4096];
    struct qk_json *json = NULL;
    struct qk_err err = {0};
    snprintf(path, sizeof path, "%s/%s", getenv(root), name);
    if (qk_json_load(path, 16 << 20, &json, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return json;
}

static struct qk_tokenizer *open_at(const char *root, const char *name)
{
    char path[4096];
    struct qk_tokenizer *tokenizer = NULL;
    struct qk_err err = {0};
    snprintf(path, sizeof path, "%s/%s", getenv(root), name);
    if (qk_tokenizer_open(path, &tokenizer, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

/* A string of the oracle, in which U+E000 stands for U+0000. */
static char *oracle_text(const struct qk_json *json, size_t *ret_n)
{
    const char *s;
    assert_true(qk_json_string(json, &s));
    char *text = qk_calloc(strlen(s) + 1, 1);
    size_t n = 0;
    while (*s != 0) {
        bool nul = strncmp(s, "\xee\x80\x80", 3) == 0;
        text[n++] = nul ? 0 : *s;
        s += nul ? 3 : 1;
    }
    *ret_n = n;
    return text;
}

static uint32_t *oracle_ids(const struct qk_json *list, size_t *ret_n)
{
    size_t n = qk_json_count(list), i = 0;
    uint32_t *ids = qk_calloc(n + 1, sizeof *ids);
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        uint64_t id = 0;
        assert_true(qk_json_u64(c, &id));
        ids[i++] = (uint32_t)id;
    }
    *ret_n = n;
    return ids;
}

static void check_ids(const struct qk_tokenizer *tokenizer, const char *text, size_t n, bool special,
                      const struct qk_json *expected, const char *label)
{
    struct qk_encoding encoding = {0};
    struct qk_err err = {0};
    size_t n_ids;
    uint32_t *ids = oracle_ids(expected, &n_ids);
    if (qk_tokenizer_encode(tokenizer, text, n, special, &encoding, &err) != QK_OK) {
        fail_msg("%s: %s", label, err.text);
    }
    bool same = encoding.n == n_ids && (n_ids == 0 || memcmp(encoding.ids, ids, n_ids * sizeof *ids) == 0);
    for (size_t i = 0; i < encoding.n && !same; i++) {
        print_message("%zu: %u %s (expected %u)\n", i, encoding.ids[i], qk_tokenizer_piece(tokenizer, encoding.ids[i]),
                      i < n_ids ? ids[i] : 0);
    }
    if (!same) {
        fail_msg("%s: '%s': %zu ids (expected %zu)", label, text, encoding.n, n_ids);
    }
    for (size_t i = 0; i < encoding.n; i++) {
        assert_true(encoding.spans[i].begin <= encoding.spans[i].end && encoding.spans[i].end <= n);
        assert_true(i == 0 || encoding.spans[i - 1].begin <= encoding.spans[i].begin);
    }
    qk_encoding_release(&encoding);
    qk_free(ids);
}

static void check_text(const struct qk_tokenizer *tokenizer, const struct qk_json *ids_json, unsigned flags,
                       const struct qk_json *expected, const char *label)
{
    struct qk_str text = {0};
    struct qk_err err = {0};
    size_t n_ids, n;
    uint32_t *ids = oracle_ids(ids_json, &n_ids);
    char *wanted = oracle_text(expected, &n);
    if (qk_tokenizer_decode(tokenizer, ids, n_ids, flags, &text, &err) != QK_OK) {
        fail_msg("%s: %s", label, err.text);
    }
    if (text.len != n || (n > 0 && memcmp(text.s, wanted, n) != 0)) {
        fail_msg("%s: '%s' (expected '%s')", label, text.s == NULL ? "" : text.s, wanted);
    }
    qk_str_release(&text);
    qk_free(wanted);
    qk_free(ids);
}

static void check_tokenizer(const struct qk_json *oracle, const char *name)
{
    struct qk_tokenizer *tokenizer = open_at("QK_TEST_DATA", name);
    const struct qk_json *entry = qk_json_get(qk_json_get(oracle, "tokenizers"), strrchr(name, '/') + 1);
    const struct qk_json *string = qk_json_first(qk_json_get(oracle, "strings"));
    const struct qk_json *expected = qk_json_first(qk_json_get(entry, "expected"));
    uint64_t size = 0;
    assert_true(qk_json_u64(qk_json_get(entry, "vocab_size"), &size));
    assert_int_equal(qk_tokenizer_size(tokenizer), size);
    size_t n_strings = 0;
    for (; string != NULL; string = qk_json_next(string), expected = qk_json_next(expected)) {
        size_t n;
        char *text = oracle_text(string, &n);
        const struct qk_json *with_special = qk_json_get(expected, "ids_with_special");
        assert_non_null(expected);
        check_ids(tokenizer, text, n, false, qk_json_get(expected, "ids"), name);
        check_ids(tokenizer, text, n, true, with_special, name);
        check_text(tokenizer, qk_json_get(expected, "ids"), 0, qk_json_get(expected, "decoded"), name);
        check_text(tokenizer, with_special, QK_DECODE_SKIP_SPECIAL, qk_json_get(expected, "decoded_skip"), name);
        qk_free(text);
        n_strings++;
    }
    assert_int_equal(n_strings, 62);
    qk_tokenizer_free(tokenizer);
}

static void test_oracle(void **state)
{
    (void)state;
    struct qk_json *oracle = load("QK_TEST_DATA", "tokenizer/tokenizer_oracle.json");
    static const char *const names[] = {"tokenizer/qwen2_style", "tokenizer/llama3_style", "tokenizer/gpt2_style",
                                        "tokenizer/spm_metaspace", "tokenizer/spm_normalizer"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_tokenizer(oracle, names[i]);
    }
    qk_json_free(oracle);
}

/* Every id: its spelling finds it again, and ids beyond are nobody's. */
static void test_pieces(void **state)
{
    (void)state;
    struct qk_tokenizer *tokenizer = open_at("QK_TEST_DATA", "tokenizer/llama3_style");
    size_t n = qk_tokenizer_size(tokenizer);
    for (uint32_t id = 0; id < n; id++) {
        uint32_t found = UINT32_MAX;
        assert_non_null(qk_tokenizer_piece(tokenizer, id));
        assert_true(qk_tokenizer_find(tokenizer, qk_tokenizer_piece(tokenizer, id), &found));
        assert_int_equal(found, id);
        assert_int_equal(qk_tokenizer_is_special(tokenizer, id), id >= 4092);
    }
    uint32_t found;
    assert_null(qk_tokenizer_piece(tokenizer, (uint32_t)n));
    assert_null(qk_tokenizer_piece(tokenizer, UINT32_MAX));
    assert_false(qk_tokenizer_find(tokenizer, "no such token", &found));
    qk_tokenizer_free(tokenizer);
}

static void decode_prompt(const struct qk_tokenizer *tokenizer, const uint32_t *ids, size_t n, struct qk_str *ret)
{
    struct qk_err err = {0};
    if (qk_tokenizer_decode(tokenizer, ids, n, 0, ret, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
}

/* The recall prompts of the bundled pair were cut out of text and glued together as ids: decoded, then encoded, they
 * give themselves again. */
static void test_bundled_prompts(void **state)
{
    (void)state;
    struct qk_tokenizer *tokenizer = open_at("QK_SOURCE_ROOT", "examples/amnesia/base");
    struct qk_json *cases = load("QK_SOURCE_ROOT", "examples/amnesia/niah_cases.json");
    const struct qk_json *list = qk_json_get(cases, "cases");
    size_t n_cases = 0;
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        const struct qk_json *prompt = qk_json_get(c, "ids");
        size_t n;
        uint32_t *ids = oracle_ids(prompt, &n);
        struct qk_str text = {0};
        assert_true(n > 100);
        decode_prompt(tokenizer, ids, n, &text);
        check_ids(tokenizer, text.s, text.len, false, prompt, "niah_cases.json");
        qk_str_release(&text);
        qk_free(ids);
        n_cases++;
    }
    assert_int_equal(n_cases, 24);
    qk_json_free(cases);
    qk_tokenizer_free(tokenizer);
}

/* Spans of a byte-level tokenizer without normalizer tile the text, and each span's bytes are its token's. */
static void test_bundled_haystack(void **state)
{
    (void)state;
    struct qk_tokenizer *tokenizer = open_at("QK_SOURCE_ROOT", "examples/amnesia/base");
    char path[4096], *text;
    struct qk_encoding encoding = {0};
    struct qk_str back = {0};
    struct qk_err err = {0};
    size_t n, at = 0;
    snprintf(path, sizeof path, "%s/examples/amnesia/haystack.txt", getenv("QK_SOURCE_ROOT"));
    assert_int_equal(qk_file_slurp(path, 16 << 20, &text, &n, &err), QK_OK);
    assert_int_equal(qk_tokenizer_encode(tokenizer, text, n, true, &encoding, &err), QK_OK);
    assert_int_equal(encoding.ids[0], 0);
    for (size_t i = 1; i < encoding.n; i++) {
        struct qk_str piece = {0};
        assert_int_equal(encoding.spans[i].begin, at);
        at = encoding.spans[i].end;
        assert_int_equal(qk_tokenizer_decode(tokenizer, &encoding.ids[i], 1, QK_DECODE_BYTES, &piece, &err), QK_OK);
        assert_int_equal(piece.len, at - encoding.spans[i].begin);
        assert_memory_equal(piece.s, text + encoding.spans[i].begin, piece.len);
        qk_str_release(&piece);
    }
    assert_int_equal(at, n);
    decode_prompt(tokenizer, encoding.ids + 1, encoding.n - 1, &back);
    assert_int_equal(back.len, n);
    assert_memory_equal(back.s, text, n);
    qk_str_release(&back);
    qk_encoding_release(&encoding);
    qk_free(text);
    qk_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_bundled_prompts),
        cmocka_unit_test(test_bundled_haystack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
