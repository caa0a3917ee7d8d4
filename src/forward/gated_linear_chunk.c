/* Chunked gated linear attention and gated delta rule: see gated_linear_chunk.h for the algebra. */
#include "gated_linear_chunk.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "gated_linear_gram.h"
#include "gated_linear_step.h"
#include "num/sblas.h"

struct heads_job {
    const struct qk_linear_mixer *mixer;
    size_t floats, doubles; /* per worker */
    float *scratch;
    double *sums;
};

/* Scratch of a worker while it runs one head. */
struct workspace {
    struct qk_chunk chunk;
    float *faded;         /* (C, d_k): q or k times its decay */
    float *gram, *system; /* (C, C) */
    float *u;             /* (C, d_v) */
    float *work;          /* qk_decayed_gram_work */
};

double qk_log_decay(double g)
{
    return g < -1000 ? -1000 : g;
}

static size_t decays_per_token(const struct qk_linear_mixer *m)
{
    return m->g_per_key ? m->d_k : 1;
}

static bool size_workspace(const struct qk_linear_mixer *m, size_t *ret_floats, size_t *ret_doubles)
{
    size_t widths, per_token;
    if (!qk_size_mul(m->d_k, 3, &widths) || !qk_size_add(widths, m->d_v, &per_token) ||
        !qk_size_add(per_token, 2 * QK_CHUNK + 1, &per_token)) {
        return false;
    }
    size_t work = qk_decayed_gram_work(m->d_k);
    return qk_size_mul(per_token, QK_CHUNK, ret_floats) && qk_size_add(*ret_floats, work, ret_floats) &&
           qk_size_add(*ret_floats, 16, ret_floats) && qk_size_mul(decays_per_token(m), QK_CHUNK + 1, ret_doubles);
}

static void lay_workspace(const struct qk_linear_mixer *m, float *floats, double *doubles, struct workspace *ret)
{
    struct workspace w = {.chunk = {.d_k = m->d_k, .d_v = m->d_v, .n_decays = decays_per_token(m), .total = doubles}};
    w.chunk.q = floats;
    w.chunk.k = w.chunk.q + QK_CHUNK * m->d_k;
    w.faded = w.chunk.k + QK_CHUNK * m->d_k;
    w.u = w.faded + QK_CHUNK * m->d_k;
    w.gram = w.u + QK_CHUNK * m->d_v;
    w.system = w.gram + QK_CHUNK * QK_CHUNK;
    w.chunk.beta = w.system + QK_CHUNK * QK_CHUNK;
    w.work = w.chunk.beta + QK_CHUNK;
    *ret = w;
}

/* Copies a head's rows of the chunk together and adds its decays up. */
static void gather(const struct qk_linear_mixer *m, size_t head, size_t first, size_t n, struct workspace *w)
{
    struct qk_chunk *c = &w->chunk;
    size_t shared = head / (m->n_heads / m->n_qk_heads);
    c->n = n;
    memset(c->total, 0, c->n_decays * sizeof *c->total);
    for (size_t i = 0; i < n; i++) {
        size_t t = first + i;
        const float *q = m->q + (t * m->n_qk_heads + shared) * m->d_k;
        for (size_t d = 0; d < m->d_k; d++) {
            c->q[i * m->d_k + d] = (float)(m->scale * (double)q[d]);
        }
        memcpy(c->k + i * m->d_k, m->k + (t * m->n_qk_heads + shared) * m->d_k, m->d_k * sizeof *c->k);
        memcpy(w->u + i * m->d_v, m->v + (t * m->n_heads + head) * m->d_v, m->d_v * sizeof *w->u);
        c->beta[i] = m->beta == NULL ? 1 : m->beta[t * m->n_heads + head];
        const double *before = c->total + i * c->n_decays;
        double *after = c->total + (i + 1) * c->n_decays;
        for (size_t d = 0; d < c->n_decays; d++) {
            double g = m->g == NULL ? -m->slope[head] : (double)m->g[(t * m->n_heads + head) * c->n_decays + d];
            after[d] = before[d] + qk_log_decay(g);
        }
    }
}

/* Row i times its decay since the state before the chunk. */
static void fade_in(const struct qk_chunk *c, const float *x, float *faded)
{
    memcpy(faded, x, c->n * c->d_k * sizeof *x);
    for (size_t i = 0; i < c->n; i++) {
        qk_chunk_fade(c, 0, i + 1, faded + i * c->d_k);
    }
}

