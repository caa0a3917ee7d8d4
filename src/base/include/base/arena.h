/* Arena: many small allocations with one lifetime (names, tables, parsed headers), released together.
 *
 * Not thread-safe: one arena per owner. Memory is zeroed and aligned to 64 bytes for blocks of 64 bytes and more, else
 * to 16. A failing allocation returns NULL; callers turn that into qk_fail_nomem. */
#ifndef QK_BASE_ARENA_H
#define QK_BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"

struct qk_arena;

/* NULL when out of memory. */
struct qk_arena *qk_arena_new(void);
/* Takes NULL. */
void qk_arena_free(struct qk_arena *arena);

/* n × size zeroed bytes, or NULL when out of memory or when n × size overflows. n × size == 0 gives a valid pointer. */
void *qk_arena_alloc(struct qk_arena *arena, size_t n, size_t size);
/* Room for one item more behind n of *cap: array itself, or a copy of it with a larger *cap. NULL when out of memory.
 */
void *qk_arena_grow(struct qk_arena *arena, void *array, size_t n, size_t *cap, size_t size);
/* Copies of strings. */
char *qk_arena_strdup(struct qk_arena *arena, const char *s);
char *qk_arena_strndup(struct qk_arena *arena, const char *s, size_t n);
char *qk_arena_printf(struct qk_arena *arena, const char *fmt, ...) QK_PRINTF(2, 3);
/* Bytes handed out so far. */
size_t qk_arena_bytes(const struct qk_arena *arena);

#endif
