/* -o may not name an input: inputs are never written, not even with --force. */
#include <sys/stat.h>

#include "ckpt/adapter.h"
#include "cli/command.h"

enum qk_code qk_cli_guard_input(struct qk_cli *cli, const char *path, struct qk_err *err)
{
    const char *output = qk_cli_output(cli);
    struct stat out, in;
    if (output == NULL || stat(output, &out) != 0 || stat(path, &in) != 0) {
        return QK_OK; /* nothing there to be lost; a missing input is somebody else's message */
    }
    if (out.st_dev != in.st_dev || out.st_ino != in.st_ino) {
        return QK_OK;
    }
    (void)qk_fail(err, QK_EUSAGE, "%s: is an input (%s)", output, path);
    qk_err_hint(err, "inputs are never written; give -o another name");
    return QK_EUSAGE;
}

enum qk_code qk_cli_guard_checkpoint(struct qk_cli *cli, const struct qk_ckpt *ckpt, struct qk_err *err)
{
    static const char index_name[] = "model.safetensors.index.json";
    QK_TRY(qk_cli_guard_input(cli, ckpt->config_path, err));
    for (size_t i = 0; i < ckpt->n_shards; i++) {
        QK_TRY(qk_cli_guard_input(cli, ckpt->shards[i].path, err));
    }
    if (ckpt->adapter != NULL) {
        QK_TRY(qk_cli_guard_input(cli, ckpt->adapter->config_path, err));
        QK_TRY(qk_cli_guard_input(cli, ckpt->adapter->file->path, err));
    }
    const char *index = qk_arena_printf(qk_cli_arena(cli), "%s/%s", ckpt->dir, index_name);
    return index == NULL ? qk_fail_nomem(err, "command line") : qk_cli_guard_input(cli, index, err);
}
