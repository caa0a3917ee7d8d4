/* The working parts of a drift run: what a layer's heads give, the scratch memory of workers, and the steps in order.
 *
 * A layer is done in batches of whole KV groups, as many as fit the memory for Gram matrices: first every head of the
 * batch on its own (one streaming pass over base and tuned), then the routing forms of its query heads. What the Grams
 * cannot settle (rotations, gauge moves, ill-conditioned heads) is collected and evaluated from the matrices at the end
 * of the layer. */
#ifndef QK_RUN_DRIFT_RUN_H
#define QK_RUN_DRIFT_RUN_H

#include "analyses/drift.h"
#include "analyses/metric.h"
#include "base/arena.h"
#include "base/pool.h"
#include "run/drift.h"
#include "selection.h"

enum { QK_RUN_TILE = 256 }; /* columns per tile */

/* Scratch of one worker. */
struct qk_worker {
    struct qk_head_reader *base, *tuned;
    double *tile, *packed;      /* both sides of QK_RUN_TILE columns: as decoded, and packed for the products */
    double *sums, *scaled_sums; /* Grams being added up */
    double *rows;               /* two Grams with norm weights folded in */
    double *work;               /* of the projection and distance metrics */
    struct qk_form *bands;
    unsigned char *chunk[2]; /* raw bytes of a module */
};

/* Memory for the evaluation of one head from its matrices. */
struct qk_direct_slot {
    double *matrices; /* both matrices, or a stack */
    double *gram;     /* one Gram */
    double *factors;  /* R_Q and R_K */
    double *work;
};

struct qk_sizes {
    size_t k, d;         /* largest head_dim and input size of any layer */
    size_t gram_doubles; /* of a batch */
    size_t work, slot_matrices, slot_work;
    size_t n_slots;
    size_t total_bytes;
};

struct qk_drift_run {
    const struct qk_run_input *base, *tuned; /* the pair at hand */
    const struct qk_drift_options *options;
    struct qk_selection selection;
    struct qk_pool *pool;
    struct qk_sizes sizes;
    size_t n_workers;
    struct qk_worker *workers;
    struct qk_direct_slot *slots;
    double *grams;
    size_t n_tau;
    double tau[66];
    struct qk_arena *arena; /* of the run */
};

enum { QK_DIRECT_RAW = 4, QK_DIRECT_DISTANCE = 8, QK_DIRECT_BAND = 16, QK_DIRECT_EFFECTIVE = 32 };

/* One layer at work. Heads of both sides lie behind each other: index h < n_heads is query head h, index n_heads + g is
 * key head g. */
struct qk_layer_run {
    struct qk_drift_run *run;
    const struct qk_layer *base, *tuned;
    size_t n_heads, n_kv, group, k, d;
    struct qk_pairs pairs; /* rope only */
    const double *g[2];    /* input norm weights of base and tuned, NULL = none */
    bool same_g;
    const double *w[2][2];        /* q/k norm weights [side q = 0, k = 1][base = 0, tuned = 1], NULL = none */
    struct qk_projection *heads;  /* n_heads + n_kv */
    struct qk_routing *routing;   /* n_heads */
    double *tau_base2;            /* n_heads × n_tau: ‖M_τ0‖² */
    double *band_base2;           /* n_heads × n_rotary */
    unsigned *todo;               /* n_heads + n_kv: QK_FALLBACK_* and QK_DIRECT_* still to be evaluated */
    size_t first_group, n_groups; /* the batch */
    struct qk_gram *raw, *scaled; /* Grams of the batch: key heads, then query heads */
    struct qk_arena *arena;       /* of the layer */
};

/* Sizes for the model, n_workers workers. */
enum qk_code qk_sizes_of(const struct qk_run_input *base, size_t n_workers, unsigned needs, struct qk_sizes *ret,
                         struct qk_err *err) QK_CHECKED;
/* Allocates workers and slots for the pair at hand; release takes a half-built one. */
enum qk_code qk_workers_init(struct qk_drift_run *run, struct qk_err *err) QK_CHECKED;
void qk_workers_release(struct qk_drift_run *run);

/* All heads of one layer into layer->heads and layer->routing. */
enum qk_code qk_layer_heads(struct qk_layer_run *layer, struct qk_err *err) QK_CHECKED;
/* One head's Grams by streaming both sides; scaled NULL when not wanted. Leaves the readers loaded. */
enum qk_code qk_stream_head(const struct qk_layer_run *layer, size_t head, struct qk_worker *worker,
                            struct qk_gram *raw, struct qk_gram *scaled, double *ret_ulp2,
                            struct qk_err *err) QK_CHECKED;
/* Whether the input norm has to be folded in separately. */
bool qk_layer_has_scaled(const struct qk_layer_run *layer);
/* q/k norm weights of head on side (0 q, 1 k). */
struct qk_row_weights qk_layer_row_weights(const struct qk_layer_run *layer, size_t side, size_t head);
/* The routing metrics of query head h of the batch from the Grams. */
void qk_routing_from_batch(struct qk_layer_run *layer, size_t h, struct qk_worker *worker);
/* qk_eff_rel_drift of all heads, once every head's norms are known. */
void qk_finish_effective(struct qk_layer_run *layer);
/* Evaluates everything in layer->todo from the matrices. */
enum qk_code qk_layer_direct(struct qk_layer_run *layer, struct qk_err *err) QK_CHECKED;

/* Sums per module of one layer (n = qk_module_count()), Q and K taken from the heads where they are the same rows
 * (layer NULL: the heads were not computed). */
enum qk_code qk_layer_modules(struct qk_drift_run *run, size_t index, const struct qk_layer_run *layer,
                              struct qk_module_sum *ret, struct qk_err *err) QK_CHECKED;
/* The same for the tensors outside the layers (n = qk_outer_count()). */
enum qk_code qk_outer_modules(struct qk_drift_run *run, struct qk_module_sum *ret, struct qk_err *err) QK_CHECKED;

#endif
