/* Help texts made from the command table: see help.h. */
#include "help.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "cli_state.h"
#include "paragraph.h"

enum { HELP_COLUMN = 28 };

const char qk_tool_summary[] = "diagnose what fine-tuning did to the attention routing of a language model checkpoint";

const char qk_tool_description[] =
    "qkscope reads two checkpoints of a language model, before and after fine-tuning, and says which attention heads "
    "moved and what they no longer see: from the weights, with small drifts measured accurately beside a rounding "
    "floor, and by running both models on the CPU. It finds, by running patched models, which query and key "
    "projections to put back, writes the repaired checkpoint and proves what it wrote. It knows where Q and K are in "
    "plain transformers and in hybrids with linear attention or state-space layers, fused and gated projections "
    "included.\n\n"
    "A checkpoint is a directory with config.json and model.safetensors or model.safetensors.index.json and its "
    "shards, "
    "or one .safetensors file with a config.json beside it. NAME=PATH gives it a name in results. Checkpoints are "
    "opened "
    "read-only, always.\n\n"
    "Data goes to standard output, all else to standard error. Results are HDF5 files that h5py, xarray and h5dump "
    "read "
    "as they are.";

const char *const qk_exit_status_help[] = {
    "0",   "all went well",
    "1",   "a finding at or above the level asked for, or a difference that was looked for",
    "2",   "the command line is not right",
    "3",   "a file could not be read or written, or a program that was started failed",
    "4",   "data that breaks a rule of its format, is not supported, or does not belong together",
    "5",   "out of memory",
    "70",  "a defect of qkscope",
    "130", "interrupted (Ctrl-C)",
    NULL,
};

size_t qk_help_width(void)
{
    uint64_t columns = 0;
    const char *env = getenv("COLUMNS");
    if (env == NULL || !qk_parse_u64(env, 1, 10000, &columns)) {
        columns = qk_terminal_columns(STDOUT_FILENO);
    }
    if (columns == 0) {
        columns = 80;
    }
    return columns < 40 ? 40 : columns > 100 ? 100 : (size_t)columns;
}

void qk_usage(struct qk_str *out, const struct qk_command *command)
{
    qk_str_addf(out, "qkscope %s [options]", command->name);
    if (command->operands != NULL && command->operands[0] != 0) {
        qk_str_addf(out, " %s", command->operands);
    }
}

void qk_option_facts(struct qk_str *out, const struct qk_option *option)
{
    if (option->choices != NULL) {
        qk_str_add(out, option->kind == QK_OPT_LIST ? "Any of " : "One of ");
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            qk_str_addf(out, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
        }
        qk_str_addc(out, '.');
    }
    if (option->dflt != NULL) {
        qk_str_addf(out, "%sDefault: %s.", out->len > 0 ? " " : "", option->dflt);
    }
}

/* left at two columns, text wrapped at HELP_COLUMN, on the next line when left is too long. */
static void add_entry(struct qk_str *out, const char *left, const char *text, size_t width)
{
    size_t columns = 2 + qk_text_columns(left, strlen(left));
    qk_str_addf(out, "  %s", left);
    if (columns + 2 > HELP_COLUMN) {
        qk_str_addf(out, "\n%*s", HELP_COLUMN, "");
    } else {
        qk_str_addf(out, "%*s", (int)(HELP_COLUMN - columns), "");
    }
    qk_paragraph(out, text, strlen(text), HELP_COLUMN, HELP_COLUMN, width);
}

static void add_examples(struct qk_str *out, const char *const *examples, size_t width)
{
    if (examples == NULL || examples[0] == NULL) {
        return;
    }
    qk_str_add(out, "\nExamples:\n");
    for (size_t i = 0; examples[i] != NULL; i += 2) {
        qk_str_addf(out, "  %s\n      ", examples[i]);
        qk_paragraph(out, examples[i + 1], strlen(examples[i + 1]), 6, 6, width);
    }
}

void qk_help_overview(struct qk_str *out, size_t width)
{
    qk_str_addf(out, "qkscope: %s\n\nUsage: qkscope COMMAND [options] …\n\nCommands:\n", qk_tool_summary);
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        if (!c->hidden) {
            add_entry(out, c->name, c->summary, width);
        }
    }
    qk_str_add(out, "\n");
    static const char more[] =
        "'qkscope help COMMAND' or 'qkscope COMMAND --help' explains a command, with examples. 'qkscope --version' "
        "prints the version. Data goes to standard output, all else to standard error.";
    qk_paragraph(out, more, strlen(more), 0, 0, width);
    static const char *const first[] = {
        "qkscope diagnose examples/amnesia/base examples/amnesia/sft -o diagnosis --template "
        "examples/amnesia/niah.json "
        "--data examples/amnesia/reasoning_calibration.jsonl --size xs",
        "The whole circle on the pair of small models that comes with the sources, in a minute or two.",
        "qkscope drift examples/amnesia/base examples/amnesia/sft -o drift.h5",
        "A first step of it: what fine-tuning moved, in a second.", NULL};
    add_examples(out, first, width);
    qk_str_add(out, "\nExit status:\n");
    for (size_t i = 0; qk_exit_status_help[i] != NULL; i += 2) {
        add_entry(out, qk_exit_status_help[i], qk_exit_status_help[i + 1], width);
    }
}

static void add_option(struct qk_str *out, const struct qk_option *o, size_t width)
{
    struct qk_str left = {0}, text = {0}, facts = {0};
    if (o->letter != 0) {
        qk_str_addf(&left, "-%c, --%s", o->letter, o->name);
    } else {
        qk_str_addf(&left, "    --%s", o->name);
    }
    if (o->arg != NULL) {
        qk_str_addf(&left, " %s", o->arg);
    }
    qk_option_facts(&facts, o);
    qk_str_add(&text, o->help);
    if (facts.len > 0) {
        qk_str_addf(&text, " %s", facts.s);
    }
    out->failed = out->failed || left.failed || text.failed || facts.failed;
    if (!out->failed) {
        add_entry(out, left.s, text.s, width);
    }
    qk_str_release(&left);
    qk_str_release(&text);
    qk_str_release(&facts);
}

static void add_description(struct qk_str *out, const char *text, size_t width)
{
    const char *s;
    size_t n;
    bool verbatim;
    while (qk_next_paragraph(&text, &s, &n, &verbatim)) {
        qk_str_addc(out, '\n');
        if (!verbatim) {
            qk_paragraph(out, s, n, 0, 0, width);
            continue;
        }
        qk_str_addn(out, s, n);
        qk_str_addc(out, '\n');
    }
}

enum qk_code qk_help_command(struct qk_str *out, const struct qk_command *command, size_t width, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    if (arena == NULL) {
        return qk_fail_nomem(err, "help");
    }
    const struct qk_option *options;
    size_t n;
    enum qk_code code = qk_command_options(command, arena, &options, &n, err);
    if (code == QK_OK) {
        qk_str_addf(out, "qkscope %s: %s\n\nUsage: ", command->name, command->summary);
        qk_usage(out, command);
        qk_str_addc(out, '\n');
        add_description(out, command->description, width);
        for (size_t i = 0; command->operand_help != NULL && command->operand_help[i] != NULL; i += 2) {
            qk_str_add(out, i == 0 ? "\nOperands:\n" : "");
            add_entry(out, command->operand_help[i], command->operand_help[i + 1], width);
        }
        qk_str_add(out, "\nOptions:\n");
        for (size_t i = 0; i < n; i++) {
            add_option(out, &options[i], width);
        }
        add_examples(out, command->examples, width);
    }
    qk_arena_free(arena);
    return code;
}
