/* Two checkpoints byte by byte: which tensors differ, in which rows, and what those rows are.
 *
 * Tensors are matched by name and read once, in chunks; rows are those of the logical (out, in) matrix, the columns of
 * a tensor that its family stores transposed. With edits, B is held against what A becomes by them: A's own bytes
 * everywhere else, the planned bytes in the edited rows. Layout (shards and their headers) and the other files of both
 * directories are compared too.
 *
 * Memory: two chunks of 1 MiB a thread, one bit a row of both checkpoints' common tensors, and the list of what
 * differs. Cost: one read of both. The result does not depend on the number of threads. */
#ifndef QK_REPAIR_COMPARE_H
#define QK_REPAIR_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "ckpt/ckpt.h"
#include "model/model.h"
#include "repair/edit.h"

struct qk_compare_options {
    const struct qk_model *model; /* of A, for layers and roles; NULL = tensors only by name */
    const struct qk_edits *edits; /* NULL, or edits with A's model as tuned */
    bool tensors_only;            /* neither layout nor other files */
    struct qk_pool *pool;
    const struct qk_progress *progress; /* in bytes of B; may be NULL */
};

/* count differing rows from first on. */
struct qk_compare_rows {
    uint64_t first, count;
};

/* What differing rows of a tensor are. */
struct qk_compare_part {
    const char *role; /* qk_role_name, or the role of an outer tensor */
    size_t layer;     /* SIZE_MAX outside the layers */
    uint64_t n_rows;  /* differing ones */
    size_t n_heads;   /* q and k (biases too): the heads that have differing rows, ascending; else 0 */
    const size_t *heads;
};

struct qk_compare_tensor {
    const char *name;
    const struct qk_tensor *a, *b; /* NULL: not there. Other dtype or shape: the bytes are not compared */
    uint64_t n_rows;
    uint64_t n_differing; /* rows; 0 when bytes were not compared */
    uint64_t first_byte;  /* in the tensor: the first that differs */
    double max_abs;       /* largest |B − A| of the decoded numbers; INFINITY where NaN or Inf came or went; NaN for
                             integers */
    uint64_t n_planned_rows; /* rows that the edits change */
    size_t n_ranges;
    const struct qk_compare_rows *ranges;
    size_t n_parts;
    const struct qk_compare_part *parts; /* by layer, then role */
};

enum qk_compare_file { QK_FILE_DIFFERS, QK_FILE_ONLY_A, QK_FILE_ONLY_B };

struct qk_compare_other {
    const char *name; /* below the directory */
    enum qk_compare_file how;
};

struct qk_compare {
    bool equal;
    size_t n_tensors; /* compared, in both */
    uint64_t n_bytes; /* of those in B */
    size_t n_differing;
    const struct qk_compare_tensor *differing; /* by name; those of one checkpoint only included */
    size_t n_planned_tensors;                  /* that the edits change */
    uint64_t n_planned_rows;
    size_t n_layout;
    const char *const *layout; /* one sentence each */
    size_t n_files;            /* other files in both directories */
    size_t n_other;
    const struct qk_compare_other *other; /* by name */
};

/* ret's memory is the arena's. Reading errors of either side; QK_EFORMAT when an aligned head cannot be made. */
enum qk_code qk_compare(const struct qk_ckpt *a, const struct qk_ckpt *b, const struct qk_compare_options *options,
                        struct qk_arena *arena, struct qk_compare *ret, struct qk_err *err) QK_CHECKED;

#endif
