/* Whether an answer is the expected one: three rules, one row each.
 *
 *   exact     the same text, white space at the ends aside
 *   contains  the expected text, white space at its ends aside, is part of the answer; ASCII upper and lower case alike
 *   number    the last number of the answer has the value of the last number of the expected text
 *
 * A number is digits, possibly with commas between groups of three ("1,234,567"), a decimal part (".5", "3.25"), an
 * exponent ("1e-5"), or two of whole digits with a slash between them ("3/4", but not in "1/2/2024" and not over zero).
 * A minus in front counts where no letter, digit, closing bracket or full stop stands before it ("is -5", but not
 * "10-5"). Whole numbers and decimals are compared as digits, however long: 7, 7.0 and 007 are the same; where an
 * exponent or a slash is involved as doubles, to 1 part in 10^12. What is not ASCII ends a number; U+2212 is a minus.
 */
#ifndef QK_RUN_ANSWER_MATCH_H
#define QK_RUN_ANSWER_MATCH_H

#include <stdbool.h>
#include <stddef.h>

enum qk_match { QK_MATCH_EXACT, QK_MATCH_CONTAINS, QK_MATCH_NUMBER, QK_N_MATCHES };

struct qk_match_rule {
    const char *name;
    const char *definition; /* what makes a hit, for results */
    bool (*fits)(const char *answer, const char *expected);
};

const struct qk_match_rule *qk_match_rule(enum qk_match match);
/* The names, ending with NULL. */
extern const char *const qk_match_names[QK_N_MATCHES + 1];
/* false when there is no such name. */
bool qk_match_find(const char *name, enum qk_match *ret);
/* Whether there is a number in text. */
bool qk_text_has_number(const char *text);

/* Whether what follows an answer belongs to its last word, so that the answer was not all that was said: "42" behind
 * "4", "7.5" behind "7". QK_WORD_OPEN: more of the text is needed to tell. */
enum qk_word_end { QK_WORD_ENDS, QK_WORD_GOES_ON, QK_WORD_OPEN };
enum qk_word_end qk_text_word_end(const char *answer, const char *following);

#endif
