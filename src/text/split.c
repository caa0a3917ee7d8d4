/* Cutting pieces at the matches of a pattern, with the five behaviours of the reference library. */
#include "pattern.h"

#include <string.h>

#include "base/str.h"

/* Marks cuts that begin a new piece: cuts are folded from the left, or from the right for MergedWithNext; a cut joins
 * the one before it (in that direction) or not. */
static bool joins(enum qk_behavior behavior, bool match, bool previous_match)
{
    if (behavior == QK_BEHAVIOR_CONTIGUOUS) {
        return match == previous_match;
    }
    return (behavior == QK_BEHAVIOR_MERGED_WITH_PREVIOUS || behavior == QK_BEHAVIOR_MERGED_WITH_NEXT) && match &&
           !previous_match;
}

/* Joins cuts in place, from the left. */
static void fold_left(struct qk_cuts *cuts, enum qk_behavior behavior)
{
    size_t n = 0;
    bool previous = false;
    for (size_t i = 0; i < cuts->n; i++) {
        struct qk_cut cut = cuts->v[i];
        if (n > 0 && joins(behavior, cut.match, previous)) {
            cuts->v[n - 1].end = cut.end;
        } else {
            cuts->v[n++] = cut;
        }
        previous = cut.match;
    }
    cuts->n = n;
}

/* The same from the right; what is kept ends up at the end of the array and is moved to its front. */
static void fold_right(struct qk_cuts *cuts, enum qk_behavior behavior)
{
    size_t first = cuts->n;
    bool previous = false;
    for (size_t i = cuts->n; i-- > 0;) {
        struct qk_cut cut = cuts->v[i];
        if (first < cuts->n && joins(behavior, cut.match, previous)) {
            cuts->v[first].begin = cut.begin;
        } else {
            cuts->v[--first] = cut;
        }
        previous = cut.match;
    }
    cuts->n -= first;
    if (cuts->n > 0) {
        memmove(cuts->v, cuts->v + first, cuts->n * sizeof *cuts->v);
    }
}

static enum qk_code split_piece(struct qk_pieces *pieces, struct qk_piece piece, const struct qk_pattern *pattern,
                                enum qk_behavior behavior, bool invert, struct qk_err *err)
{
    struct qk_cuts *cuts = &pieces->cuts;
    QK_TRY(qk_pattern_find(pattern, pieces->text.s + piece.begin, piece.end - piece.begin, cuts, err));
    for (size_t i = 0; i < cuts->n; i++) {
        cuts->v[i].match ^= invert;
    }
    if (behavior == QK_BEHAVIOR_MERGED_WITH_NEXT) {
        fold_right(cuts, behavior);
    } else {
        fold_left(cuts, behavior);
    }
    for (size_t i = 0; i < cuts->n; i++) {
        if (behavior == QK_BEHAVIOR_REMOVED && cuts->v[i].match) {
            continue;
        }
        struct qk_piece part = {.begin = piece.begin + cuts->v[i].begin, .end = piece.begin + cuts->v[i].end};
        QK_TRY(qk_pieces_push(pieces, part, err));
    }
    return QK_OK;
}

enum qk_code qk_pieces_split(struct qk_pieces *pieces, const struct qk_pattern *pattern, enum qk_behavior behavior,
                             bool invert, struct qk_err *err)
{
    for (size_t i = 0; i < pieces->n; i++) {
        if (pieces->v[i].is_token) {
            QK_TRY(qk_pieces_push(pieces, pieces->v[i], err));
        } else {
            QK_TRY(split_piece(pieces, pieces->v[i], pattern, behavior, invert, err));
        }
    }
    qk_pieces_swap(pieces, false);
    return QK_OK;
}

enum qk_code qk_behavior_read(const struct qk_json *obj, const char *key, const char *dflt, const char *where,
                              enum qk_behavior *ret, struct qk_err *err)
{
    static const char *const names[] = {
        [QK_BEHAVIOR_REMOVED] = "Removed",
        [QK_BEHAVIOR_ISOLATED] = "Isolated",
        [QK_BEHAVIOR_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [QK_BEHAVIOR_MERGED_WITH_NEXT] = "MergedWithNext",
        [QK_BEHAVIOR_CONTIGUOUS] = "Contiguous",
    };
    const char *name;
    QK_TRY(qk_json_opt_string(obj, key, dflt, where, &name, err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (qk_streq(name, names[i])) {
            *ret = (enum qk_behavior)i;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EUNSUPPORTED, "%s: %s '%s' is not supported", where, key, name);
}
