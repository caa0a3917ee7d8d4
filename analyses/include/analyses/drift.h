/* Drift of one head, of one routing form, of one module: the numbers that the metric rows read, and how they are made
 * from delta Grams (num/gram.h).
 *
 * Index 0 = base, 1 = tuned, Δ = W1 − W0. The routing form of query head h is M = W_Qᵀ W_K (D, D), never built:
 *   ‖M0‖²       = tr(A_Q A_K)
 *   ‖M1 − M0‖²  = tr(E_Q B_K) + 2 tr(F_Q G_K) + tr(A_Q E_K)     from M1 − M0 = ΔQᵀ K1 + Q0ᵀ ΔK
 *   ⟨M1−M0, M0⟩ = tr(F_Q (A_K + F_Kᵀ)) + tr(A_Q F_K)
 * with B_K = W1W1ᵀ = A + F + Fᵀ + E and G_K = ΔK K1ᵀ = F + E of the key head. Where ‖M1 − M0‖² is small against its
 * terms (a gauge move), it is evaluated again from the matrices (qk_routing_direct).
 *
 * All functions are pure and thread-safe; memory is passed in. */
#ifndef QK_ANALYSES_DRIFT_H
#define QK_ANALYSES_DRIFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "num/gram.h"
#include "num/principal_angles.h"

/* ---- one projection (W_Q or W_K of a head) ---- */

struct qk_projection {
    size_t k;
    bool finite;                 /* no NaN or Inf in either matrix; when false only this field is valid */
    bool identical;              /* Δ = 0 exactly */
    double base2, delta2, cross; /* ‖W0‖², ‖Δ‖², ⟨Δ, W0⟩ */
    double ulp2;                 /* Σ ulp² of both storages */
    double spectral;             /* σ₁(Δ); NaN when the iteration failed */
    double procrustes;           /* min_R ‖R W1 − W0‖ */
    bool procrustes_failed;
    enum qk_angle_method angle_method;
    double *angles; /* K values, borrowed memory of the caller */
    /* ‖W0 diag(g0)‖² and ‖W1 diag(g1)‖² − ‖W0 diag(g0)‖², for the q/k norm of qk_eff_rel_drift */
    double scaled_base2, scaled_change2;
};

enum { QK_FALLBACK_ANGLES = 1, QK_FALLBACK_PROCRUSTES = 2 };

/* Doubles of work for qk_projection_from_gram. */
size_t qk_projection_work(size_t k);
/* Fills p (p->angles, p->ulp2 and the scaled sums are the caller's). needs: enum qk_metric_need. Gives the set of
 * QK_FALLBACK_* that must be evaluated from the matrices. */
unsigned qk_projection_from_gram(struct qk_projection *p, const struct qk_gram *gram, unsigned needs, double *work);
/* Doubles of work for qk_projection_from_matrices. */
size_t qk_projection_direct_work(size_t d, size_t k);
/* The fallbacks: w0, w1 are K rows of D contiguous values, both destroyed. gram is of the same matrices. */
void qk_projection_from_matrices(struct qk_projection *p, const struct qk_gram *gram, unsigned fallbacks, size_t d,
                                 double *w0, double *w1, double *work);

/* ---- the routing form of a query head ---- */

/* The frequency pairs of a head: pair p turns dimensions i[p], j[p] by freq[p] per token. Dimensions that do not turn
 * are paired up with frequency 0 behind the rotary ones; j = SIZE_MAX where one is left over. */
struct qk_pairs {
    size_t n, n_rotary; /* all pairs; those that turn come first */
    size_t *i, *j;
    double *freq;
};

/* ‖M1 − M0‖² and what it is made of. */
struct qk_form {
    double base2;  /* ‖M0‖² */
    double delta2; /* ‖M1 − M0‖² */
    double cross;  /* ⟨M1 − M0, M0⟩ */
    double terms;  /* sum of the sizes of delta2's terms: its rounding is of order eps · terms */
};

struct qk_routing {
    size_t k;
    bool finite;
    bool identical;             /* W_Q and W_K both unchanged: exact zeros */
    bool effective_identical;   /* and the norm weights too */
    struct qk_form raw, scaled; /* scaled: of W diag(g), q/k norm weights folded in, without the norms' scalars */
    double norm_log_ratio;      /* ln of the tuned over the base scalar of the q/k norms (0 without) */
    double effective;           /* ‖M̂1 − M̂0‖ / ‖M̂0‖ */
    bool has_effective;
    size_t n_tau, n_pair; /* values below; n_pair = 0 on layers without RoPE */
    double *distance;     /* relative drift at τ */
    double *band;         /* relative drift of each frequency pair */
};

