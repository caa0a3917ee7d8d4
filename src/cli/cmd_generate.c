/* qkscope generate CKPT --prompt TEXT: greedy continuation, to see that a model speaks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "ckpt/ckpt.h"
#include "cli/command.h"
#include "forward/runner.h"
#include "run/scoring_text.h"
#include "text/tokenizer.h"

/* Long prompts go in by pieces, so that their activations need not be held all at once. */
enum { PREFILL = 2048 };

struct generate {
    struct qk_cli *cli;
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    struct qk_tokenizer *tokenizer; /* NULL: only ids are shown */
    struct qk_runner *runner;
    struct qk_session *session;
    uint32_t *ids; /* prompt, then what follows */
    size_t n_prompt, n, cap;
    uint32_t stops[QK_SCORING_MOST_STOPS];
    size_t n_stops;
    float *logits;
    size_t n_shown; /* bytes of text that are out already */
    bool stopped;
};

/* ---- the prompt ------------------------------------------------------------------------------------------------- */

static enum qk_code make_room(struct generate *g, size_t n_prompt, struct qk_err *err)
{
    if (n_prompt == 0) {
        return qk_fail(err, QK_EUSAGE, "the prompt has no tokens");
    }
    if (!qk_size_add(n_prompt, qk_cli_count(g->cli, "max-new"), &g->cap)) {
        return qk_fail(err, QK_EUSAGE, "--max-new: too many");
    }
    g->ids = qk_calloc(g->cap, sizeof *g->ids);
    return g->ids != NULL ? QK_OK : qk_fail_nomem(err, "ids");
}

static enum qk_code take_ids(struct generate *g, const char *const *items, size_t n, struct qk_err *err)
{
    QK_TRY(make_room(g, n, err));
    for (size_t i = 0; i < n; i++) {
        uint64_t id;
        if (!qk_parse_u64(items[i], 0, UINT32_MAX, &id)) {
            return qk_fail(err, QK_EUSAGE, "--ids: '%s' is not an id", items[i]);
        }
        g->ids[g->n++] = (uint32_t)id;
    }
    g->n_prompt = n;
    return QK_OK;
}

static enum qk_code take_text(struct generate *g, const char *text, struct qk_err *err)
{
    struct qk_encoding encoding = {0};
    QK_TRY(qk_tokenizer_encode(g->tokenizer, text, strlen(text), !qk_cli_flag(g->cli, "no-special"), &encoding, err));
    enum qk_code code = make_room(g, encoding.n, err);
    if (code == QK_OK) {
        memcpy(g->ids, encoding.ids, encoding.n * sizeof *g->ids);
        g->n = g->n_prompt = encoding.n;
    }
    qk_encoding_release(&encoding);
    return code;
}

static enum qk_code read_prompt(struct generate *g, struct qk_err *err)
{
    const char *const *items;
    const char *prompt = qk_cli_value(g->cli, "prompt");
    size_t n_ids = qk_cli_list(g->cli, "ids", &items);
    if ((prompt == NULL) == (n_ids == 0)) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "%s", prompt == NULL ? "no prompt" : "two prompts");
        qk_err_hint(err, "give either --prompt TEXT or --ids 1,2,3");
        return code;
    }
    if (prompt == NULL && qk_cli_json(g->cli) && qk_tokenizer_open(g->ckpt->dir, &g->tokenizer, NULL) != QK_OK) {
        g->tokenizer = NULL; /* ids in, ids out */
    } else if (g->tokenizer == NULL) {
        QK_TRY(qk_tokenizer_open(g->ckpt->dir, &g->tokenizer, err));
    }
    return prompt != NULL ? take_text(g, prompt, err) : take_ids(g, items, n_ids, err);
}

