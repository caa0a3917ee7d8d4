/* The property that holds for every model: slices of all layers and the outer tensors cover every stored row once. */
#ifndef QK_TESTS_MODEL_COVERAGE_H
#define QK_TESTS_MODEL_COVERAGE_H

#include "model/model.h"

/* Fails the test naming the first tensor that is not covered exactly once, or slices out of order, or rows of Q and K
 * that are not in role Q and K. */
void check_coverage(const struct qk_model *model);

#endif
