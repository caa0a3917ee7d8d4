/* A variant is an overlay of the tuned checkpoint with a model of its own: see run/variant.h. */
#include "run/variant.h"

#include <string.h>

#include "base/alloc.h"
#include "base/interrupt.h"
#include "base/str.h"
#include "ckpt/overlay.h"
#include "repair/patched.h"

enum { CHUNK = 1 << 16 };

/* n bytes of a tuned tensor from at on, with the base's values. */
struct span {
    const struct qk_ckpt *base;
    const struct qk_tensor *from, *to;
    uint64_t at, n;   /* in to */
    uint64_t from_at; /* in from */
};

struct qk_variant {
    struct qk_edits *edits;
    struct qk_patched *patched;
    struct qk_ckpt *overlay;
    struct span *spans;
    size_t n_spans, cap_spans;
    struct qk_model *model;
};

void qk_variant_free(struct qk_variant *v)
{
    if (v != NULL) {
        qk_model_free(v->model);
        qk_ckpt_close(v->overlay);
        qk_patched_free(v->patched);
        qk_edits_free(v->edits);
        qk_free(v->spans);
        qk_free(v);
    }
}

const struct qk_model *qk_variant_model(const struct qk_variant *variant)
{
    return variant->model;
}

/* ---- plans ------------------------------------------------------------------------------------------------------ */

static enum qk_code lay_plan(struct qk_variant *v, const struct qk_variant_pair *pair, const struct qk_plan *plan,
                             struct qk_pool *pool, struct qk_err *err)
{
    QK_TRY(qk_edits_new(plan, pair->base, pair->tuned, &v->edits, err));
    QK_TRY(qk_patched_new(v->edits, pair->tuned->ckpt->name, pool, &v->patched, err));
    return qk_model_open(qk_patched_ckpt(v->patched), &v->model, err);
}

enum qk_code qk_variant_of_plan(const struct qk_variant_pair *pair, const struct qk_plan *plan, struct qk_pool *pool,
                                struct qk_variant **ret, struct qk_err *err)
{
    struct qk_variant *v = qk_calloc(1, sizeof *v);
    if (v == NULL) {
        return qk_fail_nomem(err, "variant");
    }
    enum qk_code code = lay_plan(v, pair, plan, pool, err);
    if (code != QK_OK) {
        qk_variant_free(v);
        return code;
    }
    *ret = v;
    return QK_OK;
}

/* ---- parts of the base ------------------------------------------------------------------------------------------ */

static enum qk_code add_span(struct qk_variant *v, const struct span *span, struct qk_err *err)
{
    if (v->n_spans == v->cap_spans) {
        size_t cap = v->cap_spans > 0 ? 2 * v->cap_spans : 64;
        struct span *grown = qk_realloc(v->spans, cap, sizeof *grown);
        if (grown == NULL) {
            return qk_fail_nomem(err, "variant");
        }
        v->spans = grown;
        v->cap_spans = cap;
    }
    v->spans[v->n_spans++] = *span;
    return QK_OK;
}

static enum qk_code check_types(const struct qk_variant_pair *pair, const struct qk_tensor *to,
                                const struct qk_tensor *from, struct qk_err *err)
{
    const struct qk_dtype_info *a = qk_dtype_info(from->dtype), *b = qk_dtype_info(to->dtype);
    double base_scale = 1, tuned_scale = 1;
    if (a->is_float && b->is_float) {
        QK_TRY(qk_ckpt_scale(pair->base->ckpt, from, &base_scale, err));
        QK_TRY(qk_ckpt_scale(pair->tuned->ckpt, to, &tuned_scale, err));
    }
    bool converts = a->is_float && b->is_float && a->bits > 8 && b->bits > 8;
    return (from->dtype == to->dtype && base_scale == tuned_scale) || converts
               ? QK_OK
               : qk_fail(err, QK_EUNSUPPORTED,
                         "%s: %s: the base's values do not fit the tuned type (expected %s, found %s)",
                         pair->tuned->ckpt->path, to->name, b->name, a->name);
}

