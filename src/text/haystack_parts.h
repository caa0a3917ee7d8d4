/* A template as read: strings, keys and prose. Private to the haystack. */
#ifndef QK_TEXT_HAYSTACK_PARTS_H
#define QK_TEXT_HAYSTACK_PARTS_H

#include "base/arena.h"
#include "text/haystack.h"

#define QK_PLACE_KEY   "{key}"
#define QK_PLACE_VALUE "{value}"

/* Text with the places where a sentence ends: offsets behind its mark, before white space or the end. */
struct qk_prose {
    const char *s;
    size_t len;
    size_t n_ends; /* at least 1 */
    const size_t *ends;
};

struct qk_haystack {
    struct qk_arena *arena;
    const char *intro, *needle, *question, *answer, *end;
    struct qk_prose noise, prose;
    size_t n_keys;
    const char *const *keys;
    char sha256[65];
};

/* Whether the n bytes end in a mark that ends a sentence, with the quotes and brackets that close behind it. */
bool qk_ends_sentence(const char *s, size_t n);

/* White space runs become one space, those at both ends go. source names it in errors. QK_EFORMAT without a sentence.
 */
enum qk_code qk_prose_make(const char *text, size_t len, const char *source, struct qk_arena *arena,
                           struct qk_prose *ret, struct qk_err *err) QK_CHECKED;

#endif
