/* Opening the checkpoints of a command line: see checkpoint_inputs.h. */
#include "checkpoint_inputs.h"

#include <string.h>

#include "base/str.h"
#include "ckpt/adapter.h"

static bool is_taken(const struct qk_checkpoint_inputs *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->inputs[i].name != NULL && strcmp(c->inputs[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The checkpoint that adapters among the operands are put on. */
static const struct qk_ckpt *base_of_adapters(const struct qk_checkpoint_inputs *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->ckpts[i] != NULL && c->ckpts[i]->adapter == NULL) {
            return c->ckpts[i];
        }
    }
    return NULL;
}

/* NAME=PATH: the name as given. The others wait, since a directory's name gives way to a given one. */
static enum qk_code open_input(struct qk_cli *cli, struct qk_checkpoint_inputs *c, size_t i, bool adapters,
                               struct qk_err *err)
{
    const char *name, *path;
    QK_TRY(qk_cli_split_name(cli, qk_cli_operand(cli, i), &name, &path, err));
    if (qk_adapter_present(path) != adapters) {
        return QK_OK;
    }
    QK_TRY(qk_cli_open_checkpoint(cli, path, base_of_adapters(c), c->as_stored, &c->ckpts[i], err));
    QK_TRY(qk_cli_guard_checkpoint(cli, c->ckpts[i], err));
    QK_TRY(qk_model_open(c->ckpts[i], &c->models[i], err));
    if (c->models[i]->notice != NULL && i == 0) {
        qk_cli_notice(cli, "%s: %s", path, c->models[i]->notice);
    }
    if (name != NULL && is_taken(c, name)) {
        return qk_fail(err, QK_EUSAGE, "two checkpoints are called '%s'", name);
    }
    c->inputs[i] = (struct qk_run_input){.name = name, .ckpt = c->ckpts[i], .model = c->models[i]};
    return QK_OK;
}

/* Gives the checkpoint its directory's name, or name-2, name-3 … where that is taken. */
static enum qk_code name_input(struct qk_cli *cli, struct qk_checkpoint_inputs *c, size_t i, struct qk_err *err)
{
    const char *own = c->ckpts[i]->name, *path = c->ckpts[i]->path, *name = own;
    if (!qk_name_is_clean(own) || own[0] == '\0' || strchr(own, '/') != NULL || own[0] == '.') {
        return qk_fail(err, QK_EUSAGE, "%s: '%s' cannot be a name in results; give one as NAME=%s", path, own, path);
    }
    for (size_t suffix = 2; name != NULL && is_taken(c, name); suffix++) {
        name = qk_arena_printf(qk_cli_arena(cli), "%s-%zu", own, suffix);
    }
    c->inputs[i].name = name;
    return name == NULL ? qk_fail_nomem(err, "checkpoint names") : QK_OK;
}

enum qk_code qk_checkpoint_inputs_open(struct qk_cli *cli, struct qk_checkpoint_inputs *ret, struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(cli);
    size_t n = qk_cli_n_operands(cli);
    struct qk_checkpoint_inputs c = {.ckpts = qk_arena_alloc(arena, n, sizeof(*c.ckpts)),
                                     .models = qk_arena_alloc(arena, n, sizeof(*c.models)),
                                     .inputs = qk_arena_alloc(arena, n, sizeof(*c.inputs))};
    if (c.ckpts == NULL || c.models == NULL || c.inputs == NULL) {
        return qk_fail_nomem(err, "checkpoints");
    }
    c.n = n;
    c.as_stored = ret->as_stored;
    *ret = c;
    for (size_t i = 0; i < 2 * n; i++) { /* adapters after what they may be put on */
        QK_TRY(open_input(cli, ret, i % n, i >= n, err));
    }
    for (size_t i = 0; i < n; i++) {
        if (ret->inputs[i].name == NULL) {
            QK_TRY(name_input(cli, ret, i, err));
        }
    }
    return QK_OK;
}

void qk_checkpoint_inputs_release(struct qk_checkpoint_inputs *inputs)
{
    for (size_t i = 0; i < 2 * inputs->n; i++) { /* adapters first: they borrow their base */
        struct qk_ckpt **ckpt = &inputs->ckpts[i % inputs->n];
        if (*ckpt != NULL && (i >= inputs->n || (*ckpt)->adapter != NULL)) {
            qk_model_free(inputs->models[i % inputs->n]);
            qk_ckpt_close(*ckpt);
            *ckpt = NULL;
        }
    }
    inputs->n = 0;
}
