/* qkscope restore BASE TUNED -o OUT: a checkpoint with the base's Q and K rows, and nothing else changed. */
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "checkpoint_inputs.h"
#include "cli/command.h"
#include "repair/restore.h"
#include "restore_plan.h"
#include "run/drift.h"
#include "trim_answer.h"

/* ---- the answer ------------------------------------------------------------------------------------------------- */

struct tally {
    size_t n_layers;
    uint64_t n_rows;
};

static enum qk_code count(struct qk_cli *cli, const struct qk_edits *edits, struct tally *ret, struct qk_err *err)
{
    bool *seen = qk_arena_alloc(qk_cli_arena(cli), edits->tuned->n_layers, sizeof *seen);
    struct tally t = {0};
    if (seen == NULL) {
        return qk_fail_nomem(err, "summary");
    }
    for (size_t i = 0; i < edits->n; i++) {
        t.n_layers += !seen[edits->edits[i].layer];
        seen[edits->edits[i].layer] = true;
        t.n_rows += edits->edits[i].count;
    }
    *ret = t;
    return QK_OK;
}

static void add_edits_text(struct qk_str *out, const struct qk_edits *edits)
{
    const struct qk_tensor *last = NULL;
    for (size_t i = 0; i < edits->n; i++) {
        const struct qk_edit *e = &edits->edits[i];
        if (e->tensor != last) {
            qk_str_addf(out, "%s\n", e->tensor->name);
            last = e->tensor;
        }
        qk_str_addf(out, "  layer %-3zu %-8s %s %llu-%llu  ", e->layer, qk_role_name(e->role),
                    e->transposed ? "columns" : "rows", (unsigned long long)e->first,
                    (unsigned long long)(e->first + e->count - 1));
        qk_str_add_bytes(out, e->n_bytes);
        qk_str_addf(out, "  %s\n", qk_edit_how_name(e->how));
    }
}

static void add_edits_json(struct qk_str *out, const struct qk_edits *edits)
{
    qk_str_add(out, "\"edits\": [");
    for (size_t i = 0; i < edits->n; i++) {
        const struct qk_edit *e = &edits->edits[i];
        qk_str_add(out, i == 0 ? "\n  {\"tensor\": " : ",\n  {\"tensor\": ");
        qk_str_add_json(out, e->tensor->name);
        qk_str_addf(out,
                    ", \"layer\": %zu, \"role\": \"%s\", \"first\": %llu, \"count\": %llu, \"bytes\": %llu, \"how\": "
                    "\"%s\"}",
                    e->layer, qk_role_name(e->role), (unsigned long long)e->first, (unsigned long long)e->count,
                    (unsigned long long)e->n_bytes, qk_edit_how_name(e->how));
    }
    qk_str_add(out, edits->n == 0 ? "]" : "\n ]");
}

