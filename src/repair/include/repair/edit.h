/* Edits: which stored rows of a tuned checkpoint a plan changes, and what is put there.
 *
 * Every unit of a plan becomes row ranges of tensors of the tuned checkpoint, through the same (layer, head) → rows map
 * that everything else uses: of a fused or gated tensor exactly the Q and K rows, of a transposed one (GPT-2) columns.
 * KV group g is key head g with the query heads h, h / (H / G) = g. Biases of Q and K go with their matrix.
 *
 * Composite heads: of a latent attention (MLA) the rows of q_b (or q_proj), the k rows of kv_b, and the rope rows of
 * kv_a, which all heads share: those only when every KV group of the layer is named. The latents themselves (q_a, the
 * latent rows of kv_a, their norms) only with QK_PLAN_LATENT; V is made of the same latent as K. An adapter beside a
 * weight (zamba2) goes with it; its shared half again only with all groups. Methods that turn a head's space (qk-pro,
 * rotate) do not apply to composite heads: QK_EUNSUPPORTED.
 *
 * Values: restore copies the base's bytes where both store the same type under the same scale, else decodes, divides by
 * the tuned tensor's scale and rounds to nearest even; a finite value that does not fit the tuned type is QK_EFORMAT.
 * blend rounds (1 − α) W1 + α W0 the same way; aligned heads are made by repair/align.h. Norms are always restored.
 *
 * Edits borrow models and plan. Reading is thread-safe. */
#ifndef QK_REPAIR_EDIT_H
#define QK_REPAIR_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/model.h"
#include "repair/plan.h"

enum qk_edit_how {
    QK_EDIT_COPY,    /* the base's bytes */
    QK_EDIT_CONVERT, /* the base's values in the tuned tensor's type and scale */
    QK_EDIT_BLEND,   /* (1 − α) W1 + α W0 */
    QK_EDIT_HEAD,    /* rows of an aligned head: head, head_row */
};
const char *qk_edit_how_name(enum qk_edit_how how); /* "copied" "converted" "blended" "aligned" */

/* count logical rows [first, first + count) of a tensor. Its bytes lie in extents: one where rows are stored whole, one
 * a column where the tensor is transposed. */
struct qk_edit {
    const struct qk_tensor *tensor, *base; /* of the tuned checkpoint and of the base: same shape */
    uint64_t first, base_first, count;
    bool transposed;
    size_t layer;
    enum qk_role role; /* Q, K, QK_BIAS, QK_NORM, or NORM (of a latent) */
    const struct qk_plan_unit *unit;
    enum qk_edit_how how;
    double alpha;             /* of BLEND */
    double scale, base_scale; /* of 8-bit tensors, else 1 */
    size_t head;              /* HEAD: index into qk_edits.heads */
    uint64_t head_row;        /* HEAD: row of the head's matrix that first is; of a bias too */
    bool is_bias;             /* HEAD: the matrix's last column */
    uint64_t n_bytes;
};

/* One matrix that is aligned as a whole. */
struct qk_edit_head {
    const struct qk_plan_unit *unit;
    size_t layer, head;
    enum qk_role role; /* Q or K */
    bool has_bias;
};

struct qk_edits {
    const struct qk_model *base, *tuned;
    size_t n;
    struct qk_edit *edits; /* in file order: by shard, offset, row; disjoint */
    size_t n_heads;
    struct qk_edit_head *heads;
    uint64_t n_bytes;    /* sum over edits */
    size_t n_tensors;    /* that have edits */
    const char *notices; /* what the user should know, a line each; "" when there is nothing */
};

/* *ret owned: qk_edits_free. The models must belong together (same layers and heads). Errors: QK_EUSAGE for units that
 * the model has no layer, KV group or norm for, and for two units that want different values in the same stored rows;
 * QK_EMISMATCH where tensors of the two do not fit; QK_EUNSUPPORTED see above. */
enum qk_code qk_edits_new(const struct qk_plan *plan, const struct qk_model *base, const struct qk_model *tuned,
                          struct qk_edits **ret, struct qk_err *err) QK_CHECKED;
void qk_edits_free(struct qk_edits *edits);

/* Byte ranges of an edit in its tensor. */
size_t qk_edit_n_extents(const struct qk_edit *edit);
void qk_edit_extent(const struct qk_edit *edit, size_t i, uint64_t *ret_at, uint64_t *ret_n);

/* n bytes of an extent from its byte from on, for edits of any kind but HEAD. Cost: one read of base, for BLEND of
 * both.
 */
enum qk_code qk_edit_read(const struct qk_edits *edits, const struct qk_edit *edit, size_t extent, uint64_t from,
                          size_t n, void *buf, struct qk_err *err) QK_CHECKED;

/* Makes aligned heads: reads base and tuned, keeps one head in double precision (4 matrices). Not thread-safe: one per
 * worker. */
struct qk_edit_maker;
enum qk_code qk_edit_maker_new(const struct qk_edits *edits, struct qk_edit_maker **ret, struct qk_err *err) QK_CHECKED;
void qk_edit_maker_free(struct qk_edit_maker *maker);
/* Computes heads[head]; afterwards qk_edit_made gives the bytes of its edits. QK_EFORMAT: NaN or Inf in the weights. */
enum qk_code qk_edit_make(struct qk_edit_maker *maker, size_t head, struct qk_err *err) QK_CHECKED;
/* The extents' bytes of one of the made head's edits, one after the other (edit->n_bytes). */
enum qk_code qk_edit_made(const struct qk_edit_maker *maker, const struct qk_edit *edit, void *buf,
                          struct qk_err *err) QK_CHECKED;

#endif
