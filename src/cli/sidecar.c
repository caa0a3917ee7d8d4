/* What --resume continues from: see sidecar.h. */
#include "sidecar.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "store/store.h"

/* Least time between two writes in seconds, and in times of what the last one took. */
static const double least_pause = 2.0, pause_per_cost = 30.0;

enum qk_code qk_sidecar_init(struct qk_cli *cli, struct qk_sidecar *ret, struct qk_err *err)
{
    *ret = (struct qk_sidecar){.cli = cli, .written = qk_seconds()};
    ret->path = qk_arena_printf(qk_cli_arena(cli), "%s.part", qk_cli_output(cli));
    return ret->path == NULL ? qk_fail_nomem(err, "resume") : QK_OK;
}

enum qk_code qk_sidecar_read(struct qk_sidecar *sidecar, struct qk_table **ret, struct qk_err *err)
{
    *ret = NULL;
    if (!qk_cli_resume(sidecar->cli)) {
        return QK_OK;
    }
    if (!qk_path_exists(sidecar->path)) {
        qk_cli_notice(sidecar->cli, "%s: nothing to resume, starting anew", sidecar->path);
        return QK_OK;
    }
    enum qk_code code = qk_store_read(sidecar->path, ret, err);
    if (code != QK_OK) {
        qk_err_hint(err, "run without --resume to start anew");
        return code;
    }
    sidecar->is_there = true;
    return QK_OK;
}

enum qk_code qk_sidecar_refuse(const struct qk_sidecar *sidecar, enum qk_code code, struct qk_err *err)
{
    qk_err_context(err, "%s", sidecar->path);
    qk_err_hint(err, "run without --resume to start anew");
    return code;
}

static enum qk_code write_table(struct qk_sidecar *sidecar, const struct qk_table *table, struct qk_err *err)
{
    double before = qk_seconds();
    QK_TRY(qk_store_write(table, sidecar->path, true, err));
    sidecar->written = qk_seconds();
    sidecar->cost = sidecar->written - before;
    sidecar->is_there = true;
    sidecar->is_behind = false;
    return QK_OK;
}

enum qk_code qk_sidecar_update(struct qk_sidecar *sidecar, const struct qk_table *table, struct qk_err *err)
{
    double since = qk_seconds() - sidecar->written;
    sidecar->is_behind = true;
    return since < least_pause || since < pause_per_cost * sidecar->cost ? QK_OK : write_table(sidecar, table, err);
}

void qk_sidecar_save(struct qk_sidecar *sidecar, const struct qk_table *table, struct qk_err *err)
{
    if (sidecar->is_behind && write_table(sidecar, table, NULL) != QK_OK) {
        sidecar->is_behind = false; /* nobody can be told more than the error that there is */
    }
    if (sidecar->is_there) {
        qk_err_hint(err, "what was finished is in %s; the same command with --resume continues", sidecar->path);
    }
}

void qk_sidecar_remove(struct qk_sidecar *sidecar)
{
    if (unlink(sidecar->path) != 0 && errno != ENOENT) {
        qk_cli_notice(sidecar->cli, "%s could not be removed: %s", sidecar->path, strerror(errno));
    }
}
