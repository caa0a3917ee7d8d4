/* What a run file holds about one tuned checkpoint, checked and resolved once: the layers of /model and the datasets of
 * /drift, /probe and /routing that findings and scores read. A dataset of another shape counts as missing.
 *
 * Borrows the table, which must outlive it; memory from the arena it was made with. Read-only after opening. */
#ifndef QK_ADVISE_EVIDENCE_H
#define QK_ADVISE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"
#include "model/model.h"

/* One dataset of the run: its group, its leaf, and whether it is the base's. Rows in evidence.c, same order. */
enum qk_datum {
    QK_DATUM_QK_EFF,       /* /drift/TUNED/qk_eff_rel_drift */
    QK_DATUM_QK_REL,       /* qk_rel_drift */
    QK_DATUM_QK_STATE,     /* qk_rel_drift_state */
    QK_DATUM_Q_ALIGNABLE,  /* q_alignable (L, H) */
    QK_DATUM_K_ALIGNABLE,  /* k_alignable (L, G) */
    QK_DATUM_Q_NORM_DELTA, /* q_norm_delta (L, H) */
    QK_DATUM_K_NORM_DELTA, /* k_norm_delta (L, G) */
    QK_DATUM_Q_FLOOR,      /* q_at_noise_floor (L, H): 0 above, 1 at the floor, 2 identical */
    QK_DATUM_K_FLOOR,      /* k_at_noise_floor (L, G) */
    QK_DATUM_DISTANCE,     /* qk_distance_drift (L, H, tau) */
    QK_DATUM_BAND,         /* qk_band_drift (L, H, pair) */
    QK_DATUM_MODULES,      /* module_rel_drift (L, module) */
    QK_DATUM_OUTER,        /* outer_rel_drift (outer) */
    QK_DATUM_TAIL_LOSS,    /* /routing/TUNED/tail_loss (L, H) */
    QK_DATUM_TAIL_LOSS_LO, /* its interval */
    QK_DATUM_TAIL_LOSS_HI,
    QK_DATUM_TAIL_WINDOW,
    QK_DATUM_SHIFT, /* distance_shift (L, H) and its interval */
    QK_DATUM_SHIFT_LO,
    QK_DATUM_SHIFT_HI,
    QK_DATUM_BASE_NEEDLE,  /* /probe/BASE/retrieval_mass (L, H) */
    QK_DATUM_TUNED_NEEDLE, /* /probe/TUNED/retrieval_mass */
    QK_DATUM_BASE_SCORE,   /* retrieval_score, where the run has it */
    QK_DATUM_TUNED_SCORE,
    QK_DATUM_BASE_SINK, /* sink_mass (L, H) */
    QK_DATUM_TUNED_SINK,
    QK_DATUM_BASE_NLL, /* nll (sequence) */
    QK_DATUM_TUNED_NLL,
    QK_N_DATA
};

/* A dataset as rows × width × depth; node NULL when the run has none. */
struct qk_cells {
    const struct qk_node *node;
    size_t n_rows, width, depth;
};
/* NaN outside and without the dataset; a flag that is missing (255) is NaN too. */
double qk_cells_at(const struct qk_cells *cells, size_t row, size_t column, size_t depth);

struct qk_evidence_layer {
    enum qk_layer_kind kind;
    size_t n_heads, n_kv_heads; /* 0 where there are no Q and K */
    bool has_rope, has_qk_norm;
};

/* Scores of heads from another program (advise/head_list.h): n_layers × width, NaN where there is none. */
struct qk_head_scores {
    const double *scores; /* NULL: no list was given */
    size_t width;
};

struct qk_evidence {
    const struct qk_table *table;
    const char *base, *tuned;               /* names */
    const char *base_sha256, *tuned_sha256; /* of the headers */
    const char *base_sample, *tuned_sample; /* sample_sha256; "" when the run does not say */
    const char *family;                     /* "" when the run does not say */
    double vocab_size, max_position;        /* NaN when the run does not say */
    size_t n_layers;
    const struct qk_evidence_layer *layers;
    struct qk_cells data[QK_N_DATA];
    const struct qk_node *base_sums, *tuned_sums; /* /probe/NAME/sums/scalar, or NULL */
    bool has_drift;                               /* some head's routing form was compared */
    bool has_probe;  /* some head's attention was compared with the base's on the same probes */
    bool has_needle; /* and the probes mark a needle */
    struct qk_head_scores listed;
    size_t n_probes;
    double longest_probe; /* tokens; NaN without probes */
};

/* checkpoint: the tuned checkpoint's name; NULL = the one that the run's plan (/recommend) is for, else the last one
 * that it compares with a base. QK_EUSAGE for a name that the run does not have (the hint lists those it has) and for a
 * run without any; QK_EFORMAT for a file without /model or without the hashes of the pair. */
enum qk_code qk_evidence_open(const struct qk_table *table, const char *checkpoint, struct qk_arena *arena,
                              struct qk_evidence *ret, struct qk_err *err) QK_CHECKED;

double qk_evidence_at(const struct qk_evidence *e, enum qk_datum datum, size_t layer, size_t head);
/* The score that the list of heads gives; NaN where it gives none, and without a list. */
double qk_evidence_listed(const struct qk_evidence *e, size_t layer, size_t head);
/* The key head that a query head reads. */
size_t qk_evidence_kv_head(const struct qk_evidence *e, size_t layer, size_t head);
/* Relative drift of the routing form: with norm weights folded in where it is there, else without. */
double qk_evidence_drift(const struct qk_evidence *e, size_t layer, size_t head);
/* Share of ‖ΔQ‖² + ‖ΔK‖² of a head and its key head that rotations of the two bases explain, in [0, 1]; NaN unknown or
 * nothing changed. */
double qk_evidence_alignable(const struct qk_evidence *e, size_t layer, size_t head);
/* Both W_Q and W_K of the head at the rounding floor, or unchanged. */
bool qk_evidence_at_floor(const struct qk_evidence *e, size_t layer, size_t head);
/* Fall of the attention on the needle (retrieval_mass) or of retrieval_score, whichever fell more; NaN unknown. */
double qk_evidence_needle_fall(const struct qk_evidence *e, size_t layer, size_t head);
/* The same at the lower end of the 95 % interval over the probes (Student's t of the paired differences, from the sums
 * that the run keeps per probe); the fall itself where fewer than two probes mark a needle. */
double qk_evidence_needle_loss(const struct qk_evidence *e, size_t layer, size_t head);
/* module_rel_drift of a module by name; NaN where there is none. */
double qk_evidence_module(const struct qk_evidence *e, size_t layer, const char *module);
/* Mean nll over the probes on which the base's is finite; the tuned checkpoint's is infinite where it has none there.
 * NaN without such probes. */
double qk_evidence_nll(const struct qk_evidence *e, bool of_base);
/* True for layers with softmax attention over all keys, resp. with any Q and K. */
bool qk_evidence_is_full(const struct qk_evidence *e, size_t layer);
bool qk_evidence_has_qk(const struct qk_evidence *e, size_t layer);

#endif
