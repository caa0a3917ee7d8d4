/* qkscope inspect CKPT: what a checkpoint is, from its headers alone. */
#include "base/str.h"
#include "ckpt/adapter.h"
#include "cli/command.h"
#include "help.h"
#include "inspect.h"

/* ---- --validate ---- */

struct violations {
    struct qk_str out;
    bool json;
    size_t n;
};

static void add_json_member(struct qk_str *out, const char *key, const char *value)
{
    qk_str_addf(out, "\"%s\": ", key);
    qk_str_add_json(out, value != NULL ? value : "");
}

static void add_clean(struct qk_str *out, const char *s)
{
    for (; s != NULL && *s != 0; s++) {
        qk_str_addc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
    }
}

static void on_violation(void *ctx, const struct qk_violation *v)
{
    struct violations *all = ctx;
    struct qk_str *out = &all->out;
    if (all->json) {
        qk_str_add(out, all->n > 0 ? ",\n  {" : "\n  {");
        add_json_member(out, "file", v->file);
        qk_str_add(out, ", ");
        add_json_member(out, "tensor", v->tensor);
        qk_str_add(out, ", ");
        add_json_member(out, "rule", v->rule);
        qk_str_add(out, ", ");
        add_json_member(out, "text", v->text);
        qk_str_add(out, ", ");
        add_json_member(out, "hint", v->hint);
        qk_str_addc(out, '}');
    } else {
        add_clean(out, v->file);
        qk_str_add(out, ": ");
        if (v->tensor != NULL && v->tensor[0] != 0) {
            add_clean(out, v->tensor);
            qk_str_add(out, ": ");
        }
        add_clean(out, v->text);
        qk_str_addf(out, " [%s]\n", v->rule);
        if (v->hint != NULL && v->hint[0] != 0) {
            qk_str_add(out, "    ");
            add_clean(out, v->hint);
            qk_str_addc(out, '\n');
        }
    }
    all->n++;
}

static enum qk_code check_model(struct qk_cli *cli, const char *path, struct qk_err *err)
{
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    QK_TRY(qk_cli_open_checkpoint(cli, path, NULL, false, &ckpt, err));
    enum qk_code code = qk_model_open(ckpt, &model, err);
    if (code == QK_OK) {
        qk_model_free(model);
    }
    qk_ckpt_close(ckpt);
    return code;
}

/* Lists every violation. Files without one must also be a model that we know, since all other commands ask for that. */
static enum qk_code validate(struct qk_cli *cli, const char *path, struct qk_err *err)
{
    struct violations all = {.json = qk_cli_json(cli)};
    size_t n = 0;
    qk_str_add(&all.out, all.json ? "[" : "");
    /* an adapter's rules are those of opening it: the first broken one is the error */
    enum qk_code code = qk_adapter_present(path) ? QK_OK : qk_ckpt_validate(path, on_violation, &all, &n, err);
    if (code != QK_OK) {
        qk_str_release(&all.out);
        return code;
    }
    if (n == 0) {
        code = check_model(cli, path, err);
    }
    if (all.json) {
        qk_str_add(&all.out, n > 0 ? "\n]\n" : "]\n");
    } else if (n == 0 && code == QK_OK) {
        qk_str_addf(&all.out, "%s: every rule of the format holds\n", path);
    }
    struct qk_err *print_err = code == QK_OK ? err : NULL;
    enum qk_code printed = qk_cli_print_str(cli, &all.out, print_err);
    if (code != QK_OK || printed != QK_OK) {
        return code != QK_OK ? code : printed;
    }
    if (n > 0) {
        return qk_fail(err, QK_EFORMAT, "%s: %zu violation%s of the format", path, n, n == 1 ? "" : "s");
    }
    return QK_OK;
}

/* ---- the description ---- */