static bool is_stop(const struct generate *g, uint32_t id)
{
    for (size_t i = 0; i < g->n_stops; i++) {
        if (g->stops[i] == id) {
            return true;
        }
    }
    return false;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static enum qk_code best_id(const struct generate *g, uint32_t *ret, struct qk_err *err)
{
    size_t vocab = qk_runner_spec(g->runner)->vocab, best = 0;
    for (size_t v = 0; v < vocab; v++) {
        if (isnan(g->logits[v])) {
            return qk_fail(err, QK_EFORMAT, "%s: the logits after %zu tokens are not numbers", g->ckpt->path, g->n);
        }
        best = g->logits[v] > g->logits[best] ? v : best;
    }
    *ret = (uint32_t)best;
    return QK_OK;
}

/* Bytes of characters that are there in full go out at once. */
static enum qk_code show_progress(struct generate *g, struct qk_err *err)
{
    struct qk_str text = {0};
    if (qk_cli_json(g->cli)) {
        return QK_OK;
    }
    enum qk_code code =
        qk_scoring_bytes(g->tokenizer, g->ids, g->n_prompt, g->ids + g->n_prompt, g->n - g->n_prompt, &text, err);
    if (code == QK_OK && text.len > g->n_shown) {
        qk_cli_write(g->cli, text.s + g->n_shown, text.len - g->n_shown);
        fflush(stdout); /* a failure shows at the end, as that of any write */
        g->n_shown = text.len;
    }
    qk_str_release(&text);
    return code;
}

static enum qk_code feed_prompt(struct generate *g, struct qk_err *err)
{
    const struct qk_progress *progress = qk_cli_progress(g->cli);
    for (size_t t = 0; t < g->n_prompt;) {
        size_t n = g->n_prompt - t < PREFILL ? g->n_prompt - t : PREFILL;
        qk_progress_update(progress, t, g->n_prompt, "prompt");
        QK_TRY(qk_session_feed(g->session, n, g->ids + t, t + n == g->n_prompt ? g->logits : NULL, err));
        t += n;
    }
    qk_progress_update(progress, g->n_prompt, g->n_prompt, "prompt");
    return QK_OK;
}

static enum qk_code speak(struct generate *g, struct qk_err *err)
{
    double start = qk_seconds();
    QK_TRY(feed_prompt(g, err));
    double prompt_s = qk_seconds() - start;
    start = qk_seconds();
    while (g->n < g->cap) {
        uint32_t id;
        QK_TRY(best_id(g, &id, err));
        if (is_stop(g, id)) {
            g->stopped = true;
            break;
        }
        g->ids[g->n++] = id;
        QK_TRY(show_progress(g, err));
        if (g->n < g->cap) {
            QK_TRY(qk_session_feed(g->session, 1, &id, g->logits, err));
        }
    }
    qk_cli_detail(g->cli, "prompt: %zu tokens in %.2f s; then %zu tokens in %.2f s", g->n_prompt, prompt_s,
                  g->n - g->n_prompt, qk_seconds() - start);
    return QK_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void add_ids(struct qk_str *out, const uint32_t *ids, size_t n)
{
    qk_str_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "%s%lu", i > 0 ? ", " : "", (unsigned long)ids[i]);
    }
    qk_str_addc(out, ']');
}

static enum qk_code print_json(struct generate *g, struct qk_err *err)
{
    struct qk_str out = {0}, text = {0};
    qk_str_add(&out, "{\"prompt_ids\": ");
    add_ids(&out, g->ids, g->n_prompt);
    qk_str_add(&out, ",\n \"ids\": ");
    add_ids(&out, g->ids + g->n_prompt, g->n - g->n_prompt);
    qk_str_add(&out, ",\n \"text\": ");
    enum qk_code code = g->tokenizer == NULL ? QK_OK
                                             : qk_scoring_text(g->tokenizer, g->ids, g->n_prompt, g->ids + g->n_prompt,
                                                               g->n - g->n_prompt, &text, err);
    if (g->tokenizer != NULL) {
        qk_str_add_json(&out, text.s != NULL ? text.s : "");
    } else {
        qk_str_add(&out, "null");
    }
    qk_str_addf(&out, ",\n \"end\": \"%s\"}\n", g->stopped ? "stop" : "max-new");
    qk_str_release(&text);
    if (code != QK_OK) {
        qk_str_release(&out);
        return code;
    }
    return qk_cli_print_str(g->cli, &out, err);
}

