/* Fit, solve and map of one head's matrix: see repair/align.h. */
#include "repair/align.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "align_rotation.h"
#include "base/alloc.h"
#include "num/blas.h"

struct qk_align_rule qk_align_rule(const struct qk_plan_unit *unit, const struct qk_layer *layer, bool is_key)
{
    return (struct qk_align_rule){
        .action = unit->action,
        .method = unit->method,
        .side = unit->side,
        .lambda = unit->lambda,
        .alpha = unit->alpha,
        .is_key = is_key,
        .position = &layer->position,
    };
}

static size_t work_size(size_t k)
{
    size_t eigen = 2 * k * k + k + qk_eig_work(k), rotation = qk_align_rotation_work(k);
    return eigen > rotation ? eigen : rotation;
}

size_t qk_align_size(size_t k, size_t max_tile)
{
    enum { MAX_ROWS = 1 << 14 }; /* the largest head whose K×K work cannot overflow size_t */
    size_t square, tile, size;
    if (k > MAX_ROWS || !qk_size_mul(k, k, &square) || !qk_size_mul(2 * k, max_tile, &tile) ||
        !qk_size_add(7 * square + qk_gram_size(k) + work_size(k), tile, &size)) {
        return 0;
    }
    return size;
}

static void lay_out(struct qk_align *a, double *memory)
{
    size_t k = a->k, square = k * k;
    a->map = memory;
    a->key_gram = a->map + square;
    a->cross = a->key_gram + square;
    a->sums = a->cross + square;
    a->tile = a->sums + 4 * square;
    a->work = a->tile + 2 * k * a->max_tile;
    qk_gram_init(&a->gram, k, a->work + work_size(k));
}

static bool is_pro(const struct qk_align_rule *rule)
{
    return rule->action == QK_PLAN_ALIGN && rule->method == QK_PLAN_QK_PRO;
}

static bool is_rotate(const struct qk_align_rule *rule)
{
    return rule->action == QK_PLAN_ALIGN && rule->method == QK_PLAN_ROTATE;
}

/* What is known without looking at the numbers; MAPPED: nothing is. */
static enum qk_align_outcome known_outcome(const struct qk_align_rule *rule)
{
    if (rule->action == QK_PLAN_RESTORE) {
        return QK_ALIGN_BASE;
    }
    if (rule->action == QK_PLAN_BLEND && (rule->alpha == 0 || rule->alpha == 1)) {
        return rule->alpha == 0 ? QK_ALIGN_TUNED : QK_ALIGN_BASE;
    }
    if (is_pro(rule) && (rule->is_key || isinf(rule->lambda))) {
        return rule->is_key ? QK_ALIGN_BASE : QK_ALIGN_TUNED;
    }
    return rule->action == QK_PLAN_KEEP ? QK_ALIGN_TUNED : QK_ALIGN_MAPPED;
}

enum qk_code qk_align_init(struct qk_align *a, const struct qk_align_rule *rule, size_t k, size_t max_tile,
                           double *memory, struct qk_err *err)
{
    if (is_pro(rule) && !(rule->lambda >= 0)) {
        return qk_fail(err, QK_EUSAGE, "lambda: out of range (expected 0 or more, found %g)", rule->lambda);
    }
    if (rule->action == QK_PLAN_BLEND && !(rule->alpha >= 0 && rule->alpha <= 1)) {
        return qk_fail(err, QK_EUSAGE, "alpha: out of range (expected 0 to 1, found %g)", rule->alpha);
    }
    if (is_rotate(rule)) {
        QK_TRY(qk_align_rotation_check(rule->position, k, err));
    }
    *a = (struct qk_align){.rule = *rule, .k = k, .max_tile = max_tile, .finite = true, .same = true};
    a->outcome = k == 0 ? QK_ALIGN_TUNED : known_outcome(rule);
    a->needs_fit = a->outcome == QK_ALIGN_MAPPED;
    a->needs_key = a->needs_fit && is_pro(rule);
    lay_out(a, memory);
    return QK_OK;
}

/* [W0; W1 − W0] with rows of n values, as the delta Grams want them. */
static void stack_delta(const struct qk_align *a, size_t n, const double *w0, const double *w1, size_t ld)
{
    for (size_t i = 0; i < a->k; i++) {
        double *delta = a->tile + (a->k + i) * n;
        memcpy(a->tile + i * n, w0 + i * ld, n * sizeof *delta);
        for (size_t j = 0; j < n; j++) {
            delta[j] = w1[i * ld + j] - w0[i * ld + j];
        }
    }
}

/* Δ' = W0 − W1, rows of n values. */
static void stack_correction(const struct qk_align *a, size_t n, const double *w0, const double *w1, size_t ld)
{
    for (size_t i = 0; i < a->k; i++) {
        for (size_t j = 0; j < n; j++) {
            a->tile[i * n + j] = w0[i * ld + j] - w1[i * ld + j];
        }
    }
}