/* The base's tensor of the same name and shape. */
static enum qk_code partner(const struct qk_variant_pair *pair, const struct qk_tensor *to,
                            const struct qk_tensor **ret, struct qk_err *err)
{
    const struct qk_tensor *from = qk_ckpt_find(pair->base->ckpt, to->name);
    bool fits = from != NULL && from->n_dims == to->n_dims &&
                memcmp(from->shape, to->shape, sizeof *to->shape * to->n_dims) == 0;
    if (!fits) {
        return qk_fail(err, QK_EMISMATCH, "%s: %s: missing or of another shape in the base", pair->base->ckpt->path,
                       to->name);
    }
    *ret = from;
    return check_types(pair, to, from, err);
}

static enum qk_code add_elements(struct qk_variant *v, const struct qk_variant_pair *pair, const struct qk_tensor *to,
                                 const struct qk_tensor *from, uint64_t first, uint64_t count, struct qk_err *err)
{
    uint64_t to_size = qk_dtype_info(to->dtype)->bits / 8, from_size = qk_dtype_info(from->dtype)->bits / 8;
    struct span span = {.base = pair->base->ckpt,
                        .from = from,
                        .to = to,
                        .at = first * to_size,
                        .n = count * to_size,
                        .from_at = first * from_size};
    return add_span(v, &span, err);
}

static enum qk_code add_rows(struct qk_variant *v, const struct qk_variant_pair *pair, const struct qk_rows *rows,
                             struct qk_err *err)
{
    const struct qk_tensor *from = NULL;
    uint64_t n_rows, n_cols;
    QK_TRY(partner(pair, rows->tensor, &from, err));
    qk_rows_shape(rows, &n_rows, &n_cols);
    if (!rows->transposed) {
        return add_elements(v, pair, rows->tensor, from, rows->first * n_cols, rows->count * n_cols, err);
    }
    for (uint64_t c = 0; c < n_cols; c++) {
        QK_TRY(add_elements(v, pair, rows->tensor, from, c * n_rows + rows->first, rows->count, err));
    }
    return QK_OK;
}

static enum qk_code add_swap(struct qk_variant *v, const struct qk_variant_pair *pair,
                             const struct qk_variant_swap *swap, struct qk_err *err)
{
    for (size_t l = 0; l < pair->tuned->n_layers; l++) {
        const struct qk_layer *layer = &pair->tuned->layers[l];
        unsigned roles = swap->layers == NULL || swap->layers[l] ? swap->roles : swap->elsewhere;
        for (size_t s = 0; s < layer->n_slices; s++) {
            if ((roles >> layer->slices[s].role & 1) != 0) {
                QK_TRY(add_rows(v, pair, &layer->slices[s].rows, err));
            }
        }
    }
    for (size_t i = 0; swap->outer && i < pair->tuned->n_outer; i++) {
        const struct qk_tensor *from = NULL, *to = pair->tuned->outer[i].tensor;
        QK_TRY(partner(pair, to, &from, err));
        QK_TRY(add_elements(v, pair, to, from, 0, to->n_elements, err));
    }
    return QK_OK;
}

/* Values of one type as another's bytes. */
static enum qk_code convert(const struct span *s, uint64_t first, size_t count, void *buf, struct qk_err *err)
{
    const struct qk_dtype_info *from = qk_dtype_info(s->from->dtype), *to = qk_dtype_info(s->to->dtype);
    double values[512];
    unsigned char raw[512 * sizeof(double)];
    for (size_t done = 0; done < count;) {
        size_t n = count - done < 512 ? count - done : 512;
        QK_TRY(qk_ckpt_read(s->base, s->from, s->from_at + (first + done) * (from->bits / 8), n * (from->bits / 8), raw,
                            err));
        from->to_f64(raw, n, values);
        to->from_f64(values, n, (char *)buf + done * (to->bits / 8));
        done += n;
    }
    return QK_OK;
}

