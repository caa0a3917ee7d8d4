/* Added tokens out of a tokenizer file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "added_tokens.h"

static enum qk_code read_flags(const struct qk_json *json, const char *where, struct qk_added_token *token,
                               struct qk_err *err)
{
    QK_TRY(qk_json_opt_bool(json, "single_word", false, where, &token->single_word, err));
    QK_TRY(qk_json_opt_bool(json, "lstrip", false, where, &token->left, err));
    QK_TRY(qk_json_opt_bool(json, "rstrip", false, where, &token->right, err));
    QK_TRY(qk_json_opt_bool(json, "special", false, where, &token->special, err));
    return qk_json_opt_bool(json, "normalized", !token->special, where, &token->normalized, err);
}

/* What the normalizers make of the content. */
static enum qk_code find_pattern(struct qk_arena *arena, const struct qk_steps *normalizers, const char *where,
                                 struct qk_added_token *token, struct qk_err *err)
{
    token->pattern = token->content;
    token->n_pattern = strlen(token->content);
    if (token->normalized && normalizers->n > 0) {
        struct qk_pieces pieces = {.text.max = 1 << 20, .next_text.max = 1 << 20};
        qk_aligned_add(&pieces.text, token->content, token->n_pattern, 0, 0);
        enum qk_code code = qk_aligned_check(&pieces.text, err);
        if (code == QK_OK) {
            code = qk_pieces_push(&pieces, (struct qk_piece){.end = pieces.text.n}, err);
        }
        if (code == QK_OK) {
            qk_pieces_swap(&pieces, false);
            code = qk_steps_apply(normalizers, &pieces, err);
        }
        if (code == QK_OK) {
            token->n_pattern = pieces.text.n;
            token->pattern = qk_arena_strndup(arena, pieces.text.n > 0 ? pieces.text.s : "", pieces.text.n);
            code = token->pattern == NULL ? qk_fail_nomem(err, "added tokens") : QK_OK;
        }
        qk_pieces_release(&pieces);
        QK_TRY(code);
    }
    if (token->n_pattern > qk_added_max_length) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: content too long (expected at most %d bytes, found %zu)", where,
                       qk_added_max_length, token->n_pattern);
    }
    return QK_OK;
}

/* The id that the reference library gives: that of the model's vocabulary, else the next free number. */
static enum qk_code number(const struct qk_json *json, const char *where, const struct qk_vocabulary *vocabulary,
                           struct qk_vocabulary *known, size_t *next_id, struct qk_added_token *token,
                           struct qk_err *err)
{
    size_t n = strlen(token->content);
    uint64_t said;
    if (!qk_json_u64(qk_json_get(json, "id"), &said) || said > qk_vocabulary_max_id) {
        return qk_fail(err, QK_EFORMAT, "%s: id: expected an integer from 0 to %d", where, qk_vocabulary_max_id);
    }
    if (!qk_vocabulary_find(vocabulary, token->content, n, &token->id) &&
        !qk_vocabulary_find(known, token->content, n, &token->id)) {
        token->id = (uint32_t)(*next_id)++;
    }
    if (token->id != said) {
        return qk_fail(err, QK_EFORMAT,
                       "%s: id of '%.100s' does not continue the vocabulary (expected %lu, found %llu)", where,
                       token->content, (unsigned long)token->id, (unsigned long long)said);
    }
    uint32_t other;
    if (!qk_vocabulary_find(known, token->content, n, &other)) {
        (void)qk_vocabulary_add(known, token->content, n, token->id);
    }
    return QK_OK;
}

