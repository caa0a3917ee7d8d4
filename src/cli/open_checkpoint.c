/* Opening one checkpoint of a command line, PEFT adapters included: see cli/command.h. */
#include <sys/stat.h>

#include "ckpt/adapter.h"
#include "cli_state.h"

static bool same_place(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static const char *given_base(const struct qk_cli *cli)
{
    return (cli->command->common & QK_COMMON_BASE_MODEL) != 0 ? qk_cli_value(cli, "base-model") : NULL;
}

/* Trained on another checkpoint than the one it is compared with: the sum would be a model that never was. */
static void tell_other_base(struct qk_cli *cli, const struct qk_ckpt *ckpt)
{
    struct stat st;
    const char *named = ckpt->adapter->named_base;
    const struct qk_ckpt *base = ckpt->adapter->base;
    if (named != NULL && stat(named, &st) == 0 && !same_place(named, base->path) && !same_place(named, base->dir)) {
        qk_cli_notice(cli, "%s: put on %s, though it names %s as its base%s", ckpt->path, base->path, named,
                      (cli->command->common & QK_COMMON_BASE_MODEL) != 0 ? " (--base-model chooses)" : "");
    }
}

enum qk_code qk_cli_open_checkpoint(struct qk_cli *cli, const char *path, const struct qk_ckpt *base, bool as_stored,
                                    struct qk_ckpt **ret, struct qk_err *err)
{
    if (!qk_adapter_present(path)) {
        return qk_ckpt_open(path, ret, err);
    }
    const char *given = given_base(cli);
    base = base != NULL && base->adapter != NULL ? base->adapter->base : base;
    struct qk_adapter_options options = {
        .base = given == NULL ? base : NULL, .base_path = given, .as_stored = as_stored};
    QK_TRY(qk_adapter_open(path, &options, ret, err));
    if (given == NULL) {
        tell_other_base(cli, *ret);
    }
    return QK_OK;
}
