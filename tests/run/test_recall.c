/* The bundled pair's answers against stored float32 outcomes of another implementation: what is chosen at every token
 * of an answer, the least margin, and whether greedy decoding says it.
 *
 *     test_recall EXAMPLES/amnesia LENGTH…     the cases of these nominal lengths
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "ckpt/json.h"
#include "forward/runner.h"
#include "num/blas.h"
#include "run/scoring.h"

/* Two float32 runs of the reference on different machines were within 7e-5; weights are the same, sums are ordered
 * differently here. */
static const double margin_tolerance = 1e-3;

enum { MAX_CASES = 96, MAX_IDS = 8192, MAX_FILE = 4 << 20 };

struct stored {
    size_t n;
    struct qk_scoring_case cases[MAX_CASES];
    const struct qk_json *json[MAX_CASES];
    const char *name; /* of the checkpoint */
    size_t n_wrong, n_outcomes, n_decoded;
    double worst_margin;
};

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fprintf(stderr, "%s\n", err->text);
        exit(2);
    }
}

static size_t read_ids(const struct qk_json *list, const uint32_t **ret)
{
    size_t n = 0;
    uint32_t *ids = qk_calloc(qk_json_count(list) + 1, sizeof *ids);
    for (const struct qk_json *item = qk_json_first(list); item && ids; item = qk_json_next(item)) {
        uint64_t id = 0;
        n += qk_json_u64(item, &id);
        ids[n - 1] = (uint32_t)id;
    }
    *ret = ids;
    return n;
}

static void collect(const struct qk_json *file, uint64_t length, struct stored *s)
{
    const struct qk_json *list = qk_json_get(file, "cases");
    for (const struct qk_json *item = qk_json_first(list); item && s->n < MAX_CASES; item = qk_json_next(item)) {
        uint64_t found = 0;
        if (qk_json_u64(qk_json_get(item, "length"), &found) && found == length) {
            struct qk_scoring_case *c = &s->cases[s->n];
            c->n_prompt = read_ids(qk_json_get(item, "ids"), &c->prompt);
            c->n_answer = read_ids(qk_json_get(item, "expect"), &c->answer);
            s->json[s->n++] = item;
        }
    }
}

static enum qk_code done(void *ctx, size_t i, const struct qk_scored_case *scored, struct qk_err *err)
{
    struct stored *s = ctx;
    const struct qk_json *wanted = qk_json_get(s->json[i], s->name);
    const struct qk_scoring_case *c = &s->cases[i];
    const uint32_t *pred = NULL;
    double wanted_margin = 0, margin = INFINITY;
    bool ok = false;
    size_t n = read_ids(qk_json_get(wanted, "pred"), &pred), n_other = 0, first = 0;
    (void)err;
    if (!qk_json_double(qk_json_get(wanted, "min_margin"), &wanted_margin) ||
        !qk_json_bool(qk_json_get(wanted, "ok"), &ok) || n != c->n_answer) {
        fprintf(stderr, "case %zu: no outcome of %s\n", i, s->name);
        exit(2);
    }
    for (size_t t = 0; t < n; t++) {
        n_other += scored->answer[t].choice != pred[t];
        margin = scored->answer[t].margin < margin ? scored->answer[t].margin : margin;
        first += first == t && pred[t] == c->answer[t];
    }
    /* decoding: the answer's tokens up to the first other choice, then that choice */
    bool said = scored->n_said == c->n_answer && memcmp(scored->said, c->answer, n * sizeof *pred) == 0;
    bool begins = first == n ? said
                             : scored->n_said > first && scored->said[first] == pred[first] &&
                                   memcmp(scored->said, c->answer, first * sizeof *pred) == 0;
    bool agrees = n_other == 0 && scored->is_greedy == ok && said == ok && begins &&
                  fabs(margin - wanted_margin) <= margin_tolerance;
    s->n_outcomes += scored->is_greedy == ok;
    s->n_decoded += !scored->is_greedy;
    s->worst_margin = fmax(s->worst_margin, fabs(margin - wanted_margin));
    if (!agrees) {
        s->n_wrong++;
        printf("%s case %zu: %zu other choices, greedy %d (stored %d), margin %.6f (stored %.6f)\n", s->name, i,
               n_other, scored->is_greedy, ok, margin, wanted_margin);
    }
    qk_free((void *)(uintptr_t)pred);
    return QK_OK;
}

static void score(const char *directory, struct stored *s)
{
    struct qk_err err = {0};
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    struct qk_pool *pool = NULL;
    struct qk_runner *runner = NULL;
    struct qk_scoring_options options = {.ctx = s, .max_new = 40, .done = done};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, s->name);
    must(qk_ckpt_open(path, &ckpt, &err), &err);
    must(qk_model_open(ckpt, &model, &err), &err);
    must(qk_pool_new(0, &pool, &err), &err);
    must(qk_runner_new(model, pool, NULL, &runner, &err), &err);
    double start = qk_seconds();
    must(qk_score_cases(runner, s->n, s->cases, &options, &err), &err);
    double seconds = qk_seconds() - start;
    printf("%s: %zu of %zu outcomes agree, margins within %.1g; %zu decoded; %.1f s, %.0f cases per minute\n", s->name,
           s->n_outcomes, s->n, s->worst_margin, s->n_decoded, seconds, 60.0 * (double)s->n / seconds);
    qk_runner_free(runner);
    qk_pool_free(pool);
    qk_model_free(model);
    qk_ckpt_close(ckpt);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"base", "sft"};
    static struct stored stored;
    struct qk_err err = {0};
    struct qk_json *json = NULL;
    char path[4096];
    size_t n_wrong = 0;
    if (argc < 3) {
        return 2;
    }
    qk_blas_init();
    snprintf(path, sizeof path, "%s/niah_cases.json", argv[1]);
    must(qk_json_load(path, MAX_FILE, &json, &err), &err);
    for (int i = 2; i < argc; i++) {
        uint64_t length = 0;
        if (!qk_parse_u64(argv[i], 1, MAX_IDS, &length)) {
            return 2;
        }
        collect(json, length, &stored);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names && stored.n > 0; i++) {
        stored.name = names[i];
        stored.n_wrong = stored.n_outcomes = stored.n_decoded = 0;
        score(argv[1], &stored);
        n_wrong += stored.n_wrong;
    }
    for (size_t i = 0; i < stored.n; i++) {
        qk_free((void *)(uintptr_t)stored.cases[i].prompt);
        qk_free((void *)(uintptr_t)stored.cases[i].answer);
    }
    qk_json_free(json);
    return n_wrong > 0 || stored.n == 0;
}