static enum qk_code read_span(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err)
{
    const struct span *s = ctx;
    size_t size = qk_dtype_info(s->to->dtype)->bits / 8;
    if (s->from->dtype == s->to->dtype) {
        return qk_ckpt_read(s->base, s->from, s->from_at + at, n, buf, err);
    }
    for (size_t done = 0; done < n;) { /* a read may begin or end within a value */
        uint64_t element = (at + done) / size;
        size_t skip = (size_t)((at + done) % size), whole = (n - done) / size;
        unsigned char one[sizeof(double)];
        if (skip == 0 && whole > 0) {
            QK_TRY(convert(s, element, whole, (char *)buf + done, err));
            done += whole * size;
            continue;
        }
        size_t part = size - skip < n - done ? size - skip : n - done;
        QK_TRY(convert(s, element, 1, one, err));
        memcpy((char *)buf + done, one + skip, part);
        done += part;
    }
    return QK_OK;
}

static enum qk_code lay_swap(struct qk_variant *v, const struct qk_variant_pair *pair,
                             const struct qk_variant_swap *swap, struct qk_err *err)
{
    QK_TRY(add_swap(v, pair, swap, err));
    struct qk_overlay_patch *patches = qk_calloc(v->n_spans + 1, sizeof *patches);
    if (patches == NULL) {
        return qk_fail_nomem(err, "variant");
    }
    for (size_t i = 0; i < v->n_spans; i++) {
        struct span *s = &v->spans[i];
        patches[i] = (struct qk_overlay_patch){
            .tensor = s->to, .at = s->at, .n = s->n, .dtype = s->to->dtype, .read = read_span, .ctx = s};
    }
    enum qk_code code =
        qk_ckpt_overlay(pair->tuned->ckpt, pair->tuned->ckpt->name, v->n_spans, patches, &v->overlay, err);
    qk_free(patches);
    QK_TRY(code);
    return qk_model_open(v->overlay, &v->model, err);
}

enum qk_code qk_variant_of_swap(const struct qk_variant_pair *pair, const struct qk_variant_swap *swap,
                                struct qk_variant **ret, struct qk_err *err)
{
    struct qk_variant *v = qk_calloc(1, sizeof *v);
    if (v == NULL) {
        return qk_fail_nomem(err, "variant");
    }
    enum qk_code code = lay_swap(v, pair, swap, err);
    if (code != QK_OK) {
        qk_variant_free(v);
        return code;
    }
    *ret = v;
    return QK_OK;
}

/* ---- whether anything differs ----------------------------------------------------------------------------------- */

static enum qk_code span_differs(struct span *s, const struct qk_ckpt *tuned, unsigned char *buf, bool *ret,
                                 struct qk_err *err)
{
    for (uint64_t at = 0; at < s->n && !*ret; at += CHUNK) {
        size_t n = s->n - at < CHUNK ? (size_t)(s->n - at) : CHUNK;
        QK_TRY(qk_interrupt_check(err));
        QK_TRY(read_span(s, at, n, buf, err));
        QK_TRY(qk_ckpt_read(tuned, s->to, s->at + at, n, buf + CHUNK, err));
        *ret = memcmp(buf, buf + CHUNK, n) != 0;
    }
    return QK_OK;
}

enum qk_code qk_variant_swap_differs(const struct qk_variant_pair *pair, const struct qk_variant_swap *swap, bool *ret,
                                     struct qk_err *err)
{
    struct qk_variant v = {0};
    bool differs = false;
    unsigned char *buf = qk_alloc_aligned(2, CHUNK);
    enum qk_code code = buf == NULL ? qk_fail_nomem(err, "variant") : add_swap(&v, pair, swap, err);
    for (size_t i = 0; code == QK_OK && !differs && i < v.n_spans; i++) {
        code = span_differs(&v.spans[i], pair->tuned->ckpt, buf, &differs, err);
    }
    qk_free(buf);
    qk_free(v.spans);
    QK_TRY(code);
    *ret = differs;
    return QK_OK;
}
