/* qkscope eval CKPT… --data FILE.jsonl -o RUN.h5: answers to problems whose answer is known. */
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/command.h"
#include "measurement.h"
#include "run/eval.h"

struct eval_command {
    struct qk_measurement m;
    struct qk_eval_set set;
    struct qk_eval_options options;
};

/* ---- options ---------------------------------------------------------------------------------------------------- */

/* Text with \n, \t, \r and \\ as the characters that they stand for. */
static enum qk_code read_stop(struct qk_cli *cli, const char *text, const char **ret, struct qk_err *err)
{
    static const char letters[] = "ntr\\", characters[] = "\n\t\r\\";
    struct qk_str out = {0};
    for (const char *p = text; *p != '\0'; p++) {
        const char *letter = p[0] == '\\' && p[1] != '\0' ? strchr(letters, p[1]) : NULL;
        if (p[0] == '\\' && letter == NULL) {
            qk_str_release(&out);
            return qk_fail(err, QK_EUSAGE, "--stop: '%s': a backslash stands before n, t, r or another backslash",
                           text);
        }
        qk_str_addc(&out, letter == NULL ? *p : characters[letter - letters]);
        p += letter == NULL ? 0 : 1;
    }
    *ret = out.failed ? NULL : qk_arena_strdup(qk_cli_arena(cli), out.s);
    qk_str_release(&out);
    return *ret == NULL ? qk_fail_nomem(err, "--stop") : QK_OK;
}

static enum qk_code read_rules(struct qk_cli *cli, struct qk_eval_rules *rules, struct qk_err *err)
{
    const char *const *stops;
    size_t n = qk_cli_values(cli, "stop", &stops);
    if (!qk_match_find(qk_cli_value(cli, "match"), &rules->match)) {
        return qk_fail(err, QK_EINTERNAL, "--match: no such rule");
    }
    if (n > QK_EVAL_MOST_STOP_STRINGS) {
        return qk_fail(err, QK_EUSAGE, "--stop: %zu of them (expected at most %d)", n, QK_EVAL_MOST_STOP_STRINGS);
    }
    for (size_t i = 0; i < n; i++) {
        QK_TRY(read_stop(cli, stops[i], &rules->stops[i], err));
    }
    rules->n_stops = n;
    return qk_measurement_max_new(cli, &rules->max_new, err);
}

static enum qk_code read_options(void *ctx, struct qk_err *err)
{
    struct eval_command *c = ctx;
    if (qk_cli_value(c->m.cli, "data") == NULL) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "no problems");
        qk_err_hint(err, "--data FILE.jsonl names a file with {\"prompt\": text, \"answer\": text} a line");
        return code;
    }
    QK_TRY(qk_measurement_part(c->m.cli, &c->options.shard, err));
    c->options.most = qk_cli_value(c->m.cli, "max-problems") != NULL ? qk_cli_count(c->m.cli, "max-problems") : 0;
    if (qk_cli_value(c->m.cli, "max-problems") != NULL && c->options.most == 0) {
        return qk_fail(err, QK_EUSAGE, "--max-problems: no problems");
    }
    return read_rules(c->m.cli, &c->options.rules, err);
}

static enum qk_code read_problems(void *ctx, struct qk_err *err)
{
    struct eval_command *c = ctx;
    const char *data = qk_cli_value(c->m.cli, "data");
    QK_TRY(qk_cli_guard_input(c->m.cli, data, err));
    QK_TRY(qk_eval_set_read(data, c->m.c.ckpts[0]->dir, c->options.most, qk_cli_arena(c->m.cli), &c->set, err));
    for (size_t i = 0; i < c->m.c.n; i++) {
        QK_TRY(qk_eval_check(&c->m.c.inputs[i], &c->set, i == 0 ? qk_cli_progress(c->m.cli) : NULL, err));
    }
    if (c->set.n_apart > 0) {
        qk_cli_notice(c->m.cli,
                      "%s: %zu of %zu answers do not begin at a token of prompt and answer together (a prompt "
                      "that ends in a space?) and are tokenised alone",
                      data, c->set.n_apart, c->set.n);
    }
    return QK_OK;
}

/* ---- the short answer ------------------------------------------------------------------------------------------- */

