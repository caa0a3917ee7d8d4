/* Fuzz target: text, through the tokenizers of the reference fixtures (QK_TEST_DATA). Byte-level ones without a
 * normalizer give every text back, and their spans tile it. */
#include "both_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code_point.h"
#include "text/tokenizer.h"

static const struct fixture {
    const char *name;
    bool lossless;
} fixtures[] = {
    {"qwen2_style", false},   {"llama3_style", true},    {"gpt2_style", true},
    {"spm_metaspace", false}, {"spm_normalizer", false},
};
enum { N_FIXTURES = sizeof fixtures / sizeof fixtures[0] };

static const struct qk_tokenizer *tokenizer_at(size_t i)
{
    static struct qk_tokenizer *open[N_FIXTURES];
    if (open[i] == NULL) {
        char path[4096];
        struct qk_err err = {0};
        qk_fuzz_require(getenv("QK_TEST_DATA") != NULL, "QK_TEST_DATA is set");
        snprintf(path, sizeof path, "%s/tokenizer/%s", getenv("QK_TEST_DATA"), fixtures[i].name);
        qk_fuzz_require(qk_tokenizer_open(path, &open[i], &err) == QK_OK, "the fixtures open");
    }
    return open[i];
}

static void check_spans(const struct qk_encoding *encoding, size_t n, bool tile)
{
    size_t at = 0;
    for (size_t i = 0; i < encoding->n; i++) {
        struct qk_text_span span = encoding->spans[i];
        qk_fuzz_require(span.begin <= span.end && span.end <= n, "spans are in the text");
        qk_fuzz_require(i == 0 || encoding->spans[i - 1].begin <= span.begin, "spans ascend");
        qk_fuzz_require(!tile || span.begin == at || (i > 0 && span.begin == encoding->spans[i - 1].begin),
                        "spans tile");
        at = span.end;
    }
    qk_fuzz_require(!tile || at == n, "spans reach the end");
}

static void check(const struct qk_tokenizer *tokenizer, bool lossless, const char *text, size_t n)
{
    struct qk_encoding encoding = {0}, again = {0};
    struct qk_str back = {0}, bytes = {0};
    struct qk_err err = {0};
    qk_fuzz_require(qk_tokenizer_encode(tokenizer, text, n, false, &encoding, &err) == QK_OK, "any text is encoded");
    check_spans(&encoding, n, lossless);
    qk_fuzz_require(qk_tokenizer_decode(tokenizer, encoding.ids, encoding.n, 0, &back, &err) == QK_OK,
                    "what was encoded is decoded");
    qk_fuzz_require(qk_tokenizer_decode(tokenizer, encoding.ids, encoding.n, QK_DECODE_BYTES, &bytes, &err) == QK_OK,
                    "what was encoded is decoded");
    const char *s = back.len > 0 ? back.s : "";
    qk_fuzz_require(qk_utf8_is_valid(s, back.len), "decoded text is valid");
    qk_fuzz_require(back.len == bytes.len && (back.len == 0 || memcmp(s, bytes.s, back.len) == 0),
                    "a whole text has no broken characters");
    if (lossless) {
        qk_fuzz_require(!qk_utf8_is_valid(text, n) || (back.len == n && (n == 0 || memcmp(s, text, n) == 0)),
                        "the text comes back");
        qk_fuzz_require(qk_tokenizer_encode(tokenizer, s, back.len, false, &again, &err) == QK_OK &&
                            again.n == encoding.n &&
                            (again.n == 0 || memcmp(again.ids, encoding.ids, again.n * sizeof *again.ids) == 0),
                        "its ids are the same");
    }
    qk_str_release(&back);
    qk_str_release(&bytes);
    qk_encoding_release(&again);
    qk_encoding_release(&encoding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < N_FIXTURES; i++) {
        check(tokenizer_at(i), fixtures[i].lossless, (const char *)data, size);
    }
    return 0;
}
