/* Reused buffers: slot i grows to the largest that was asked of it. */
#include "scratch.h"

#include "base/alloc.h"

enum qk_code qk_scratch_take(struct qk_scratch *s, size_t rows, size_t cols, float **ret, struct qk_err *err)
{
    size_t n = 0;
    if (!qk_size_mul(rows, cols, &n) || s->n == QK_SCRATCH_SLOTS) {
        return qk_fail_nomem(err, "activations");
    }
    if (s->slots[s->n].cap < n) {
        qk_free(s->slots[s->n].p);
        s->slots[s->n].p = NULL;
        s->slots[s->n].cap = 0;
        s->slots[s->n].p = qk_alloc_aligned(n, sizeof(float));
        if (!s->slots[s->n].p) {
            return qk_fail_nomem(err, "activations");
        }
        s->slots[s->n].cap = n;
    }
    *ret = s->slots[s->n++].p;
    return QK_OK;
}

void qk_scratch_release(struct qk_scratch *s)
{
    for (size_t i = 0; i < QK_SCRATCH_SLOTS; i++) {
        qk_free(s->slots[i].p);
    }
    *s = (struct qk_scratch){0};
}
