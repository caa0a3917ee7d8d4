/* What a diagnosis found: see diagnose_verdict.h. */
#include "diagnose_verdict.h"

#include <string.h>

#include "base/file.h"
#include "paragraph.h"
#include "store/store.h"

enum { WIDTH = 100 };

static enum qk_code ask(const struct qk_diagnose *d, const struct qk_table *table, struct qk_diagnosis *ret,
                        struct qk_err *err)
{
    struct qk_diagnosis_question question = {.base = d->base_name,
                                             .tuned = d->tuned_name,
                                             .restored = d->plan_changes ? d->restored_name : NULL,
                                             .max_reasoning_loss = qk_cli_number(d->cli, "max-reasoning-loss")};
    return qk_diagnosis_of(table, &question, qk_cli_arena(d->cli), ret, err);
}

enum qk_code qk_diagnose_is_identical(const struct qk_diagnose *d, const char *drift, bool *ret, struct qk_err *err)
{
    struct qk_table *table;
    struct qk_diagnosis diagnosis;
    QK_TRY(qk_store_read(drift, &table, err));
    enum qk_code code = ask(d, table, &diagnosis, err);
    qk_table_free(table);
    QK_TRY(code);
    *ret = diagnosis.lost == QK_LOST_SAME;
    return QK_OK;
}

/* One paragraph a line, wrapped, an empty line between them. */
static void add_text(struct qk_str *out, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        qk_str_add(out, at == text ? "" : "\n");
        qk_paragraph(out, at, n, 0, 0, WIDTH);
        at += n + (at[n] == '\n');
    }
}

static enum qk_code write_text(const struct qk_diagnose *d, const struct qk_diagnosis *diagnosis, struct qk_err *err)
{
    struct qk_str out = {0};
    const char *path = qk_diagnose_path(d, "verdict.txt");
    add_text(&out, diagnosis->text);
    enum qk_code code =
        path == NULL || out.failed ? qk_fail_nomem(err, "verdict") : qk_atomic_put(path, true, out.s, out.len, err);
    qk_str_release(&out);
    return code;
}

enum qk_code qk_diagnose_verdict(const struct qk_diagnose *d, struct qk_diagnosis *ret, struct qk_err *err)
{
    const char *from = qk_diagnose_path(d, d->identical ? "steps/drift.h5" : "steps/all.h5");
    const char *to = qk_diagnose_path(d, "run.h5");
    struct qk_table *table;
    if (from == NULL || to == NULL) {
        return qk_fail_nomem(err, "verdict");
    }
    QK_TRY(qk_store_read(from, &table, err));
    struct qk_diagnosis diagnosis;
    enum qk_code code = ask(d, table, &diagnosis, err);
    if (code == QK_OK) {
        code = qk_diagnosis_add(&diagnosis, table, err);
    }
    if (code == QK_OK) {
        code = qk_store_write(table, to, true, err);
    }
    qk_table_free(table);
    QK_TRY(code);
    QK_TRY(write_text(d, &diagnosis, err));
    *ret = diagnosis;
    return QK_OK;
}

static void add_json(struct qk_str *out, const struct qk_diagnose *d, const struct qk_diagnosis *diagnosis)
{
    qk_str_add(out, "{\"output\": ");
    qk_str_add_json(out, d->dir);
    qk_str_addf(out,
                ", \"lost\": \"%s\", \"main_cause\": \"%s\", \"repair\": \"%s\", \"restored\": %s,\n \"verdict\": [",
                qk_lost_name(diagnosis->lost), qk_culprit_name(diagnosis->culprit), qk_repair_name(diagnosis->repair),
                d->plan_changes ? "true" : "false");
    for (const char *at = diagnosis->text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        char *line = qk_arena_strndup(qk_cli_arena(d->cli), at, n);
        qk_str_add(out, at == diagnosis->text ? "\n  " : ",\n  ");
        qk_str_add_json(out, line != NULL ? line : "");
        at += n + (at[n] == '\n');
    }
    qk_str_add(out, "\n ]}\n");
}

enum qk_code qk_diagnose_print(const struct qk_diagnose *d, const struct qk_diagnosis *diagnosis, struct qk_err *err)
{
    struct qk_str out = {0};
    if (qk_cli_json(d->cli)) {
        add_json(&out, d, diagnosis);
    } else {
        add_text(&out, diagnosis->text);
    }
    return qk_cli_print_str(d->cli, &out, err);
}
