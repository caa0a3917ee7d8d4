/* Arena in growing chunks: see base/arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct chunk {
    struct chunk *next;
    size_t size, used;
    char *data; /* 64-byte aligned */
};

struct qk_arena {
    struct chunk *head; /* the one being filled */
    size_t bytes;
};

static const size_t first_chunk = 1u << 14, max_chunk = 1u << 22;

struct qk_arena *qk_arena_new(void)
{
    return qk_calloc(1, sizeof(struct qk_arena));
}

void qk_arena_free(struct qk_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    for (struct chunk *c = arena->head; c != NULL;) {
        struct chunk *next = c->next;
        qk_free(c->data);
        qk_free(c);
        c = next;
    }
    qk_free(arena);
}

static struct chunk *add_chunk(struct qk_arena *arena, size_t at_least)
{
    size_t size = arena->head == NULL ? first_chunk : arena->head->size * 2;
    if (size > max_chunk) {
        size = max_chunk;
    }
    if (size < at_least) {
        size = at_least;
    }
    struct chunk *c = qk_calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->data = qk_alloc_aligned(size, 1);
    if (c->data == NULL) {
        qk_free(c);
        return NULL;
    }
    c->size = size;
    c->next = arena->head;
    arena->head = c;
    return c;
}

void *qk_arena_alloc(struct qk_arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (!qk_size_mul(n, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    if (bytes == 0) {
        bytes = 1;
    }
    size_t align = bytes >= 64 ? 64 : 16;
    struct chunk *c = arena->head;
    size_t at = c == NULL ? 0 : (c->used + align - 1) / align * align;
    if (c == NULL || at > c->size || bytes > c->size - at) {
        c = add_chunk(arena, bytes);
        if (c == NULL) {
            return NULL;
        }
        at = 0;
    }
    c->used = at + bytes;
    arena->bytes += bytes;
    memset(c->data + at, 0, bytes);
    return c->data + at;
}

char *qk_arena_strndup(struct qk_arena *arena, const char *s, size_t n)
{
    char *p = qk_arena_alloc(arena, n + 1, 1);
    if (p != NULL) {
        memcpy(p, s, n);
    }
    return p;
}

void *qk_arena_grow(struct qk_arena *arena, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return array;
    }
    size_t more = *cap == 0 ? 64 : 2 * *cap;
    void *copy = qk_arena_alloc(arena, more, size);
    if (copy == NULL) {
        return NULL;
    }
    if (n > 0) {
        memcpy(copy, array, n * size);
    }
    *cap = more;
    return copy;
}

char *qk_arena_strdup(struct qk_arena *arena, const char *s)
{
    return qk_arena_strndup(arena, s, strlen(s));
}

char *qk_arena_printf(struct qk_arena *arena, const char *fmt, ...)
{
    va_list ap, ap2;
    va_start(ap, fmt);
    va_copy(ap2, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : qk_arena_alloc(arena, (size_t)n + 1, 1);
    if (p != NULL) {
        vsnprintf(p, (size_t)n + 1, fmt, ap2);
    }
    va_end(ap2);
    return p;
}

size_t qk_arena_bytes(const struct qk_arena *arena)
{
    return arena->bytes;
}