static bool all_finite(size_t k, size_t n, const double *w, size_t ld)
{
    bool finite = true;
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < n; j++) {
            finite &= isfinite(w[i * ld + j]) != 0;
        }
    }
    return finite;
}

static bool all_same(size_t k, size_t n, const double *w0, const double *w1, size_t ld)
{
    bool same = true;
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < n; j++) {
            same &= w0[i * ld + j] == w1[i * ld + j];
        }
    }
    return same;
}

void qk_align_fit_tile(struct qk_align *a, size_t n, const double *w0, const double *w1, const double *key0, size_t ld)
{
    assert(n <= a->max_tile);
    size_t k = a->k;
    if (!a->needs_fit || n == 0) {
        return;
    }
    a->finite = a->finite && all_finite(k, n, w0, ld) && all_finite(k, n, w1, ld) &&
                (!a->needs_key || all_finite(k, n, key0, ld));
    a->same = a->same && all_same(k, n, w0, w1, ld);
    if (!a->finite) {
        return;
    }
    double keep = a->started ? 1 : 0;
    if (is_rotate(&a->rule)) {
        stack_delta(a, n, w0, w1, ld);
        qk_gram_add_tile(k, n, a->tile, !a->started, a->sums);
    } else if (a->needs_key) {
        qk_syrk_t(k, n, key0, ld, keep, a->key_gram, k);
        if (a->rule.side == QK_PLAN_SIDE_INPUT) {
            stack_correction(a, n, w0, w1, ld);
            qk_gemm(true, false, k, k, n, 1, a->tile, n, key0, ld, keep, a->cross, k);
        }
    }
    a->started = true;
}

static enum qk_code fail_not_finite(struct qk_err *err)
{
    return qk_fail(err, QK_EFORMAT, "the weights hold NaN, Inf or values whose squares overflow");
}

static bool finite_square(size_t k, const double *m)
{
    return all_finite(k, k, m, k);
}

/* dst := left diag(weight) vectorsᵀ; vectors is overwritten, left may be the vectors' copy. */
static void weighted_product(size_t k, const double *left, const double *vectors, const double *weight, double *scaled,
                             double *dst)
{
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            scaled[i + j * k] = weight[j] * vectors[i + j * k];
        }
    }
    qk_gemm(false, true, k, k, k, 1, left, k, scaled, k, 0, dst, k);
}

