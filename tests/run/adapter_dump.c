/* What a checkpoint shows of each tensor, for comparison: adapter_dump PATH BASE as-is|as-stored BLOCK
 *
 * Prints "name dtype bytes", then the tensor's bytes, read in blocks of BLOCK bytes (0: in one go). BASE "-": none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ckpt/adapter.h"

static enum qk_code dump(const struct qk_ckpt *ckpt, const struct qk_tensor *t, size_t block, struct qk_err *err)
{
    size_t n = (size_t)t->n_bytes;
    unsigned char *bytes = qk_calloc(n + 1, 1);
    enum qk_code code = bytes == NULL ? qk_fail_nomem(err, t->name) : QK_OK;
    for (size_t at = 0; code == QK_OK && at < n; at += block) {
        block = block == 0 || n - at < block ? n - at : block;
        code = qk_ckpt_read(ckpt, t, at, block, bytes + at, err);
    }
    if (code == QK_OK) {
        printf("%s %s %zu\n", t->name, qk_dtype_info(t->dtype)->name, n);
        fwrite(bytes, 1, n, stdout);
    }
    qk_free(bytes);
    return code;
}

int main(int argc, char **argv)
{
    struct qk_err err = {0};
    struct qk_ckpt *base = NULL, *ckpt = NULL;
    if (argc != 5) {
        return 2;
    }
    enum qk_code code = strcmp(argv[2], "-") == 0 ? QK_OK : qk_ckpt_open(argv[2], &base, &err);
    struct qk_adapter_options options = {.base = base, .as_stored = strcmp(argv[3], "as-stored") == 0};
    if (code == QK_OK) {
        code = qk_adapter_open(argv[1], &options, &ckpt, &err);
    }
    for (size_t i = 0; code == QK_OK && i < ckpt->n_tensors; i++) {
        code = dump(ckpt, &ckpt->tensors[i], (size_t)atol(argv[4]), &err);
    }
    qk_ckpt_close(ckpt);
    qk_ckpt_close(base);
    if (code != QK_OK) {
        fprintf(stderr, "%s\n%s\n", err.text, err.hint);
    }
    return qk_exit_status(code);
}
