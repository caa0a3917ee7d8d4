/* Normalizers, pre-tokenizers, decoders one by one, added tokens, the model's options, and what is refused.
 *
 * Expected pieces are those that the reference library's own tests state, or follow from its documentation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regex_syntax.h"
#include "step.h"
#include "text/tokenizer.h"

struct stage {
    const char *members;
    const struct qk_step_kind *kinds;
};

static const struct stage normalizers = {"normalizers", qk_normalizer_kinds};
static const struct stage pre_tokenizers = {"pretokenizers", qk_pre_tokenizer_kinds};
static const struct stage decoders = {"decoders", qk_decoder_kinds};

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

/* Runs the step of one JSON object over pieces separated by '|' and joins what comes out by '|'. */
static void check_step(const struct stage *stage, const char *json, const char *input, const char *expected)
{
    struct qk_err err = {0};
    struct qk_json *root = NULL;
    struct qk_arena *arena = qk_arena_new();
    struct qk_pieces pieces = {.text.max = 1 << 16, .next_text.max = 1 << 16};
    struct qk_steps steps;
    must(qk_json_parse(json, strlen(json), "t", &root, &err), &err);
    must(qk_steps_read(&(struct qk_step_spec){arena, root, "t"}, stage->kinds, stage->members, &steps, &err), &err);
    for (const char *p = input; *p != 0;) {
        size_t n = strcspn(p, "|"), begin = pieces.text.n;
        for (size_t i = 0; i < n; i++) {
            uint32_t at = (uint32_t)(p + i - input);
            qk_aligned_add(&pieces.text, p + i, 1, at, at + 1);
        }
        must(qk_pieces_push(&pieces, (struct qk_piece){.begin = begin, .end = pieces.text.n}, &err), &err);
        p += n + (p[n] == '|');
    }
    qk_pieces_swap(&pieces, false);
    must(qk_steps_apply(&steps, &pieces, &err), &err);
    struct qk_str got = {0};
    qk_str_add(&got, "");
    for (size_t i = 0; i < pieces.n; i++) {
        qk_str_add(&got, i > 0 ? "|" : "");
        qk_str_addn(&got, pieces.text.s + pieces.v[i].begin, pieces.v[i].end - pieces.v[i].begin);
    }
    if (strcmp(got.s == NULL ? "" : got.s, expected) != 0) {
        fail_msg("%s: '%s' (expected '%s')", json, got.s == NULL ? "" : got.s, expected);
    }
    qk_str_release(&got);
    qk_pieces_release(&pieces);
    qk_json_free(root);
    qk_arena_free(arena);
}

static void test_normalizers(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"{\"type\":\"NFC\"}", "cafe\xcc\x81 A\xcc\x8a", "caf\xc3\xa9 \xc3\x85"},
        {"{\"type\":\"NFD\"}", "caf\xc3\xa9", "cafe\xcc\x81"},
        {"{\"type\":\"NFKC\"}", "\xef\xac\x81 \xc2\xbd",
         "fi 1\xe2\x81\x84"
         "2"},
        {"{\"type\":\"NFKD\"}", "\xe1\xba\x9b\xcc\xa3", "s\xcc\xa3\xcc\x87"},
        {"{\"type\":\"Lowercase\"}", "\xc4\xb0STANBUL \xc3\x89", "i\xcc\x87stanbul \xc3\xa9"},
        {"{\"type\":\"StripAccents\"}", "e\xcc\x81\xcc\xa3x", "ex"},
        {"{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", "\xe3\x80\x80 a b\n", "a b"},
        {"{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}", " a ", " a"},
        {"{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", "  |a", "a"},
        {"{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a|b", "_a|_b"},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"aa\"},\"content\":\"b\"}", "aaa", "ba"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}", "a   b c", "a b c"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x*\"},\"content\":\"-\"}", "axb", "-a-b-"},
        {"{\"type\":\"ByteLevel\"}", "\xc3\xa9 ", "\xc3\x83\xc2\xa9\xc4\xa0"},
        {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"StripAccents\"},{\"type\":"
         "\"Lowercase\"}"
         "]}",
         "\xc3\x89t\xc3\xa9", "ete"},
        {"{\"type\":\"Sequence\",\"normalizers\":[]}", "A", "A"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_step(&normalizers, rows[i][0], rows[i][1], rows[i][2]);
    }
}

#define WORDS(behavior, invert)                                                                                        \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+|[^\\\\w\\\\s]+\"},\"behavior\":\"" behavior                   \
    "\",\"invert\":" invert "}"

