/* A checkpoint's sample: what tells it from others of the same shapes without reading it whole. */
#include <string.h>

#include "base/hash.h"
#include "ckpt/ckpt.h"

enum { SAMPLE_BYTES = 64 };

enum qk_code qk_ckpt_sample(const struct qk_ckpt *ckpt, char ret[65], struct qk_err *err)
{
    struct qk_sha256 sha;
    unsigned char bytes[SAMPLE_BYTES];
    qk_sha256_init(&sha);
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        const struct qk_tensor *t = &ckpt->tensors[i];
        qk_sha256_add(&sha, t->name, strlen(t->name) + 1);
        size_t n = t->n_bytes < SAMPLE_BYTES ? (size_t)t->n_bytes : SAMPLE_BYTES;
        const uint64_t at[] = {0, (t->n_bytes - n) / 2, t->n_bytes - n};
        for (size_t w = 0; w < sizeof(at) / sizeof(at[0]) && n > 0; w++) {
            QK_TRY(qk_ckpt_read(ckpt, t, at[w], n, bytes, err));
            qk_sha256_add(&sha, bytes, n);
        }
    }
    qk_sha256_hex(&sha, ret);
    return QK_OK;
}