static void add_row(struct qk_str *out, const char *name, size_t width, const struct qk_eval_rate *r)
{
    qk_str_addf(out, "%s%*s", name, (int)(width - strlen(name)), "");
    if (r->n == 0) {
        qk_str_add(out, "         -  no problems in this part\n");
        return;
    }
    qk_str_addf(out, "  %6.1f %%  %5.1f to %5.1f  %8zu  %10.3f  %10.4f\n", 100.0 * r->accuracy, 100.0 * r->lo,
                100.0 * r->hi, r->n, r->logprob, r->token_logprob);
}

static void add_json_row(struct qk_str *out, const char *name, bool is_first, const struct qk_eval_rate *r)
{
    const struct {
        const char *key;
        double value;
    } members[] = {{"accuracy", r->accuracy},
                   {"accuracy_lo", r->lo},
                   {"accuracy_hi", r->hi},
                   {"mean_logprob", r->logprob},
                   {"mean_token_logprob", r->token_logprob}};
    qk_str_add(out, is_first ? "\n  {\"name\": " : ",\n  {\"name\": ");
    qk_str_add_json(out, name);
    qk_str_addf(out, ", \"n\": %zu", r->n);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        qk_str_addf(out, ", \"%s\": ", members[i].key);
        qk_str_add_json_double(out, members[i].value);
    }
    qk_str_addc(out, '}');
}

static void add_head(struct qk_str *out, const struct eval_command *c, bool json, size_t width)
{
    const char *match = qk_match_rule(c->options.rules.match)->name;
    if (json) {
        qk_str_add(out, "{\"output\": ");
        qk_str_add_json(out, qk_cli_output(c->m.cli));
        qk_str_add(out, ", \"set\": ");
        qk_str_add_json(out, c->set.name);
        qk_str_addf(out, ", \"match\": \"%s\", \"n_problems\": %zu, \"checkpoints\": [", match, c->set.n);
    } else {
        qk_str_addf(out, "%s: %zu problems, match %s\n%*s  %8s  %14s  %8s  %10s  %10s\n", c->set.name, c->set.n, match,
                    (int)width, "", "right", "95 % interval", "problems", "ln p", "per token");
    }
}

