/* The problem files of a diagnosis, as text. Private to src/cli. */
#ifndef QK_CLI_DIAGNOSE_PROBLEMS_H
#define QK_CLI_DIAGNOSE_PROBLEMS_H

#include "base/err.h"

/* Every line of a file with something in it, by turns into two files, which are replaced; at least two lines. */
enum qk_code qk_diagnose_split_problems(const char *path, const char *first, const char *second,
                                        struct qk_err *err) QK_CHECKED;
/* About how many tokens a file of problems has. */
enum qk_code qk_diagnose_problem_tokens(const char *path, double *ret, struct qk_err *err) QK_CHECKED;

#endif
