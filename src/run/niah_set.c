/* The cases of a recall run: a grid of documents. See run/niah.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "niah_set.h"
#include "provenance.h"

/* ---- words ------------------------------------------------------------------------------------------------------ */

enum qk_code qk_niah_parse_tasks(const char *const *words, size_t n, struct qk_niah_grid *grid, struct qk_err *err)
{
    grid->n_tasks = 0;
    for (size_t i = 0; i < n; i++) {
        enum qk_needle_task task;
        if (!qk_needle_task_find(words[i], &task)) {
            return qk_fail(err, QK_EUSAGE, "--tasks: no task is called '%s' (expected s1, s2 or s3)", words[i]);
        }
        for (size_t k = 0; k < grid->n_tasks; k++) {
            if (grid->tasks[k] == task) {
                return qk_fail(err, QK_EUSAGE, "--tasks: '%s' is there twice", words[i]);
            }
        }
        grid->tasks[grid->n_tasks++] = task;
    }
    return QK_OK;
}

enum qk_code qk_niah_parse_lengths(const char *const *words, size_t n, struct qk_niah_grid *grid, struct qk_err *err)
{
    grid->n_lengths = 0;
    if (n > QK_NIAH_MOST_LENGTHS) {
        return qk_fail(err, QK_EUSAGE, "--lengths: %zu of them (expected at most %d)", n, QK_NIAH_MOST_LENGTHS);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t length;
        if (!qk_parse_size(words[i], 1, (uint64_t)1 << 30, &length)) {
            return qk_fail(err, QK_EUSAGE, "--lengths: '%s' is no number of tokens (expected as in 512 or 2k)",
                           words[i]);
        }
        for (size_t k = 0; k < grid->n_lengths; k++) {
            if (grid->lengths[k] == length) {
                return qk_fail(err, QK_EUSAGE, "--lengths: %zu is there twice", (size_t)length);
            }
        }
        grid->lengths[grid->n_lengths++] = (size_t)length;
    }
    return QK_OK;
}

/* ---- what sets have in common ----------------------------------------------------------------------------------- */

static void hash_ids(struct qk_sha256 *sha, const uint32_t *ids, size_t n)
{
    qk_sha256_add_number(sha, n, 8);
    for (size_t i = 0; i < n; i++) {
        qk_sha256_add_number(sha, ids[i], 4);
    }
}

void qk_niah_set_seal(struct qk_niah_set *set)
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_niah_case *c = &set->cases[i];
        size_t n = c->scoring.n_prompt + c->scoring.n_answer;
        set->longest = n > set->longest ? n : set->longest;
        hash_ids(&sha, c->scoring.prompt, c->scoring.n_prompt);
        hash_ids(&sha, c->scoring.answer, c->scoring.n_answer);
        for (size_t w = 0; w < c->n_wanted; w++) {
            qk_sha256_add_number(&sha, strlen(c->wanted[w]), 8);
            qk_sha256_add(&sha, c->wanted[w], strlen(c->wanted[w]));
        }
    }
    qk_sha256_hex(&sha, set->sha256);
}

enum qk_code qk_niah_too_many(const char *source, size_t n, struct qk_err *err)
{
    return qk_fail(err, QK_EUSAGE, "%s: %zu cases (expected at most %d in one run)", source, n, QK_NIAH_MOST_CASES);
}

/* ---- a grid ----------------------------------------------------------------------------------------------------- */

static enum qk_code grid_words(const struct qk_niah_grid *grid, struct qk_arena *arena, const char **ret,
                               const char **ret_name, struct qk_err *err)
{
    struct qk_str s = {0};
    qk_str_add(&s, "--tasks ");
    for (size_t i = 0; i < grid->n_tasks; i++) {
        qk_str_addf(&s, "%s%s", i > 0 ? "," : "", qk_needle_task_name(grid->tasks[i]));
    }
    qk_str_add(&s, " --lengths ");
    for (size_t i = 0; i < grid->n_lengths; i++) {
        qk_str_addf(&s, "%s%zu", i > 0 ? "," : "", grid->lengths[i]);
    }
    qk_str_addf(&s, " --depths %zu --samples %zu --seed %llu", grid->n_depths, grid->n_samples,
                (unsigned long long)grid->seed);
    *ret_name = s.failed ? NULL : qk_arena_strdup(arena, s.s);
    if (grid->template_path != NULL) {
        qk_str_add(&s, " --template ");
        qk_provenance_add_word(&s, grid->template_path);
    }
    if (grid->prose_path != NULL) {
        qk_str_add(&s, " --haystack ");
        qk_provenance_add_word(&s, grid->prose_path);
    }
    *ret = s.failed ? NULL : qk_arena_strdup(arena, s.s);
    qk_str_release(&s);
    return *ret == NULL || *ret_name == NULL ? qk_fail_nomem(err, "cases") : QK_OK;
}

