/* The file beside an output in which a long command keeps what it has finished, for --resume: RUN.h5.part, a run file
 * like any other. Written at most every few seconds, and never for more than a few percent of the time; once more when
 * the command fails; removed when the output is there. */
#ifndef QK_CLI_SIDECAR_H
#define QK_CLI_SIDECAR_H

#include <stdbool.h>

#include "analyses/table.h"
#include "base/err.h"

struct qk_cli;

struct qk_sidecar {
    struct qk_cli *cli;
    const char *path;
    double written, cost; /* time of the last write, and how long it took, in seconds */
    bool is_there;        /* the file has something of this run */
    bool is_behind;       /* something was finished since the last write */
};

/* Beside the command's -o. Does not touch any file. */
enum qk_code qk_sidecar_init(struct qk_cli *cli, struct qk_sidecar *ret, struct qk_err *err) QK_CHECKED;
/* With --resume the table of the file, which the caller frees; NULL without --resume or with a notice that there is no
 * such file. */
enum qk_code qk_sidecar_read(struct qk_sidecar *sidecar, struct qk_table **ret, struct qk_err *err) QK_CHECKED;
/* What was read does not fit: code again, with the file's name in front and a hint. */
enum qk_code qk_sidecar_refuse(const struct qk_sidecar *sidecar, enum qk_code code, struct qk_err *err) QK_CHECKED;
/* Something more is finished in table: writes it when the last time is long enough ago. */
enum qk_code qk_sidecar_update(struct qk_sidecar *sidecar, const struct qk_table *table, struct qk_err *err) QK_CHECKED;
/* The command failed: writes what is not written yet. A hint in err says where it is; err stays otherwise. */
void qk_sidecar_save(struct qk_sidecar *sidecar, const struct qk_table *table, struct qk_err *err);
/* The output is there. A file that cannot be removed is a notice. */
void qk_sidecar_remove(struct qk_sidecar *sidecar);

#endif
