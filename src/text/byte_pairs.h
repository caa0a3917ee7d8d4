/* Byte-pair encoding: a piece of text to ids by merging neighbours, lowest rank first (Sennrich et al. 2016). */
#ifndef QK_TEXT_BYTE_PAIRS_H
#define QK_TEXT_BYTE_PAIRS_H

#include "ckpt/json.h"
#include "vocabulary.h"

#define QK_NO_TOKEN UINT32_MAX

struct qk_merge {
    uint32_t left, right; /* ids */
    uint32_t rank;        /* one more than its place in the file; 0: empty slot */
    uint32_t merged;
};

struct qk_byte_pairs {
    const struct qk_vocabulary *vocabulary;
    struct qk_merge *merges; /* (n_merges, a power of 2): hash table by pair */
    size_t n_merges;
    const char *prefix, *suffix; /* of characters inside a word, and of its last; "" for none */
    bool has_unknown, fuse_unknown, ignore_merges, byte_fallback;
    uint32_t unknown; /* QK_NO_TOKEN: named, but not in the vocabulary */
    uint32_t byte_ids[256];
    bool has_byte[256];
};

/* Scratch of one encoding: starts as {0}. */
struct qk_pair_work {
    struct qk_symbol *symbols; /* what is left after merging: n */
    size_t n, cap;
    struct qk_candidate *heap;
    size_t n_heap, cap_heap;
    char *spelling; /* of one character with prefix and suffix */
    size_t cap_spelling;
};

struct qk_symbol {
    uint32_t id;
    uint32_t begin, end; /* bytes of the piece; empty: merged into the symbol before it */
    uint32_t prev, next; /* UINT32_MAX: none */
};

/* model: the "model" object of the file. vocabulary must have its tokens and outlive *ret. */
enum qk_code qk_byte_pairs_read(const struct qk_json *model, const char *where, const struct qk_vocabulary *vocabulary,
                                struct qk_byte_pairs *ret, struct qk_err *err) QK_CHECKED;
/* s: n bytes of valid UTF-8. O(n log n). */
enum qk_code qk_byte_pairs_encode(const struct qk_byte_pairs *pairs, const char *s, size_t n, struct qk_pair_work *work,
                                  struct qk_err *err) QK_CHECKED;
/* The slot of a pair in the hash table: its own, or the empty one where it would go. */
struct qk_merge *qk_merge_slot(const struct qk_byte_pairs *pairs, uint32_t left, uint32_t right);
void qk_pair_work_release(struct qk_pair_work *work);

#endif