static enum qk_code answer(void *ctx, bool json, struct qk_str *out, struct qk_err *err)
{
    const struct eval_command *c = ctx;
    size_t width = 0;
    for (size_t i = 0; i < c->m.c.n; i++) {
        size_t len = strlen(c->m.c.inputs[i].name);
        width = len > width ? len : width;
    }
    add_head(out, c, json, width);
    for (size_t i = 0; i < c->m.c.n; i++) {
        struct qk_eval_rate r;
        const char *name = c->m.c.inputs[i].name;
        QK_TRY(qk_eval_rate_of(c->m.table, name, c->set.name, &r, err));
        if (json) {
            add_json_row(out, name, i == 0, &r);
        } else {
            add_row(out, name, width, &r);
        }
    }
    if (json) {
        qk_str_add(out, "\n]}\n");
    } else {
        qk_measurement_add_part(out, &c->options.shard, "rates");
    }
    return QK_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static enum qk_code prepare(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct eval_command *c = ctx;
    (void)pool;
    c->options.on_problem = qk_measurement_keep;
    c->options.on_problem_ctx = &c->m;
    return qk_eval_prepare(c->m.table, c->m.c.inputs, c->m.c.n, &c->set, &c->options, err);
}

static enum qk_code resume(void *ctx, const struct qk_table *partial, size_t *ret_done, size_t *ret_n,
                           struct qk_err *err)
{
    struct eval_command *c = ctx;
    *ret_n = c->m.c.n * qk_part_count(&c->options.shard, c->set.n);
    return qk_eval_resume(c->m.table, partial, c->m.c.inputs, c->m.c.n, &c->set, &c->options, ret_done, err);
}

static enum qk_code run_models(void *ctx, struct qk_pool *pool, struct qk_err *err)
{
    struct eval_command *c = ctx;
    double start = qk_seconds();
    for (size_t i = 0; i < c->m.c.n; i++) {
        QK_TRY(qk_eval_run(c->m.table, c->m.c.inputs, c->m.c.n, i, &c->set, &c->options, pool,
                           qk_cli_progress(c->m.cli), err));
    }
    qk_cli_detail(c->m.cli, "%zu checkpoints, %zu problems each, in %.1f s", c->m.c.n, c->set.n, qk_seconds() - start);
    return QK_OK;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    static const struct qk_measurement_steps steps = {.pieces = "answers",
                                                      .unit = "tokens",
                                                      .read_options = read_options,
                                                      .read_inputs = read_problems,
                                                      .prepare = prepare,
                                                      .resume = resume,
                                                      .run = run_models,
                                                      .finish = qk_eval_finish,
                                                      .answer = answer};
    struct eval_command c = {0};
    return qk_measurement_run(cli, &steps, &c.m, &c, err);
}

static const struct qk_option options[] = {
    {.name = "data",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "Problems, one JSON object a line: {\"prompt\": text, \"answer\": text}, with an \"id\" if wanted."},
    {.name = "match",
     .kind = QK_OPT_CHOICE,
     .arg = "RULE",
     .dflt = "exact",
     .choices = qk_match_names,
     .help = "What makes an answer right: the whole text (white space at the ends aside), the expected text somewhere "
             "in it, or the last number in it."},
    {.name = "stop",
     .kind = QK_OPT_STRING,
     .arg = "TEXT",
     .help =
         "An answer ends in front of this text; \\n, \\t and \\\\ stand for what they do in C. May be given several "
         "times."},
    {.name = "max-new",
     .kind = QK_OPT_SIZE,
     .arg = "N",
     .help = "At most N tokens are said. Default: those of the expected answer and 16 more; at least 256 with --match "
             "contains and number."},
    {.name = "max-problems",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .help = "Only the first N problems of the file. Default: all."},
    {.name = "shard",
     .kind = QK_OPT_STRING,
     .arg = "I/N",
     .help = "Run every N-th problem, from the I-th on; `qkscope merge` of all N parts gives what one run gives."},
    {0},
};

static const char *const operand_help[] = {
    "CKPT…",
    "Checkpoints: directories or .safetensors files, or NAME=PATH. All get the same problems.",
    NULL,
};

static const char *const examples[] = {
    "qkscope eval examples/amnesia/base examples/amnesia/sft --data examples/amnesia/reasoning.jsonl "
    "--max-problems 100 -o reasoning.h5",
    "What fine-tuning taught: the share of right answers, and how likely the right ones are.",
    "qkscope eval CKPT --data gsm8k.jsonl --match number --stop '\\n\\n' -o gsm8k.h5",
    "Only the last number of an answer counts, and an answer ends at an empty line.",
    "qkscope merge recall.h5 reasoning.h5 -o run.h5",
    "Recall and reasoning in one file.",
    NULL,
};

const struct qk_command qk_cmd_eval = {
    .name = "eval",
    .summary = "measure reasoning: greedy answers to problems whose answer is known",
    .operands = "CKPT…",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .description =
        "Every problem is a prompt and the answer that is expected behind it. Greedy decoding answers; the share of "
        "right answers comes with its Wilson 95 % interval, and beside it stands ln p of the expected answers, as the "
        "mean over problems and per token. RUN.h5 has them for every problem, with what was said.\n\n"
        "Prompt and answer are tokenised as one text, with the tokens that tokenizer.json puts in front of a text: as "
        "a model sees them in training. Nothing is put between them: a space or newline belongs to one of the two. "
        "Where the prompt alone ends in other tokens than it has there, the two are tokenised apart, and a notice "
        "says so.\n\n"
        "The expected answer is fed in behind the prompt first. Where the model's own choice is that answer at every "
        "token, greedy decoding would have said it, up to rounding, and is left out; else decoding starts at the first "
        "other choice. An answer ends at an end token of the checkpoint, in front of a --stop text, at --max-new, and "
        "behind the expected answer when that is said word for word, which is right by every rule; where its last "
        "word or number goes on (42 for 4), it was not. With --match exact it also ends with the first line more than "
        "the expected one has, with --match contains when it has what is wanted.\n\n"
        "The last number, for --match number: digits, also with commas between groups of three, decimals, an exponent, "
        "a fraction of whole numbers (3/4), and a minus that no letter, digit or bracket stands in front of. 7, 7.0 "
        "and 007 are the same.\n\n"
        "Problems are tokenised by the first checkpoint's tokenizer.json. Results do not depend on the number of "
        "threads.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_THREADS | QK_COMMON_JSON | QK_COMMON_FORCE | QK_COMMON_RESUME |
              QK_COMMON_BASE_MODEL,
    .output_help = "RUN.h5",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