/* Row i times the decay from it to the end of the chunk. */
static void fade_out(const struct qk_chunk *c, const float *x, float *faded)
{
    memcpy(faded, x, c->n * c->d_k * sizeof *x);
    for (size_t i = 0; i < c->n; i++) {
        qk_chunk_fade(c, i + 1, c->n, faded + i * c->d_k);
    }
}

/* u: v on entry, the u of the delta rule on return. */
static void solve_delta(struct workspace *w, const float *state)
{
    const struct qk_chunk *c = &w->chunk;
    fade_in(c, c->k, w->faded);
    qk_sgemm(false, false, c->n, c->d_v, c->d_k, -1, w->faded, c->d_k, state, c->d_v, 1, w->u, c->d_v);
    qk_decayed_gram(c, c->k, w->system, QK_CHUNK, w->work);
    for (size_t i = 0; i < c->n; i++) {
        for (size_t j = 0; j < i; j++) {
            w->system[i * QK_CHUNK + j] *= c->beta[i];
        }
        for (size_t e = 0; e < c->d_v; e++) {
            w->u[i * c->d_v + e] *= c->beta[i];
        }
    }
    qk_strsm_unit_lower(c->n, c->d_v, w->system, QK_CHUNK, w->u, c->d_v);
}

static void run_chunk(const struct qk_linear_mixer *m, size_t head, size_t first, struct workspace *w, float *state)
{
    const struct qk_chunk *c = &w->chunk;
    float *out = m->out + (first * m->n_heads + head) * m->d_v;
    size_t ld = m->n_heads * m->d_v;
    if (m->beta != NULL) {
        solve_delta(w, state);
    }
    fade_in(c, c->q, w->faded);
    qk_sgemm(false, false, c->n, c->d_v, c->d_k, 1, w->faded, c->d_k, state, c->d_v, 0, out, ld);
    qk_decayed_gram(c, c->q, w->gram, QK_CHUNK, w->work);
    qk_sgemm(false, false, c->n, c->d_v, c->n, 1, w->gram, QK_CHUNK, w->u, c->d_v, 1, out, ld);
    fade_out(c, c->k, w->faded);
    qk_chunk_fade_state(c, state);
    qk_sgemm(true, false, c->d_k, c->d_v, c->n, 1, w->faded, c->d_k, w->u, c->d_v, 1, state, c->d_v);
}

static enum qk_code run_head(void *ctx, size_t head, size_t worker, struct qk_err *err)
{
    (void)err;
    const struct heads_job *job = ctx;
    const struct qk_linear_mixer *m = job->mixer;
    struct workspace w;
    lay_workspace(m, job->scratch + worker * job->floats, job->sums + worker * job->doubles, &w);
    float *state = m->state + head * m->d_k * m->d_v;
    for (size_t first = 0; first < m->n_tokens; first += QK_CHUNK) {
        size_t n = m->n_tokens - first < QK_CHUNK ? m->n_tokens - first : QK_CHUNK;
        gather(m, head, first, n, &w);
        if (n == 1) {
            qk_linear_step(&w.chunk, m->beta != NULL, w.u, state, m->out + (first * m->n_heads + head) * m->d_v);
        } else {
            run_chunk(m, head, first, &w, state);
        }
    }
    return QK_OK;
}

enum qk_code qk_gated_linear_heads(const struct qk_linear_mixer *mixer, struct qk_pool *pool, struct qk_err *err)
{
    assert(mixer->n_qk_heads > 0 && mixer->n_heads % mixer->n_qk_heads == 0);
    assert(mixer->g != NULL || (mixer->slope != NULL && !mixer->g_per_key));
    struct heads_job job = {.mixer = mixer};
    size_t floats = 0, doubles = 0;
    if (size_workspace(mixer, &job.floats, &job.doubles)) {
        job.floats = (job.floats + 15) / 16 * 16;
        if (qk_size_mul(job.floats, qk_pool_size(pool), &floats) &&
            qk_size_mul(job.doubles, qk_pool_size(pool), &doubles)) {
            job.scratch = qk_alloc_aligned(floats, sizeof *job.scratch);
            job.sums = qk_alloc_aligned(doubles, sizeof *job.sums);
        }
    }
    enum qk_code code = job.scratch == NULL || job.sums == NULL
                            ? qk_fail_nomem(err, "chunks of a linear mixer")
                            : qk_pool_for(pool, mixer->n_heads, run_head, &job, err);
    qk_free(job.scratch);
    qk_free(job.sums);
    return code;
}
