/* Commands that measure checkpoints: see measurement.h. */
#include "measurement.h"

#include "base/file.h"
#include "cli/command.h"
#include "store/store.h"

/* ---- before ------------------------------------------------------------------------------------------------------ */

static enum qk_code check_output(const struct qk_cli *cli, struct qk_err *err)
{
    const char *output = qk_cli_output(cli);
    if (output == NULL) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "no output file");
        qk_err_hint(err, "-o RUN.h5 names it");
        return code;
    }
    return qk_atomic_check(output, qk_cli_force(cli), err);
}

static enum qk_code find_base(struct qk_measurement *m, struct qk_err *err)
{
    const char *name = qk_cli_value(m->cli, "base");
    for (size_t i = 0; name != NULL && i < m->c.n; i++) {
        if (qk_streq(m->c.inputs[i].name, name)) {
            m->base = i;
            return QK_OK;
        }
    }
    return name == NULL ? QK_OK : qk_fail(err, QK_EUSAGE, "--base: no checkpoint is called '%s'", name);
}

static enum qk_code open_checkpoints(struct qk_measurement *m, bool has_base, struct qk_err *err)
{
    QK_TRY(qk_checkpoint_inputs_open(m->cli, &m->c, err));
    QK_TRY(has_base ? find_base(m, err) : QK_OK);
    for (size_t i = 0; i < m->c.n; i++) {
        if (i != m->base) {
            QK_TRY(qk_run_check_pair(&m->c.inputs[m->base], &m->c.inputs[i], qk_cli_progress(m->cli), err));
        }
    }
    return QK_OK;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static enum qk_code resume(struct qk_measurement *m, const struct qk_measurement_steps *steps, void *ctx,
                           struct qk_err *err)
{
    struct qk_table *partial;
    size_t n_done = 0, n = 0;
    QK_TRY(qk_sidecar_read(&m->sidecar, &partial, err));
    if (partial == NULL) {
        return QK_OK;
    }
    enum qk_code code = steps->resume(ctx, partial, &n_done, &n, err);
    qk_table_free(partial);
    if (code != QK_OK) {
        return qk_sidecar_refuse(&m->sidecar, code, err);
    }
    qk_cli_notice(m->cli, "%s: %zu of %zu %s are there already", m->sidecar.path, n_done, n, steps->pieces);
    return QK_OK;
}

static enum qk_code fill_table(struct qk_measurement *m, const struct qk_measurement_steps *steps, void *ctx,
                               struct qk_err *err)
{
    struct qk_pool *pool;
    QK_TRY(qk_cli_pool(m->cli, &pool, err));
    qk_cli_progress_unit(m->cli, steps->unit);
    QK_TRY(qk_table_new(&m->table, err));
    QK_TRY(steps->prepare(ctx, pool, err));
    QK_TRY(resume(m, steps, ctx, err));
    enum qk_code code = steps->run(ctx, pool, err);
    if (code != QK_OK) {
        qk_sidecar_save(&m->sidecar, m->table, err);
        return code;
    }
    return steps->finish == NULL ? QK_OK : steps->finish(m->table, err);
}

static enum qk_code print_answer(struct qk_measurement *m, const struct qk_measurement_steps *steps, void *ctx,
                                 struct qk_err *err)
{
    struct qk_str out = {0};
    enum qk_code code = steps->answer(ctx, qk_cli_json(m->cli), &out, err);
    if (code != QK_OK) {
        qk_str_release(&out);
        return code;
    }
    return qk_cli_print_str(m->cli, &out, err);
}

static enum qk_code compute(struct qk_measurement *m, const struct qk_measurement_steps *steps, void *ctx,
                            struct qk_err *err)
{
    QK_TRY(open_checkpoints(m, steps->has_base, err));
    QK_TRY(steps->read_inputs(ctx, err));
    QK_TRY(fill_table(m, steps, ctx, err));
    QK_TRY(qk_store_write(m->table, qk_cli_output(m->cli), qk_cli_force(m->cli), err));
    qk_sidecar_remove(&m->sidecar);
    return print_answer(m, steps, ctx, err);
}

enum qk_code qk_measurement_run(struct qk_cli *cli, const struct qk_measurement_steps *steps, struct qk_measurement *m,
                                void *ctx, struct qk_err *err)
{
    m->cli = cli;
    QK_TRY(check_output(cli, err));
    QK_TRY(steps->read_options == NULL ? QK_OK : steps->read_options(ctx, err));
    QK_TRY(qk_sidecar_init(cli, &m->sidecar, err));
    enum qk_code code = compute(m, steps, ctx, err);
    qk_table_free(m->table);
    qk_checkpoint_inputs_release(&m->c);
    return code;
}

enum qk_code qk_measurement_keep(void *ctx, const struct qk_table *table, struct qk_err *err)
{
    struct qk_measurement *m = ctx;
    return qk_sidecar_update(&m->sidecar, table, err);
}

/* ---- options that several have ----------------------------------------------------------------------------------- */

enum qk_code qk_measurement_part(const struct qk_cli *cli, struct qk_part *ret, struct qk_err *err)
{
    const char *shard = qk_cli_value(cli, "shard");
    *ret = (struct qk_part){0};
    return shard == NULL ? QK_OK : qk_part_parse(shard, ret, err);
}

enum qk_code qk_measurement_max_new(const struct qk_cli *cli, size_t *ret, struct qk_err *err)
{
    bool is_given = qk_cli_value(cli, "max-new") != NULL;
    *ret = is_given ? qk_cli_count(cli, "max-new") : 0;
    return !is_given || *ret > 0 ? QK_OK : qk_fail(err, QK_EUSAGE, "--max-new: an answer has at least one token");
}

void qk_measurement_add_part(struct qk_str *out, const struct qk_part *part, const char *what)
{
    if (part->n > 1) {
        qk_str_addf(out, "part %zu of %zu: %s are made by `qkscope merge` of all parts\n", part->i, part->n, what);
    }
}