static void test_pre_tokenizers(void **state)
{
    (void)state;
    static const char how[] = "How are you doing?";
    static const char *const rows[][3] = {
        {WORDS("Removed", "true"), how, "How|are|you|doing|?"},
        {WORDS("Isolated", "true"), how, "How| |are| |you| |doing|?"},
        {WORDS("MergedWithPrevious", "true"), how, "How |are |you |doing|?"},
        {WORDS("MergedWithNext", "true"), how, "How| are| you| doing|?"},
        {WORDS("Contiguous", "true"), how, "How| |are| |you| |doing?"},
        {WORDS("Removed", "false"), how, " | | "},
        {"{\"type\":\"Split\",\"pattern\":{\"String\":\".\"},\"behavior\":\"MergedWithNext\"}", "a..b.", "a|.|.b|."},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":\"Isolated\"}", "a12345",
         "a|123|45"},
        {"{\"type\":\"Digits\",\"individual_digits\":false}", "Hey 123 friend!", "Hey |123| friend!"},
        {"{\"type\":\"Digits\",\"individual_digits\":true}", "Hey 123 friend!", "Hey |1|2|3| friend!"},
        {"{\"type\":\"Digits\",\"individual_digits\":true}", "\xc2\xbd\xd9\xa3", "\xc2\xbd|\xd9\xa3"},
        {"{\"type\":\"Punctuation\"}", "Hey friend!     How are you?!?", "Hey friend|!|     How are you|?|!|?"},
        {"{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}", "a?!b\xe3\x80\x82", "a|?!|b|\xe3\x80\x82"},
        {"{\"type\":\"WhitespaceSplit\"}", " a\tb\xe2\x80\x83 c ", "a|b|c"},
        {"{\"type\":\"Whitespace\"}", "Hey man! Ok.", "Hey|man|!|Ok|."},
        {"{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"}", "the-final--countdown", "the|final|countdown"},
        {"{\"type\":\"BertPreTokenizer\"}", "Hey friend!  How?!", "Hey|friend|!|How|?|!"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true}", "Hi  it's 3\xe2\x82\xac",
         "\xc4\xa0Hi|\xc4\xa0|\xc4\xa0it|'s|\xc4\xa0"
         "3|\xc3\xa2\xc4\xa4\xc2\xac"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":false}", " a b",
         "\xc4\xa0"
         "a\xc4\xa0"
         "b"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\"}", "Hey   friend!", "_Hey|_|_|_friend!"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"split\":false}", "a b|c d",
         "_a_b|c_d"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\",\"split\":true}", " a|b",
         "_a|_b"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false,\"prepend_scheme\":\"never\"}",
         "a b", "a|_b"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false,\"str_rep\":\"_\"}", "a b", "a|_b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_step(&pre_tokenizers, rows[i][0], rows[i][1], rows[i][2]);
    }
}

static void test_decoders(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"{\"type\":\"ByteFallback\"}", "Hey|friend", "Hey|friend"},
        {"{\"type\":\"ByteFallback\"}", "<0x61>", "a"},
        {"{\"type\":\"ByteFallback\"}", "<0xE5>", "\xef\xbf\xbd"},
        {"{\"type\":\"ByteFallback\"}", "<0xE5>|<0x8f>", "\xef\xbf\xbd|\xef\xbf\xbd"},
        {"{\"type\":\"ByteFallback\"}", "<0xE5>|<0x8f>|<0xab>|a", "\xe5\x8f\xab|a"},
        {"{\"type\":\"ByteFallback\"}", "<0xE5>|<0x8f>|a|<0x62>", "\xef\xbf\xbd|\xef\xbf\xbd|a|b"},
        {"{\"type\":\"ByteFallback\"}", "<0xG1>|<0x611>", "<0xG1>|<0x611>"},
        {"{\"type\":\"Fuse\"}", "a|b|c", "abc"},
        {"{\"type\":\"Strip\",\"content\":\"H\",\"start\":1,\"stop\":0}", "Hey|HHH| friend", "ey|HH| friend"},
        {"{\"type\":\"Strip\",\"content\":\"y\",\"start\":0,\"stop\":1}", "Hey| friend", "He| friend"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\"}", "_Hey|_friend!",
         "Hey| friend!"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\"}", "_Hey|_friend!",
         " Hey| friend!"},
        {"{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}", "a</w>|b|c</w>", "a |b|c"},
        {"{\"type\":\"ByteLevel\"}", "\xc3\x83\xc2\xa9\xc4\xa0|x", "\xc3\xa9 x"},
        {"{\"type\":\"ByteLevel\"}", "\xc3\x83|x", "\xef\xbf\xbdx"},
        {"{\"type\":\"ByteLevel\"}", "\xe4\xbb\x8a|\xc4\xa0", "\xe4\xbb\x8a "},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},\"content\":\" \"},"
         "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
         "\",\"start\":1,\"stop\":0}]}",
         "_a|_b|<0x0A>", "a b\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_step(&decoders, rows[i][0], rows[i][1], rows[i][2]);
    }
}

