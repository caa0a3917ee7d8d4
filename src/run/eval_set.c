/* The problems of an eval run: the lines of a data file. See run/eval.h. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "ckpt/json_lines.h"
#include "run/eval.h"

struct problem_reader {
    const char *path;
    struct qk_tokenizer *tokenizer;
    struct qk_arena *arena;
    size_t most, n, cap, line;
    struct qk_eval_problem *problems;
};

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

/* Without the special tokens that the tokenizer puts behind a text: something follows. */
static enum qk_code encode_open(const struct problem_reader *r, const char *text, struct qk_encoding *ret,
                                struct qk_err *err)
{
    size_t len = strlen(text);
    QK_TRY(qk_tokenizer_encode(r->tokenizer, text, len, true, ret, err));
    while (ret->n > 1 && ret->spans[ret->n - 1].begin == ret->spans[ret->n - 1].end &&
           qk_tokenizer_is_special(r->tokenizer, ret->ids[ret->n - 1])) {
        ret->n--;
    }
    return QK_OK;
}

static enum qk_code keep_ids(const struct problem_reader *r, const uint32_t *prompt, size_t n_prompt,
                             const uint32_t *answer, size_t n_answer, struct qk_scoring_case *ret, struct qk_err *err)
{
    if (n_prompt == 0 || n_answer == 0) {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: %s: no tokens in it", r->path, r->line,
                       n_prompt == 0 ? "prompt" : "answer");
    }
    uint32_t *ids = qk_arena_alloc(r->arena, n_prompt + n_answer, sizeof *ids);
    if (ids == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    memcpy(ids, prompt, n_prompt * sizeof *ids);
    memcpy(ids + n_prompt, answer, n_answer * sizeof *ids);
    *ret = (struct qk_scoring_case){n_prompt, ids, n_answer, ids + n_prompt};
    return QK_OK;
}

/* joint and prompt are encoded; answer is only where they part. */
static enum qk_code split_ids(const struct problem_reader *r, const char *text, const struct qk_encoding *joint,
                              const struct qk_encoding *prompt, struct qk_eval_problem *ret, struct qk_err *err)
{
    struct qk_encoding answer = {0};
    size_t n = prompt->n;
    ret->apart = n >= joint->n || (n > 0 && memcmp(joint->ids, prompt->ids, n * sizeof *joint->ids) != 0);
    if (!ret->apart) {
        return keep_ids(r, joint->ids, n, joint->ids + n, joint->n - n, &ret->scoring, err);
    }
    enum qk_code code = qk_tokenizer_encode(r->tokenizer, text, strlen(text), false, &answer, err);
    if (code == QK_OK) {
        code = keep_ids(r, prompt->ids, n, answer.ids, answer.n, &ret->scoring, err);
    }
    qk_encoding_release(&answer);
    return code;
}

