/* Orthogonal Procrustes with and without RoPE: see align_rotation.h. */
#include "align_rotation.h"

#include <math.h>
#include <string.h>

#include "num/procrustes.h"

static bool turns(const struct qk_position *position)
{
    return position != NULL && position->kind == QK_POSITION_ROPE && position->rotary_dim > 0;
}

enum qk_code qk_align_rotation_check(const struct qk_position *position, size_t k, struct qk_err *err)
{
    if (turns(position) &&
        (position->rotary_dim % 2 != 0 || position->first > k || position->rotary_dim > k - position->first)) {
        return qk_fail(
            err, QK_EUNSUPPORTED,
            "rotary dimensions: do not fit the head (expected an even number within %zu, found %zu from %zu)", k,
            position->rotary_dim, position->first);
    }
    return QK_OK;
}

size_t qk_align_rotation_work(size_t k)
{
    return qk_gram_size(k) + k * k + qk_procrustes_work(k);
}

static void set_identity(size_t k, double *r)
{
    memset(r, 0, k * k * sizeof *r);
    for (size_t i = 0; i < k; i++) {
        r[i + i * k] = 1;
    }
}

static bool is_identity(size_t k, const double *r)
{
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            if (r[i + j * k] != (i == j ? 1.0 : 0.0)) {
                return false;
            }
        }
    }
    return true;
}

/* Dimensions i and j turned by φ in the plane (i, j): tr(Rᵀ M) with M = W0W1ᵀ = A + Fᵀ is greatest for
 * tan φ = (M_ji − M_ij) / (M_ii + M_jj), and A drops out of the numerator, so that small angles keep their digits. */
static void turn_pair(const struct qk_gram *g, size_t i, size_t j, double *r)
{
    size_t k = g->k;
    double along = g->a[i + i * k] + g->a[j + j * k] + g->f[i + i * k] + g->f[j + j * k];
    double across = g->f[i + j * k] - g->f[j + i * k], size = hypot(along, across);
    if (size == 0) {
        return; /* every angle is as good: none */
    }
    double c = along / size, s = across / size;
    r[i + i * k] = c;
    r[j + j * k] = c;
    r[j + i * k] = s;
    r[i + j * k] = -s;
}

/* The m dimensions that RoPE leaves alone, numbered through: those before first, then those behind the rotary ones. */
static size_t still_dimension(const struct qk_position *position, size_t i)
{
    return i < position->first ? i : i + position->rotary_dim;
}

static bool orthogonal_block(const struct qk_gram *g, const struct qk_position *position, double *r, double *work)
{
    size_t k = g->k, m = k - position->rotary_dim;
    struct qk_gram block;
    qk_gram_place(&block, m, work);
    double *block_r = work + qk_gram_size(m), *rest = block_r + m * m;
    block.finite = true;
    block.identical = true;
    for (size_t j = 0; j < m; j++) {
        for (size_t i = 0; i < m; i++) {
            size_t from = still_dimension(position, i) + still_dimension(position, j) * k, to = i + j * m;
            block.a[to] = g->a[from];
            block.f[to] = g->f[from];
            block.e[to] = g->e[from];
            block.identical = block.identical && block.e[to] == 0;
        }
    }
    struct qk_procrustes fit;
    qk_procrustes(&block, block_r, &fit, rest);
    for (size_t j = 0; j < m; j++) {
        for (size_t i = 0; i < m; i++) {
            r[still_dimension(position, i) + still_dimension(position, j) * k] = block_r[i + j * m];
        }
    }
    return !fit.failed;
}

enum qk_code qk_align_rotation(const struct qk_gram *g, const struct qk_position *position, double *r,
                               bool *ret_identity, double *work, struct qk_err *err)
{
    size_t k = g->k;
    set_identity(k, r);
    static const struct qk_position still = {.kind = QK_POSITION_NONE};
    const struct qk_position *p = turns(position) ? position : &still;
    size_t half = p->rotary_dim / 2;
    for (size_t pair = 0; pair < half; pair++) {
        size_t i = p->interleaved ? p->first + 2 * pair : p->first + pair;
        turn_pair(g, i, p->interleaved ? i + 1 : i + half, r);
    }
    if (p->rotary_dim < k && !orthogonal_block(g, p, r, work)) {
        return qk_fail(err, QK_EFORMAT, "the rotation toward the base did not converge");
    }
    *ret_identity = is_identity(k, r);
    return QK_OK;
}
