/* Byte-pair encoding out of a tokenizer file: the "model" object. */
#include "byte_pairs.h"

#include <string.h>

#include "base/alloc.h"

struct merge_reader {
    struct qk_byte_pairs *pairs;
    const char *where;
    size_t n_prefix;
    char *joined; /* scratch for the spelling of a merge */
    size_t cap;
};

static enum qk_code unknown_token(const struct merge_reader *reader, size_t i, const char *s, size_t n,
                                  struct qk_err *err)
{
    int shown = n > 100 ? 100 : (int)n;
    return qk_fail(err, QK_EFORMAT, "%s: merges[%zu]: '%.*s' is not in the vocabulary", reader->where, i, shown, s);
}

static enum qk_code add_merge(struct merge_reader *reader, size_t i, const char *left, size_t n_left, const char *right,
                              size_t n_right, struct qk_err *err)
{
    const struct qk_vocabulary *vocabulary = reader->pairs->vocabulary;
    struct qk_merge merge = {.rank = (uint32_t)i + 1};
    if (!qk_vocabulary_find(vocabulary, left, n_left, &merge.left)) {
        return unknown_token(reader, i, left, n_left, err);
    }
    if (!qk_vocabulary_find(vocabulary, right, n_right, &merge.right)) {
        return unknown_token(reader, i, right, n_right, err);
    }
    if (n_right < reader->n_prefix) {
        return qk_fail(err, QK_EFORMAT, "%s: merges[%zu]: the second token lacks the continuing_subword_prefix",
                       reader->where, i);
    }
    right += reader->n_prefix;
    n_right -= reader->n_prefix;
    if (n_left + n_right > reader->cap) {
        char *joined = qk_realloc(reader->joined, n_left + n_right, 2);
        if (joined == NULL) {
            return qk_fail_nomem(err, "merges");
        }
        reader->joined = joined;
        reader->cap = 2 * (n_left + n_right);
    }
    memcpy(reader->joined, left, n_left);
    memcpy(reader->joined + n_left, right, n_right);
    if (!qk_vocabulary_find(vocabulary, reader->joined, n_left + n_right, &merge.merged)) {
        return unknown_token(reader, i, reader->joined, n_left + n_right, err);
    }
    *qk_merge_slot(reader->pairs, merge.left, merge.right) = merge; /* of two equal pairs the later counts */
    return QK_OK;
}

/* "left right" or ["left", "right"]. */
static enum qk_code read_merge(struct merge_reader *reader, size_t i, const struct qk_json *json, struct qk_err *err)
{
    const char *left, *right;
    if (qk_json_string(json, &left)) {
        const char *space = strchr(left, ' ');
        if (space != NULL && strchr(space + 1, ' ') == NULL) {
            return add_merge(reader, i, left, (size_t)(space - left), space + 1, strlen(space + 1), err);
        }
    } else if (qk_json_type(json) == QK_JSON_ARRAY) {
        const struct qk_json *first = qk_json_first(json);
        const struct qk_json *second = first == NULL ? NULL : qk_json_next(first);
        if (second != NULL && qk_json_next(second) == NULL && qk_json_string(first, &left) &&
            qk_json_string(second, &right)) {
            return add_merge(reader, i, left, strlen(left), right, strlen(right), err);
        }
    }
    return qk_fail(err, QK_EFORMAT, "%s: merges[%zu]: expected \"left right\" or [\"left\", \"right\"]", reader->where,
                   i);
}

static enum qk_code read_merges(struct qk_byte_pairs *pairs, const struct qk_json *merges, const char *where,
                                struct qk_err *err)
{
    if (merges == NULL || qk_json_type(merges) != QK_JSON_ARRAY) {
        return qk_fail(err, QK_EFORMAT, "%s: merges: expected an array", where);
    }
    size_t n = qk_json_count(merges), i = 0;
    pairs->n_merges = 16;
    while (pairs->n_merges < 2 * n) {
        pairs->n_merges *= 2;
    }
    pairs->merges = qk_arena_alloc(pairs->vocabulary->arena, pairs->n_merges, sizeof *pairs->merges);
    if (pairs->merges == NULL) {
        return qk_fail_nomem(err, "merges");
    }
    struct merge_reader reader = {.pairs = pairs, .where = where, .n_prefix = strlen(pairs->prefix)};
    enum qk_code code = QK_OK;
    for (const struct qk_json *c = qk_json_first(merges); c != NULL && code == QK_OK; c = qk_json_next(c)) {
        const char *text;
        bool comment = qk_json_string(c, &text) && strncmp(text, "#version", 8) == 0;
        code = comment ? QK_OK : read_merge(&reader, i++, c, err);
    }
    qk_free(reader.joined);
    return code;
}

/* The ids of <0x00> to <0xFF>. */
static void find_bytes(struct qk_byte_pairs *pairs)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t b = 0; b < 256; b++) {
        char spelling[] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
        pairs->has_byte[b] = qk_vocabulary_find(pairs->vocabulary, spelling, sizeof spelling, &pairs->byte_ids[b]);
    }
}

static enum qk_code read_affixes(const struct qk_json *model, const char *where, struct qk_byte_pairs *pairs,
                                 struct qk_err *err)
{
    const char *prefix, *suffix;
    QK_TRY(qk_json_opt_string(model, "continuing_subword_prefix", "", where, &prefix, err));
    QK_TRY(qk_json_opt_string(model, "end_of_word_suffix", "", where, &suffix, err));
    pairs->prefix = qk_arena_strdup(pairs->vocabulary->arena, prefix);
    pairs->suffix = qk_arena_strdup(pairs->vocabulary->arena, suffix);
    return pairs->prefix == NULL || pairs->suffix == NULL ? qk_fail_nomem(err, "tokenizer") : QK_OK;
}

enum qk_code qk_byte_pairs_read(const struct qk_json *model, const char *where, const struct qk_vocabulary *vocabulary,
                                struct qk_byte_pairs *ret, struct qk_err *err)
{
    struct qk_byte_pairs pairs = {.vocabulary = vocabulary};
    double dropout;
    const char *unknown;
    QK_TRY(qk_json_opt_double(model, "dropout", 0.0, where, &dropout, err));
    if (dropout != 0.0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: dropout: merges by chance are not supported (found %g)", where,
                       dropout);
    }
    QK_TRY(qk_json_opt_bool(model, "fuse_unk", false, where, &pairs.fuse_unknown, err));
    QK_TRY(qk_json_opt_bool(model, "byte_fallback", false, where, &pairs.byte_fallback, err));
    QK_TRY(qk_json_opt_bool(model, "ignore_merges", false, where, &pairs.ignore_merges, err));
    QK_TRY(qk_json_opt_string(model, "unk_token", NULL, where, &unknown, err));
    pairs.has_unknown = unknown != NULL;
    if (unknown == NULL || !qk_vocabulary_find(vocabulary, unknown, strlen(unknown), &pairs.unknown)) {
        pairs.unknown = QK_NO_TOKEN; /* an error only for a text that needs it */
    }
    QK_TRY(read_affixes(model, where, &pairs, err));
    QK_TRY(read_merges(&pairs, qk_json_get(model, "merges"), where, err));
    find_bytes(&pairs);
    *ret = pairs;
    return QK_OK;
}
