/* Added tokens: spellings that become one token wherever they stand in a text, before anything else is done to it. */
#ifndef QK_TEXT_ADDED_TOKENS_H
#define QK_TEXT_ADDED_TOKENS_H

#include "ckpt/json.h"
#include "pieces.h"
#include "step.h"
#include "vocabulary.h"

enum { qk_added_max_length = 4096 };

struct qk_added_token {
    const char *content; /* as the file has it */
    const char *pattern; /* what is looked for: normalised when .normalized */
    size_t n_pattern;
    uint32_t id;
    bool single_word, left, right, normalized, special;
};

struct qk_added_set {
    const struct qk_added_token **sorted; /* (n) by pattern */
    size_t n;
    size_t first[257]; /* patterns that begin with byte b are [first[b], first[b + 1]) */
};

struct qk_added_tokens {
    struct qk_added_token *v; /* (n) */
    size_t n;
    struct qk_added_set raw, normalized; /* looked for in the text as it is, and after normalisation */
    const struct qk_added_token **by_id; /* (n_ids); NULL: not an added one */
    size_t n_ids;
};

/* list: "added_tokens" of the file; ids follow the reference library's numbering, and a file that says otherwise is
 * refused. */
enum qk_code qk_added_tokens_read(const struct qk_json *list, const char *where, const struct qk_vocabulary *vocabulary,
                                  const struct qk_steps *normalizers, struct qk_added_tokens *ret,
                                  struct qk_err *err) QK_CHECKED;
/* NULL when the id is not an added token's. */
const struct qk_added_token *qk_added_tokens_at(const struct qk_added_tokens *added, uint32_t id);
/* Turns occurrences into tokens: leftmost first, of those the longest. */
enum qk_code qk_added_tokens_find(const struct qk_added_set *set, struct qk_pieces *pieces,
                                  struct qk_err *err) QK_CHECKED;

#endif
