/* Buffers of a layer's intermediates, taken and given back in order and reused from layer to layer. */
#ifndef QK_FORWARD_SCRATCH_H
#define QK_FORWARD_SCRATCH_H

#include <stddef.h>

#include "base/err.h"

enum { QK_SCRATCH_SLOTS = 48 };

struct qk_scratch {
    size_t n;
    struct {
        float *p;
        size_t cap;
    } slots[QK_SCRATCH_SLOTS];
};

/* rows × cols floats, not zeroed, until the scratch goes back to an earlier mark (its n). */
enum qk_code qk_scratch_take(struct qk_scratch *scratch, size_t rows, size_t cols, float **ret,
                             struct qk_err *err) QK_CHECKED;
void qk_scratch_release(struct qk_scratch *scratch);

#endif