/* What Oniguruma's syntax means: the pattern over the text, matches isolated. */
static void test_regex_syntax(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"[^(\\\\s|[.,!?])]+", "ab c.(d)", "ab| |c|.(|d|)"}, /* a class in a class is a part of it */
        {"[a-z&&[^aeiou]]+", "hello", "h|e|ll|o"},
        {"[^a-z&&[^x]]", "axb1", "a|x|b|1"},
        {"[a[^b-z]]+", "a1bza", "a1|bz|a"},
        {"\\\\s+",
         "a\xe1\xa0\x8e"
         "b\xc2\x85"
         "c",
         "a\xe1\xa0\x8e"
         "b|\xc2\x85|c"}, /* U+180E is no space, U+0085 is */
        {"\\\\w+", "a\xcc\x81_1\xe2\x85\xa0-", "a\xcc\x81_1\xe2\x85\xa0|-"},
        {"\\\\h+", "12fg", "12f|g"},
        {"\\\\u4e00", "\xe4\xb8\x80z", "\xe4\xb8\x80|z"},
        {"^b", "a\nb", "a\n|b"},
        {"(?m:a.b)", "a\nb", "a\nb"},
        {"(?i:'S)", "it'S", "it|'S"},
        {"a{,2}b", "aaab", "a|aab"},
        {"a{x", "a{x", "a{x"},
        {"\\\\bcat\\\\b", "cat cat1", "cat| cat1"},
        {"[[:digit:]x]+", "a1x2", "a|1x2"},
        {"[^\\\\S\\\\n]+", "a \nb", "a| |\nb"},
        {"\\\\p{^L}+", "a12b", "a|12|b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char json[512];
        snprintf(json, sizeof json, "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"}",
                 rows[i][0]);
        check_step(&pre_tokenizers, json, rows[i][1], rows[i][2]);
    }
    static const char *const refused[] = {"a{2,3}+", "a{2}?",    "(*FAIL)", "(?R)", "(?~a)", "[a",    "\\Qa",
                                          "(?1)",    "(?P<n>a)", "[\\W]",   "\\pL", "a\\",   "(?-1)", "[]a]"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct qk_str out = {0};
        struct qk_err err = {0};
        assert_int_equal(qk_regex_translate(refused[i], "field", &out, &err), QK_EUNSUPPORTED);
        assert_non_null(strstr(err.text, "field: "));
        qk_str_release(&out);
    }
}

/* ---- whole tokenizers ---- */

static struct qk_tokenizer *parse(const char *json)
{
    struct qk_tokenizer *tokenizer = NULL;
    struct qk_err err = {0};
    must(qk_tokenizer_parse(json, strlen(json), "t", &tokenizer, &err), &err);
    return tokenizer;
}

/* ids as "1 2 3", with the spans when asked for: "1[0,2)". */
static void check_ids(const char *json, const char *text, bool spans, const char *expected)
{
    struct qk_tokenizer *tokenizer = parse(json);
    struct qk_encoding encoding = {0};
    struct qk_err err = {0};
    struct qk_str got = {0};
    must(qk_tokenizer_encode(tokenizer, text, strlen(text), true, &encoding, &err), &err);
    qk_str_add(&got, "");
    for (size_t i = 0; i < encoding.n; i++) {
        qk_str_addf(&got, "%s%u", i > 0 ? " " : "", (unsigned)encoding.ids[i]);
        if (spans) {
            qk_str_addf(&got, "[%zu,%zu)", encoding.spans[i].begin, encoding.spans[i].end);
        }
    }
    if (strcmp(got.s == NULL ? "" : got.s, expected) != 0) {
        fail_msg("%s: '%s': %s (expected %s)", json, text, got.s, expected);
    }
    qk_str_release(&got);
    qk_encoding_release(&encoding);
    qk_tokenizer_free(tokenizer);
}

#define MODEL(options, vocab, merges)                                                                                  \
    "\"model\":{\"type\":\"BPE\"," options "\"vocab\":{" vocab "},\"merges\":[" merges "]}"

