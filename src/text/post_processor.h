/* Post-processors of tokenizer.json: the special tokens that are put around a text.
 *
 * Only what a single text gets is read; offsets are not trimmed (spans say which bytes a token stands for). */
#ifndef QK_TEXT_POST_PROCESSOR_H
#define QK_TEXT_POST_PROCESSOR_H

#include "step.h"

struct qk_frame {
    uint32_t *before, *after;
    size_t n_before, n_after;
};

enum qk_code qk_frame_read(const struct qk_step_spec *spec, struct qk_frame *ret, struct qk_err *err) QK_CHECKED;

#endif
