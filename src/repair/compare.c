/* Matching, reading and comparing tensors: see repair/compare.h. */
#include "repair/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/interrupt.h"
#include "compare_report.h"
#include "compare_span.h"

enum { CHUNK = 1 << 20 };

/* Bytes [at, at + n) of a tensor; edit NULL: expected to be A's own, else bytes from `from` of one of its extents. */
struct span {
    size_t sums;
    uint64_t at;
    size_t n;
    const struct qk_edit *edit;
    size_t extent;
    uint64_t from;
};

struct comparison {
    const struct qk_ckpt *a, *b;
    const struct qk_compare_options *options;
    size_t n_sums; /* tensors of the same name, type and shape, by name */
    struct qk_compare_sums *sums;
    _Atomic uint64_t *rows;
    size_t n_spans, cap;
    struct span *spans;
    unsigned char *chunks; /* 2 a worker */
    struct qk_edit_maker **makers;
    _Atomic uint64_t done;
    uint64_t total;
};

static bool same_form(const struct qk_tensor *a, const struct qk_tensor *b)
{
    return a->dtype == b->dtype && a->n_dims == b->n_dims &&
           memcmp(a->shape, b->shape, a->n_dims * sizeof *a->shape) == 0;
}

/* ---- which tensors ---- */

/* Whether the family stores the tensor as [in, out]: flags (n_tensors). */
static enum qk_code find_transposed(const struct qk_model *model, bool **ret, struct qk_err *err)
{
    bool *flags = qk_calloc(model != NULL ? model->ckpt->n_tensors + 1 : 1, sizeof *flags);
    if (flags == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    for (size_t l = 0; model != NULL && l < model->n_layers; l++) {
        const struct qk_layer *layer = &model->layers[l];
        for (size_t s = 0; s < layer->n_slices; s++) {
            if (layer->slices[s].rows.transposed) {
                flags[layer->slices[s].rows.tensor - model->ckpt->tensors] = true;
            }
        }
    }
    *ret = flags;
    return QK_OK;
}

static enum qk_code match_tensors(struct comparison *c, struct qk_err *err)
{
    bool *transposed = NULL;
    c->sums = qk_calloc(c->a->n_tensors + 1, sizeof *c->sums);
    if (c->sums == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    QK_TRY(find_transposed(c->options->model, &transposed, err));
    uint64_t words = 0;
    for (size_t i = 0; i < c->a->n_tensors; i++) {
        const struct qk_tensor *a = &c->a->tensors[i], *b = qk_ckpt_find(c->b, a->name);
        if (b != NULL && same_form(a, b)) {
            struct qk_compare_sums *sums = &c->sums[c->n_sums++];
            qk_compare_sums_init(sums, a, b, c->options->model != NULL && transposed[i]);
            words += qk_compare_sums_words(sums->n_rows);
            c->total += a->n_bytes;
        }
    }
    qk_free(transposed);
    c->rows = words <= SIZE_MAX ? qk_calloc((size_t)words, sizeof *c->rows) : NULL;
    if (c->rows == NULL) {
        return qk_fail_nomem(err, "rows of both checkpoints");
    }
    _Atomic uint64_t *next = c->rows;
    for (size_t i = 0; i < c->n_sums; i++) {
        c->sums[i].rows = next;
        next += qk_compare_sums_words(c->sums[i].n_rows);
    }
    return QK_OK;
}

/* ---- which bytes ---- */

static enum qk_code add_span(struct comparison *c, const struct span *span, struct qk_err *err)
{
    if (c->n_spans == c->cap) {
        size_t cap = c->cap == 0 ? 1024 : 2 * c->cap;
        struct span *grown = qk_realloc(c->spans, cap, sizeof *grown);
        if (grown == NULL) {
            return qk_fail_nomem(err, "compare");
        }
        c->spans = grown;
        c->cap = cap;
    }
    c->spans[c->n_spans++] = *span;
    return QK_OK;
}

/* A stretch in chunks. */
static enum qk_code add_stretch(struct comparison *c, struct span span, uint64_t n, struct qk_err *err)
{
    for (uint64_t done = 0; done < n; done += span.n) {
        struct span chunk = span;
        chunk.at += done;
        chunk.from += done;
        chunk.n = span.n = n - done < CHUNK ? (size_t)(n - done) : CHUNK;
        QK_TRY(add_span(c, &chunk, err));
    }
    return QK_OK;
}

struct extent {
    uint64_t at, n;
    const struct qk_edit *edit;
    size_t index;
};

static int by_place(const void *x, const void *y)
{
    const struct extent *a = x, *b = y;
    return (a->at > b->at) - (a->at < b->at);
}

/* All extents of a tensor's edits, by place. *ret from qk_calloc. */
static enum qk_code extents_of(const struct qk_edits *edits, const struct qk_tensor *tensor, struct extent **ret,
                               size_t *ret_n, struct qk_err *err)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; edits != NULL && i < edits->n; i++) {
        n += edits->edits[i].tensor == tensor ? qk_edit_n_extents(&edits->edits[i]) : 0;
    }
    struct extent *extents = qk_calloc(n + 1, sizeof *extents);
    if (extents == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    for (size_t i = 0; at < n && i < edits->n; i++) {
        const struct qk_edit *edit = &edits->edits[i];
        for (size_t e = 0; edit->tensor == tensor && e < qk_edit_n_extents(edit); e++, at++) {
            extents[at] = (struct extent){.edit = edit, .index = e};
            qk_edit_extent(edit, e, &extents[at].at, &extents[at].n);
        }
    }
    qsort(extents, n, sizeof *extents, by_place);
    *ret = extents;
    *ret_n = n;
    return QK_OK;
}

/* Edited extents are held against the edit's bytes, all between them against A's. Heads that are aligned as a whole
 * come by themselves. */
static enum qk_code add_tensor(struct comparison *c, size_t index, struct qk_err *err)
{
    struct qk_compare_sums *sums = &c->sums[index];
    struct extent *extents = NULL;
    size_t n = 0;
    QK_TRY(extents_of(c->options->edits, sums->a, &extents, &n, err));
    enum qk_code code = QK_OK;
    uint64_t at = 0;
    for (size_t i = 0; code == QK_OK && i <= n; i++) {
        uint64_t end = i < n ? extents[i].at : sums->a->n_bytes;
        code = add_stretch(c, (struct span){.sums = index, .at = at}, end - at, err);
        if (i < n) {
            bool whole = extents[i].edit->how == QK_EDIT_HEAD;
            struct span span = {
                .sums = index, .at = extents[i].at, .edit = extents[i].edit, .extent = extents[i].index};
            code = code != QK_OK || whole ? code : add_stretch(c, span, extents[i].n, err);
            at = end + extents[i].n;
        }
    }
    qk_free(extents);
    return code;
}

/* Tensors in the order in which B stores them, so that its files are read from front to back. */
struct place {
    size_t index;
    uint32_t shard;
    uint64_t offset;
};

static int by_file(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    if (a->shard != b->shard) {
        return a->shard < b->shard ? -1 : 1;
    }
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static enum qk_code list_spans(struct comparison *c, struct qk_err *err)
{
    struct place *places = qk_calloc(c->n_sums + 1, sizeof *places);
    if (places == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    for (size_t i = 0; i < c->n_sums; i++) {
        places[i] = (struct place){i, c->sums[i].b->shard, c->sums[i].b->offset};
    }
    qsort(places, c->n_sums, sizeof *places, by_file);
    enum qk_code code = QK_OK;
    for (size_t i = 0; code == QK_OK && i < c->n_sums; i++) {
        code = add_tensor(c, places[i].index, err);
    }
    qk_free(places);
    return code;
}

static struct qk_compare_sums *sums_of(struct comparison *c, const struct qk_tensor *a)
{
    for (size_t low = 0, high = c->n_sums; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (c->sums[middle].a == a) {
            return &c->sums[middle];
        }
        if (c->sums[middle].a < a) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* ---- reading ---- */

static void advance(struct comparison *c, uint64_t n)
{
    uint64_t done = atomic_fetch_add(&c->done, n) + n;
    qk_progress_update(c->options->progress, done, c->total, "compare");
}

static enum qk_code compare_span(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct comparison *c = ctx;
    const struct span *span = &c->spans[i];
    struct qk_compare_sums *sums = &c->sums[span->sums];
    unsigned char *expected = c->chunks + 2 * worker * CHUNK, *found = expected + CHUNK;
    if (span->edit != NULL) {
        QK_TRY(qk_edit_read(c->options->edits, span->edit, span->extent, span->from, span->n, expected, err));
    } else {
        QK_TRY(qk_ckpt_read(c->a, sums->a, span->at, span->n, expected, err));
    }
    QK_TRY(qk_ckpt_read(c->b, sums->b, span->at, span->n, found, err));
    qk_compare_sums_add(sums, span->at, span->n, expected, found);
    advance(c, span->n);
    return QK_OK;
}

/* The bytes of one made head's edit against B's. */
static enum qk_code compare_made(struct comparison *c, const struct qk_edit_maker *maker, const struct qk_edit *edit,
                                 struct qk_err *err)
{
    struct qk_compare_sums *sums = sums_of(c, edit->tensor);
    unsigned char *made = sums != NULL ? qk_alloc_aligned(2, (size_t)edit->n_bytes) : NULL;
    if (sums == NULL) {
        return QK_OK; /* B has no such tensor: told elsewhere */
    }
    if (made == NULL) {
        return qk_fail_nomem(err, "aligned head");
    }
    unsigned char *found = made + edit->n_bytes;
    enum qk_code code = qk_edit_made(maker, edit, made, err);
    uint64_t at, n, before = 0;
    for (size_t e = 0; code == QK_OK && e < qk_edit_n_extents(edit); e++, before += n) {
        qk_edit_extent(edit, e, &at, &n);
        code = qk_ckpt_read(c->b, sums->b, at, (size_t)n, found, err);
        if (code == QK_OK) {
            qk_compare_sums_add(sums, at, (size_t)n, made + before, found);
        }
    }
    qk_free(made);
    advance(c, edit->n_bytes);
    return code;
}

static enum qk_code compare_head(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct comparison *c = ctx;
    const struct qk_edits *edits = c->options->edits;
    if (c->makers[worker] == NULL) {
        QK_TRY(qk_edit_maker_new(edits, &c->makers[worker], err));
    }
    QK_TRY(qk_edit_make(c->makers[worker], i, err));
    for (size_t e = 0; e < edits->n; e++) {
        if (edits->edits[e].how == QK_EDIT_HEAD && edits->edits[e].head == i) {
            QK_TRY(compare_made(c, c->makers[worker], &edits->edits[e], err));
        }
    }
    return QK_OK;
}

static enum qk_code compare_bytes(struct comparison *c, struct qk_err *err)
{
    size_t n_workers = qk_pool_size(c->options->pool);
    c->chunks = qk_alloc_aligned(n_workers, (size_t)2 * CHUNK);
    c->makers = qk_calloc(n_workers, sizeof(struct qk_edit_maker *));
    if (c->chunks == NULL || c->makers == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    QK_TRY(qk_pool_for(c->options->pool, c->n_spans, compare_span, c, err));
    size_t n_heads = c->options->edits != NULL ? c->options->edits->n_heads : 0;
    return n_heads == 0 ? QK_OK : qk_pool_for(c->options->pool, n_heads, compare_head, c, err);
}

/* ---- result ---- */

static void count_planned(struct comparison *c, struct qk_compare *ret)
{
    const struct qk_edits *edits = c->options->edits;
    for (size_t i = 0; edits != NULL && i < edits->n; i++) {
        struct qk_compare_sums *sums = sums_of(c, edits->edits[i].tensor);
        ret->n_planned_rows += edits->edits[i].count;
        if (sums != NULL) {
            sums->n_planned_rows += edits->edits[i].count;
        }
    }
    ret->n_planned_tensors = edits != NULL ? edits->n_tensors : 0;
}

static bool before(const struct qk_ckpt *a, size_t i, const struct qk_ckpt *b, size_t j)
{
    return j == b->n_tensors || (i < a->n_tensors && strcmp(a->tensors[i].name, b->tensors[j].name) <= 0);
}

/* Both lists are sorted by name: one walk gives common tensors and those of one side. */
static enum qk_code collect(struct comparison *c, struct qk_arena *arena, struct qk_compare *ret, struct qk_err *err)
{
    const struct qk_ckpt *a = c->a, *b = c->b;
    struct qk_compare_tensor *list = qk_arena_alloc(arena, a->n_tensors + b->n_tensors + 1, sizeof *list);
    if (list == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    for (size_t i = 0, j = 0; i < a->n_tensors || j < b->n_tensors;) {
        bool has_a = before(a, i, b, j);
        bool has_b = j < b->n_tensors && (!has_a || strcmp(a->tensors[i].name, b->tensors[j].name) == 0);
        struct qk_compare_tensor t = {.a = has_a ? &a->tensors[i] : NULL, .b = has_b ? &b->tensors[j] : NULL};
        t.name = qk_arena_strdup(arena, has_a ? t.a->name : t.b->name);
        const struct qk_compare_sums *sums = has_a ? sums_of(c, t.a) : NULL;
        if (t.name == NULL) {
            return qk_fail_nomem(err, "compare");
        }
        if (sums != NULL) {
            QK_TRY(qk_compare_describe(sums, c->options->model, arena, &t, err));
            ret->n_bytes += t.b->n_bytes;
            ret->n_tensors++;
        }
        if (sums == NULL || t.n_differing > 0) {
            list[ret->n_differing++] = t;
        }
        i += has_a;
        j += has_b;
    }
    ret->differing = list;
    return QK_OK;
}

static enum qk_code compare_all(struct comparison *c, struct qk_arena *arena, struct qk_compare *ret,
                                struct qk_err *err)
{
    QK_TRY(match_tensors(c, err));
    QK_TRY(list_spans(c, err));
    QK_TRY(compare_bytes(c, err));
    count_planned(c, ret);
    QK_TRY(collect(c, arena, ret, err));
    if (!c->options->tensors_only) {
        QK_TRY(qk_compare_layout(c->a, c->b, arena, ret, err));
        QK_TRY(qk_compare_files(c->a, c->b, c->options->edits != NULL ? "qkscope.json" : NULL, arena, ret, err));
    }
    ret->equal = ret->n_differing == 0 && ret->n_layout == 0 && ret->n_other == 0;
    return qk_interrupt_check(err);
}

enum qk_code qk_compare(const struct qk_ckpt *a, const struct qk_ckpt *b, const struct qk_compare_options *options,
                        struct qk_arena *arena, struct qk_compare *ret, struct qk_err *err)
{
    struct comparison c = {.a = a, .b = b, .options = options};
    struct qk_compare result = {0};
    enum qk_code code = compare_all(&c, arena, &result, err);
    for (size_t i = 0; c.makers != NULL && i < qk_pool_size(options->pool); i++) {
        qk_edit_maker_free(c.makers[i]);
    }
    qk_free(c.makers);
    qk_free(c.chunks);
    qk_free(c.spans);
    qk_free(c.rows);
    qk_free(c.sums);
    if (code == QK_OK) {
        *ret = result;
    }
    return code;
}
