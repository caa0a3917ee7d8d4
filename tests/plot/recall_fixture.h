/* Adds to a made-up run what `qkscope niah` and `recommend --measure --store` make of its checkpoints. */
#ifndef QK_TESTS_RECALL_FIXTURE_H
#define QK_TESTS_RECALL_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"

struct recall_shape {
    const char *const *tasks;
    size_t n_tasks;
    size_t n_lengths; /* 512, 1k, 2k … */
    size_t n_depths;
    size_t n_cases; /* per cell */
};

extern const struct recall_shape recall_usual; /* s1, s2, s3; 4 lengths, 5 depths, 4 cases */
extern const struct recall_shape recall_large; /* s1, s2, s3; 9 lengths (to 128k), 20 depths, 10 cases */
extern const struct recall_shape recall_point; /* one prompt file of one length, depth not known */

/* /niah/NAME of all names: the base answers all; the tuned ones lose with task and length, the first most, the second
 * least. One cell of the last checkpoint has no cases. Asserts on failure. */
void add_recall(struct qk_table *table, const struct recall_shape *shape, const char *const *names, size_t n);
/* /recommend/measured: controls, 12 searched variants, 4 held out. The plan is "5 restore, 1 blend 0.25", "plan" among
 * those held out. */
void add_measured(struct qk_table *table, bool reasoning);

#endif
