/* qkscope recommend RUN.h5 -o plan.json: what to restore, and why. */
#include <stdint.h>

#include "advise/finding.h"
#include "advise/head_list.h"
#include "advise/recommendation.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/command.h"
#include "help.h"
#include "recommend_answer.h"
#include "recommend_measure.h"
#include "store/store.h"

struct recommend_command {
    struct qk_cli *cli;
    struct qk_table *table;
    struct qk_evidence evidence;
    struct qk_recommend_options options;
    struct qk_recommendation recommendation;
    const struct qk_finding *findings;
    size_t n_findings;
};

/* The command line rebuilt from what decides, so that plans do not depend on where they are written. */
static enum qk_code make_command(struct recommend_command *r, struct qk_err *err)
{
    static const char *const deciding[] = {"units", "by", "budget", "heads"};
    struct qk_str line = {0};
    const char *const *with = NULL;
    qk_str_addf(&line, "qkscope recommend %s --checkpoint %s", qk_cli_operand(r->cli, 0), r->evidence.tuned);
    for (size_t i = 0; i < sizeof deciding / sizeof deciding[0]; i++) {
        const char *value = qk_cli_value(r->cli, deciding[i]);
        if (value != NULL) {
            qk_str_addf(&line, " --%s %s", deciding[i], value);
        }
    }
    size_t n = qk_cli_list(r->cli, "with", &with);
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(&line, "%s%s", i == 0 ? " --with " : ",", with[i]);
    }
    r->options.command = line.failed ? NULL : qk_arena_strdup(qk_cli_arena(r->cli), line.s);
    qk_str_release(&line);
    return r->options.command == NULL ? qk_fail_nomem(err, "command line") : QK_OK;
}

static enum qk_code read_options(struct recommend_command *r, struct qk_err *err)
{
    const char *const *with = NULL;
    size_t n = qk_cli_list(r->cli, "with", &with);
    r->options.budget = qk_cli_value(r->cli, "budget") != NULL ? qk_cli_count(r->cli, "budget") : SIZE_MAX;
    r->options.by_group = qk_streq(qk_cli_value(r->cli, "by"), "kv-group");
    r->options.all_units = qk_streq(qk_cli_value(r->cli, "units"), "all");
    for (size_t i = 0; i < n; i++) {
        r->options.with |= qk_streq(with[i], "q_norm") ? QK_PLAN_Q_NORM : QK_PLAN_K_NORM;
    }
    r->options.qkscope = QK_VERSION;
    return make_command(r, err);
}

/* ---- what is written -------------------------------------------------------------------------------------------- */

/* Where a checkpoint was when it was measured. */
static const char *path_of(const struct recommend_command *r, const char *name)
{
    char *node_path = qk_arena_printf(qk_cli_arena(r->cli), "/checkpoints/%s", name);
    const struct qk_node *node = node_path != NULL ? qk_table_find(r->table, node_path) : NULL;
    const char *path = node != NULL ? qk_node_attr_get_str(node, "path") : NULL;
    return path != NULL ? path : name;
}

static bool is_mergekit(const struct recommend_command *r)
{
    return qk_streq(qk_cli_value(r->cli, "export"), "mergekit");
}

static enum qk_code make_plan_text(struct recommend_command *r, struct qk_str *out, struct qk_err *err)
{
    if (is_mergekit(r)) {
        return qk_plan_mergekit(&r->recommendation.plan, &r->evidence, path_of(r, r->evidence.base),
                                path_of(r, r->evidence.tuned), out, err);
    }
    qk_plan_write(&r->recommendation.plan, out);
    return out->failed ? qk_fail_nomem(err, "plan") : QK_OK;
}

static enum qk_code write_plan(struct recommend_command *r, struct qk_err *err)
{
    struct qk_str text = {0};
    enum qk_code code = make_plan_text(r, &text, err);
    if (code == QK_OK) {
        code = qk_atomic_put(qk_cli_output(r->cli), qk_cli_force(r->cli), text.s, text.len, err);
    }
    qk_str_release(&text);
    return code;
}

static enum qk_code store(struct recommend_command *r, struct qk_err *err)
{
    QK_TRY(qk_recommendation_add(&r->recommendation, &r->evidence, r->table, err));
    return qk_store_write(r->table, qk_cli_value(r->cli, "store"), qk_cli_force(r->cli), err);
}

