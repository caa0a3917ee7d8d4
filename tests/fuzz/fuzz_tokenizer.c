/* Fuzz target: tokenizer.json. What is accepted must encode and decode whatever it is given, within bounds. */
#include "both_ways.h"

#include <string.h>

#include "text/tokenizer.h"

static const char *const texts[] = {
    "",
    "a",
    " Hello  wORLD's 123,456\n\n\t x \xc3\xa9 e\xcc\x81\xef\xac\x81 <s></s><|x|> \xe2\x96\x81\xf0\x9f\x98\x80",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    "\xff\xe2\x82 \xed\xa0\x80\xcc\x81\xcc\xa3\xe1\x84\x80\xe1\x85\xa1",
};

static void check_encoding(const struct qk_tokenizer *tokenizer, const struct qk_encoding *encoding, size_t n)
{
    for (size_t i = 0; i < encoding->n; i++) {
        qk_fuzz_require(encoding->ids[i] < qk_tokenizer_size(tokenizer), "ids are below the size");
        qk_fuzz_require(qk_tokenizer_piece(tokenizer, encoding->ids[i]) != NULL, "ids name tokens");
        qk_fuzz_require(encoding->spans[i].begin <= encoding->spans[i].end && encoding->spans[i].end <= n,
                        "spans are in the text");
    }
}

static void use(const struct qk_tokenizer *tokenizer, const char *text)
{
    struct qk_encoding encoding = {0};
    struct qk_str back = {0};
    struct qk_err err = {0};
    size_t n = strlen(text);
    enum qk_code code = qk_tokenizer_encode(tokenizer, text, n, true, &encoding, &err);
    qk_fuzz_require(code == QK_OK || code == QK_EUNSUPPORTED, "texts are encoded, or the file asks for too much");
    check_encoding(tokenizer, &encoding, n);
    for (unsigned flags = 0; flags < 8; flags++) {
        code = qk_tokenizer_decode(tokenizer, encoding.ids, encoding.n, flags, &back, &err);
        qk_fuzz_require(code == QK_OK || code == QK_EUNSUPPORTED, "ids are decoded, or the file asks for too much");
    }
    qk_str_release(&back);
    qk_encoding_release(&encoding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_tokenizer *tokenizer = NULL;
    struct qk_err err = {0};
    enum qk_code code = qk_tokenizer_parse((const char *)data, size, "f", &tokenizer, &err);
    qk_fuzz_require(code == QK_OK || code == QK_EFORMAT || code == QK_EUNSUPPORTED, "no error but that of the file");
    qk_fuzz_require((code == QK_OK) == (tokenizer != NULL), "a tokenizer or an error");
    for (const unsigned char *p = (const unsigned char *)err.text; *p != 0; p++) {
        qk_fuzz_require(*p >= 0x20 && *p != 0x7f, "texts have no control characters");
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && code == QK_OK; i++) {
        use(tokenizer, texts[i]);
    }
    qk_tokenizer_free(tokenizer);
    return 0;
}