static void test_model(void **state)
{
    (void)state;
    static const char unfused[] = "{" MODEL("\"unk_token\":\"?\",", "\"?\":0,\"a\":1,\"b\":2", "") "}";
    check_ids(unfused, "accb", true, "1[0,1) 0[1,2) 0[2,3) 2[3,4)");
    static const char fused[] = "{" MODEL("\"unk_token\":\"?\",\"fuse_unk\":true,", "\"?\":0,\"a\":1,\"b\":2", "") "}";
    check_ids(fused, "accb", true, "1[0,1) 0[1,3) 2[3,4)");
    static const char none[] = "{" MODEL("", "\"a\":1,\"b\":2", "") "}";
    check_ids(none, "accb", false, "1 2");
    static const char prefix[] =
        "{" MODEL("\"continuing_subword_prefix\":\"##\",", "\"a\":0,\"##b\":1,\"##c\":2,\"ab\":3,\"abc\":4",
                  "\"a ##b\",\"ab ##c\"") "}";
    check_ids(prefix, "abc", true, "4[0,3)");
    check_ids(prefix, "ac", true, "0[0,1) 2[1,2)");
    static const char suffix[] = "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}," MODEL(
        "\"end_of_word_suffix\":\"</w>\",", "\"a\":0,\"a</w>\":1,\"aa</w>\":2", "[\"a\",\"a</w>\"]") "}";
    check_ids(suffix, "a aa aaa", true, "1[0,1) 2[2,4) 0[5,6) 2[6,8)");
    static const char whole[] =
        "{" MODEL("\"ignore_merges\":true,", "\"a\":0,\"b\":1,\"c\":2,\"abc\":3,\"bc\":4", "\"b c\"") "}";
    check_ids(whole, "abc", false, "3");
    check_ids(whole, "abcb", false, "0 4 1");
    static const char fallback[] =
        "{" MODEL("\"unk_token\":\"?\",\"byte_fallback\":true,", "\"?\":0,\"<0xC3>\":1,\"<0xA9>\":2,\"a\":3", "") "}";
    check_ids(fallback, "a\xc3\xa9", true, "3[0,1) 1[1,2) 2[2,3)");
    check_ids(fallback, "\xc3\xa8\xc3\xa9", false, "1 2 0"); /* the waiting unknown comes late, as in the reference */
    static const char ranks[] =
        "{" MODEL("", "\"a\":0,\"b\":1,\"ab\":2,\"ba\":3,\"aba\":4", "\"b a\",\"a b\",\"a ba\",\"ab a\"") "}";
    check_ids(ranks, "abab", false, "4 1");
}

#define ADDED(id, content, flags) "{\"id\":" id ",\"content\":\"" content "\"" flags "}"

