/* A text on its way to tokens (or back): bytes that remember where in the input they come from, cut into pieces.
 *
 * Normalizers and pre-tokenizers rewrite pieces or cut them further; added tokens turn a piece into an id. Decoders use
 * the same, with one piece per token. All text in it is valid UTF-8 (except for decoders that were asked for bytes). */
#ifndef QK_TEXT_PIECES_H
#define QK_TEXT_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Growing bytes with origins. Failures stick, as in struct qk_str, and qk_aligned_check reports them. */
struct qk_aligned {
    char *s;
    uint32_t *begin, *end; /* (n) origin of each byte: [begin, end) of the input */
    size_t n, cap;
    size_t max; /* bytes it may hold */
    bool failed, too_long;
};

void qk_aligned_release(struct qk_aligned *text);
/* Appends n bytes that all come from [begin, end). */
void qk_aligned_add(struct qk_aligned *text, const char *s, size_t n, uint32_t begin, uint32_t end);
void qk_aligned_add_char(struct qk_aligned *text, uint32_t c, uint32_t begin, uint32_t end);
/* Appends bytes [begin, end) of another text with their origins. */
void qk_aligned_copy(struct qk_aligned *text, const struct qk_aligned *from, size_t begin, size_t end);
enum qk_code qk_aligned_check(const struct qk_aligned *text, struct qk_err *err) QK_CHECKED;

struct qk_piece {
    size_t begin, end; /* bytes of the text */
    bool is_token;     /* then id holds, and the text of the piece may be gone */
    uint32_t id;
    uint32_t origin_begin, origin_end; /* of a token */
};

/* Where a pattern matches: covers a piece without gaps, in order. */
struct qk_cut {
    size_t begin, end;
    bool match;
};

struct qk_cuts {
    struct qk_cut *v;
    size_t n, cap;
    void *match_data; /* of the regex engine, made on first use */
    void *match_context;
    uint64_t effort; /* steps that slow matches have taken so far */
};

struct qk_pieces {
    struct qk_aligned text;
    struct qk_piece *v;
    size_t n, cap;
    bool bytes; /* decoders keep broken UTF-8 as it is */

    struct qk_aligned next_text; /* what a rewrite builds, then swapped */
    struct qk_piece *next;
    size_t n_next, cap_next;
    struct qk_cuts cuts;
};

void qk_pieces_release(struct qk_pieces *pieces);
/* Appends a piece to the list that replaces the current one; empty text is left out. */
enum qk_code qk_pieces_push(struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err) QK_CHECKED;
/* Makes the pushed pieces (and, when rewritten, the built text) the current ones. */
void qk_pieces_swap(struct qk_pieces *pieces, bool rewritten);
enum qk_code qk_cuts_add(struct qk_cuts *cuts, size_t begin, size_t end, bool match, struct qk_err *err) QK_CHECKED;

/* Builds the new text of one piece of pieces->text at the end of pieces->next_text. */
typedef enum qk_code (*qk_rewriter)(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                    struct qk_err *err);
/* Rewrites every piece that is not a token. */
enum qk_code qk_pieces_rewrite(struct qk_pieces *pieces, qk_rewriter rewrite, const void *params,
                               struct qk_err *err) QK_CHECKED;

#endif