static int by_pattern(const void *a, const void *b)
{
    const struct qk_added_token *x = *(const struct qk_added_token *const *)a;
    const struct qk_added_token *y = *(const struct qk_added_token *const *)b;
    size_t n = x->n_pattern < y->n_pattern ? x->n_pattern : y->n_pattern;
    int order = memcmp(x->pattern, y->pattern, n);
    if (order != 0) {
        return order;
    }
    if (x->n_pattern != y->n_pattern) {
        return x->n_pattern < y->n_pattern ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

static enum qk_code fill_set(const struct qk_added_tokens *added, bool normalized, struct qk_arena *arena,
                             struct qk_added_set *set, struct qk_err *err)
{
    set->sorted = qk_arena_alloc(arena, added->n, sizeof *set->sorted);
    if (set->sorted == NULL) {
        return qk_fail_nomem(err, "added tokens");
    }
    for (size_t i = 0; i < added->n; i++) {
        if (added->v[i].normalized == normalized && added->v[i].n_pattern > 0) {
            set->sorted[set->n++] = &added->v[i];
        }
    }
    if (set->n > 0) {
        qsort(set->sorted, set->n, sizeof *set->sorted, by_pattern);
    }
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) { /* of equal patterns the first in the file counts */
        const struct qk_added_token *last = n > 0 ? set->sorted[n - 1] : NULL, *t = set->sorted[i];
        bool repeated =
            last != NULL && last->n_pattern == t->n_pattern && memcmp(last->pattern, t->pattern, t->n_pattern) == 0;
        if (!repeated) {
            set->sorted[n++] = t;
            set->first[(unsigned char)t->pattern[0] + 1]++;
        }
    }
    set->n = n;
    for (size_t b = 0; b < 256; b++) {
        set->first[b + 1] += set->first[b];
    }
    return QK_OK;
}

static enum qk_code index_ids(struct qk_added_tokens *added, struct qk_arena *arena, struct qk_err *err)
{
    for (size_t i = 0; i < added->n; i++) {
        added->n_ids = added->v[i].id >= added->n_ids ? (size_t)added->v[i].id + 1 : added->n_ids;
    }
    added->by_id = qk_arena_alloc(arena, added->n_ids, sizeof *added->by_id);
    if (added->by_id == NULL) {
        return qk_fail_nomem(err, "added tokens");
    }
    for (size_t i = 0; i < added->n; i++) {
        added->by_id[added->v[i].id] = &added->v[i];
    }
    return QK_OK;
}

static enum qk_code read_token(const struct qk_json *json, const char *where, const struct qk_vocabulary *vocabulary,
                               const struct qk_steps *normalizers, struct qk_vocabulary *known, size_t *next_id,
                               struct qk_added_tokens *added, struct qk_err *err)
{
    struct qk_added_token token = {0};
    const char *content;
    if (!qk_json_string(qk_json_get(json, "content"), &content)) {
        return qk_fail(err, QK_EFORMAT, "%s: content: expected a string", where);
    }
    if (content[0] == 0) {
        return QK_OK; /* as in the reference library: no token at all */
    }
    token.content = qk_arena_strdup(vocabulary->arena, content);
    if (token.content == NULL) {
        return qk_fail_nomem(err, "added tokens");
    }
    QK_TRY(read_flags(json, where, &token, err));
    QK_TRY(number(json, where, vocabulary, known, next_id, &token, err));
    QK_TRY(find_pattern(vocabulary->arena, normalizers, where, &token, err));
    added->v[added->n++] = token;
    return QK_OK;
}

enum qk_code qk_added_tokens_read(const struct qk_json *list, const char *where, const struct qk_vocabulary *vocabulary,
                                  const struct qk_steps *normalizers, struct qk_added_tokens *ret, struct qk_err *err)
{
    struct qk_arena *arena = vocabulary->arena;
    struct qk_added_tokens added = {0};
    struct qk_vocabulary known;
    size_t next_id = vocabulary->n, i = 0, n = qk_json_count(list);
    added.v = qk_arena_alloc(arena, n, sizeof *added.v);
    if (added.v == NULL) {
        return qk_fail_nomem(err, "added tokens");
    }
    size_t highest = vocabulary->n_ids + n;
    if (highest > qk_vocabulary_max_id) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: added_tokens: more tokens than supported (%zu)", where, highest);
    }
    QK_TRY(qk_vocabulary_init(&known, arena, n, highest, err));
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        char place[512];
        snprintf(place, sizeof place, "%.400s: added_tokens[%zu]", where, i++);
        QK_TRY(read_token(c, place, vocabulary, normalizers, &known, &next_id, &added, err));
    }
    QK_TRY(fill_set(&added, false, arena, &added.raw, err));
    QK_TRY(fill_set(&added, true, arena, &added.normalized, err));
    QK_TRY(index_ids(&added, arena, err));
    *ret = added;
    return QK_OK;
}
