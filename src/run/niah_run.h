/* What the parts of a recall run share. */
#ifndef QK_RUN_NIAH_RUN_H
#define QK_RUN_NIAH_RUN_H

#include "part_list.h"
#include "run/niah.h"

extern const struct qk_part_sort qk_niah_part;

/* Datasets of /niah/NAME/cases. */
enum qk_niah_case_set {
    QK_NIAH_TASK,
    QK_NIAH_LENGTH,
    QK_NIAH_DEPTH,
    QK_NIAH_SAMPLE,
    QK_NIAH_PROMPT_TOKENS,
    QK_NIAH_EXPECTED,
    QK_NIAH_ANSWER,
    QK_NIAH_HIT,
    QK_NIAH_EXACT,
    QK_NIAH_MARGIN,
    QK_NIAH_LOGPROB,
    QK_NIAH_SAID,
    QK_N_NIAH_CASE_SETS
};

struct qk_niah_nodes {
    struct qk_node *entry;
    size_t n; /* cases */
    struct qk_node *sets[QK_N_NIAH_CASE_SETS];
};

/* QK_EFORMAT when the entry is not there as it should be. */
enum qk_code qk_niah_nodes_of(const struct qk_table *table, const char *name, struct qk_niah_nodes *ret,
                              struct qk_err *err) QK_CHECKED;

#endif
