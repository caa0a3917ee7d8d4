/* Where an answer ends and whether it is a hit: see run/eval.h. */
#include <string.h>

#include "run/eval.h"
#include "run/scoring_text.h"

/* The text of said, and how far it is the expected answer word for word. */
struct answer {
    struct qk_str text;
    size_t n_whole; /* bytes of the expected answer at its beginning; 0: it does not begin so */
    enum qk_word_end end;
};

static enum qk_code read_answer(const struct qk_tokenizer *tokenizer, const struct qk_eval_problem *problem,
                                const uint32_t *said, size_t n, struct answer *a, struct qk_err *err)
{
    const struct qk_scoring_case *c = &problem->scoring;
    struct qk_str whole = {0};
    QK_TRY(qk_scoring_text(tokenizer, c->prompt, c->n_prompt, said, n, &a->text, err));
    qk_str_add(&a->text, "");
    if (a->text.failed) {
        return qk_fail_nomem(err, "answer");
    }
    enum qk_code code = qk_scoring_text(tokenizer, c->prompt, c->n_prompt, c->answer, c->n_answer, &whole, err);
    if (code == QK_OK && whole.len > 0 && qk_str_starts(a->text.s, whole.s)) {
        a->n_whole = whole.len;
        a->end = qk_text_word_end(whole.s, a->text.s + whole.len);
    }
    qk_str_release(&whole);
    return code;
}

/* Place of the first stop string; the text's length when there is none. */
static size_t find_stop(const struct qk_eval_rules *rules, const struct qk_str *text)
{
    size_t first = text->len;
    for (size_t i = 0; i < rules->n_stops; i++) {
        const char *at = strstr(text->s, rules->stops[i]);
        first = at != NULL && (size_t)(at - text->s) < first ? (size_t)(at - text->s) : first;
    }
    return first;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (text += strspn(text, " \t\r\n"); *text != '\0'; text++) {
        n += *text == '\n' ? 1 : 0;
    }
    return n;
}

/* Line ends in text without the white space at its ends. */
static size_t count_inner_lines(const char *text)
{
    size_t n = count_lines(text), len = strlen(text);
    for (; len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL; len--) {
        n -= text[len - 1] == '\n' && n > 0 ? 1 : 0;
    }
    return n;
}

static bool has_enough(const struct qk_eval_rules *rules, const struct qk_eval_problem *problem, const char *text)
{
    if (rules->match == QK_MATCH_EXACT) {
        return count_lines(text) > count_inner_lines(problem->expected);
    }
    return rules->match == QK_MATCH_CONTAINS && qk_match_rule(QK_MATCH_CONTAINS)->fits(text, problem->expected);
}

size_t qk_eval_max_new(const struct qk_eval_rules *rules, const struct qk_eval_problem *problem)
{
    size_t own = problem->scoring.n_answer + QK_EVAL_SLACK;
    bool is_free = rules->match != QK_MATCH_EXACT && own < QK_EVAL_NEW;
    return rules->max_new > 0 ? rules->max_new : is_free ? QK_EVAL_NEW : own;
}

bool qk_eval_looks_beyond(const struct qk_eval_rules *rules, const struct qk_eval_problem *problem)
{
    return rules->match != QK_MATCH_CONTAINS && qk_text_word_end(problem->expected, "") == QK_WORD_OPEN;
}

enum qk_code qk_eval_ends(const struct qk_eval_rules *rules, const struct qk_tokenizer *tokenizer,
                          const struct qk_eval_problem *problem, const uint32_t *said, size_t n, bool *ret,
                          struct qk_err *err)
{
    struct answer a = {0};
    enum qk_code code = read_answer(tokenizer, problem, said, n, &a, err);
    if (code == QK_OK) {
        bool is_said = a.n_whole > 0 && a.end == QK_WORD_ENDS;
        bool is_open = a.n_whole > 0 && a.end == QK_WORD_OPEN && rules->match != QK_MATCH_CONTAINS;
        *ret = is_said || find_stop(rules, &a.text) < a.text.len || n >= qk_eval_max_new(rules, problem) ||
               (!is_open && has_enough(rules, problem, a.text.s));
    }
    qk_str_release(&a.text);
    return code;
}

enum qk_code qk_eval_judge(const struct qk_eval_rules *rules, const struct qk_tokenizer *tokenizer,
                           const struct qk_eval_problem *problem, const uint32_t *said, size_t n, struct qk_str *ret,
                           bool *ret_hit, struct qk_err *err)
{
    struct answer a = {0};
    size_t most = qk_eval_max_new(rules, problem);
    enum qk_code code = read_answer(tokenizer, problem, said, n < most ? n : most, &a, err);
    if (code != QK_OK) {
        qk_str_release(&a.text);
        return code;
    }
    bool is_whole = a.n_whole > 0 && a.end != QK_WORD_GOES_ON;
    size_t stop = find_stop(rules, &a.text), end = is_whole ? a.n_whole : a.text.len;
    is_whole = is_whole && stop >= end;
    end = stop < end ? stop : end;
    a.text.s[end] = '\0';
    *ret_hit = is_whole || qk_match_rule(rules->match)->fits(a.text.s, problem->expected);
    qk_str_addn(ret, a.text.s, end);
    qk_str_add(ret, "");
    qk_str_release(&a.text);
    return ret->failed ? qk_fail_nomem(err, "answer") : QK_OK;
}
