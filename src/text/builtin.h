/* Files that are compiled in (builtin/, by embed.c). */
#ifndef QK_TEXT_BUILTIN_H
#define QK_TEXT_BUILTIN_H

#include <stddef.h>

struct qk_builtin {
    const char *bytes; /* NUL-terminated */
    size_t len;
};

extern const struct qk_builtin qk_builtin_niah, qk_builtin_keys, qk_builtin_haystack;

#endif