static enum qk_code print_answer(struct recommend_command *r, struct qk_err *err)
{
    struct qk_recommend_answer answer = {.evidence = &r->evidence,
                                         .findings = r->findings,
                                         .n_findings = r->n_findings,
                                         .recommendation = &r->recommendation,
                                         .output = qk_cli_output(r->cli)};
    struct qk_str out = {0};
    if (is_mergekit(r) && qk_cli_output(r->cli) == NULL) {
        enum qk_code code = make_plan_text(r, &out, err);
        if (code != QK_OK) {
            qk_str_release(&out);
            return code;
        }
    } else if (qk_cli_json(r->cli)) {
        qk_recommend_answer_json(&out, &answer);
    } else {
        qk_recommend_answer_text(&out, &answer, qk_help_width());
    }
    return qk_cli_print_str(r->cli, &out, err);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void set_status(struct recommend_command *r)
{
    const char *from = qk_cli_value(r->cli, "fail-on");
    for (size_t i = 0; from != NULL && i < r->n_findings; i++) {
        for (size_t s = 0; s <= r->findings[i].rule->severity; s++) {
            if (qk_streq(qk_severity_name((enum qk_severity)s), from)) {
                qk_cli_set_finding(r->cli);
            }
        }
    }
}

static enum qk_code read_head_list(struct recommend_command *r, struct qk_err *err)
{
    const char *path = qk_cli_value(r->cli, "heads");
    if (path == NULL) {
        return QK_OK;
    }
    if (r->evidence.has_probe) {
        return qk_fail(err, QK_EUSAGE, "--heads is for runs without probes: these say what each head lost");
    }
    return qk_head_list_read(path, &r->evidence, qk_cli_arena(r->cli), err);
}

static enum qk_code recommend(struct recommend_command *r, struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(r->cli);
    enum qk_code code = qk_evidence_open(r->table, qk_cli_value(r->cli, "checkpoint"), arena, &r->evidence, err);
    if (code != QK_OK) {
        qk_err_context(err, "%s", qk_cli_operand(r->cli, 0));
        return code;
    }
    QK_TRY(read_head_list(r, err));
    QK_TRY(read_options(r, err));
    QK_TRY(qk_findings_of(&r->evidence, arena, &r->findings, &r->n_findings, err));
    code = qk_recommend(&r->evidence, &r->options, arena, &r->recommendation, err);
    if (code != QK_OK) {
        qk_err_context(err, "%s", qk_cli_operand(r->cli, 0));
        return code;
    }
    if (qk_cli_output(r->cli) != NULL) {
        QK_TRY(write_plan(r, err));
    }
    if (qk_cli_value(r->cli, "store") != NULL) {
        QK_TRY(store(r, err));
    }
    QK_TRY(print_answer(r, err));
    set_status(r);
    return QK_OK;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct recommend_command r = {.cli = cli};
    bool measure = qk_cli_flag(cli, "measure"), has_run = qk_cli_n_operands(cli) > 0;
    QK_TRY(qk_recommend_measure_check(cli, err));
    if (measure && qk_cli_value(cli, "heads") != NULL) {
        return qk_fail(err, QK_EUSAGE, "--measure measures what heads are for: it takes no --heads");
    }
    if (!has_run && !measure) {
        return qk_fail(err, QK_EUSAGE, "RUN.h5 is missing (only --measure goes without)");
    }
    QK_TRY(has_run ? qk_cli_guard_input(cli, qk_cli_operand(cli, 0), err) : QK_OK);
    if (qk_cli_output(cli) != NULL && qk_cli_value(cli, "store") != NULL &&
        qk_streq(qk_cli_output(cli), qk_cli_value(cli, "store"))) {
        return qk_fail(err, QK_EUSAGE, "-o and --store name the same file");
    }
    const char *outputs[] = {qk_cli_output(cli), qk_cli_value(cli, "store")};
    for (size_t i = 0; i < 2; i++) {
        QK_TRY(outputs[i] != NULL ? qk_atomic_check(outputs[i], qk_cli_force(cli), err) : QK_OK);
    }
    QK_TRY(has_run ? qk_store_read(qk_cli_operand(cli, 0), &r.table, err) : QK_OK);
    enum qk_code code = measure ? qk_recommend_measured(cli, r.table, err) : recommend(&r, err);
    qk_table_free(r.table);
    return code;
}

static const char *const unit_choices[] = {"full", "all", NULL};
static const char *const by_choices[] = {"layer", "kv-group", NULL};
static const char *const export_choices[] = {"plan", "mergekit", NULL};
static const char *const with_choices[] = {"q_norm", "k_norm", NULL};
static const char *const severity_choices[] = {"info", "warning", "alarm", NULL};

static const struct qk_option options[] = {
    {.name = "checkpoint",
     .kind = QK_OPT_STRING,
     .arg = "NAME",
     .help =
         "The tuned checkpoint, where the run has several. Default: the one that the run's plan is for, else the last "
         "one."},
    {.name = "units",
     .kind = QK_OPT_CHOICE,
     .arg = "WHICH",
     .dflt = "full",
     .choices = unit_choices,
     .help = "Layers to consider: softmax attention over all keys (the set that the paper restores), or every layer "
             "with Q and K."},
    {.name = "by",
     .kind = QK_OPT_CHOICE,
     .arg = "UNIT",
     .dflt = "layer",
     .choices = by_choices,
     .help = "Decide per layer, or per KV group: a key head with the query heads that read it."},
    {.name = "budget",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .help = "Change at most the N units with the highest scores. Default: no limit."},
    {.name = "with",
     .kind = QK_OPT_LIST,
     .arg = "TENSOR",
     .choices = with_choices,
     .help = "Restore these weights too in restored layers that have them: q_norm, k_norm."},
    {.name = "heads",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "For a run without probes: scores of the base's heads, a Retrieval_Head JSON or DuoAttention's "
             "full_attention_heads.tsv. A head's score takes the place of its routing loss."},
    {.name = "export",
     .kind = QK_OPT_CHOICE,
     .arg = "FORMAT",
     .dflt = "plan",
     .choices = export_choices,
     .help = "What -o writes: plan.json for restore --plan, or a mergekit configuration (printed without -o)."},
    {.name = "store",
     .kind = QK_OPT_PATH,
     .arg = "FILE.h5",
     .help = "Write the run with /recommend added: scores, actions and evidence per layer, and the plan; for the "
             "figure 'recommendation'. With --force it may be RUN.h5 itself, which is replaced as a whole."},
    {.name = "fail-on",
     .kind = QK_OPT_CHOICE,
     .arg = "SEVERITY",
     .choices = severity_choices,
     .help = "Exit with status 1 when there is a finding of this severity or above. Default: never."},
    QK_RECOMMEND_MEASURE_ROWS,
    {0},
};

static const char *const operand_help[] = {
    "RUN.h5",
    "A run file of drift, of probe, or of merge of both.",
    NULL,
};

static const char *const examples[] = {
    "qkscope recommend run.h5 -o plan.json",
    "What to restore, with reasons; `qkscope restore BASE TUNED --plan plan.json -o restored` does it.",
    "qkscope recommend run.h5 --by kv-group --budget 4 -o plan.json",
    "The four KV groups that are worth most.",
    "qkscope recommend run.h5 --fail-on alarm -q >/dev/null",
    "A check in a training pipeline: status 1 when retrieval heads lost their needle.",
    "qkscope recommend drift.h5 --heads head_score.json -o plan.json",
    "Without probes, from retrieval heads that are known: those that moved.",
    "qkscope recommend run.h5 --export mergekit -o plan.yaml",
    "The same plan for mergekit-yaml, as far as its filters can say it.",
    "qkscope recommend --measure --base base/ --tuned sft/ --units all --reasoning problems.jsonl -o plan.json",
    "The subset that running the patched model chooses.",
    NULL,
};

const struct qk_command qk_cmd_recommend = {
    .name = "recommend",
    .summary = "say what to restore, with the evidence for each layer or KV group",
    .operands = "[RUN.h5]",
    .min_operands = 0,
    .max_operands = 1,
    .description =
        "Prints what the run shows (findings, each one number against one threshold; docs/findings.md has the rules) "
        "and a plan: which layers or KV groups to restore, to align or to keep, each with its score, the numbers "
        "behind it and one sentence.\n\n"
        "The score of a head is sqrt(P · D). P, the routing loss, is the largest of: the fall of the attention on the "
        "needle, the share of far attention that is gone, the share of the mean distance that is gone, each at the "
        "cautious end of its interval over the probes. D is the drift of the routing form beyond what rotations of "
        "the head's basis explain, x / (1 + x). A unit has the score of its highest head: 0 when nothing was lost or "
        "nothing moved, 1 at most.\n\n"
        "A unit is restored when a head's P is 0.1 or more; aligned (rotated back) when there is no such loss and "
        "rotations explain half of the drift; else kept. A run without probes cannot tell which layers lost range: "
        "softmax layers that moved are then restored, as the paper does with all of them, and others kept; with "
        "--heads "
        "the layers with retrieval heads that moved are. A run without drift is scored by P alone.\n\n"
        "With --measure the plan is chosen by running the tuned model with parts of the base's Q and K put in memory: "
        "recall on needle-in-a-haystack cases, reasoning on given problems. Controls (everything but Q and K put back; "
        "V, O, MLP, embedding alone; Q or K alone) tell whether Q and K are the cause at all. The search begins at the "
        "paper's set and at weak blends of all units, measures every unit alone, and then takes the step to another "
        "variant (one unit changed, or one given and one taken) that wins most recall, as long as the gain is beyond "
        "the paired noise and reasoning's loss, at the cautious end of its interval, stays within "
        "--max-reasoning-loss; units that turn out to be worth nothing are set back. Steps are restoring Q and K, Q or "
        "K alone, blends, and QK-Pro. What is reported of the plan is measured on other documents and problems. "
        "Variants that are finished are kept beside the output for --resume.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_JSON | QK_COMMON_FORCE | QK_COMMON_THREADS | QK_COMMON_RESUME |
              QK_COMMON_BASE_MODEL,
    .output_help = "plan.json",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
