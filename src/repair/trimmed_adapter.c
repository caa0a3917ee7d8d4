/* Adapters without the Q and K of a plan: see repair/trimmed_adapter.h. */
#include "repair/trimmed_adapter.h"

#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/interrupt.h"
#include "ckpt/adapter.h"
#include "ckpt/writer.h"

/* ---- what becomes of an edit ------------------------------------------------------------------------------------ */

static const struct qk_adapter_part *part_of(const struct qk_adapter *adapter, const struct qk_tensor *tensor)
{
    for (size_t i = 0; i < adapter->n_parts; i++) {
        if (strcmp(adapter->parts[i].base->name, tensor->name) == 0) {
            return &adapter->parts[i];
        }
    }
    return NULL;
}

static enum qk_code unsupported(const struct qk_edits *edits, const struct qk_edit *edit, const char *why,
                                struct qk_err *err)
{
    (void)qk_fail(err, QK_EUNSUPPORTED, "%s: %s: %s", edits->tuned->ckpt->path, edit->tensor->name, why);
    qk_err_hint(err, "a merged checkpoint can hold it");
    return QK_EUNSUPPORTED;
}

static enum qk_code add(struct qk_trims *t, struct qk_trim *list, const struct qk_trim *trim, struct qk_err *err)
{
    uint64_t rows = trim->tensor->shape[0], bits = qk_dtype_info(trim->tensor->dtype)->bits;
    uint64_t n_rows = trim->zero || !trim->edit->transposed ? rows : trim->tensor->n_elements / rows;
    if (trim->first > n_rows || trim->count > n_rows - trim->first) {
        return qk_fail(err, QK_EINTERNAL, "%s: rows %llu + %llu of %llu", trim->tensor->name,
                       (unsigned long long)trim->first, (unsigned long long)trim->count, (unsigned long long)n_rows);
    }
    t->n_bytes += trim->tensor->n_elements / n_rows * trim->count * bits / 8;
    list[t->n++] = *trim;
    return QK_OK;
}

/* At most two trims an edit: of a saved tensor, and of the factor or bias on top. */
static enum qk_code trim_edit(struct qk_trims *t, struct qk_trim *list, const struct qk_edit *edit, struct qk_err *err)
{
    const struct qk_adapter_part *part = part_of(t->edits->tuned->ckpt->adapter, edit->tensor);
    if (part == NULL) {
        return QK_OK;
    }
    if (edit->how != QK_EDIT_COPY && edit->how != QK_EDIT_CONVERT) {
        return unsupported(t->edits, edit,
                           "rows that are no longer the base's cannot be said by an adapter "
                           "(expected the action restore)",
                           err);
    }
    if (part->magnitude != NULL) {
        return unsupported(t->edits, edit, "DoRA's magnitudes would have to become the base's norms", err);
    }
    struct qk_trim trim = {.edit = edit, .first = edit->first, .count = edit->count};
    if (part->saved != NULL) {
        trim.tensor = part->saved;
        QK_TRY(add(t, list, &trim, err));
    }
    trim.tensor = part->b != NULL ? part->b : part->bias;
    trim.zero = true;
    if (part->b != NULL && part->transposed != edit->transposed) {
        return unsupported(t->edits, edit, "its Q or K rows are not output features of the adapter's factors", err);
    }
    return trim.tensor != NULL ? add(t, list, &trim, err) : QK_OK;
}

/* Where the rows of B are zero the adapter's own base shows, which must be the one that is restored. */
static bool is_own_base(const struct qk_adapter *adapter, const struct qk_ckpt *base)
{
    struct stat own, given;
    return adapter->base == base ||
           (adapter->base->n_shards == base->n_shards && fstat(adapter->base->shards[0].fd, &own) == 0 &&
            fstat(base->shards[0].fd, &given) == 0 && own.st_dev == given.st_dev && own.st_ino == given.st_ino);
}

