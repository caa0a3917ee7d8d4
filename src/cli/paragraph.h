/* Text set into lines: words are wrapped at a width counted in characters (UTF-8 code points). Private to src/cli. */
#ifndef QK_CLI_PARAGRAPH_H
#define QK_CLI_PARAGRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Code points of n bytes. */
size_t qk_text_columns(const char *s, size_t n);
/* Appends s, wrapped so that no line is longer than width (a longer word stands alone). A number, its unit and what
 * stands in parentheses behind it count as one word, and so do numbers with "->" or "to" between them. The text begins
 * at column `at` of the current line; further lines are indented by `indent`. Ends with a newline. */
void qk_paragraph(struct qk_str *out, const char *s, size_t n, size_t at, size_t indent, size_t width);

/* Cuts a description into paragraphs at blank lines. *text advances; false at the end. verbatim: it begins with a
 * space and is to be kept line by line. */
bool qk_next_paragraph(const char **text, const char **ret_s, size_t *ret_n, bool *ret_verbatim);
/* One line of a verbatim paragraph. */
bool qk_next_line(const char **s, size_t *n, const char **ret_line, size_t *ret_len);

#endif