/* Row weights folded into a head's rows (q/k norm): NULL = ones. K values each. */
struct qk_row_weights {
    const double *base, *tuned;
};

/* True where delta2 is inside the rounding of its terms, so that the matrices must be asked. */
bool qk_form_needs_direct(double delta2, double terms);
void qk_form_from_grams(const struct qk_gram *q, const struct qk_gram *k, struct qk_form *ret);
/* The Grams of rows scaled by w: out's a, f, e (out laid out by qk_gram_init, may not be g). */
void qk_gram_scale_rows(const struct qk_gram *g, const struct qk_row_weights *w, struct qk_gram *out);
/* ⟨X0, X1⟩ / (‖X0‖ ‖X1‖) from base2 = ‖X0‖² > 0, cross = ⟨X1 − X0, X0⟩ and delta2 = ‖X1 − X0‖²: as 1 − loss, so that
 * the loss of tiny changes keeps its digits. NaN where float64 overflows. */
double qk_cosine_from_change(double base2, double cross, double delta2);
/* ‖r·M1 − M0‖² / ‖M0‖² with r = exp(log_ratio); *ret_terms its terms' sizes. */
double qk_form_relative2(const struct qk_form *form, double log_ratio, double *ret_terms);

/* Doubles of work for the two below. */
size_t qk_distance_work(size_t k);
/* delta2[t] = ‖M_τ1 − M_τ0‖² and base2[t] = ‖M_τ0‖² for n positions τ. */
void qk_distance_from_grams(const struct qk_gram *q, const struct qk_gram *k, const struct qk_pairs *pairs,
                            const double *tau, size_t n, double *base2, double *delta2, double *work);
/* The same per frequency pair at τ = 0: one qk_form (cross not set) per rotary pair. */
void qk_band_from_grams(const struct qk_gram *q, const struct qk_gram *k, const struct qk_pairs *pairs,
                        struct qk_form *ret);

/* ---- from the matrices, where the Grams cancel ---- */

/* With [ΔQ; Q0]ᵀ = U_Q R_Q and [K1; ΔK]ᵀ = U_K R_K, ‖M1 − M0‖ = ‖R_Q R_Kᵀ‖: error of order eps·‖M‖. */
size_t qk_stack_rows(size_t d, size_t k); /* leading dimension of a stack: max(D, 2K), rows beyond D zero */
size_t qk_stack_work(size_t d, size_t k);
/* stack: (rows, 2K) column-major, destroyed; r: (2K, 2K) column-major receives R in the stack's column order. */
enum qk_code qk_stack_factor(size_t d, size_t k, double *stack, double *r, double *work, struct qk_err *err) QK_CHECKED;
/* ‖Σ over the given dimensions of both halves of R_Q columns times R_K columns‖, K turned by R_τ first (pairs NULL or
 * τ = 0: not turned). only: dimensions to use, n_only of them, NULL = all K. work: 3·(2K)² doubles. */
double qk_stack_norm(size_t k, const double *rq, const double *rk, const struct qk_pairs *pairs, double tau,
                     const size_t *only, size_t n_only, double *work);

/* ---- modules ---- */

/* Sums over all tensors of one role. */
struct qk_module_sum {
    bool present, finite;
    double base2, delta2;
};

/* The module axis: names in the order of the axis. */
size_t qk_module_count(void);
const char *qk_module_name(size_t module);
/* Index on the axis of a role of model/model.h, given by enum qk_role. */
size_t qk_module_of_role(unsigned role);
/* The outer axis: "embedding" "final_norm" "lm_head" "other". */
size_t qk_outer_count(void);
const char *qk_outer_name(size_t outer);
size_t qk_outer_of_role(const char *role);

struct qk_probe_unit;   /* analyses/attention_distance.h */
struct qk_routing_loss; /* analyses/routing_loss.h */

/* What a metric row reads; the pointers of its scope are set. */
struct qk_drift_unit {
    const struct qk_projection *projection;
    const struct qk_routing *routing;
    const struct qk_module_sum *module;
    const struct qk_probe_unit *probe;
    const struct qk_routing_loss *loss;
};

#endif
