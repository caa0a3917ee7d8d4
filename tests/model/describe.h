/* A layer as one line of text, in the form of tests/data/models/<model>/expect.txt. */
#ifndef QK_TESTS_MODEL_DESCRIBE_H
#define QK_TESTS_MODEL_DESCRIBE_H

#include <stdio.h>

#include "model/model.h"

void describe_top(FILE *out, const struct qk_model *model);
void describe_layer(FILE *out, const struct qk_model *model, const struct qk_layer *layer);

#endif
