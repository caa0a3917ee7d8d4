/* Scoring and decoding cases with one session that goes back: see run/scoring.h. */
#include "run/scoring.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "forward/runner.h"
#include "scoring_order.h"

/* 64 MiB of logits at once */
#define LOGIT_FLOATS ((size_t)1 << 24)

struct scorer {
    struct qk_runner *runner;
    const struct qk_scoring_case *cases;
    const struct qk_scoring_options *options;
    struct qk_scoring_order order;
    struct qk_session *session;
    size_t n_marks;
    struct qk_session_mark *marks[QK_SCORING_MARKS]; /* in order of their places */
    size_t vocab, n_rows;                            /* rows of logits */
    float *logits;                                   /* (n_rows, vocab) */
    uint32_t *fed; /* ids of the case at hand: prompt, then what is said or hoped for */
    uint32_t *said;
    struct qk_scored_token *tokens;
    uint64_t n_done, n_total; /* tokens, for progress */
};

/* ---- marks ------------------------------------------------------------------------------------------------------ */

/* Back to the last mark at or before place; the later ones are of no use any more. */
static void go_back(struct scorer *s, size_t place)
{
    while (s->n_marks > 0 && qk_session_mark_length(s->marks[s->n_marks - 1]) > place) {
        qk_session_mark_free(s->marks[--s->n_marks]);
    }
    qk_session_rewind(s->session, s->n_marks > 0 ? s->marks[s->n_marks - 1] : NULL);
}

/* The last slot is kept for the place that decoding starts from. */
static enum qk_code mark_place(struct scorer *s, bool must, struct qk_err *err)
{
    size_t place = qk_session_length(s->session);
    bool is_there = s->n_marks > 0 && qk_session_mark_length(s->marks[s->n_marks - 1]) == place;
    if (place == 0 || is_there || s->n_marks + (must ? 0 : 1) >= QK_SCORING_MARKS) {
        return QK_OK;
    }
    QK_TRY(qk_session_mark_new(s->session, &s->marks[s->n_marks], err));
    s->n_marks++;
    return QK_OK;
}

/* ---- a row of logits -------------------------------------------------------------------------------------------- */

static enum qk_code best_of(const struct scorer *s, const float *row, uint32_t *ret, struct qk_err *err)
{
    size_t best = 0;
    for (size_t v = 0; v < s->vocab; v++) {
        if (isnan(row[v])) {
            return qk_fail(err, QK_EFORMAT, "the logits after %zu tokens are not numbers",
                           qk_session_length(s->session));
        }
        best = row[v] > row[best] ? v : best;
    }
    *ret = (uint32_t)best;
    return QK_OK;
}

static enum qk_code score_row(const struct scorer *s, const float *row, uint32_t id, struct qk_scored_token *ret,
                              struct qk_err *err)
{
    double sum = 0.0, other = -INFINITY;
    if (id >= s->vocab) {
        return qk_fail(err, QK_EFORMAT, "answer: id %lu is out of the vocabulary (expected below %zu)",
                       (unsigned long)id, s->vocab);
    }
    QK_TRY(best_of(s, row, &ret->choice, err));
    double best = (double)row[ret->choice], own = (double)row[id];
    for (size_t v = 0; v < s->vocab; v++) {
        sum += exp((double)row[v] - best);
        other = v != id && (double)row[v] > other ? (double)row[v] : other;
    }
    ret->margin = own - other;
    ret->logprob = own - best - log(sum);
    return QK_OK;
}

/* ---- a case ----------------------------------------------------------------------------------------------------- */

/* Whole pieces of the prompt up to the last one, with marks where a later case goes on or decoding may start. */
static enum qk_code feed_prompt(struct scorer *s, size_t number, struct qk_err *err)
{
    const struct qk_scoring_case *c = &s->cases[s->order.cases[number]];
    size_t last = qk_scoring_last_piece(c), from = qk_session_length(s->session);
    for (size_t at = from; at < last; at += QK_SCORING_PIECE) {
        qk_progress_update(s->options->progress, s->n_done + at, s->n_total, "prompt");
        QK_TRY(qk_session_feed(s->session, QK_SCORING_PIECE, c->prompt + at, NULL, err));
        size_t place = at + QK_SCORING_PIECE;
        bool decodes = place == last && s->options->max_new > 0;
        if (decodes || qk_scoring_returns_to(&s->order, number, from, place)) {
            QK_TRY(mark_place(s, decodes, err));
        }
    }
    return QK_OK;
}