static enum qk_code grid_axes(const struct qk_niah_grid *grid, struct qk_arena *arena, struct qk_niah_set *set,
                              struct qk_err *err)
{
    const char **tasks = qk_arena_alloc(arena, grid->n_tasks, sizeof *tasks);
    size_t *lengths = qk_arena_alloc(arena, grid->n_lengths, sizeof *lengths);
    double *depths = qk_arena_alloc(arena, grid->n_depths, sizeof *depths);
    if (tasks == NULL || lengths == NULL || depths == NULL) {
        return qk_fail_nomem(err, "cases");
    }
    for (size_t i = 0; i < grid->n_tasks; i++) {
        tasks[i] = qk_needle_task_name(grid->tasks[i]);
    }
    memcpy(lengths, grid->lengths, grid->n_lengths * sizeof *lengths);
    for (size_t i = 0; i < grid->n_depths; i++) {
        depths[i] = ((double)i + 0.5) / (double)grid->n_depths;
    }
    set->n_tasks = grid->n_tasks;
    set->n_lengths = grid->n_lengths;
    set->n_depths = grid->n_depths;
    set->tasks = tasks;
    set->lengths = lengths;
    set->depths = depths;
    return QK_OK;
}

/* Number i of the grid's cases. */
static enum qk_code grid_case(const struct qk_niah_grid *grid, size_t i, const struct qk_haystack *haystack,
                              const struct qk_tokenizer *tokenizer, struct qk_arena *arena, struct qk_niah_case *ret,
                              bool *repeats, struct qk_err *err)
{
    size_t sample = i % grid->n_samples, cell = i / grid->n_samples, depth = cell % grid->n_depths;
    size_t length = cell / grid->n_depths % grid->n_lengths, task = cell / grid->n_depths / grid->n_lengths;
    struct qk_needle_spec spec = {.task = grid->tasks[task],
                                  .length = grid->lengths[length],
                                  .depth = depth,
                                  .n_depths = grid->n_depths,
                                  .sample = sample,
                                  .seed = grid->seed};
    struct qk_needle_case c;
    const char **wanted = qk_arena_alloc(arena, 1, sizeof *wanted);
    if (wanted == NULL) {
        return qk_fail_nomem(err, "cases");
    }
    enum qk_code code = qk_haystack_make(haystack, tokenizer, &spec, arena, &c, err);
    if (code != QK_OK) {
        qk_err_context(err, "task %s at %zu tokens", qk_needle_task_name(spec.task), spec.length);
        return code;
    }
    wanted[0] = c.value;
    *repeats = *repeats || c.repeats;
    *ret = (struct qk_niah_case){.task = task,
                                 .length = length,
                                 .depth = depth,
                                 .sample = sample,
                                 .scoring = {c.n_prompt, c.ids, c.n_answer, c.ids + c.n_prompt},
                                 .value_start = c.value_start,
                                 .value_end = c.value_end,
                                 .n_wanted = 1,
                                 .wanted = wanted};
    return QK_OK;
}

static enum qk_code fill_grid(const struct qk_niah_grid *grid, const struct qk_haystack *haystack,
                              const struct qk_tokenizer *tokenizer, const struct qk_progress *progress,
                              struct qk_arena *arena, struct qk_niah_set *set, struct qk_err *err)
{
    size_t n = grid->n_tasks * grid->n_lengths;
    bool repeats = false;
    if (grid->n_depths == 0 || grid->n_samples == 0 || n == 0) {
        return qk_fail(err, QK_EUSAGE, "no cases: tasks, lengths, depths and samples are at least one each");
    }
    if (!qk_size_mul(n, grid->n_depths, &n) || !qk_size_mul(n, grid->n_samples, &n) || n > QK_NIAH_MOST_CASES) {
        return qk_niah_too_many(set->source, n, err);
    }
    struct qk_niah_case *cases = qk_arena_alloc(arena, n, sizeof *cases);
    if (cases == NULL) {
        return qk_fail_nomem(err, "cases");
    }
    for (size_t i = 0; i < n; i++) {
        QK_TRY(qk_interrupt_check(err));
        QK_TRY(grid_case(grid, i, haystack, tokenizer, arena, &cases[i], &repeats, err));
    }
    set->n = n;
    set->cases = cases;
    if (repeats) {
        qk_progress_notice(progress, "the haystack is shorter than some documents, which repeat it");
    }
    return QK_OK;
}

enum qk_code qk_niah_set_grid(const struct qk_niah_grid *grid, const char *tokenizer_path,
                              const struct qk_progress *progress, struct qk_arena *arena, struct qk_niah_set *ret,
                              struct qk_err *err)
{
    struct qk_niah_set set = {.source = grid->template_path ? grid->template_path : "built-in haystack"};
    struct qk_haystack *haystack = NULL;
    struct qk_tokenizer *tokenizer = NULL;
    QK_TRY(grid_words(grid, arena, &set.words, &set.name, err));
    QK_TRY(grid_axes(grid, arena, &set, err));
    QK_TRY(qk_haystack_open(grid->template_path, grid->prose_path, &haystack, err));
    enum qk_code code = qk_tokenizer_open(tokenizer_path, &tokenizer, err);
    if (code == QK_OK) {
        code = fill_grid(grid, haystack, tokenizer, progress, arena, &set, err);
    }
    qk_tokenizer_free(tokenizer);
    qk_haystack_free(haystack);
    QK_TRY(code);
    qk_niah_set_seal(&set);
    *ret = set;
    return QK_OK;
}
