/* Byte-pair encoding: see byte_pairs.h.
 *
 * The symbols of a piece are a linked list; every pair of neighbours that has a merge waits in a heap by (rank, place).
 * A pair that changed since it was put there is recognised when it comes up, so nothing is ever searched for. */
#include "byte_pairs.h"

#include <string.h>

#include "base/alloc.h"
#include "code_point.h"

static const uint32_t none = UINT32_MAX;

struct qk_candidate {
    uint32_t rank, place, merged;
};

struct qk_merge *qk_merge_slot(const struct qk_byte_pairs *pairs, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    size_t mask = pairs->n_merges - 1, i = (size_t)(h ^ h >> 29) & mask;
    while (pairs->merges[i].rank != 0 && (pairs->merges[i].left != left || pairs->merges[i].right != right)) {
        i = (i + 1) & mask;
    }
    return &pairs->merges[i];
}

static bool before(struct qk_candidate a, struct qk_candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.place < b.place;
}

static bool heap_push(struct qk_pair_work *work, struct qk_candidate candidate)
{
    if (work->n_heap == work->cap_heap) {
        size_t cap = work->cap_heap * 2 + 32;
        void *heap = qk_realloc(work->heap, cap, sizeof *work->heap);
        if (heap == NULL) {
            return false;
        }
        work->heap = heap;
        work->cap_heap = cap;
    }
    size_t i = work->n_heap++;
    while (i > 0 && before(candidate, work->heap[(i - 1) / 2])) {
        work->heap[i] = work->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    work->heap[i] = candidate;
    return true;
}

static struct qk_candidate heap_pop(struct qk_pair_work *work)
{
    struct qk_candidate top = work->heap[0], moved = work->heap[--work->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < work->n_heap) {
        child += child + 1 < work->n_heap && before(work->heap[child + 1], work->heap[child]);
        if (!before(work->heap[child], moved)) {
            break;
        }
        work->heap[i] = work->heap[child];
        i = child;
    }
    work->heap[i] = moved;
    return top;
}

static enum qk_code add_symbol(struct qk_pair_work *work, uint32_t id, size_t begin, size_t end, struct qk_err *err)
{
    if (work->n == work->cap) {
        size_t cap = work->cap * 2 + 32;
        void *symbols = qk_realloc(work->symbols, cap, sizeof *work->symbols);
        if (symbols == NULL) {
            return qk_fail_nomem(err, "tokens");
        }
        work->symbols = symbols;
        work->cap = cap;
    }
    uint32_t at = (uint32_t)work->n;
    if (at > 0) {
        work->symbols[at - 1].next = at;
    }
    work->symbols[work->n++] = (struct qk_symbol){id, (uint32_t)begin, (uint32_t)end, at > 0 ? at - 1 : none, none};
    return QK_OK;
}

/* Puts the pair that begins at place into the heap, when it can be merged. */
static enum qk_code consider(const struct qk_byte_pairs *pairs, struct qk_pair_work *work, uint32_t place,
                             struct qk_err *err)
{
    if (place == none || work->symbols[place].next == none) {
        return QK_OK;
    }
    const struct qk_merge *merge =
        qk_merge_slot(pairs, work->symbols[place].id, work->symbols[work->symbols[place].next].id);
    if (merge->rank != 0 && !heap_push(work, (struct qk_candidate){merge->rank, place, merge->merged})) {
        return qk_fail_nomem(err, "tokens");
    }
    return QK_OK;
}

static enum qk_code merge_all(const struct qk_byte_pairs *pairs, struct qk_pair_work *work, struct qk_err *err)
{
    struct qk_symbol *v = work->symbols;
    work->n_heap = 0;
    for (size_t i = 0; i + 1 < work->n; i++) {
        QK_TRY(consider(pairs, work, (uint32_t)i, err));
    }
    while (work->n_heap > 0) {
        struct qk_candidate top = heap_pop(work);
        struct qk_symbol *left = &v[top.place];
        if (left->begin == left->end || left->next == none) {
            continue;
        }
        struct qk_symbol *right = &v[left->next];
        const struct qk_merge *merge = qk_merge_slot(pairs, left->id, right->id);
        if (merge->rank == 0 || merge->merged != top.merged) {
            continue;
        }
        left->id = merge->merged;
        left->end = right->end;
        right->end = right->begin;
        left->next = right->next;
        if (left->next != none) {
            v[left->next].prev = top.place;
        }
        QK_TRY(consider(pairs, work, left->prev, err));
        QK_TRY(consider(pairs, work, top.place, err));
    }
    size_t n = 0;
    for (size_t i = 0; i < work->n; i++) {
        if (v[i].begin < v[i].end) {
            v[n++] = v[i];
        }
    }
    work->n = n;
    return QK_OK;
}

/* prefix + s + suffix as the vocabulary would have it. */
static enum qk_code spell(const struct qk_byte_pairs *pairs, const char **s, size_t *n, bool first, bool last,
                          struct qk_pair_work *work, struct qk_err *err)
{
    size_t n_prefix = first ? 0 : strlen(pairs->prefix), n_suffix = last ? strlen(pairs->suffix) : 0;
    if (n_prefix + n_suffix == 0) {
        return QK_OK;
    }
    size_t need = n_prefix + *n + n_suffix;
    if (need > work->cap_spelling) {
        char *spelling = qk_realloc(work->spelling, need, 1);
        if (spelling == NULL) {
            return qk_fail_nomem(err, "tokens");
        }
        work->spelling = spelling;
        work->cap_spelling = need;
    }
    memcpy(work->spelling, pairs->prefix, n_prefix);
    memcpy(work->spelling + n_prefix, *s, *n);
    memcpy(work->spelling + n_prefix + *n, pairs->suffix, n_suffix);
    *s = work->spelling;
    *n = need;
    return QK_OK;
}

/* All bytes of the spelling of character [begin, end) as tokens of their own; *ret_done false when one has none. */
static enum qk_code fall_back(const struct qk_byte_pairs *pairs, const char *s, size_t n, size_t begin, size_t end,
                              struct qk_pair_work *work, bool *ret_done, struct qk_err *err)
{
    bool plain = n == end - begin; /* no prefix, no suffix: each byte has its place */
    *ret_done = pairs->byte_fallback;
    for (size_t i = 0; i < n; i++) {
        *ret_done &= pairs->has_byte[(unsigned char)s[i]];
    }
    for (size_t i = 0; i < n && *ret_done; i++) {
        QK_TRY(add_symbol(work, pairs->byte_ids[(unsigned char)s[i]], plain ? begin + i : begin,
                          plain ? begin + i + 1 : end, err));
    }
    return QK_OK;
}

/* A stretch of characters without tokens that waits for what follows, since that may join it. */
struct unknown {
    size_t begin, end; /* empty: none waits */
};

static enum qk_code end_unknown(const struct qk_byte_pairs *pairs, struct qk_pair_work *work, struct unknown *unknown,
                                struct qk_err *err)
{
    struct unknown waiting = *unknown;
    *unknown = (struct unknown){0};
    return waiting.begin == waiting.end ? QK_OK : add_symbol(work, pairs->unknown, waiting.begin, waiting.end, err);
}

static enum qk_code add_unknown(const struct qk_byte_pairs *pairs, struct qk_pair_work *work, struct unknown *unknown,
                                size_t begin, size_t end, uint32_t c, struct qk_err *err)
{
    if (pairs->unknown == QK_NO_TOKEN) {
        return qk_fail(err, QK_EUNSUPPORTED, "the text has U+%04X, which has no token, nor has model.unk_token",
                       (unsigned)c);
    }
    if (!pairs->fuse_unknown) {
        QK_TRY(end_unknown(pairs, work, unknown, err));
    }
    unknown->begin = unknown->begin == unknown->end ? begin : unknown->begin;
    unknown->end = end;
    return QK_OK;
}

/* The characters of a piece as symbols. As in the reference library, bytes that a character falls back to come before
 * an unknown one that waits. */
static enum qk_code add_characters(const struct qk_byte_pairs *pairs, const char *s, size_t n,
                                   struct qk_pair_work *work, struct qk_err *err)
{
    struct unknown unknown = {0};
    size_t step;
    for (size_t i = 0; i < n; i += step) {
        bool valid, done;
        uint32_t c, id;
        step = qk_utf8_read(s + i, n - i, &c, &valid);
        const char *spelling = s + i;
        size_t n_spelling = step;
        QK_TRY(spell(pairs, &spelling, &n_spelling, i == 0, i + step == n, work, err));
        if (qk_vocabulary_find(pairs->vocabulary, spelling, n_spelling, &id)) {
            QK_TRY(end_unknown(pairs, work, &unknown, err));
            QK_TRY(add_symbol(work, id, i, i + step, err));
            continue;
        }
        QK_TRY(fall_back(pairs, spelling, n_spelling, i, i + step, work, &done, err));
        if (!done && pairs->has_unknown) {
            QK_TRY(add_unknown(pairs, work, &unknown, i, i + step, c, err));
        }
    }
    return end_unknown(pairs, work, &unknown, err);
}

enum qk_code qk_byte_pairs_encode(const struct qk_byte_pairs *pairs, const char *s, size_t n, struct qk_pair_work *work,
                                  struct qk_err *err)
{
    uint32_t id;
    work->n = 0;
    if (n == 0) {
        return QK_OK;
    }
    if (pairs->ignore_merges && qk_vocabulary_find(pairs->vocabulary, s, n, &id)) {
        return add_symbol(work, id, 0, n, err);
    }
    QK_TRY(add_characters(pairs, s, n, work, err));
    return merge_all(pairs, work, err);
}

void qk_pair_work_release(struct qk_pair_work *work)
{
    qk_free(work->symbols);
    qk_free(work->heap);
    qk_free(work->spelling);
    *work = (struct qk_pair_work){0};
}