static void test_added_tokens(void **state)
{
    (void)state;
    static const char plain[] =
        "{\"normalizer\":{\"type\":\"Lowercase\"},\"added_tokens\":[" ADDED("3", "my", ",\"lstrip\":true,\"rstrip\":true") "," ADDED(
            "4", "Ony",
            ",\"single_word\":true") "," ADDED("5", "[CLS]",
                                               ",\"special\":true") "," ADDED("6", "[CLS]]",
                                                                              ",\"special\":true") "]," MODEL("",
                                                                                                              "\"a\":0,"
                                                                                                              "\"b\":1,"
                                                                                                              "\" \":2",
                                                                                                              "") "}";
    check_ids(plain, "[CLS] MY a", true, "5[0,5) 3[5,9) 0[9,10)");
    check_ids(plain, "aony ony[CLS]][cls]", true, "0[0,1) 2[4,5) 4[5,8) 6[8,14)");
    check_ids(plain, "\xcc\x81ony", false, "");
    static const char wrapped[] = "{\"added_tokens\":[" ADDED("1", "<s>", ",\"special\":true") "," ADDED(
        "2", "</s>", ",\"special\":true") "],\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":"
                                          "\"ByteLevel\"},{\"type\":"
                                          "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_"
                                          "id\":0}},{\"Sequence\":{\"id\":\"A\","
                                          "\"type_id\":0}},{\"SpecialToken\":{\"id\":\"</"
                                          "s>\",\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"ids\":[1]},"
                                          "\"</s>\":{\"ids\":[2]}}},{\"type\":\"BertProcessing\",\"cls\":[\"</"
                                          "s>\",2],\"sep\":[\"<s>\",1]}]}," MODEL("", "\"a\":0", "") "}";
    check_ids(wrapped, "a<s>", true, "2[0,0) 1[0,0) 0[0,1) 1[1,4) 2[4,4) 1[4,4)");
    struct qk_tokenizer *tokenizer = parse(wrapped);
    struct qk_str text = {0};
    struct qk_err err = {0};
    must(qk_tokenizer_decode(tokenizer, (const uint32_t[]){0, 1, 0}, 3, 0, &text, &err), &err);
    qk_str_addc(&text, '|');
    must(qk_tokenizer_decode(tokenizer, (const uint32_t[]){0, 1, 9}, 3, QK_DECODE_SKIP_SPECIAL | QK_DECODE_SKIP_UNKNOWN,
                             &text, &err),
         &err);
    assert_string_equal(text.s, "a <s> a|a"); /* without a decoder, spaces go between */
    assert_int_equal(qk_tokenizer_decode(tokenizer, (const uint32_t[]){9}, 1, 0, &text, &err), QK_EFORMAT);
    qk_str_release(&text);
    qk_tokenizer_free(tokenizer);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum qk_code code;
        const char *text;
    } rows[] = {
        {"[]", QK_EFORMAT, "t: expected an object"},
        {"{\"version\":\"2.0\"}", QK_EUNSUPPORTED, "t: version '2.0'"},
        {"{}", QK_EFORMAT, "t: model: expected an object"},
        {"{\"model\":{\"type\":\"WordPiece\"}}", QK_EUNSUPPORTED, "t: model: type 'WordPiece'"},
        {"{\"model\":{\"vocab\":{}}}", QK_EUNSUPPORTED, "t: model: a model without type and merges"},
        {"{" MODEL("", "\"a\":-1", "") "}", QK_EFORMAT, "t: model: vocab: id of 'a'"},
        {"{" MODEL("", "\"a\":99999999999", "") "}", QK_EFORMAT, "t: model: vocab: id of 'a'"},
        {"{" MODEL("", "\"a\":1,\"b\":1", "") "}", QK_EFORMAT, "t: model: vocab: 'b' has the id 1 of another token"},
        {"{" MODEL("", "\"a\":1", "\"a b\"") "}", QK_EFORMAT, "t: model: merges[0]: 'b' is not in the vocabulary"},
        {"{" MODEL("", "\"a\":1", "\"a a\"") "}", QK_EFORMAT, "t: model: merges[0]: 'aa' is not in the vocabulary"},
        {"{" MODEL("", "\"a\":1", "\"a\"") "}", QK_EFORMAT, "t: model: merges[0]: expected"},
        {"{" MODEL("", "\"a\":1", "[\"a\"]") "}", QK_EFORMAT, "t: model: merges[0]: expected"},
        {"{" MODEL("\"dropout\":0.1,", "\"a\":1", "") "}", QK_EUNSUPPORTED, "t: model: dropout"},
        {"{\"normalizer\":{\"type\":\"Precompiled\"}," MODEL("", "\"a\":0", "") "}", QK_EUNSUPPORTED,
         "t: normalizer: type 'Precompiled'"},
        {"{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"CTC\"}]}," MODEL("", "\"a\":0", "") "}",
         QK_EUNSUPPORTED, "t: decoder.decoders[0]: type 'CTC'"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}," MODEL(
             "", "\"a\":0", "") "}",
         QK_EUNSUPPORTED, "t: pre_tokenizer: cannot compile"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\"}," MODEL(
             "", "\"a\":0", "") "}",
         QK_EUNSUPPORTED, "t: pre_tokenizer: behavior 'Odd'"},
        {"{\"added_tokens\":[" ADDED("5", "x", "") "]," MODEL("", "\"a\":0", "") "}", QK_EFORMAT,
         "t: added_tokens[0]: id of 'x' does not continue the vocabulary (expected 1, found 5)"},
        {"{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",7],\"sep\":[\"a\",0]}," MODEL("", "\"a\":0",
                                                                                                        "") "}",
         QK_EFORMAT, "t: post_processor: id 7 is not in the vocabulary"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct qk_tokenizer *tokenizer = NULL;
        struct qk_err err = {0};
        assert_int_equal(qk_tokenizer_parse(rows[i].json, strlen(rows[i].json), "t", &tokenizer, &err), rows[i].code);
        assert_null(tokenizer);
        if (strncmp(err.text, rows[i].text, strlen(rows[i].text)) != 0) {
            fail_msg("%s: %s (expected %s)", rows[i].json, err.text, rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalizers),  cmocka_unit_test(test_pre_tokenizers), cmocka_unit_test(test_decoders),
        cmocka_unit_test(test_regex_syntax), cmocka_unit_test(test_model),          cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
