/* Patterns that texts are cut at: a regular expression, a literal, or a class of characters. */
#ifndef QK_TEXT_PATTERN_H
#define QK_TEXT_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "ckpt/json.h"
#include "pieces.h"

struct qk_pattern;

/* A regular expression in the syntax of Oniguruma, as the reference library has it (regex_syntax.h). QK_EUNSUPPORTED
 * for what has no equal here. where names the field. Lives in the arena. */
enum qk_code qk_pattern_regex(struct qk_arena *arena, const char *regex, const char *where,
                              const struct qk_pattern **ret, struct qk_err *err) QK_CHECKED;
enum qk_code qk_pattern_literal(struct qk_arena *arena, const char *text, const struct qk_pattern **ret,
                                struct qk_err *err) QK_CHECKED;
/* {"String": "…"} or {"Regex": "…"} at key of a step's object. */
enum qk_code qk_pattern_read(struct qk_arena *arena, const struct qk_json *obj, const char *key, const char *where,
                             const struct qk_pattern **ret, struct qk_err *err) QK_CHECKED;
/* Single characters of a class. */
enum qk_code qk_pattern_class(struct qk_arena *arena, bool (*is)(uint32_t c), const struct qk_pattern **ret,
                              struct qk_err *err) QK_CHECKED;

/* cuts->v (cuts->n): the matches in s (n bytes of valid UTF-8), from left to right, and what is between them. Work is
 * bounded: a pattern that keeps backtracking is QK_EUNSUPPORTED; Ctrl-C is heeded. */
enum qk_code qk_pattern_find(const struct qk_pattern *pattern, const char *s, size_t n, struct qk_cuts *cuts,
                             struct qk_err *err) QK_CHECKED;
void qk_pattern_release_cuts(struct qk_cuts *cuts);

/* What becomes of the matches when a text is cut. */
enum qk_behavior {
    QK_BEHAVIOR_REMOVED,
    QK_BEHAVIOR_ISOLATED,
    QK_BEHAVIOR_MERGED_WITH_PREVIOUS,
    QK_BEHAVIOR_MERGED_WITH_NEXT,
    QK_BEHAVIOR_CONTIGUOUS,
};
/* The value of obj[key] ("Isolated"); absent: dflt. */
enum qk_code qk_behavior_read(const struct qk_json *obj, const char *key, const char *dflt, const char *where,
                              enum qk_behavior *ret, struct qk_err *err) QK_CHECKED;
/* Cuts every piece that is not a token; invert exchanges matches and the rest. */
enum qk_code qk_pieces_split(struct qk_pieces *pieces, const struct qk_pattern *pattern, enum qk_behavior behavior,
                             bool invert, struct qk_err *err) QK_CHECKED;

#endif
