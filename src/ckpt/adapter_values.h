/* The values of a tensor that an adapter changes: see ckpt/adapter.h for the formulas. */
#ifndef QK_CKPT_ADAPTER_VALUES_H
#define QK_CKPT_ADAPTER_VALUES_H

#include <stdatomic.h>

#include "base/arena.h"
#include "ckpt/adapter.h"

/* One part at work. The stored matrix is gain · (W0 + scale · left · right). */
struct qk_adapter_values {
    const struct qk_adapter *adapter;
    const struct qk_adapter_part *part;
    const struct qk_tensor *source;   /* of W0: the part's saved or base */
    enum qk_dtype dtype;              /* shown */
    uint64_t rows, cols;              /* as stored; a vector is (n, 1) */
    double source_scale, shown_scale; /* of 8-bit tensors, else 1 */
    size_t rank;                      /* 0: the saved tensor alone */
    float *left, *right;              /* (rows, rank), (rank, cols); owned */
    double *magnitude;                /* per output feature, NULL without DoRA; owned */
    _Atomic(double) *gain;            /* magnitude / norm where it is known, else 0; owned */
};

/* Reads the factors of a part whose shapes have been checked. Release in every case (zeroed before). */
enum qk_code qk_adapter_values_load(const struct qk_adapter *adapter, const struct qk_adapter_part *part,
                                    struct qk_adapter_values *ret, struct qk_err *err) QK_CHECKED;
void qk_adapter_values_release(struct qk_adapter_values *values);
/* A qk_overlay_read_fn; ctx is a struct qk_adapter_values. */
enum qk_code qk_adapter_values_read(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err) QK_CHECKED;

#endif
