/* Pieces of text with origins: see pieces.h. */
#include "pieces.h"

#include <string.h>

#include "base/alloc.h"
#include "code_point.h"
#include "pattern.h"

void qk_aligned_release(struct qk_aligned *text)
{
    qk_free(text->s);
    qk_free(text->begin);
    qk_free(text->end);
    *text = (struct qk_aligned){.max = text->max};
}

static bool grow(void **p, size_t cap, size_t size)
{
    void *grown = qk_realloc(*p, cap, size);
    if (grown == NULL) {
        return false;
    }
    *p = grown;
    return true;
}

/* Room for n more bytes; false when there is none, and the fault is noted. */
static bool reserve(struct qk_aligned *text, size_t n)
{
    if (text->failed || text->too_long) {
        return false;
    }
    if (n > text->max || text->n > text->max - n) {
        text->too_long = true;
        return false;
    }
    if (text->n + n <= text->cap) {
        return true;
    }
    size_t cap = text->cap + text->cap / 2 + n + 64;
    void *s = text->s, *begin = text->begin, *end = text->end;
    bool grown = grow(&s, cap, 1) && grow(&begin, cap, sizeof *text->begin) && grow(&end, cap, sizeof *text->end);
    text->s = s;
    text->begin = begin;
    text->end = end;
    text->cap = grown ? cap : text->cap;
    text->failed = !grown;
    return grown;
}

void qk_aligned_add(struct qk_aligned *text, const char *s, size_t n, uint32_t begin, uint32_t end)
{
    if (n == 0 || !reserve(text, n)) {
        return;
    }
    memcpy(text->s + text->n, s, n);
    for (size_t i = text->n; i < text->n + n; i++) {
        text->begin[i] = begin;
        text->end[i] = end;
    }
    text->n += n;
}

void qk_aligned_add_char(struct qk_aligned *text, uint32_t c, uint32_t begin, uint32_t end)
{
    char buf[4];
    qk_aligned_add(text, buf, qk_utf8_write(c, buf), begin, end);
}

void qk_aligned_copy(struct qk_aligned *text, const struct qk_aligned *from, size_t begin, size_t end)
{
    size_t n = end - begin;
    if (n == 0 || !reserve(text, n)) {
        return;
    }
    memcpy(text->s + text->n, from->s + begin, n);
    memcpy(text->begin + text->n, from->begin + begin, n * sizeof *text->begin);
    memcpy(text->end + text->n, from->end + begin, n * sizeof *text->end);
    text->n += n;
}

enum qk_code qk_aligned_check(const struct qk_aligned *text, struct qk_err *err)
{
    if (text->failed) {
        return qk_fail_nomem(err, "text");
    }
    if (text->too_long) {
        return qk_fail(err, QK_EUNSUPPORTED, "the text becomes too long in normalisation (expected at most %zu bytes)",
                       text->max);
    }
    return QK_OK;
}

void qk_pieces_release(struct qk_pieces *pieces)
{
    qk_aligned_release(&pieces->text);
    qk_aligned_release(&pieces->next_text);
    qk_free(pieces->v);
    qk_free(pieces->next);
    qk_pattern_release_cuts(&pieces->cuts);
    *pieces = (struct qk_pieces){0};
}

enum qk_code qk_pieces_push(struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    if (!piece.is_token && piece.begin == piece.end) {
        return QK_OK;
    }
    if (pieces->n_next == pieces->cap_next) {
        size_t cap = pieces->cap_next * 2 + 16;
        void *next = pieces->next;
        if (!grow(&next, cap, sizeof *pieces->next)) {
            return qk_fail_nomem(err, "pieces of text");
        }
        pieces->next = next;
        pieces->cap_next = cap;
    }
    pieces->next[pieces->n_next++] = piece;
    return QK_OK;
}

void qk_pieces_swap(struct qk_pieces *pieces, bool rewritten)
{
    struct qk_piece *v = pieces->v;
    size_t cap = pieces->cap;
    pieces->v = pieces->next;
    pieces->n = pieces->n_next;
    pieces->cap = pieces->cap_next;
    pieces->next = v;
    pieces->n_next = 0;
    pieces->cap_next = cap;
    if (rewritten) {
        struct qk_aligned text = pieces->text;
        pieces->text = pieces->next_text;
        pieces->next_text = text;
        pieces->next_text.n = 0;
    }
}

enum qk_code qk_cuts_add(struct qk_cuts *cuts, size_t begin, size_t end, bool match, struct qk_err *err)
{
    if (cuts->n == cuts->cap) {
        size_t cap = cuts->cap * 2 + 16;
        void *v = cuts->v;
        if (!grow(&v, cap, sizeof *cuts->v)) {
            return qk_fail_nomem(err, "cuts of text");
        }
        cuts->v = v;
        cuts->cap = cap;
    }
    cuts->v[cuts->n++] = (struct qk_cut){begin, end, match};
    return QK_OK;
}

enum qk_code qk_pieces_rewrite(struct qk_pieces *pieces, qk_rewriter rewrite, const void *params, struct qk_err *err)
{
    for (size_t i = 0; i < pieces->n; i++) {
        struct qk_piece piece = pieces->v[i];
        size_t begin = pieces->next_text.n;
        if (!piece.is_token) {
            QK_TRY(rewrite(params, pieces, piece, err));
        }
        piece.begin = begin;
        piece.end = pieces->next_text.n;
        QK_TRY(qk_pieces_push(pieces, piece, err));
    }
    QK_TRY(qk_aligned_check(&pieces->next_text, err));
    qk_pieces_swap(pieces, true);
    return QK_OK;
}