/* Feeds the ids from where the session is up to n of s->fed, and scores those of the answer; without an answer
 * s->logits is left with the last token's row. */
static enum qk_code feed_scored(struct scorer *s, const struct qk_scoring_case *c, size_t n, struct qk_err *err)
{
    while (qk_session_length(s->session) < n) {
        size_t at = qk_session_length(s->session), end = n - at < QK_SCORING_PIECE ? n : at + QK_SCORING_PIECE;
        size_t first = at > c->n_prompt - 1 ? at : c->n_prompt - 1; /* position with the first row that is wanted */
        end = first < end && end - first > s->n_rows ? first + s->n_rows : end;
        size_t n_rows = first < end ? end - first : 0;
        QK_TRY(qk_session_feed_scored(s->session, end - at, s->fed + at, n_rows, s->logits, err));
        for (size_t i = 0; i < n_rows && c->n_answer > 0; i++) {
            size_t t = first + i - (c->n_prompt - 1);
            QK_TRY(score_row(s, s->logits + i * s->vocab, c->answer[t], &s->tokens[t], err));
        }
    }
    return QK_OK;
}

static bool is_stop(const struct scorer *s, uint32_t id)
{
    for (size_t i = 0; i < s->options->n_stops; i++) {
        if (s->options->stops[i] == id) {
            return true;
        }
    }
    return false;
}

/* Takes the next id; what ends it sets stopped. */
static enum qk_code say(struct scorer *s, size_t i, uint32_t id, struct qk_scored_case *scored, struct qk_err *err)
{
    if (is_stop(s, id)) {
        scored->stopped = true;
        return QK_OK;
    }
    s->said[scored->n_said++] = id;
    return s->options->until == NULL
               ? QK_OK
               : s->options->until(s->options->ctx, i, s->said, scored->n_said, &scored->stopped, err);
}

/* Back to where the answer begins to be scored, in the prompt's own pieces where no mark was left so far on. */
static enum qk_code go_back_to_answer(struct scorer *s, const struct qk_scoring_case *c, struct qk_err *err)
{
    size_t last = qk_scoring_last_piece(c);
    go_back(s, last);
    for (size_t at = qk_session_length(s->session); at < last; at += QK_SCORING_PIECE) {
        QK_TRY(qk_session_feed(s->session, QK_SCORING_PIECE, c->prompt + at, NULL, err));
    }
    return QK_OK;
}

/* Greedy decoding behind the first n tokens of the answer, which the model would have said, and then next. */
static enum qk_code decode(struct scorer *s, size_t i, size_t n_agreed, uint32_t next, struct qk_scored_case *scored,
                           struct qk_err *err)
{
    const struct qk_scoring_case *c = &s->cases[i];
    size_t most = s->options->max_new;
    for (size_t t = 0; t < n_agreed && scored->n_said < most && !scored->stopped; t++) {
        QK_TRY(say(s, i, c->answer[t], scored, err));
    }
    bool is_first = true;
    while (scored->n_said < most && !scored->stopped) {
        QK_TRY(say(s, i, next, scored, err));
        if (scored->n_said == most || scored->stopped) {
            break;
        }
        if (is_first && qk_session_length(s->session) >= c->n_prompt + scored->n_said) {
            QK_TRY(go_back_to_answer(s, c, err));
        }
        is_first = false;
        memcpy(s->fed + c->n_prompt, s->said, scored->n_said * sizeof *s->said);
        size_t at = qk_session_length(s->session), n = c->n_prompt + scored->n_said - at;
        QK_TRY(qk_session_feed_scored(s->session, n, s->fed + at, 1, s->logits, err));
        QK_TRY(best_of(s, s->logits, &next, err));
    }
    return QK_OK;
}

/* What is said, given the scores of the answer. */
static enum qk_code speak(struct scorer *s, size_t i, struct qk_scored_case *scored, struct qk_err *err)
{
    const struct qk_scoring_case *c = &s->cases[i];
    size_t agreed = 0;
    while (agreed < c->n_answer && s->tokens[agreed].choice == c->answer[agreed]) {
        agreed++;
    }
    scored->is_greedy = c->n_answer > 0 && agreed == c->n_answer;
    if (scored->is_greedy && !s->options->beyond) {
        memcpy(s->said, c->answer, c->n_answer * sizeof *s->said);
        scored->n_said = c->n_answer;
        return QK_OK;
    }
    if (s->options->max_new == 0) {
        return QK_OK;
    }
    uint32_t next = 0;
    if (scored->is_greedy) {
        memcpy(s->fed + c->n_prompt, c->answer, c->n_answer * sizeof *s->fed);
        size_t at = qk_session_length(s->session), n = c->n_prompt + c->n_answer - at;
        QK_TRY(qk_session_feed_scored(s->session, n, s->fed + at, 1, s->logits, err));
    }
    if (agreed < c->n_answer) {
        next = s->tokens[agreed].choice;
    } else {
        QK_TRY(best_of(s, s->logits, &next, err));
    }
    return decode(s, i, agreed, next, scored, err);
}