static enum qk_code print_answer(struct qk_cli *cli, const struct qk_edits *edits, bool dry, struct qk_err *err)
{
    struct qk_str out = {0};
    struct tally t = {0};
    const char *output = qk_cli_output(cli);
    QK_TRY(count(cli, edits, &t, err));
    if (qk_cli_json(cli)) {
        qk_str_add(&out, "{\"output\": ");
        if (output == NULL) {
            qk_str_add(&out, "null");
        } else {
            qk_str_add_json(&out, output);
        }
        qk_str_addf(&out,
                    ", \"written\": %s, \"layers\": %zu, \"tensors\": %zu, \"rows\": %llu, \"bytes\": %llu, "
                    "\"total_bytes\": %llu,\n ",
                    dry ? "false" : "true", t.n_layers, edits->n_tensors, (unsigned long long)t.n_rows,
                    (unsigned long long)edits->n_bytes, (unsigned long long)edits->tuned->ckpt->total_bytes);
        add_edits_json(&out, edits);
        qk_str_add(&out, "}\n");
        return qk_cli_print_str(cli, &out, err);
    }
    if (dry) {
        add_edits_text(&out, edits);
    }
    qk_str_addf(&out, "%s%s%zu layer%s, %zu tensor%s, %llu rows, ", dry ? "would change " : output,
                dry ? "" : ": changed ", t.n_layers, t.n_layers == 1 ? "" : "s", edits->n_tensors,
                edits->n_tensors == 1 ? "" : "s", (unsigned long long)t.n_rows);
    qk_str_add_bytes(&out, edits->n_bytes);
    qk_str_add(&out, " of ");
    qk_str_add_bytes(&out, edits->tuned->ckpt->total_bytes);
    qk_str_add(&out, "\n");
    return qk_cli_print_str(cli, &out, err);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void tell_notices(struct qk_cli *cli, const struct qk_edits *edits)
{
    for (const char *line = edits->notices; *line != 0;) {
        size_t n = strcspn(line, "\n");
        qk_cli_notice(cli, "%.*s", (int)n, line);
        line += n + (line[n] == '\n');
    }
    if (edits->n == 0) {
        qk_cli_notice(cli, "the plan changes nothing");
    }
}

/* The same weights in another format are copied like any other file, and loaders may prefer them. */
static enum qk_code tell_second_copies(struct qk_cli *cli, const struct qk_ckpt *tuned, struct qk_err *err)
{
    static const char *const names[] = {"pytorch_model.bin",
                                        "pytorch_model.bin.index.json",
                                        "consolidated.safetensors",
                                        "consolidated.00.pth",
                                        "tf_model.h5",
                                        "flax_model.msgpack"};
    for (size_t i = 0; qk_path_is_dir(tuned->path) && i < sizeof names / sizeof names[0]; i++) {
        const char *path = qk_arena_printf(qk_cli_arena(cli), "%s/%s", tuned->dir, names[i]);
        if (path == NULL) {
            return qk_fail_nomem(err, "restore");
        }
        if (qk_path_exists(path)) {
            qk_cli_notice(cli, "%s: the output has a copy of it, with the tuned weights", path);
        }
    }
    return QK_OK;
}

static enum qk_code carry_out(struct qk_cli *cli, const struct qk_plan *plan, const struct qk_edits *edits,
                              struct qk_err *err)
{
    bool dry = qk_cli_flag(cli, "dry-run");
    const char *output = qk_cli_output(cli);
    struct qk_restore_options options = {
        .force = qk_cli_force(cli), .command = qk_cli_command_line(cli), .progress = qk_cli_progress(cli)};
    if (output != NULL) {
        QK_TRY(qk_restore_check(edits, output, &options, err));
    }
    tell_notices(cli, edits);
    QK_TRY(tell_second_copies(cli, edits->tuned->ckpt, err));
    if (!dry) {
        struct qk_pool *pool;
        QK_TRY(qk_cli_pool(cli, &pool, err));
        qk_cli_progress_unit(cli, "bytes");
        QK_TRY(qk_restore_write(plan, edits, output, &options, pool, err));
    }
    return print_answer(cli, edits, dry, err);
}

/* The adapter itself without the planned rows, instead of a merged checkpoint. */
static enum qk_code carry_out_in_adapter(struct qk_cli *cli, const struct qk_plan *plan, const struct qk_edits *edits,
                                         struct qk_err *err)
{
    bool dry = qk_cli_flag(cli, "dry-run");
    const char *output = qk_cli_output(cli);
    struct qk_trims trims;
    struct qk_str out = {0};
    struct qk_restore_options options = {
        .force = qk_cli_force(cli), .command = qk_cli_command_line(cli), .progress = qk_cli_progress(cli)};
    QK_TRY(qk_trims_new(edits, qk_cli_arena(cli), &trims, err));
    if (output != NULL) {
        QK_TRY(qk_trims_check(&trims, output, &options, err));
    }
    tell_notices(cli, edits);
    if (edits->n > 0 && trims.n == 0) {
        qk_cli_notice(cli, "the adapter does nothing to the planned rows");
    }
    if (!dry) {
        QK_TRY(qk_trims_write(plan, &trims, output, &options, err));
    }
    (qk_cli_json(cli) ? qk_trim_answer_json : qk_trim_answer_text)(&out, &trims, output, !dry);
    return qk_cli_print_str(cli, &out, err);
}

static enum qk_code restore(struct qk_cli *cli, struct qk_checkpoint_inputs *inputs, struct qk_err *err)
{
    struct qk_plan plan;
    struct qk_edits *edits;
    QK_TRY(qk_checkpoint_inputs_open(cli, inputs, err));
    QK_TRY(qk_run_check_pair(&inputs->inputs[0], &inputs->inputs[1], qk_cli_progress(cli), err));
    QK_TRY(qk_restore_plan(cli, inputs, &plan, err));
    QK_TRY(qk_edits_new(&plan, inputs->models[0], inputs->models[1], &edits, err));
    bool in_adapter = qk_streq(qk_cli_value(cli, "as"), "adapter");
    enum qk_code code = (in_adapter ? carry_out_in_adapter : carry_out)(cli, &plan, edits, err);
    qk_edits_free(edits);
    return code;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    if (qk_cli_output(cli) == NULL && !qk_cli_flag(cli, "dry-run")) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "no output directory");
        qk_err_hint(err, "-o OUT names it; --dry-run only lists what would change");
        return code;
    }
    struct qk_checkpoint_inputs inputs = {.as_stored = true};
    enum qk_code code = restore(cli, &inputs, err);
    qk_checkpoint_inputs_release(&inputs);
    return code;
}

static const char *const mode_choices[] = {"restore", "qk-pro", "rotate", "blend", NULL};
static const char *const side_choices[] = {"input", "head", NULL};
static const char *const only_choices[] = {"q", "k", NULL};
static const char *const as_choices[] = {"merged", "adapter", NULL};
static const char *const with_choices[] = {"q_norm", "k_norm", "latent", NULL};

