/* Answers of `restore --as adapter`: see trim_answer.h. */
#include "trim_answer.h"

#include "ckpt/adapter.h"

struct tally {
    size_t n_tensors;
    uint64_t n_rows, total_bytes;
};

static struct tally count(const struct qk_trims *trims)
{
    struct tally t = {0};
    struct qk_ckpt files;
    qk_adapter_files(trims->edits->tuned->ckpt->adapter, &files);
    t.total_bytes = files.total_bytes;
    for (size_t i = 0; i < trims->n; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) {
            seen = trims->trims[k].tensor == trims->trims[i].tensor;
        }
        t.n_tensors += !seen;
        t.n_rows += trims->trims[i].count;
    }
    return t;
}

static const char *how_name(const struct qk_trim *trim)
{
    return trim->zero ? "zeroed" : "copied";
}

void qk_trim_answer_json(struct qk_str *out, const struct qk_trims *trims, const char *output, bool written)
{
    struct tally t = count(trims);
    qk_str_add(out, "{\"output\": ");
    if (output == NULL) {
        qk_str_add(out, "null");
    } else {
        qk_str_add_json(out, output);
    }
    qk_str_addf(out,
                ", \"written\": %s, \"tensors\": %zu, \"rows\": %llu, \"bytes\": %llu, \"total_bytes\": %llu,\n "
                "\"edits\": [",
                written ? "true" : "false", t.n_tensors, (unsigned long long)t.n_rows,
                (unsigned long long)trims->n_bytes, (unsigned long long)t.total_bytes);
    for (size_t i = 0; i < trims->n; i++) {
        const struct qk_trim *trim = &trims->trims[i];
        qk_str_add(out, i == 0 ? "\n  {\"tensor\": " : ",\n  {\"tensor\": ");
        qk_str_add_json(out, trim->tensor->name);
        qk_str_addf(out, ", \"layer\": %zu, \"role\": \"%s\", \"first\": %llu, \"count\": %llu, \"how\": \"%s\"}",
                    trim->edit->layer, qk_role_name(trim->edit->role), (unsigned long long)trim->first,
                    (unsigned long long)trim->count, how_name(trim));
    }
    qk_str_add(out, trims->n == 0 ? "]}\n" : "\n ]}\n");
}

void qk_trim_answer_text(struct qk_str *out, const struct qk_trims *trims, const char *output, bool written)
{
    struct tally t = count(trims);
    const struct qk_tensor *last = NULL;
    for (size_t i = 0; i < trims->n && !written; i++) {
        const struct qk_trim *trim = &trims->trims[i];
        if (trim->tensor != last) {
            qk_str_addf(out, "%s\n", trim->tensor->name);
            last = trim->tensor;
        }
        qk_str_addf(out, "  layer %-3zu %-8s rows %llu-%llu  %s\n", trim->edit->layer, qk_role_name(trim->edit->role),
                    (unsigned long long)trim->first, (unsigned long long)(trim->first + trim->count - 1),
                    how_name(trim));
    }
    qk_str_addf(out, "%s%s%zu tensor%s of the adapter, %llu rows, ", written ? output : "would change ",
                written ? ": changed " : "", t.n_tensors, t.n_tensors == 1 ? "" : "s", (unsigned long long)t.n_rows);
    qk_str_add_bytes(out, trims->n_bytes);
    qk_str_add(out, " of ");
    qk_str_add_bytes(out, t.total_bytes);
    qk_str_addc(out, '\n');
}
