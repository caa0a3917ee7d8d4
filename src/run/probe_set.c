/* Reading probe sequences: see run/probe_set.h. */
#include "run/probe_set.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "ckpt/json_lines.h"
#include "probe_run.h"

/* A file being read. */
struct reader {
    const char *path, *tokenizer_path;
    struct qk_tokenizer *tokenizer; /* opened when first needed */
    struct qk_arena *arena;
    struct qk_probe_sequence *sequences;
    size_t n, cap, line;
};

static enum qk_code open_tokenizer(struct reader *r, struct qk_err *err)
{
    return r->tokenizer != NULL ? QK_OK : qk_tokenizer_open(r->tokenizer_path, &r->tokenizer, err);
}

static enum qk_code add_sequence(struct reader *r, const struct qk_probe_sequence *sequence, struct qk_err *err)
{
    struct qk_probe_sequence *sequences = qk_arena_grow(r->arena, r->sequences, r->n, &r->cap, sizeof *sequences);
    if (sequences == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    r->sequences = sequences;
    r->sequences[r->n++] = *sequence;
    return QK_OK;
}

static enum qk_code copy_ids(struct reader *r, const uint32_t *ids, size_t n, struct qk_probe_sequence *ret,
                             struct qk_err *err)
{
    uint32_t *copy = qk_arena_alloc(r->arena, n, sizeof(*copy));
    if (copy == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    memcpy(copy, ids, n * sizeof(*copy));
    ret->n = n;
    ret->ids = copy;
    return QK_OK;
}

/* ---- one line ---- */

static enum qk_code read_ids(struct reader *r, const struct qk_json *list, struct qk_probe_sequence *ret,
                             struct qk_err *err)
{
    size_t n = qk_json_count(list), i = 0;
    uint32_t *ids = qk_arena_alloc(r->arena, n, sizeof(*ids));
    if (ids == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    for (const struct qk_json *item = qk_json_first(list); item != NULL; item = qk_json_next(item), i++) {
        uint64_t id;
        if (!qk_json_u64(item, &id) || id > UINT32_MAX) {
            return qk_fail(err, QK_EFORMAT,
                           "%s: line %zu: ids: entry %zu is no token id (expected a whole number below 2^32)", r->path,
                           r->line, i);
        }
        ids[i] = (uint32_t)id;
    }
    ret->n = n;
    ret->ids = ids;
    return QK_OK;
}

/* Byte offset of character number n; SIZE_MAX beyond the end. */
static size_t byte_of(const char *text, size_t n)
{
    size_t at = 0;
    for (; n > 0 && text[at] != '\0'; n--) {
        do {
            at++;
        } while (((unsigned char)text[at] & 0xc0) == 0x80);
    }
    return n > 0 ? SIZE_MAX : at;
}

/* Characters to the tokens that have a byte of them. */
static bool span_to_tokens(const char *text, const struct qk_encoding *encoding, struct qk_probe_span *span)
{
    size_t begin = byte_of(text, span->start), end = byte_of(text, span->end), first = SIZE_MAX, last = 0;
    for (size_t i = 0; begin != SIZE_MAX && end != SIZE_MAX && i < encoding->n; i++) {
        if (encoding->spans[i].begin < end && encoding->spans[i].end > begin) {
            first = first == SIZE_MAX ? i : first;
            last = i + 1;
        }
    }
    span->start = first;
    span->end = last;
    return first != SIZE_MAX;
}

/* text and encoding NULL beside ids. */
static enum qk_code read_spans(struct reader *r, const struct qk_json *list, const char *text,
                               const struct qk_encoding *encoding, struct qk_probe_sequence *ret, struct qk_err *err)
{
    size_t n = qk_json_count(list), i = 0;
    struct qk_probe_span *spans = qk_arena_alloc(r->arena, n, sizeof(*spans));
    if (spans == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    for (const struct qk_json *item = qk_json_first(list); item != NULL; item = qk_json_next(item), i++) {
        const char *name;
        uint64_t start, end;
        if (!qk_json_string(qk_json_get(item, "name"), &name) || !qk_json_u64(qk_json_get(item, "start"), &start) ||
            !qk_json_u64(qk_json_get(item, "end"), &end)) {
            return qk_fail(err, QK_EFORMAT, "%s: line %zu: spans: entry %zu (expected \"name\", \"start\", \"end\")",
                           r->path, r->line, i);
        }
        spans[i] = (struct qk_probe_span){qk_arena_strdup(r->arena, name), (size_t)start, (size_t)end};
        if (spans[i].name == NULL) {
            return qk_fail_nomem(err, r->path);
        }
        bool fits = start < end && (text == NULL ? end <= ret->n : span_to_tokens(text, encoding, &spans[i]));
        if (!fits) {
            return qk_fail(err, QK_EFORMAT,
                           "%s: line %zu: spans: '%s' is empty or out of range (expected start < end within the %s, "
                           "found %llu to %llu)",
                           r->path, r->line, name, text == NULL ? "ids" : "text's characters",
                           (unsigned long long)start, (unsigned long long)end);
        }
    }
    ret->n_spans = n;
    ret->spans = spans;
    return QK_OK;
}

static enum qk_code read_object(struct reader *r, const struct qk_json *object, struct qk_encoding *encoding,
                                struct qk_err *err)
{
    struct qk_probe_sequence sequence = {.line = r->line};
    const struct qk_json *ids = qk_json_get(object, "ids"), *spans = qk_json_get(object, "spans");
    const char *text = NULL;
    bool has_text = qk_json_string(qk_json_get(object, "text"), &text);
    if ((ids != NULL) == has_text || (ids != NULL && qk_json_type(ids) != QK_JSON_ARRAY)) {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: expected either \"ids\": [numbers] or \"text\": a string",
                       r->path, r->line);
    }
    if (has_text) {
        QK_TRY(open_tokenizer(r, err));
        QK_TRY(qk_tokenizer_encode(r->tokenizer, text, strlen(text), true, encoding, err));
        QK_TRY(copy_ids(r, encoding->ids, encoding->n, &sequence, err));
    } else {
        QK_TRY(read_ids(r, ids, &sequence, err));
    }
    if (sequence.n == 0) {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: a probe without tokens (expected at least one, found none)",
                       r->path, r->line);
    }
    if (spans != NULL && qk_json_type(spans) != QK_JSON_NULL) {
        if (qk_json_type(spans) != QK_JSON_ARRAY) {
            return qk_fail(err, QK_EFORMAT, "%s: line %zu: spans: wrong value (expected a list of objects)", r->path,
                           r->line);
        }
        QK_TRY(read_spans(r, spans, text, encoding, &sequence, err));
    }
    return add_sequence(r, &sequence, err);
}

/* ---- files ---- */

static enum qk_code read_lines(struct reader *r, size_t most, struct qk_err *err)
{
    struct qk_json_lines lines;
    enum qk_code code = qk_json_lines_open(r->path, QK_PROBE_MAX_FILE, &lines, err);
    QK_TRY(code);
    while (code == QK_OK && (most == 0 || r->n < most)) {
        struct qk_json *json = NULL;
        struct qk_encoding encoding = {0};
        code = qk_json_lines_next(&lines, &json, err);
        if (code != QK_OK || json == NULL) {
            break;
        }
        r->line = lines.line;
        code = read_object(r, json, &encoding, err);
        qk_encoding_release(&encoding);
        qk_json_free(json);
    }
    qk_json_lines_release(&lines);
    return code;
}

/* Length of the special tokens that the tokenizer puts in front of a text. */
static enum qk_code leading_specials(struct reader *r, struct qk_encoding *with, size_t *ret, struct qk_err *err)
{
    struct qk_encoding plain = {0};
    QK_TRY(qk_tokenizer_encode(r->tokenizer, "a", 1, true, with, err));
    QK_TRY(qk_tokenizer_encode(r->tokenizer, "a", 1, false, &plain, err));
    size_t n = 0;
    while (plain.n > 0 && n + plain.n <= with->n && memcmp(with->ids + n, plain.ids, plain.n * sizeof(*plain.ids))) {
        n++;
    }
    *ret = plain.n == 0 || n + plain.n > with->n ? 0 : n;
    qk_encoding_release(&plain);
    return QK_OK;
}

static enum qk_code cut_pieces(struct reader *r, const struct qk_encoding *text, const uint32_t *specials,
                               size_t n_specials, size_t length, size_t most, struct qk_err *err)
{
    if (length <= n_specials) {
        return qk_fail(err, QK_EUSAGE, "--length: %zu tokens leave no room beside %zu special ones", length,
                       n_specials);
    }
    size_t step = length - n_specials;
    for (size_t at = 0; at < text->n && (most == 0 || r->n < most); at += step) {
        size_t n = text->n - at < step ? text->n - at : step;
        if (n < step && r->n > 0) {
            break;
        }
        uint32_t *ids = qk_arena_alloc(r->arena, n_specials + n, sizeof(*ids));
        if (ids == NULL) {
            return qk_fail_nomem(err, r->path);
        }
        memcpy(ids, specials, n_specials * sizeof(*ids));
        memcpy(ids + n_specials, text->ids + at, n * sizeof(*ids));
        struct qk_probe_sequence sequence = {.n = n_specials + n, .ids = ids, .line = 1};
        QK_TRY(add_sequence(r, &sequence, err));
    }
    return QK_OK;
}

static enum qk_code read_text(struct reader *r, size_t length, size_t most, struct qk_err *err)
{
    struct qk_encoding encoding = {0}, with = {0};
    size_t n_specials = 0, len;
    char *text;
    QK_TRY(qk_file_slurp_text(r->path, QK_PROBE_MAX_FILE, &text, &len, err));
    enum qk_code code = open_tokenizer(r, err);
    if (code == QK_OK) {
        code = leading_specials(r, &with, &n_specials, err);
    }
    if (code == QK_OK) {
        code = qk_tokenizer_encode(r->tokenizer, text, len, false, &encoding, err);
    }
    if (code == QK_OK) {
        code = cut_pieces(r, &encoding, with.ids, n_specials, length, most, err);
    }
    qk_encoding_release(&encoding);
    qk_encoding_release(&with);
    qk_free(text);
    return code;
}

void qk_probe_set_seal(struct qk_probe_set *set)
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_probe_sequence *sequence = &set->sequences[i];
        qk_sha256_add_number(&sha, sequence->n, 8);
        for (size_t t = 0; t < sequence->n; t++) {
            qk_sha256_add_number(&sha, sequence->ids[t], 4);
        }
        set->longest = sequence->n > set->longest ? sequence->n : set->longest;
    }
    qk_sha256_hex(&sha, set->sha256);
}