static const struct qk_option options[] = {
    {.name = "plan",
     .kind = QK_OPT_PATH,
     .arg = "plan.json",
     .help =
         "What to do, as `qkscope recommend` writes it. Refused when it was made for another pair, unless --force."},
    {.name = "layers",
     .kind = QK_OPT_LIST,
     .arg = "LIST",
     .help = "Without a plan: full (every softmax layer over all keys), all (sliding-window and linear layers too), or "
             "numbers and ranges, as in 2,5-7."},
    {.name = "kv-groups",
     .kind = QK_OPT_LIST,
     .arg = "LIST",
     .help = "Only these key heads of the layers (numbers and ranges), each with the query heads that read it. "
             "Default: all."},
    {.name = "mode",
     .kind = QK_OPT_CHOICE,
     .arg = "MODE",
     .choices = mode_choices,
     .help = "restore puts the base's rows back (the default); qk-pro corrects the tuned ones towards the base's "
             "routing; rotate turns them towards the base; blend mixes both."},
    {.name = "lambda",
     .kind = QK_OPT_STRING,
     .arg = "X",
     .help = "qk-pro: regularisation relative to the mean eigenvalue of K0 K0ᵀ, 0 to inf. Default: 0.01."},
    {.name = "side",
     .kind = QK_OPT_CHOICE,
     .arg = "SIDE",
     .choices = side_choices,
     .help = "qk-pro: project the correction in input space or shrink it in head space. Default: input."},
    {.name = "alpha",
     .kind = QK_OPT_STRING,
     .arg = "X",
     .help = "blend: share of the base, 0 to 1. Default: 1, which is restore."},
    {.name = "only", .kind = QK_OPT_CHOICE, .arg = "WHAT", .choices = only_choices, .help = "Only q or only k."},
    {.name = "with",
     .kind = QK_OPT_LIST,
     .arg = "NAME,…",
     .choices = with_choices,
     .help = "Also restore these whole tensors of the layers: the norms behind Q and K; the latents of latent "
             "attention, which V reads too."},
    {.name = "as",
     .kind = QK_OPT_CHOICE,
     .arg = "FORM",
     .dflt = "merged",
     .choices = as_choices,
     .help = "Of a PEFT adapter as TUNED: merged writes a whole checkpoint, the base with the rest of the adapter in "
             "the base's types; adapter writes the adapter with zeros in the rows of lora_B that the plan restores "
             "(mode restore only)."},
    {.name = "dry-run",
     .kind = QK_OPT_FLAG,
     .help = "List the tensors, rows and bytes that would change, and write nothing."},
    {0},
};

static const char *const operand_help[] = {
    "BASE",  "The checkpoint before fine-tuning, or NAME=PATH.",
    "TUNED", "The checkpoint to repair, or NAME=PATH. It is never written.",
    NULL,
};

static const char *const examples[] = {
    "qkscope restore examples/amnesia/base examples/amnesia/sft --plan plan.json -o restored",
    "What `qkscope recommend` chose.",
    "qkscope restore examples/amnesia/base examples/amnesia/sft --layers full -o repaired",
    "Q and K of every softmax layer as in the base, all else as in the tuned checkpoint.",
    "qkscope restore examples/amnesia/base examples/amnesia/sft --layers 2,5 --kv-groups 0 --mode qk-pro --side head "
    "--lambda 0.1 --dry-run",
    "Lists what a partial correction of one KV group in two layers would change.",
    NULL,
};

const struct qk_command qk_cmd_restore = {
    .name = "restore",
    .summary = "write a checkpoint with the base's Q and K, all else as tuned",
    .operands = "BASE TUNED",
    .min_operands = 2,
    .max_operands = 2,
    .description =
        "Copies the tuned checkpoint and puts rows of W_Q and W_K (and their biases) of the base, or a mixture of "
        "both, into the copy. Everything outside the plan stays bit for bit as it is: headers, shards, tokenizer, "
        "every other file. Of fused tensors exactly the Q and K rows change. Values keep the tuned checkpoint's type, "
        "rounded to nearest even where they are not copied.\n\n"
        "The output appears complete or not at all: it is made in a hidden directory beside it, synced and renamed. "
        "With --force an existing checkpoint is exchanged for the new one when that is complete. Inputs are never "
        "written. OUT/qkscope.json records the plan, the hashes of both checkpoints and of every changed tensor, and "
        "the command; `qkscope compare` checks the result.\n\n"
        "Of latent attention (MLA) the rows of Q, the k rows of kv_b and the rope rows of kv_a are restored; the "
        "latents themselves only with --with latent. Rows that all heads share change only when all KV groups do.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_FORCE | QK_COMMON_JSON | QK_COMMON_THREADS | QK_COMMON_BASE_MODEL,
    .output_help = "OUT: Directory of the repaired checkpoint, which must not be there yet unless --force is given.",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
