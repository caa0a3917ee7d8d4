/* Text in a gnuplot script: every string is written for gnuplot's enhanced mode and for LaTeX.
 *
 * The script sets the variable tex; a label whose two forms differ becomes (tex ? '…' : '…'). Strings are
 * single-quoted, where gnuplot neither runs backticks nor expands @macros. Names given by users are escaped for both
 * worlds, so that they show as they are and can do nothing. */
#ifndef QK_PLOT_LABEL_H
#define QK_PLOT_LABEL_H

#include "base/str.h"

/* Appends the expression of markup: plain UTF-8, in which $…$ is mathematics ("$W_Q$": TeX math, resp. enhanced mode)
 * and every '@' stands for the next of the names (NULL when markup has none). Long names lose their middle. */
void qk_label_add(struct qk_str *out, const char *markup, const char *const *names);

#endif