static enum qk_code run_case(struct scorer *s, size_t number, struct qk_err *err)
{
    size_t i = s->order.cases[number];
    const struct qk_scoring_case *c = &s->cases[i];
    size_t n_hoped = c->n_answer > 0 ? c->n_answer - 1 : 0;
    struct qk_scored_case scored = {.answer = s->tokens, .said = s->said};
    go_back(s, number == 0 ? 0 : s->order.shared[number - 1]);
    QK_TRY(feed_prompt(s, number, err));
    memcpy(s->fed, c->prompt, c->n_prompt * sizeof *s->fed);
    if (n_hoped > 0) {
        memcpy(s->fed + c->n_prompt, c->answer, n_hoped * sizeof *s->fed);
    }
    QK_TRY(feed_scored(s, c, c->n_prompt + n_hoped, err));
    QK_TRY(speak(s, i, &scored, err));
    s->n_done += c->n_prompt + c->n_answer;
    QK_TRY(s->options->done(s->options->ctx, i, &scored, err));
    qk_progress_update(s->options->progress, s->n_done, s->n_total, "answers");
    return QK_OK;
}

/* ---- all cases -------------------------------------------------------------------------------------------------- */

static enum qk_code make_room(struct scorer *s, size_t n, struct qk_err *err)
{
    size_t most = s->options->max_new, longest = 1, longest_said = 1, n_logits = 0;
    for (size_t i = 0; i < n; i++) {
        const struct qk_scoring_case *c = &s->cases[i];
        size_t said = c->n_answer > most ? c->n_answer : most;
        if (c->n_prompt == 0) {
            return qk_fail(err, QK_EUSAGE, "case %zu: the prompt has no tokens", i);
        }
        if (said > SIZE_MAX - c->n_prompt) {
            return qk_fail_nomem(err, "cases");
        }
        longest = c->n_prompt + said > longest ? c->n_prompt + said : longest;
        longest_said = said > longest_said ? said : longest_said;
        s->n_total += c->n_prompt + c->n_answer;
    }
    s->vocab = qk_runner_spec(s->runner)->vocab;
    s->n_rows = s->vocab > 0 ? LOGIT_FLOATS / s->vocab : 1;
    s->n_rows = s->n_rows < 1 ? 1 : s->n_rows > longest_said ? longest_said : s->n_rows;
    if (!qk_size_mul(s->n_rows, s->vocab, &n_logits)) {
        return qk_fail_nomem(err, "logits");
    }
    s->logits = qk_alloc_aligned(n_logits, sizeof *s->logits);
    s->fed = qk_calloc(longest, sizeof *s->fed);
    s->said = qk_calloc(longest_said, sizeof *s->said);
    s->tokens = qk_calloc(longest_said, sizeof *s->tokens);
    if (!s->logits || !s->fed || !s->said || !s->tokens) {
        return qk_fail_nomem(err, "cases");
    }
    return qk_session_new(s->runner, longest, &s->session, err);
}

static enum qk_code run_cases(struct scorer *s, size_t n, struct qk_err *err)
{
    QK_TRY(make_room(s, n, err));
    QK_TRY(qk_scoring_order_make(n, s->cases, &s->order, err));
    for (size_t number = 0; number < n; number++) {
        QK_TRY(run_case(s, number, err));
    }
    return QK_OK;
}

enum qk_code qk_score_cases(struct qk_runner *runner, size_t n, const struct qk_scoring_case *cases,
                            const struct qk_scoring_options *options, struct qk_err *err)
{
    struct scorer s = {.runner = runner, .cases = cases, .options = options};
    enum qk_code code = n == 0 ? QK_OK : run_cases(&s, n, err);
    while (s.n_marks > 0) {
        qk_session_mark_free(s.marks[--s.n_marks]);
    }
    qk_session_free(s.session);
    qk_scoring_order_release(&s.order);
    qk_free(s.logits);
    qk_free(s.fed);
    qk_free(s.said);
    qk_free(s.tokens);
    return code;
}