/* length 0: JSONL. */
static enum qk_code read_file(struct reader *r, size_t length, size_t most, struct qk_probe_set *ret,
                              struct qk_err *err)
{
    enum qk_code code = length > 0 ? read_text(r, length, most, err) : read_lines(r, most, err);
    qk_tokenizer_free(r->tokenizer);
    QK_TRY(code);
    if (r->n == 0) {
        return qk_fail(err, QK_EFORMAT, "%s: no probes in it", r->path);
    }
    char *name = qk_path_basename(r->path);
    struct qk_probe_set set = {.path = r->path, .length = length, .most = most, .n = r->n, .sequences = r->sequences};
    set.name = name == NULL ? NULL : qk_arena_strdup(r->arena, name);
    qk_free(name);
    if (set.name == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    qk_probe_set_seal(&set);
    *ret = set;
    return QK_OK;
}

enum qk_code qk_probe_set_tokens(const char *path, const char *tokenizer, size_t most, struct qk_arena *arena,
                                 struct qk_probe_set *ret, struct qk_err *err)
{
    struct reader r = {.path = path, .tokenizer_path = tokenizer, .arena = arena};
    return read_file(&r, 0, most, ret, err);
}

enum qk_code qk_probe_set_text(const char *path, const char *tokenizer, size_t length, size_t most,
                               struct qk_arena *arena, struct qk_probe_set *ret, struct qk_err *err)
{
    struct reader r = {.path = path, .tokenizer_path = tokenizer, .arena = arena};
    if (length == 0) {
        return qk_fail(err, QK_EUSAGE, "--length: a piece has at least one token");
    }
    return read_file(&r, length, most, ret, err);
}