static enum qk_code describe(struct qk_cli *cli, const char *name, const struct qk_ckpt *ckpt,
                             const struct qk_model *model, struct qk_err *err)
{
    struct qk_inspect_view view = {.ckpt = ckpt,
                                   .model = model,
                                   .name = name != NULL ? name : ckpt->name,
                                   .tensors = qk_cli_flag(cli, "tensors"),
                                   .arena = qk_cli_arena(cli)};
    QK_TRY(qk_cli_layers(cli, model->n_layers, &view.layers, err));
    if (model->notice != NULL) {
        qk_cli_notice(cli, "%s", model->notice);
    }
    struct qk_str out = {0};
    enum qk_code code =
        qk_cli_json(cli) ? qk_inspect_json(&out, &view, err) : qk_inspect_text(&out, &view, qk_help_width(), err);
    if (code != QK_OK) {
        qk_str_release(&out);
        return code;
    }
    return qk_cli_print_str(cli, &out, err);
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    const char *name, *path;
    QK_TRY(qk_cli_split_name(cli, qk_cli_operand(cli, 0), &name, &path, err));
    if (qk_cli_flag(cli, "validate")) {
        return validate(cli, path, err);
    }
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    QK_TRY(qk_cli_open_checkpoint(cli, path, NULL, false, &ckpt, err));
    enum qk_code code = qk_model_open(ckpt, &model, err);
    if (code == QK_OK) {
        code = describe(cli, name, ckpt, model, err);
        qk_model_free(model);
    }
    qk_ckpt_close(ckpt);
    return code;
}

static const struct qk_option options[] = {
    {"tensors", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "List every tensor with its layer, role, type, shape, size and place, separated by tabs."},
    {"validate", 0, QK_OPT_FLAG, NULL, NULL, NULL,
     "Check every rule of the format and list all violations; exit status 4 when there is one."},
    {NULL},
};

static const char *const operand_help[] = {
    "CKPT",
    "A directory with config.json and model.safetensors or model.safetensors.index.json, or one .safetensors file with "
    "a config.json beside it; or a PEFT adapter over its base.",
    NULL,
};

static const char *const examples[] = {
    "qkscope inspect examples/amnesia/base",
    "Family, layers by kind, heads, position encoding, and the tensors that play Q and K.",
    "qkscope inspect examples/amnesia/base --layers 2,5-7",
    "The same for single layers, one by one.",
    "qkscope inspect --validate DIR",
    "Checks a download before long work: truncated shards, Git-LFS pointers, wrong sizes.",
    "qkscope inspect --json DIR | jq '.layers[] | select(.kind == \"full\") | .index'",
    "The numbers of the softmax layers.",
    NULL,
};

const struct qk_command qk_cmd_inspect = {
    .name = "inspect",
    .summary = "show what a checkpoint is: layers, heads, Q and K tensors",
    .operands = "CKPT",
    .min_operands = 1,
    .max_operands = 1,
    .description =
        "Reads the headers only, so it takes milliseconds, whatever the size. Layers that are alike are described "
        "once; "
        "--layers shows them one by one.\n\n"
        "For each kind of layer it says how many query and key heads there are (with grouped queries several query "
        "heads read one key head), how positions enter, and which rows of which stored tensor play Q and K. Fused and "
        "gated projections are resolved: the ranges are what drift measures and what a restore would write.\n\n"
        "A model_type that is not in 'qkscope models' is still read when its tensors follow the usual names; a notice "
        "says so.\n\n"
        "--json prints an object with model_type, sizes and hashes, and per layer: index, kind (full, sliding, linear, "
        "ssm, none), position, n_heads, n_kv_heads, head_dim, and q and k as lists of tensor and rows, where rows are "
        "pairs [first, end) counted from 0. Layers whose Q or K is a product (latent attention) also have q_inner or "
        "k_inner, the projection in front.",
    .common = QK_COMMON_LAYERS | QK_COMMON_JSON | QK_COMMON_BASE_MODEL,
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
