/* Fuzz target: config.json, and with it the JSON layer that plans and templates use too.
 *
 * What is accepted is written out again and parsed again: both trees must be the same. */
#include "both_ways.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "document.h"

/* Depth is bounded by the parser. */
static void write_out(struct qk_str *out, const struct qk_json *json)
{
    double number;
    const char *text;
    bool flag;
    if (qk_json_double(json, &number)) {
        qk_str_add(out, isnan(number) ? "NaN" : isinf(number) ? (number < 0 ? "-Infinity" : "Infinity") : "");
        if (isfinite(number)) {
            qk_str_add_double(out, number);
        }
    } else if (qk_json_string(json, &text)) {
        qk_str_add_json(out, text);
    } else if (qk_json_bool(json, &flag)) {
        qk_str_add(out, flag ? "true" : "false");
    } else if (qk_json_type(json) == QK_JSON_NULL) {
        qk_str_add(out, "null");
    } else {
        bool object = qk_json_type(json) == QK_JSON_OBJECT;
        qk_str_addc(out, object ? '{' : '[');
        for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
            if (c != qk_json_first(json)) {
                qk_str_addc(out, ',');
            }
            if (object) {
                qk_str_add_json(out, qk_json_key(c));
                qk_str_addc(out, ':');
                qk_fuzz_require(qk_json_get(json, qk_json_key(c)) == c, "a key gives its own value");
            }
            write_out(out, c);
        }
        qk_str_addc(out, object ? '}' : ']');
    }
}

static void check_round_trip(const struct qk_json *json)
{
    struct qk_str once = {0}, twice = {0};
    struct qk_err err = {0};
    struct qk_json *again = NULL;
    write_out(&once, json);
    qk_fuzz_require(!once.failed && qk_json_parse(once.s, once.len, "again", &again, &err) == QK_OK,
                    "own output is JSON");
    write_out(&twice, again);
    qk_fuzz_require(once.len == twice.len && memcmp(once.s, twice.s, once.len) == 0, "the same tree comes back");
    qk_json_free(again);
    qk_str_release(&once);
    qk_str_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct qk_fuzz_first first = {.n = 0};
    struct qk_check quiet = {0}, loud = {.report = qk_fuzz_collect, .ctx = &first};
    struct qk_json *json = NULL, *all = NULL, *any = NULL;
    struct qk_err err = {0};
    enum qk_code code = qk_document_parse(&quiet, &qk_config_rules, "f", text, size, &json, &err);
    qk_fuzz_require(qk_document_parse(&loud, &qk_config_rules, "f", text, size, &all, &err) == QK_OK,
                    "validation goes on");
    qk_fuzz_agree(code, &err, &first);
    qk_fuzz_require((json != NULL) == (code == QK_OK) && (all != NULL) == (code == QK_OK), "a document or a violation");
    if (qk_json_parse(text, size, "any", &any, &err) == QK_OK) {
        check_round_trip(any);
    }
    qk_json_free(json);
    qk_json_free(all);
    qk_json_free(any);
    return 0;
}
