/* Alignment of one head's W_Q or W_K with the base (docs/repair.md), in double precision.
 *
 * With Q0, Q1 one query head of base and tuned, K0 its key head of the base, all (K, D), Δ' = W0 − W1,
 * A = K0 K0ᵀ and λ relative to the mean eigenvalue tr(A)/K:
 *
 *   restore          W := W0
 *   qk-pro  input    Q := Q1 + Δ' K0ᵀ (A + λI)⁻¹ K0      the correction, softly projected on K0's input subspace
 *           head     Q := Q1 + A (A + λI)⁻¹ Δ'           the correction, shrunk per direction of head space
 *                    K := K0                             both sides: the form is linearised at K0, see below
 *   rotate           W := R W1, R orthogonal with ‖R W1 − W0‖_F least (Schönemann 1966), each matrix by its own R
 *   blend            W := (1 − α) W1 + α W0
 *
 * qk-pro's key: the formula is the solution for Q once K stands at K0. Left at K1, the routing form it aims at would
 * be met by neither matrix; so K becomes K0 where a unit names "k", and a unit with "q" alone uses the same Q and
 * leaves K to the tuned checkpoint (the user's choice, a mixture). λ → 0 with side head gives Q0 (K0 of full rank; else
 * the correction's part in K0's row directions), λ = ∞ gives Q1, both bit for bit.
 *
 * rotate under RoPE: R commutes with the turning by position, so that it acts on a query or key alike wherever the
 * token stands, R (R_t q) = R_t (R q), and moves nothing from one frequency to another: one angle per frequency pair,
 * and an orthogonal block for the dimensions that RoPE does not turn. (Any R leaves logits a function of the distance,
 * since it stands in front of RoPE; a free one would change that function by mixing near and far.) One R shared by a
 * group's Q and K would be a change of basis that no score sees: the matrices are rotated independently, and the
 * score's form changes by R_qᵀ R_k. Learned positions and ALiBi do not act on head space: R is free.
 *
 * A bias is one more column of its matrix, [W | b], in the fit and in the result: a logit is
 * [x; 1]ᵀ [Q | b_q]ᵀ [K | b_k] [y; 1], so every formula above holds for the widened matrices. A key without a bias
 * beside a query with one has a column of zeros; a query without one stays without.
 *
 * Two passes over columns: fit tiles in order, solve, map tiles in any order. Only K×K matrices are kept. Sums depend
 * on the widths of the tiles alone; whoever wants the same bytes uses QK_ALIGN_TILE columns a tile, the bias column
 * last in a tile of its own. Pure functions on caller's memory; one struct per thread. Cost O(D K²) + O(K³). */
#ifndef QK_REPAIR_ALIGN_H
#define QK_REPAIR_ALIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "model/model.h"
#include "num/gram.h"
#include "repair/plan.h"

enum { QK_ALIGN_TILE = 512 };

/* What is done to one matrix: a plan unit's numbers, the matrix's role and the layer's position encoding. */
struct qk_align_rule {
    enum qk_plan_action action;         /* restore, align, blend; keep gives the tuned matrix */
    enum qk_plan_method method;         /* of align */
    enum qk_plan_side side;             /* of qk-pro */
    double lambda;                      /* of qk-pro: ≥ 0, INFINITY allowed */
    double alpha;                       /* of blend */
    bool is_key;                        /* the matrix is W_K */
    const struct qk_position *position; /* of rotate; borrowed */
};
struct qk_align_rule qk_align_rule(const struct qk_plan_unit *unit, const struct qk_layer *layer, bool is_key);

/* What the result is; TUNED and BASE let the caller copy stored bytes instead of decoding and rounding. */
enum qk_align_outcome {
    QK_ALIGN_TUNED,  /* W1 bit for bit */
    QK_ALIGN_BASE,   /* W0 bit for bit */
    QK_ALIGN_MAPPED, /* use qk_align_map_tile */
};

struct qk_align {
    struct qk_align_rule rule;
    size_t k, max_tile;
    bool needs_fit;                /* set by init: false = skip fit and solve's Grams, outcome is known */
    bool needs_key;                /* set by init: K0 is read (query matrices of qk-pro); else key0 may be NULL */
    enum qk_align_outcome outcome; /* set by init when !needs_fit, else by solve */
    bool from_base;  /* MAPPED, side head: result = W0 − map Δ' instead of W1 + map Δ' (the nearer end) */
    size_t key_rank; /* qk-pro: directions of K0 above rounding; less than k: K0 is rank-deficient */
    double *map;     /* (K, K) column-major: the factor of Δ' or K0, or R; valid after solve when MAPPED */
    bool started, finite, same; /* of the fit so far: any tile, no NaN or Inf, W0 = W1 */
    struct qk_gram gram;        /* rotate */
    double *key_gram, *cross, *sums, *tile, *work;
};

/* Doubles of memory for heads of k rows and tiles of at most max_tile columns; 0 when that overflows. */
size_t qk_align_size(size_t k, size_t max_tile);
/* Lays out *a in memory (qk_align_size doubles, borrowed, need not be zeroed). QK_EUSAGE: lambda or alpha out of range;
 * QK_EUNSUPPORTED: rotary dimensions that do not fit in k rows. */
enum qk_code qk_align_init(struct qk_align *a, const struct qk_align_rule *rule, size_t k, size_t max_tile,
                           double *memory, struct qk_err *err) QK_CHECKED;
/* n columns of W0, W1 and (needs_key) K0: k rows of n values, rows ld apart. NaN and Inf are noted for solve. */
void qk_align_fit_tile(struct qk_align *a, size_t n, const double *w0, const double *w1, const double *key0, size_t ld);
/* After the last tile. QK_EFORMAT: a matrix holds NaN or Inf, or values whose squares overflow. */
enum qk_code qk_align_solve(struct qk_align *a, struct qk_err *err) QK_CHECKED;
/* The result's columns into dst (k rows, ld apart; not the inputs' memory). Valid for every outcome. */
void qk_align_map_tile(const struct qk_align *a, size_t n, const double *w0, const double *w1, const double *key0,
                       size_t ld, double *dst);

/* One whole matrix of d columns (rows ld apart), the bias included as the last column when has_bias: init, fit, solve
 * and map in the tiles that give the standard bytes. memory: qk_align_size(k, QK_ALIGN_TILE) doubles. */
enum qk_code qk_align_matrix(struct qk_align *a, const struct qk_align_rule *rule, size_t k, size_t d, bool has_bias,
                             const double *w0, const double *w1, const double *key0, size_t ld, double *dst,
                             double *memory, struct qk_err *err) QK_CHECKED;

/* Appends what a user should know before the layer's matrices are changed so: a q/k norm behind a rotation, a
 * convolution or activation behind a linear layer's projection, positions. One sentence a line, none when all is plain.
 */
void qk_align_notice(const struct qk_layer *layer, const struct qk_plan_unit *unit, struct qk_str *out);
#endif