static enum qk_code tokenise(const struct problem_reader *r, const char *prompt_text, const char *answer_text,
                             struct qk_eval_problem *ret, struct qk_err *err)
{
    struct qk_encoding joint = {0}, prompt = {0};
    struct qk_str text = {0};
    qk_str_add(&text, prompt_text);
    qk_str_add(&text, answer_text);
    enum qk_code code = text.failed ? qk_fail_nomem(err, r->path) : encode_open(r, text.s, &joint, err);
    if (code == QK_OK) {
        code = encode_open(r, prompt_text, &prompt, err);
    }
    if (code == QK_OK) {
        code = split_ids(r, answer_text, &joint, &prompt, ret, err);
    }
    qk_encoding_release(&joint);
    qk_encoding_release(&prompt);
    qk_str_release(&text);
    return code;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static enum qk_code read_member(const struct problem_reader *r, const struct qk_json *object, const char *key,
                                const char **ret, struct qk_err *err)
{
    const struct qk_json *member = qk_json_get(object, key);
    if (qk_json_string(member, ret)) {
        return QK_OK;
    }
    if (member != NULL) {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: %s: expected a text", r->path, r->line, key);
    }
    (void)qk_fail(err, QK_EFORMAT, "%s: line %zu: %s: is missing (expected {\"prompt\": text, \"answer\": text})",
                  r->path, r->line, key);
    if (qk_json_get(object, "input") != NULL && qk_json_get(object, "outputs") != NULL) {
        qk_err_hint(err, "input and outputs are what qkscope niah --prompts reads");
    }
    return QK_EFORMAT;
}

static enum qk_code read_problem(const struct problem_reader *r, const struct qk_json *object,
                                 struct qk_eval_problem *ret, struct qk_err *err)
{
    struct qk_eval_problem problem = {0};
    const char *prompt, *answer, *id;
    char number[32];
    snprintf(number, sizeof number, "%zu", r->line);
    if (qk_json_type(object) != QK_JSON_OBJECT) {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: expected an object", r->path, r->line);
    }
    QK_TRY(read_member(r, object, "prompt", &prompt, err));
    QK_TRY(read_member(r, object, "answer", &answer, err));
    if (answer[strspn(answer, " \t\r\n")] == '\0') {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: answer: nothing but white space in it", r->path, r->line);
    }
    QK_TRY(tokenise(r, prompt, answer, &problem, err));
    problem.id = qk_arena_strdup(r->arena, qk_json_string(qk_json_get(object, "id"), &id) ? id : number);
    problem.expected = qk_arena_strdup(r->arena, answer);
    *ret = problem;
    return problem.id == NULL || problem.expected == NULL ? qk_fail_nomem(err, r->path) : QK_OK;
}

static enum qk_code add_problem(struct problem_reader *r, const struct qk_json *object, struct qk_err *err)
{
    if (r->n == QK_EVAL_MOST_PROBLEMS) {
        return qk_fail(err, QK_EUSAGE, "%s: more than %d problems (--max-problems takes the first)", r->path,
                       QK_EVAL_MOST_PROBLEMS);
    }
    struct qk_eval_problem *problems = qk_arena_grow(r->arena, r->problems, r->n, &r->cap, sizeof *problems);
    if (problems == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    r->problems = problems;
    QK_TRY(read_problem(r, object, &r->problems[r->n], err));
    r->n++;
    return QK_OK;
}

static enum qk_code read_problems(struct problem_reader *r, struct qk_json_lines *lines, struct qk_err *err)
{
    while (r->most == 0 || r->n < r->most) {
        struct qk_json *json;
        QK_TRY(qk_json_lines_next(lines, &json, err));
        if (json == NULL) {
            break;
        }
        r->line = lines->line;
        enum qk_code code = add_problem(r, json, err);
        qk_json_free(json);
        QK_TRY(code);
    }
    return r->n > 0 ? QK_OK : qk_fail(err, QK_EFORMAT, "%s: no problems in it", r->path);
}

/* ---- the set ---------------------------------------------------------------------------------------------------- */

static void hash_part(struct qk_sha256 *sha, const void *bytes, size_t n)
{
    qk_sha256_add_number(sha, n, 8);
    qk_sha256_add(sha, bytes, n);
}

static void hash_ids(struct qk_sha256 *sha, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        qk_sha256_add_number(sha, 4, 8);
        qk_sha256_add_number(sha, ids[i], 4);
    }
    hash_part(sha, "", 0);
}

static void seal(struct qk_eval_set *set)
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_eval_problem *p = &set->problems[i];
        size_t n = p->scoring.n_prompt + p->scoring.n_answer;
        set->longest = n > set->longest ? n : set->longest;
        set->n_apart += p->apart ? 1 : 0;
        hash_ids(&sha, p->scoring.prompt, p->scoring.n_prompt);
        hash_ids(&sha, p->scoring.answer, p->scoring.n_answer);
        hash_part(&sha, p->id, strlen(p->id));
        hash_part(&sha, p->expected, strlen(p->expected));
    }
    qk_sha256_hex(&sha, set->sha256);
}

/* The file's name without its last ending. */
static enum qk_code name_of(const char *path, struct qk_arena *arena, const char **ret, struct qk_err *err)
{
    char *name = qk_path_basename(path);
    const char *dot = name == NULL ? NULL : strrchr(name, '.');
    if (name == NULL) {
        return qk_fail_nomem(err, path);
    }
    *ret = qk_arena_strndup(arena, name, dot != NULL && dot > name ? (size_t)(dot - name) : strlen(name));
    qk_free(name);
    if (*ret == NULL) {
        return qk_fail_nomem(err, path);
    }
    return (*ret)[0] != '\0' && (*ret)[0] != '.' && qk_name_is_clean(*ret)
               ? QK_OK
               : qk_fail(err, QK_EUSAGE, "%s: its name cannot name a set (a leading dot or control characters)", path);
}

enum qk_code qk_eval_set_read(const char *path, const char *tokenizer_path, size_t most, struct qk_arena *arena,
                              struct qk_eval_set *ret, struct qk_err *err)
{
    struct problem_reader r = {.path = path, .arena = arena, .most = most};
    struct qk_eval_set set = {.path = path};
    struct qk_json_lines lines;
    QK_TRY(name_of(path, arena, &set.name, err));
    QK_TRY(qk_json_lines_open(path, QK_EVAL_MAX_FILE, &lines, err));
    enum qk_code code = qk_tokenizer_open(tokenizer_path, &r.tokenizer, err);
    if (code == QK_OK) {
        code = read_problems(&r, &lines, err);
    }
    qk_tokenizer_free(r.tokenizer);
    qk_json_lines_release(&lines);
    QK_TRY(code);
    set.n = r.n;
    set.problems = r.problems;
    seal(&set);
    *ret = set;
    return QK_OK;
}