enum qk_code qk_trims_new(const struct qk_edits *edits, struct qk_arena *arena, struct qk_trims *ret,
                          struct qk_err *err)
{
    struct qk_trims t = {.edits = edits};
    struct qk_trim *list = qk_arena_alloc(arena, 2 * edits->n, sizeof *list);
    if (edits->tuned->ckpt->adapter == NULL) {
        return qk_fail(err, QK_EUSAGE, "%s: no adapter (expected a PEFT directory, found a whole checkpoint)",
                       edits->tuned->ckpt->path);
    }
    if (!is_own_base(edits->tuned->ckpt->adapter, edits->base->ckpt)) {
        return qk_fail(err, QK_EUSAGE, "%s: put on another base than the one to restore (expected %s, found %s)",
                       edits->tuned->ckpt->path, edits->base->ckpt->path, edits->tuned->ckpt->adapter->base->path);
    }
    if (list == NULL) {
        return qk_fail_nomem(err, "trimmed adapter");
    }
    for (size_t i = 0; i < edits->n; i++) {
        QK_TRY(trim_edit(&t, list, &edits->edits[i], err));
    }
    t.trims = list;
    *ret = t;
    return QK_OK;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

struct writing {
    const struct qk_trims *trims;
    struct qk_writer *writer;
    const struct qk_ckpt *base;
};

/* n elements of a saved tensor from element at on become the base's, if its type holds them. */
static enum qk_code put_base(const struct writing *w, const struct qk_trim *trim, uint64_t at, size_t n,
                             struct qk_err *err)
{
    const struct qk_tensor *from = trim->edit->base, *to = trim->tensor;
    const struct qk_dtype_info *source = qk_dtype_info(from->dtype), *target = qk_dtype_info(to->dtype);
    size_t in = source->bits / 8, out = target->bits / 8;
    unsigned char *raw = qk_alloc_aligned(n, in + out);
    double *values = qk_alloc_aligned(2 * n, sizeof *values), *back = values + n;
    enum qk_code code = raw == NULL || values == NULL ? qk_fail_nomem(err, "trimmed adapter")
                                                      : qk_ckpt_read(w->base, from, at * in, n * in, raw, err);
    if (code == QK_OK) {
        source->to_f64(raw, n, values);
        for (size_t i = 0; i < n; i++) {
            values[i] *= trim->edit->base_scale;
        }
        target->from_f64(values, n, raw + n * in);
        target->to_f64(raw + n * in, n, back);
    }
    for (size_t i = 0; code == QK_OK && i < n; i++) {
        if (values[i] != back[i]) {
            code = unsupported(w->trims->edits, trim->edit, "the adapter's type does not hold the base's values", err);
        }
    }
    if (code == QK_OK) {
        code = qk_writer_put(w->writer, to, at * out, n * out, raw + n * in, err);
    }
    qk_free(values);
    qk_free(raw);
    return code;
}

static enum qk_code put_zeros(const struct writing *w, const struct qk_trim *trim, struct qk_err *err)
{
    static const unsigned char zeros[4096];
    const struct qk_tensor *t = trim->tensor;
    uint64_t width = t->n_bytes / t->shape[0], at = trim->first * width, end = at + trim->count * width;
    for (size_t n; at < end; at += n) {
        n = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;
        QK_TRY(qk_writer_put(w->writer, t, at, n, zeros, err));
    }
    return QK_OK;
}

static enum qk_code put_trim(const struct writing *w, const struct qk_trim *trim, struct qk_err *err)
{
    const struct qk_tensor *t = trim->tensor;
    QK_TRY(qk_interrupt_check(err));
    if (trim->zero) {
        return put_zeros(w, trim, err);
    }
    uint64_t cols = t->n_dims < 2 ? 1 : t->n_elements / t->shape[0];
    if (!trim->edit->transposed) {
        for (uint64_t row = trim->first; row < trim->first + trim->count; row++) {
            QK_TRY(put_base(w, trim, row * cols, (size_t)cols, err));
        }
        return QK_OK;
    }
    for (uint64_t row = 0; row < t->shape[0]; row++) {
        QK_TRY(put_base(w, trim, row * cols + trim->first, (size_t)trim->count, err));
    }
    return QK_OK;
}

/* ---- the record ------------------------------------------------------------------------------------------------- */

static void add_checkpoint(struct qk_str *out, const char *key, const struct qk_ckpt *ckpt)
{
    qk_str_addf(out, " \"%s\": {\"name\": ", key);
    qk_str_add_json(out, ckpt->name);
    qk_str_addf(out, ", \"header_sha256\": \"%s\"},\n", ckpt->header_sha256);
}

static void add_trim(struct qk_str *out, const struct qk_trims *trims, size_t i)
{
    const struct qk_trim *trim = &trims->trims[i];
    bool first = i == 0 || trims->trims[i - 1].tensor != trim->tensor;
    if (first) {
        qk_str_add(out, i == 0 ? "\n  {\"name\": " : "]},\n  {\"name\": ");
        qk_str_add_json(out, trim->tensor->name);
        qk_str_add(out, ", \"rows\": [");
    }
    qk_str_addf(out, "%s{\"layer\": %zu, \"role\": \"%s\", \"first\": %llu, \"count\": %llu, \"how\": \"%s\"}",
                first ? "" : ", ", trim->edit->layer, qk_role_name(trim->edit->role), (unsigned long long)trim->first,
                (unsigned long long)trim->count, trim->zero ? "zeroed" : "copied");
}

static enum qk_code add_record(const struct writing *w, const struct qk_plan *plan, const char *command,
                               struct qk_err *err)
{
    struct qk_str out = {0};
    const struct qk_edits *edits = w->trims->edits;
    qk_str_add(&out, "{\"format\": \"qkscope-trimmed-adapter\", \"version\": 1, \"qkscope\": \"" QK_VERSION
                     "\",\n \"command\": ");
    qk_str_add_json(&out, command == NULL ? "" : command);
    qk_str_add(&out, ",\n");
    add_checkpoint(&out, "base", edits->base->ckpt);
    add_checkpoint(&out, "tuned", edits->tuned->ckpt);
    qk_str_add(&out, " \"tensors\": [");
    for (size_t i = 0; i < w->trims->n; i++) {
        add_trim(&out, w->trims, i);
    }
    qk_str_add(&out, w->trims->n > 0 ? "]}],\n \"plan\":\n" : "],\n \"plan\":\n");
    qk_plan_write(plan, &out);
    qk_str_add(&out, "}\n");
    enum qk_code code = out.failed ? qk_fail_nomem(err, "record")
                                   : qk_writer_add_file(w->writer, QK_RESTORE_RECORD, out.s, out.len, err);
    qk_str_release(&out);
    return code;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static struct qk_writer_options writer_options(const struct qk_edits *edits, const struct qk_restore_options *options)
{
    return (struct qk_writer_options){.force = options->force,
                                      .n_inputs = 1,
                                      .inputs = &edits->base->ckpt,
                                      .left_out = QK_RESTORE_RECORD,
                                      .progress = options->progress};
}

enum qk_code qk_trims_check(const struct qk_trims *trims, const char *target, const struct qk_restore_options *options,
                            struct qk_err *err)
{
    struct qk_writer_options wo = writer_options(trims->edits, options);
    struct qk_ckpt files;
    qk_adapter_files(trims->edits->tuned->ckpt->adapter, &files);
    return qk_writer_check(&files, target, &wo, err);
}

enum qk_code qk_trims_write(const struct qk_plan *plan, const struct qk_trims *trims, const char *target,
                            const struct qk_restore_options *options, struct qk_err *err)
{
    struct qk_writer_options wo = writer_options(trims->edits, options);
    struct writing w = {.trims = trims, .base = trims->edits->base->ckpt};
    struct qk_ckpt files;
    qk_adapter_files(trims->edits->tuned->ckpt->adapter, &files);
    QK_TRY(qk_writer_open(&files, target, &wo, &w.writer, err));
    enum qk_code code = QK_OK;
    for (size_t i = 0; i < trims->n && code == QK_OK; i++) {
        code = put_trim(&w, &trims->trims[i], err);
    }
    if (code == QK_OK) {
        code = add_record(&w, plan, options->command, err);
    }
    if (code == QK_OK) {
        return qk_writer_commit(w.writer, err);
    }
    qk_writer_abort(w.writer);
    return code;
}
