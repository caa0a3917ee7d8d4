/* A plan's edits as an overlay: see repair/patched.h. */
#include "repair/patched.h"

#include <string.h>

#include "base/alloc.h"
#include "edit_pool.h"

/* One extent that is made when it is read. */
struct extent {
    const struct qk_edits *edits;
    const struct qk_edit *edit;
    size_t index;
};

struct qk_patched {
    struct qk_ckpt *ckpt;
    const struct qk_edits *edits;
    struct extent *extents;
    unsigned char *aligned; /* bytes of aligned edits, in edit order */
    uint64_t *aligned_at;   /* (edits->n) start of each */
};

static enum qk_code read_extent(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err)
{
    const struct extent *e = ctx;
    return qk_edit_read(e->edits, e->edit, e->index, at, n, buf, err);
}

/* Extents of an edit come in the order of their bytes in the tensor, so a piece's place follows from its offset. */
static enum qk_code keep(void *ctx, const struct qk_edit *edit, uint64_t at, size_t n, const void *bytes,
                         struct qk_err *err)
{
    struct qk_patched *p = ctx;
    uint64_t first, length, second, unused, index = 0;
    (void)err;
    qk_edit_extent(edit, 0, &first, &length);
    if (at > first) {
        qk_edit_extent(edit, 1, &second, &unused);
        index = (at - first) / (second - first);
    }
    memcpy(p->aligned + p->aligned_at[edit - p->edits->edits] + index * length, bytes, n);
    return QK_OK;
}

static enum qk_code make_aligned(struct qk_patched *p, struct qk_pool *pool, struct qk_err *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < p->edits->n; i++) {
        p->aligned_at[i] = total;
        total += p->edits->edits[i].how == QK_EDIT_HEAD ? p->edits->edits[i].n_bytes : 0;
    }
    if (total == 0) {
        return QK_OK;
    }
    p->aligned = qk_alloc_aligned((size_t)total, 1);
    return p->aligned == NULL ? qk_fail_nomem(err, "aligned heads")
                              : qk_edit_pool_aligned(p->edits, pool, keep, p, err);
}

static void lay_patches(struct qk_patched *p, struct qk_overlay_patch *patches)
{
    size_t n = 0;
    for (size_t i = 0; i < p->edits->n; i++) {
        const struct qk_edit *edit = &p->edits->edits[i];
        const unsigned char *made = edit->how == QK_EDIT_HEAD ? p->aligned + p->aligned_at[i] : NULL;
        for (size_t e = 0; e < qk_edit_n_extents(edit); e++, n++) {
            struct qk_overlay_patch *patch = &patches[n];
            p->extents[n] = (struct extent){p->edits, edit, e};
            *patch = (struct qk_overlay_patch){
                .tensor = edit->tensor, .dtype = edit->tensor->dtype, .read = read_extent, .ctx = &p->extents[n]};
            qk_edit_extent(edit, e, &patch->at, &patch->n);
            if (made != NULL) {
                patch->bytes = made;
                made += patch->n;
            }
        }
    }
}

static enum qk_code fill(struct qk_patched *p, const char *name, struct qk_pool *pool, struct qk_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < p->edits->n; i++) {
        n += qk_edit_n_extents(&p->edits->edits[i]);
    }
    struct qk_overlay_patch *patches = qk_calloc(n + 1, sizeof *patches);
    p->extents = qk_calloc(n + 1, sizeof *p->extents);
    p->aligned_at = qk_calloc(p->edits->n + 1, sizeof *p->aligned_at);
    enum qk_code code = patches == NULL || p->extents == NULL || p->aligned_at == NULL ? qk_fail_nomem(err, "patches")
                                                                                       : make_aligned(p, pool, err);
    if (code == QK_OK) {
        lay_patches(p, patches);
        code = qk_ckpt_overlay(p->edits->tuned->ckpt, name, n, patches, &p->ckpt, err);
    }
    qk_free(patches);
    return code;
}

enum qk_code qk_patched_new(const struct qk_edits *edits, const char *name, struct qk_pool *pool,
                            struct qk_patched **ret, struct qk_err *err)
{
    struct qk_patched *p = qk_calloc(1, sizeof *p);
    if (p == NULL) {
        return qk_fail_nomem(err, "patches");
    }
    p->edits = edits;
    enum qk_code code = fill(p, name, pool, err);
    if (code != QK_OK) {
        qk_patched_free(p);
        return code;
    }
    *ret = p;
    return QK_OK;
}

void qk_patched_free(struct qk_patched *p)
{
    if (p != NULL) {
        qk_ckpt_close(p->ckpt);
        qk_free(p->extents);
        qk_free(p->aligned);
        qk_free(p->aligned_at);
        qk_free(p);
    }
}

const struct qk_ckpt *qk_patched_ckpt(const struct qk_patched *patched)
{
    return patched->ckpt;
}
