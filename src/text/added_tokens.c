/* Looking for added tokens: see added_tokens.h.
 *
 * At each place the sorted patterns are narrowed byte by byte; lengths are bounded, so the work is linear in the text.
 */
#include "added_tokens.h"

#include <string.h>

#include "code_point.h"

/* The first pattern in [low, high) whose byte at depth is at least byte; all share what is before. */
static size_t lower_bound(const struct qk_added_set *set, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct qk_added_token *t = set->sorted[middle];
        if (t->n_pattern <= depth || (unsigned char)t->pattern[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The longest pattern that s (n bytes) begins with, or NULL. */
static const struct qk_added_token *longest(const struct qk_added_set *set, const char *s, size_t n)
{
    const struct qk_added_token *found = NULL;
    unsigned char byte = (unsigned char)s[0];
    size_t low = set->first[byte], high = set->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (set->sorted[low]->n_pattern == depth) { /* sorted: the shortest comes first */
            found = set->sorted[low];
        }
        if (depth == n) {
            break;
        }
        byte = (unsigned char)s[depth];
        low = lower_bound(set, low, high, depth, byte);
        high = lower_bound(set, low, high, depth, byte + 1u);
    }
    return found;
}

static bool word_before(const char *s, size_t begin, size_t at)
{
    bool valid;
    uint32_t c;
    if (at == begin) {
        return false;
    }
    size_t before = qk_utf8_before(s, at);
    (void)qk_utf8_read(s + before, at - before, &c, &valid);
    return qk_is_word(c);
}

static bool word_at(const char *s, size_t at, size_t end)
{
    bool valid;
    uint32_t c;
    if (at == end) {
        return false;
    }
    (void)qk_utf8_read(s + at, end - at, &c, &valid);
    return qk_is_word(c);
}

static size_t spaces_before(const char *s, size_t floor, size_t at)
{
    while (at > floor) {
        bool valid;
        uint32_t c;
        size_t before = qk_utf8_before(s, at);
        (void)qk_utf8_read(s + before, at - before, &c, &valid);
        if (!qk_is_space(c)) {
            break;
        }
        at = before;
    }
    return at;
}

static size_t spaces_after(const char *s, size_t at, size_t end)
{
    while (at < end) {
        bool valid;
        uint32_t c;
        size_t step = qk_utf8_read(s + at, end - at, &c, &valid);
        if (!qk_is_space(c)) {
            break;
        }
        at += step;
    }
    return at;
}

static enum qk_code push_token(struct qk_pieces *pieces, size_t begin, size_t end, uint32_t id, struct qk_err *err)
{
    struct qk_piece token = {
        .is_token = true,
        .id = id,
        .origin_begin = pieces->text.begin[begin],
        .origin_end = pieces->text.end[end - 1],
    };
    return qk_pieces_push(pieces, token, err);
}

static enum qk_code find_in_piece(const struct qk_added_set *set, struct qk_pieces *pieces, struct qk_piece piece,
                                  struct qk_err *err)
{
    const char *s = pieces->text.s;
    size_t done = piece.begin, at = piece.begin;
    while (at < piece.end) {
        const struct qk_added_token *token = longest(set, s + at, piece.end - at);
        if (token == NULL) {
            at++;
            continue;
        }
        size_t begin = at, end = at + token->n_pattern;
        at = end;
        if (token->single_word && (word_before(s, piece.begin, begin) || word_at(s, end, piece.end))) {
            continue;
        }
        if (token->left && begin > done) {
            begin = spaces_before(s, done, begin);
        }
        if (token->right) {
            end = spaces_after(s, end, piece.end);
        }
        if (done < begin) {
            QK_TRY(qk_pieces_push(pieces, (struct qk_piece){.begin = done, .end = begin}, err));
        }
        QK_TRY(push_token(pieces, begin > done ? begin : done < end ? done : end - 1, end, token->id, err));
        done = end;
    }
    return qk_pieces_push(pieces, (struct qk_piece){.begin = done, .end = piece.end}, err);
}

enum qk_code qk_added_tokens_find(const struct qk_added_set *set, struct qk_pieces *pieces, struct qk_err *err)
{
    if (set->n == 0) {
        return QK_OK;
    }
    for (size_t i = 0; i < pieces->n; i++) {
        if (pieces->v[i].is_token) {
            QK_TRY(qk_pieces_push(pieces, pieces->v[i], err));
        } else {
            QK_TRY(find_in_piece(set, pieces, pieces->v[i], err));
        }
    }
    qk_pieces_swap(pieces, false);
    return QK_OK;
}

const struct qk_added_token *qk_added_tokens_at(const struct qk_added_tokens *added, uint32_t id)
{
    return id < added->n_ids ? added->by_id[id] : NULL;
}
