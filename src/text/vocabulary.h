/* The tokens of a file: spelling to id by a hash table, id to spelling by an array. */
#ifndef QK_TEXT_VOCABULARY_H
#define QK_TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "ckpt/json.h"

enum { qk_vocabulary_max_id = (1 << 24) - 1 };

struct qk_token_text {
    const char *s; /* NULL: no such token */
    size_t n;
    uint32_t id;
};

struct qk_vocabulary {
    struct qk_arena *arena;
    struct qk_token_text *slots; /* (n_slots, a power of 2): by spelling */
    size_t n_slots, n;           /* n spellings */
    struct qk_token_text *by_id; /* (n_ids) */
    size_t n_ids;                /* one more than the highest id */
};

/* Room for max_tokens with ids up to max_id. */
enum qk_code qk_vocabulary_init(struct qk_vocabulary *vocabulary, struct qk_arena *arena, size_t max_tokens,
                                size_t max_id, struct qk_err *err) QK_CHECKED;
/* Adds a token whose spelling is new; s must outlive the vocabulary. False when the id is taken. */
bool qk_vocabulary_add(struct qk_vocabulary *vocabulary, const char *s, size_t n, uint32_t id);
bool qk_vocabulary_find(const struct qk_vocabulary *vocabulary, const char *s, size_t n, uint32_t *ret);
/* NULL when the id names no token. */
const struct qk_token_text *qk_vocabulary_at(const struct qk_vocabulary *vocabulary, uint32_t id);

#endif
