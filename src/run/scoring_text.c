/* Answers as text: see run/scoring_text.h. */
#include "run/scoring_text.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "ckpt/json.h"

enum { TAIL = 16, MAX_GENERATION_CONFIG = 1 << 20 };

/* ---- stops ------------------------------------------------------------------------------------------------------ */

static size_t stops_of(const struct qk_json *json, uint32_t ret[QK_SCORING_MOST_STOPS])
{
    const struct qk_json *eos = qk_json_get(json, "eos_token_id");
    bool is_list = eos != NULL && qk_json_type(eos) == QK_JSON_ARRAY;
    size_t n = 0;
    for (const struct qk_json *e = is_list ? qk_json_first(eos) : eos; e != NULL && n < QK_SCORING_MOST_STOPS;
         e = is_list ? qk_json_next(e) : NULL) {
        uint64_t id;
        if (qk_json_u64(e, &id) && id <= UINT32_MAX) {
            ret[n++] = (uint32_t)id;
        }
    }
    return n;
}

enum qk_code qk_scoring_stops(const struct qk_model *model, uint32_t ret[QK_SCORING_MOST_STOPS], size_t *ret_n,
                              struct qk_err *err)
{
    char *path = qk_path_join(model->ckpt->dir, "generation_config.json");
    struct qk_json *json = NULL;
    enum qk_code code = path != NULL ? QK_OK : qk_fail_nomem(err, "path");
    if (code == QK_OK && qk_path_exists(path)) {
        code = qk_json_load(path, MAX_GENERATION_CONFIG, &json, err);
    }
    qk_free(path);
    QK_TRY(code);
    size_t n = json == NULL ? 0 : stops_of(json, ret);
    qk_json_free(json);
    n = n == 0 ? stops_of(model->config, ret) : n;
    *ret_n = n == 0 ? stops_of(model->ckpt->config, ret) : n;
    return QK_OK;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static enum qk_code decode_said(const struct qk_tokenizer *tokenizer, const uint32_t *prompt, size_t n_prompt,
                                const uint32_t *said, size_t n, unsigned flags, struct qk_str *ret, struct qk_err *err)
{
    size_t tail = n_prompt < TAIL ? n_prompt : TAIL;
    struct qk_str lead = {0}, all = {0};
    uint32_t *ids = qk_calloc(tail + n + 1, sizeof *ids);
    if (ids == NULL) {
        return qk_fail_nomem(err, "text");
    }
    memcpy(ids, prompt + n_prompt - tail, tail * sizeof *ids);
    if (n > 0) {
        memcpy(ids + tail, said, n * sizeof *ids);
    }
    enum qk_code code = qk_tokenizer_decode(tokenizer, ids, tail, flags | QK_DECODE_BYTES, &lead, err);
    if (code == QK_OK) {
        code = qk_tokenizer_decode(tokenizer, ids, tail + n, flags, &all, err);
    }
    qk_free(ids);
    if (code == QK_OK && all.len > lead.len) {
        qk_str_addn(ret, all.s + lead.len, all.len - lead.len);
        code = ret->failed ? qk_fail_nomem(err, "text") : QK_OK;
    }
    qk_str_release(&lead);
    qk_str_release(&all);
    return code;
}

enum qk_code qk_scoring_text(const struct qk_tokenizer *tokenizer, const uint32_t *prompt, size_t n_prompt,
                             const uint32_t *said, size_t n, struct qk_str *ret, struct qk_err *err)
{
    return decode_said(tokenizer, prompt, n_prompt, said, n, QK_DECODE_SKIP_UNKNOWN | QK_DECODE_SKIP_SPECIAL, ret, err);
}

enum qk_code qk_scoring_bytes(const struct qk_tokenizer *tokenizer, const uint32_t *prompt, size_t n_prompt,
                              const uint32_t *said, size_t n, struct qk_str *ret, struct qk_err *err)
{
    return decode_said(tokenizer, prompt, n_prompt, said, n,
                       QK_DECODE_SKIP_UNKNOWN | QK_DECODE_SKIP_SPECIAL | QK_DECODE_BYTES, ret, err);
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool qk_text_contains(const char *text, const char *wanted)
{
    for (;; text++) {
        size_t i = 0;
        while (wanted[i] != '\0' && lower(text[i]) == lower(wanted[i])) {
            i++;
        }
        if (wanted[i] == '\0') {
            return true;
        }
        if (*text == '\0') {
            return false;
        }
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t trim(const char **text)
{
    while (is_space(**text)) {
        (*text)++;
    }
    size_t n = strlen(*text);
    while (n > 0 && is_space((*text)[n - 1])) {
        n--;
    }
    return n;
}

bool qk_text_same(const char *text, const char *wanted)
{
    size_t n = trim(&text), m = trim(&wanted);
    return n == m && memcmp(text, wanted, n) == 0;
}