static enum qk_code open_model(struct generate *g, const char *path, struct qk_err *err)
{
    struct qk_pool *pool;
    QK_TRY(qk_cli_open_checkpoint(g->cli, path, NULL, false, &g->ckpt, err));
    QK_TRY(qk_model_open(g->ckpt, &g->model, err));
    QK_TRY(read_prompt(g, err));
    QK_TRY(qk_scoring_stops(g->model, g->stops, &g->n_stops, err));
    QK_TRY(qk_cli_pool(g->cli, &pool, err));
    QK_TRY(qk_runner_new(g->model, pool, NULL, &g->runner, err));
    QK_TRY(qk_session_new(g->runner, g->cap, &g->session, err));
    g->logits = qk_alloc_aligned(qk_runner_spec(g->runner)->vocab, sizeof *g->logits);
    return g->logits != NULL ? QK_OK : qk_fail_nomem(err, "logits");
}

static enum qk_code generate(struct generate *g, const char *path, struct qk_err *err)
{
    QK_TRY(open_model(g, path, err));
    if (g->model->max_position > 0 && g->cap > g->model->max_position) {
        qk_cli_notice(g->cli, "%s: up to %zu tokens, but the model was made for %zu", g->ckpt->path, g->cap,
                      g->model->max_position);
    }
    QK_TRY(speak(g, err));
    if (qk_cli_json(g->cli)) {
        return print_json(g, err);
    }
    qk_cli_write(g->cli, "\n", 1);
    return QK_OK;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct generate g = {.cli = cli};
    const char *name, *path;
    QK_TRY(qk_cli_split_name(cli, qk_cli_operand(cli, 0), &name, &path, err));
    enum qk_code code = generate(&g, path, err);
    qk_free(g.logits);
    qk_free(g.ids);
    qk_session_free(g.session);
    qk_runner_free(g.runner);
    qk_tokenizer_free(g.tokenizer);
    qk_model_free(g.model);
    qk_ckpt_close(g.ckpt);
    return code;
}

static const struct qk_option options[] = {
    {.name = "prompt", .kind = QK_OPT_STRING, .arg = "TEXT", .help = "What the model continues."},
    {.name = "ids",
     .kind = QK_OPT_LIST,
     .arg = "LIST",
     .help = "The prompt as token ids, taken as they are: 0,392,1014."},
    {.name = "max-new", .kind = QK_OPT_SIZE, .arg = "N", .dflt = "64", .help = "At most N new tokens."},
    {.name = "no-special",
     .kind = QK_OPT_FLAG,
     .help = "Without the special tokens that the tokenizer puts around a text."},
    {0},
};

static const char *const operand_help[] = {
    "CKPT",
    "A checkpoint directory with a tokenizer.json (with --ids and --json it may be missing).",
    NULL,
};

static const char *const examples[] = {
    "qkscope generate examples/amnesia/sft --prompt 'Tom has 3 apples and buys 4 more.' --max-new 40",
    "Whether a checkpoint still speaks.",
    "qkscope generate CKPT --ids 0,392,1014 --json",
    "Ids in, ids and text out.",
    NULL,
};

const struct qk_command qk_cmd_generate = {
    .name = "generate",
    .summary = "continue a text greedily",
    .operands = "CKPT",
    .min_operands = 1,
    .max_operands = 1,
    .description =
        "Runs the model on the prompt and then token by token, always taking the most likely one (the lower id of two "
        "that are equal), on the CPU in float32 from the weights as stored. Keys, values and the states of linear "
        "layers are kept, so that every token costs one token's work.\n\n"
        "It ends at a token that the checkpoint names as its end (eos_token_id of generation_config.json, else of "
        "config.json), which is not shown, or after --max-new tokens. The text appears as it comes, special tokens "
        "left out, and a newline at its end. --json prints an object with prompt_ids, ids, text (null without "
        "tokenizer) and end: \"stop\" or \"max-new\".\n\n"
        "-v tells how long the prompt and the rest took.",
    .common = QK_COMMON_THREADS | QK_COMMON_JSON | QK_COMMON_BASE_MODEL,
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
