/* Regular expressions over module names, as PEFT's configs hold them (Python's re).
 *
 * Only whether a name matches is asked, so greedy and lazy repeats are the same and an automaton answers in
 * O(pattern · name), whatever the pattern. Handled: literals, escapes (\d \w \s and their complements, \b \B),
 * classes, groups, alternation, * + ? {m,n}, ^ and $. Lookaround, backreferences and flags are QK_EUNSUPPORTED.
 * Names are taken byte by byte. Read-only after making, so thread-safe. */
#ifndef QK_CKPT_NAME_PATTERN_H
#define QK_CKPT_NAME_PATTERN_H

#include <stdbool.h>

#include "base/arena.h"

struct qk_name_pattern;

/* head and tail are put around the pattern, e.g. "(.*\.)?(" and ")". *ret lives in the arena. QK_EFORMAT for what is no
 * regular expression, QK_EUNSUPPORTED for what is not handled; the text names neither file nor field. */
enum qk_code qk_name_pattern_new(const char *head, const char *pattern, const char *tail, struct qk_arena *arena,
                                 const struct qk_name_pattern **ret, struct qk_err *err) QK_CHECKED;
/* Whether the whole of name matches; *ret. Fails only for want of memory. */
enum qk_code qk_name_pattern_match(const struct qk_name_pattern *pattern, const char *name, bool *ret,
                                   struct qk_err *err) QK_CHECKED;

#endif
