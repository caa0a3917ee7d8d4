/* The tokens of a file: see vocabulary.h. */
#include "vocabulary.h"

#include <string.h>

/* Eight bytes at a time, mixed by a product folded onto itself (as in wyhash). */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, word;
    for (; n >= 8; s += 8, n -= 8) {
        memcpy(&word, s, 8);
        h = mix(h ^ word, 0xe7037ed1a0b428dbu);
    }
    word = 0;
    memcpy(&word, s, n);
    return mix(h ^ word ^ 0xa0761d6478bd642fu, 0x8ebc6af09c88c6e3u);
}

enum qk_code qk_vocabulary_init(struct qk_vocabulary *vocabulary, struct qk_arena *arena, size_t max_tokens,
                                size_t max_id, struct qk_err *err)
{
    size_t n_slots = 16;
    while (n_slots < 2 * max_tokens) {
        n_slots *= 2;
    }
    *vocabulary = (struct qk_vocabulary){
        .arena = arena,
        .slots = qk_arena_alloc(arena, n_slots, sizeof *vocabulary->slots),
        .n_slots = n_slots,
        .by_id = qk_arena_alloc(arena, max_id + 1, sizeof *vocabulary->by_id),
        .n_ids = 0,
    };
    if (vocabulary->slots == NULL || vocabulary->by_id == NULL) {
        return qk_fail_nomem(err, "vocabulary");
    }
    return QK_OK;
}

static struct qk_token_text *slot_of(const struct qk_vocabulary *vocabulary, const char *s, size_t n)
{
    size_t mask = vocabulary->n_slots - 1, i = (size_t)hash(s, n) & mask;
    while (vocabulary->slots[i].s != NULL &&
           (vocabulary->slots[i].n != n || memcmp(vocabulary->slots[i].s, s, n) != 0)) {
        i = (i + 1) & mask;
    }
    return &vocabulary->slots[i];
}

bool qk_vocabulary_add(struct qk_vocabulary *vocabulary, const char *s, size_t n, uint32_t id)
{
    if (id < vocabulary->n_ids && vocabulary->by_id[id].s != NULL) {
        return false;
    }
    struct qk_token_text token = {.s = s, .n = n, .id = id};
    *slot_of(vocabulary, s, n) = token;
    vocabulary->by_id[id] = token;
    vocabulary->n++;
    vocabulary->n_ids = id >= vocabulary->n_ids ? (size_t)id + 1 : vocabulary->n_ids;
    return true;
}

bool qk_vocabulary_find(const struct qk_vocabulary *vocabulary, const char *s, size_t n, uint32_t *ret)
{
    const struct qk_token_text *slot = slot_of(vocabulary, s, n);
    if (slot->s == NULL) {
        return false;
    }
    *ret = slot->id;
    return true;
}

const struct qk_token_text *qk_vocabulary_at(const struct qk_vocabulary *vocabulary, uint32_t id)
{
    return id < vocabulary->n_ids && vocabulary->by_id[id].s != NULL ? &vocabulary->by_id[id] : NULL;
}