static bool all_zero(size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++) {
        if (x[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Eigenvalues of A below this share of the largest are rounding of the Gram itself: 4 K ε. */
static double rank_cut(size_t k, double largest)
{
    return 4 * (double)k * DBL_EPSILON * largest;
}

/* Replaces the eigenvalues by the factors of (A + regI)⁻¹ (input) or of A (A + regI)⁻¹ resp. its rest I − A (A +
 * regI)⁻¹ (head). Directions outside K0's row space get no correction whatever reg: there (A + regI)⁻¹ would only blow
 * up rounding. */
static void eigen_factors(struct qk_align *a, double reg, double *value)
{
    double cut = rank_cut(a->k, value[a->k - 1]), kept = 0;
    a->key_rank = 0;
    for (size_t i = 0; i < a->k; i++) {
        bool counts = value[i] > cut;
        a->key_rank += counts;
        value[i] = counts ? value[i] : 0;
        kept += counts ? value[i] / (value[i] + reg) : 0;
    }
    bool head = a->rule.side == QK_PLAN_SIDE_HEAD;
    a->from_base = head && kept > 0.5 * (double)a->k;
    for (size_t i = 0; i < a->k; i++) {
        if (value[i] == 0) {
            value[i] = a->from_base ? 1 : 0;
        } else if (head) {
            value[i] = (a->from_base ? reg : value[i]) / (value[i] + reg);
        } else {
            value[i] = 1 / (value[i] + reg);
        }
    }
}

static enum qk_code solve_pro(struct qk_align *a, struct qk_err *err)
{
    size_t k = a->k;
    double *vectors = a->work, *scaled = vectors + k * k, *value = scaled + k * k, *eigen = value + k;
    qk_symmetrise(k, a->key_gram, k);
    bool input = a->rule.side == QK_PLAN_SIDE_INPUT;
    if (!finite_square(k, a->key_gram) || (input && !finite_square(k, a->cross))) {
        return fail_not_finite(err);
    }
    double trace = 0;
    for (size_t i = 0; i < k; i++) {
        trace += a->key_gram[i + i * k];
    }
    memcpy(vectors, a->key_gram, k * k * sizeof *vectors);
    QK_TRY(qk_eig_sym(k, vectors, k, true, value, eigen, err));
    eigen_factors(a, a->rule.lambda * (trace / (double)k), value);
    if (all_zero(k, value)) {
        a->outcome = a->from_base ? QK_ALIGN_BASE : QK_ALIGN_TUNED;
        return QK_OK;
    }
    if (!input) {
        weighted_product(k, vectors, vectors, value, scaled, a->map);
        return QK_OK;
    }
    /* C V diag Vᵀ: the key's Gram has served and holds C V */
    qk_gemm(false, false, k, k, k, 1, a->cross, k, vectors, k, 0, a->key_gram, k);
    weighted_product(k, a->key_gram, vectors, value, scaled, a->map);
    return QK_OK;
}

static enum qk_code solve_rotate(struct qk_align *a, struct qk_err *err)
{
    qk_gram_finish(&a->gram, a->sums);
    if (!a->gram.finite) {
        return fail_not_finite(err);
    }
    bool identity = false;
    QK_TRY(qk_align_rotation(&a->gram, a->rule.position, a->map, &identity, a->work, err));
    a->outcome = identity ? QK_ALIGN_TUNED : QK_ALIGN_MAPPED;
    return QK_OK;
}

enum qk_code qk_align_solve(struct qk_align *a, struct qk_err *err)
{
    if (!a->needs_fit) {
        return QK_OK;
    }
    if (!a->finite) {
        return fail_not_finite(err);
    }
    if (a->same || !a->started) {
        a->outcome = QK_ALIGN_TUNED;
        return QK_OK;
    }
    if (is_rotate(&a->rule)) {
        return solve_rotate(a, err);
    }
    return a->needs_key ? solve_pro(a, err) : QK_OK;
}

static void copy_rows(size_t k, size_t n, const double *src, size_t ld, double *dst)
{
    for (size_t i = 0; i < k; i++) {
        memcpy(dst + i * ld, src + i * ld, n * sizeof *dst);
    }
}

static void blend_rows(const struct qk_align *a, size_t n, const double *w0, const double *w1, size_t ld, double *dst)
{
    double alpha = a->rule.alpha;
    for (size_t i = 0; i < a->k; i++) {
        for (size_t j = i * ld; j < i * ld + n; j++) {
            /* where both agree nothing is to be rounded */
            dst[j] = w0[j] == w1[j] ? w1[j] : (1 - alpha) * w1[j] + alpha * w0[j];
        }
    }
}

void qk_align_map_tile(const struct qk_align *a, size_t n, const double *w0, const double *w1, const double *key0,
                       size_t ld, double *dst)
{
    assert(n <= a->max_tile);
    size_t k = a->k;
    if (n == 0) {
        return;
    }
    if (a->outcome != QK_ALIGN_MAPPED) {
        copy_rows(k, n, a->outcome == QK_ALIGN_BASE ? w0 : w1, ld, dst);
    } else if (a->rule.action == QK_PLAN_BLEND) {
        blend_rows(a, n, w0, w1, ld, dst);
    } else if (is_rotate(&a->rule)) {
        qk_gemm(false, true, n, k, k, 1, w1, ld, a->map, k, 0, dst, ld);
    } else if (a->rule.side == QK_PLAN_SIDE_INPUT) {
        copy_rows(k, n, w1, ld, dst);
        qk_gemm(false, true, n, k, k, 1, key0, ld, a->map, k, 1, dst, ld);
    } else {
        copy_rows(k, n, a->from_base ? w0 : w1, ld, dst);
        stack_correction(a, n, w0, w1, ld);
        qk_gemm(false, true, n, k, k, a->from_base ? -1 : 1, a->tile, n, a->map, k, 1, dst, ld);
    }
}

/* Columns of the tile at col: whole tiles over the weights, then the bias alone. */
static size_t tile_width(size_t col, size_t d, size_t n_weights)
{
    size_t end = col < n_weights ? n_weights : d;
    return end - col < QK_ALIGN_TILE ? end - col : QK_ALIGN_TILE;
}

enum qk_code qk_align_matrix(struct qk_align *a, const struct qk_align_rule *rule, size_t k, size_t d, bool has_bias,
                             const double *w0, const double *w1, const double *key0, size_t ld, double *dst,
                             double *memory, struct qk_err *err)
{
    QK_TRY(qk_align_init(a, rule, k, QK_ALIGN_TILE, memory, err));
    size_t n_weights = has_bias ? d - 1 : d;
    for (size_t col = 0, n; a->needs_fit && col < d; col += n) {
        n = tile_width(col, d, n_weights);
        qk_align_fit_tile(a, n, w0 + col, w1 + col, a->needs_key ? key0 + col : NULL, ld);
    }
    QK_TRY(qk_align_solve(a, err));
    for (size_t col = 0, n; col < d; col += n) {
        n = tile_width(col, d, n_weights);
        qk_align_map_tile(a, n, w0 + col, w1 + col, a->needs_key ? key0 + col : NULL, ld, dst + col);
    }
    return QK_OK;
}
