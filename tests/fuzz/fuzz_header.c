/* Fuzz target: a whole safetensors file in memory. */
#include "both_ways.h"

#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "safetensors.h"

static enum qk_code parse(struct qk_check *check, const char *text, size_t size, struct qk_arena *arena,
                          struct qk_safetensors *st, bool *usable, struct qk_err *err)
{
    size_t len, n_head = size < qk_foreign_head ? size : qk_foreign_head;
    QK_TRY(qk_safetensors_frame(check, "f", text, n_head, size, &len, usable, err));
    if (!*usable) {
        return QK_OK;
    }
    char *header = malloc(len + (len == 0)); /* of exact size, so that the sanitizer sees a read too far */
    qk_fuzz_require(header != NULL, "memory");
    memcpy(header, text + 8, len);
    enum qk_code code = qk_safetensors_parse(check, "f", header, len, size, arena, st, usable, err);
    free(header);
    return code;
}

/* What an accepted file promises to all that read it. */
static void check_accepted(const struct qk_safetensors *st, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < st->n_tensors; i++) {
        const struct qk_tensor *t = &st->tensors[i];
        uint64_t n = 1;
        for (size_t d = 0; d < t->n_dims; d++) {
            n *= t->shape[d];
        }
        sum += t->n_bytes;
        qk_fuzz_require(t->n_dims <= QK_MAX_DIMS && n == t->n_elements, "elements are the product of the shape");
        qk_fuzz_require(n * qk_dtype_info(t->dtype)->bits == 8 * t->n_bytes, "bytes fit shape and dtype");
        qk_fuzz_require(t->offset >= 10 && t->offset <= size && t->n_bytes <= size - t->offset,
                        "data is inside the file");
        qk_fuzz_require(i == 0 || strcmp(st->tensors[i - 1].name, t->name) < 0, "names are sorted and differ");
    }
    qk_fuzz_require(sum <= size, "tensors do not overlap");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct qk_fuzz_first first = {.n = 0};
    struct qk_check quiet = {0}, loud = {.report = qk_fuzz_collect, .ctx = &first};
    struct qk_safetensors st = {0}, all = {0};
    struct qk_err err = {0};
    bool usable = false, all_usable = false;
    struct qk_arena *arena = qk_arena_new();
    enum qk_code code = parse(&quiet, text, size, arena, &st, &usable, &err);
    qk_fuzz_require(parse(&loud, text, size, arena, &all, &all_usable, &err) == QK_OK, "validation goes on");
    qk_fuzz_agree(code, &err, &first);
    qk_fuzz_require(all_usable == (code == QK_OK), "usable means without violation");
    if (code == QK_OK) {
        check_accepted(&st, size);
    }
    qk_safetensors_release(&st);
    qk_safetensors_release(&all);
    qk_arena_free(arena);
    return 0;
}
