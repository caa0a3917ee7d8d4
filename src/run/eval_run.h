/* What the parts of an eval run share. */
#ifndef QK_RUN_EVAL_RUN_H
#define QK_RUN_EVAL_RUN_H

#include "part_list.h"
#include "run/eval.h"

extern const struct qk_part_sort qk_eval_part;

/* Datasets of /eval/NAME/SET over the problems. */
enum qk_eval_problem_set {
    QK_EVAL_ID,
    QK_EVAL_EXPECTED,
    QK_EVAL_ANSWERS,
    QK_EVAL_HIT,
    QK_EVAL_LOGPROB,
    QK_EVAL_TOKEN_LOGPROB,
    QK_EVAL_MARGIN,
    QK_EVAL_PROMPT_TOKENS,
    QK_EVAL_ANSWER_TOKENS,
    QK_EVAL_SAID,
    QK_N_EVAL_PROBLEM_SETS
};

struct qk_eval_nodes {
    struct qk_node *entry; /* /eval/NAME */
    size_t n;              /* problems */
    struct qk_node *sets[QK_N_EVAL_PROBLEM_SETS];
};

/* QK_EFORMAT when the entry is not there as it should be. */
enum qk_code qk_eval_nodes_of(const struct qk_table *table, const char *name, const char *set,
                              struct qk_eval_nodes *ret, struct qk_err *err) QK_CHECKED;

#endif
