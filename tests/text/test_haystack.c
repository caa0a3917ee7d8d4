/* Needle-in-a-haystack documents: length, structure, place of the needle, determinism; templates that are none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "text/haystack.h"

static struct qk_tokenizer *tokenizer;
static struct qk_arena *arena;
static char pair[1024];

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

static struct qk_haystack *open_pairs(void)
{
    struct qk_haystack *h = NULL;
    struct qk_err err = {0};
    char path[2048];
    snprintf(path, sizeof path, "%s/niah.json", pair);
    must(qk_haystack_open(path, NULL, &h, &err), &err);
    return h;
}

/* Text of the ids, special tokens left out. Lives in the arena. */
static const char *text_of(const uint32_t *ids, size_t n)
{
    struct qk_str out = {0};
    struct qk_err err = {0};
    must(qk_tokenizer_decode(tokenizer, ids, n, QK_DECODE_SKIP_SPECIAL, &out, &err), &err);
    const char *copy = qk_arena_strdup(arena, out.s ? out.s : "");
    qk_str_release(&out);
    return copy;
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        n++;
    }
    return n;
}

/* The document of the pair's template, checked part by part. */
static void check_document(const struct qk_needle_spec *spec, const struct qk_needle_case *c, const char *prose)
{
    char needle[256], question[512];
    size_t n = c->n_prompt + c->n_answer + c->n_end;
    const char *prompt = text_of(c->ids, c->n_prompt), *answer = text_of(c->ids + c->n_prompt, c->n_answer);
    snprintf(needle, sizeof needle, " The vault code of %s is %s.", c->key, c->value);
    snprintf(question, sizeof question, " Question: What is the vault code of %s? Answer: The vault code of %s is",
             c->key, c->key);
    assert_true(n <= spec->length && n + 12 > spec->length);
    assert_int_equal(c->ids[0], 0);
    assert_string_equal(answer + 1, c->value);
    assert_string_equal(text_of(c->ids + c->n_prompt + c->n_answer, c->n_end), ".");
    assert_int_equal(count_of(prompt, needle), 1);
    assert_string_equal(prompt + strlen(prompt) - strlen(question), question);
    assert_string_equal(text_of(c->ids + c->needle_start, c->needle_end - c->needle_start), needle);
    assert_string_equal(text_of(c->ids + c->value_start, c->value_end - c->value_start), answer);
    /* hay: what stands around the needle is one stretch of the source, cut between words */
    char *hay = qk_arena_strdup(arena, prompt), *at = strstr(hay, needle);
    assert_true(at > hay && strchr(".!?\"')]}", at[-1]));
    memmove(at, at + strlen(needle), strlen(at + strlen(needle)) + 1);
    hay[strlen(hay) - strlen(question)] = '\0';
    if (prose) {
        const char *found = strstr(prose, hay);
        assert_non_null(found);
        assert_true(found == prose || strchr(".!?\"')]}", found[-1]));
        assert_true(found[strlen(hay)] == ' ' || found[strlen(hay)] == '\0');
    } else {
        assert_int_equal(strncmp(hay, " The river runs south. The barn is red.", 39), 0);
    }
    assert_string_equal(c->value + (spec->task == QK_NEEDLE_S3 ? 36 : 7), "");
}

/* No other sentence end of the hay is nearer to the place that was asked for. */
static void check_place(const struct qk_needle_spec *spec, const struct qk_needle_case *c)
{
    size_t question = c->n_prompt;
    while (question > 0 && !qk_str_starts(text_of(c->ids + question, c->n_prompt - question), " Question:")) {
        question--;
    }
    size_t n_needle = c->needle_end - c->needle_start, n_hay = question - 1 - n_needle;
    double wanted = ((double)spec->depth + 0.5) / (double)spec->n_depths * (double)n_hay;
    double off = fabs((double)(c->needle_start - 1) - wanted);
    for (size_t t = 1; t < question; t++) {
        bool in_needle = t >= c->needle_start && t < c->needle_end;
        const char *piece = text_of(c->ids + t, 1), *next = text_of(c->ids + t + 1, 1);
        size_t behind = t + 1 - 1 - (t >= c->needle_end ? n_needle : 0);
        if (!in_needle && *piece && strchr(".!?", piece[strlen(piece) - 1]) && next[0] == ' ') {
            assert_true(fabs((double)behind - wanted) >= off - 2); /* lengths vary by the words' ends */
        }
    }
}

static void documents_are_as_the_protocol_says(void **state)
{
    struct qk_haystack *h = open_pairs();
    struct qk_err err = {0};
    char path[2048], *file = NULL, *prose = NULL;
    size_t len = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/haystack.txt", pair);
    must(qk_file_slurp(path, 1 << 24, &file, &len, &err), &err);
    prose = qk_calloc(len + 2, 1);
    size_t n = 0;
    prose[n++] = ' ';
    for (size_t i = 0; i < len; i++) {
        char c = file[i] == '\n' ? ' ' : file[i];
        if (c != ' ' || prose[n - 1] != ' ') {
            prose[n++] = c;
        }
    }
    const size_t lengths[] = {160, 512, 2048};
    for (size_t i = 0; i < (size_t)QK_N_NEEDLE_TASKS * 3 * 5; i++) {
        struct qk_needle_spec spec = {.task = (enum qk_needle_task)(i % QK_N_NEEDLE_TASKS),
                                      .length = lengths[i / QK_N_NEEDLE_TASKS % 3],
                                      .depth = i / QK_N_NEEDLE_TASKS / 3,
                                      .n_depths = 5,
                                      .seed = 7};
        struct qk_needle_case c;
        must(qk_haystack_make(h, tokenizer, &spec, arena, &c, &err), &err);
        check_document(&spec, &c, spec.task == QK_NEEDLE_S1 ? NULL : prose);
        if (spec.length == 512) {
            check_place(&spec, &c);
        }
    }
    qk_free(prose);
    qk_free(file);
    qk_haystack_free(h);
}

static void the_spec_decides(void **state)
{
    struct qk_haystack *h = open_pairs();
    struct qk_err err = {0};
    struct qk_needle_spec spec = {
        .task = QK_NEEDLE_S3, .length = 400, .depth = 1, .n_depths = 4, .sample = 2, .seed = 5};
    struct qk_needle_case first, again, other;
    (void)state;
    must(qk_haystack_make(h, tokenizer, &spec, arena, &first, &err), &err);
    must(qk_haystack_make(h, tokenizer, &spec, arena, &again, &err), &err);
    assert_int_equal(first.n_prompt, again.n_prompt);
    assert_memory_equal(first.ids, again.ids, (first.n_prompt + first.n_answer) * sizeof *first.ids);
    for (size_t i = 0; i < 5; i++) {
        struct qk_needle_spec changed = spec;
        changed.task = i == 0 ? QK_NEEDLE_S2 : spec.task;
        changed.length += i == 1;
        changed.depth += i == 2;
        changed.sample += i == 3;
        changed.seed += i == 4;
        must(qk_haystack_make(h, tokenizer, &changed, arena, &other, &err), &err);
        assert_string_not_equal(first.value, other.value);
    }
    qk_haystack_free(h);
}

static void built_in_parts(void **state)
{
    struct qk_haystack *h = NULL, *named = NULL;
    struct qk_err err = {0};
    struct qk_needle_spec spec = {.task = QK_NEEDLE_S2, .length = 600, .n_depths = 1};
    struct qk_needle_case c;
    char path[2048];
    (void)state;
    must(qk_haystack_open(NULL, NULL, &h, &err), &err);
    must(qk_haystack_make(h, tokenizer, &spec, arena, &c, &err), &err);
    assert_false(c.repeats);
    assert_non_null(strstr(text_of(c.ids, c.n_prompt), " The access number for "));
    spec.length = 30000;
    must(qk_haystack_make(h, tokenizer, &spec, arena, &c, &err), &err);
    assert_true(c.repeats);
    assert_true(c.n_prompt + 60 > spec.length);
    spec.length = 40;
    assert_int_equal(qk_haystack_make(h, tokenizer, &spec, arena, &c, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "40 tokens have no room"));
    snprintf(path, sizeof path, "%s/haystack.txt", pair);
    must(qk_haystack_open(NULL, path, &named, &err), &err);
    assert_string_not_equal(qk_haystack_sha256(h), qk_haystack_sha256(named));
    qk_haystack_free(named);
    qk_haystack_free(h);
}

/* A value that runs on from the question's last word has no token border in front: both parts stand on their own. */
static void answers_without_a_border(void **state)
{
    static const char template[] = "{\"needle\": \" {key} has {value}.\", \"question\": \" {key} has \", "
                                   "\"answer\": \"{value}\"}";
    struct qk_haystack *h = NULL;
    struct qk_err err = {0};
    struct qk_needle_spec spec = {.task = QK_NEEDLE_S1, .length = 200, .n_depths = 1};
    struct qk_needle_case c;
    char path[] = "/tmp/qk-haystack-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0 && write(fd, template, strlen(template)) == (ssize_t)strlen(template));
    close(fd);
    must(qk_haystack_open(path, NULL, &h, &err), &err);
    unlink(path);
    must(qk_haystack_make(h, tokenizer, &spec, arena, &c, &err), &err);
    assert_string_equal(text_of(c.ids + c.n_prompt, c.n_answer), c.value);
    const char *prompt = text_of(c.ids, c.n_prompt);
    assert_true(qk_str_ends(prompt, " has "));
    qk_haystack_free(h);
}

static void templates_that_are_none(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "expected a JSON object"},
        {"{\"question\": \"{key}\"}", "needle: is missing"},
        {"{\"needle\": \"{key} {value}\"}", "question: is missing"},
        {"{\"needle\": \"{key}\", \"question\": \"{key}\"}", "needle: no {value} in it"},
        {"{\"needle\": \"{value}\", \"question\": \"{key}\"}", "needle: no {key} in it"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"what?\"}", "question: no {key} in it"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"{key} {value}\"}", "question: {value} does not belong"},
        {"{\"needle\": \"{key} {value} {value}\", \"question\": \"{key}\"}", "needle: {value} is there twice"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"{key}\", \"answer\": \"x\"}", "answer: no {value} in it"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"{key}\", \"hay\": \"x\"}", "hay: no such member"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"{key}\", \"noise\": \"x\"}", "noise: no sentence"},
        {"{\"needle\": 3, \"question\": \"{key}\"}", "needle"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"{key}\", \"keys\": \"/nowhere/keys\"}", "/nowhere/keys"},
        {"{\"needle\": \"{key} {value}\", \"question\": \"{key}\", \"haystack\": \"not there\"}", "not there"},
        {"{", "line 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[] = "/tmp/qk-haystack-XXXXXX";
        struct qk_haystack *h = NULL;
        struct qk_err err = {0};
        int fd = mkstemp(path);
        assert_true(fd >= 0 && write(fd, cases[i].json, strlen(cases[i].json)) == (ssize_t)strlen(cases[i].json));
        close(fd);
        assert_true(qk_haystack_open(path, NULL, &h, &err) != QK_OK);
        unlink(path);
        if (!strstr(err.text, cases[i].says) && i + 1 < sizeof cases / sizeof cases[0]) {
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        }
        assert_null(h);
    }
}

static void running_out_of_memory(void **state)
{
    struct qk_needle_spec spec = {.task = QK_NEEDLE_S2, .length = 200, .n_depths = 1};
    struct qk_needle_case c;
    enum qk_code code = QK_ENOMEM;
    size_t n = 0;
    (void)state;
    for (n = 1; code == QK_ENOMEM; n += n < 60 ? 1 : 23) {
        struct qk_haystack *h = NULL;
        struct qk_arena *own = qk_arena_new();
        qk_alloc_fail_after(n);
        code = qk_haystack_open(NULL, NULL, &h, NULL);
        if (code == QK_OK) {
            code = qk_haystack_make(h, tokenizer, &spec, own, &c, NULL);
        }
        qk_alloc_fail_after(0);
        qk_haystack_free(h);
        qk_arena_free(own);
    }
    assert_int_equal(code, QK_OK);
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_as_the_protocol_says),
        cmocka_unit_test(the_spec_decides),
        cmocka_unit_test(built_in_parts),
        cmocka_unit_test(answers_without_a_border),
        cmocka_unit_test(templates_that_are_none),
        cmocka_unit_test(running_out_of_memory),
    };
    char path[2048];
    snprintf(pair, sizeof pair, "%s/examples/amnesia", getenv("QK_SOURCE_ROOT"));
    snprintf(path, sizeof path, "%s/base", pair);
    arena = qk_arena_new();
    if (!arena || qk_tokenizer_open(path, &tokenizer, NULL) != QK_OK) {
        return 2;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qk_tokenizer_free(tokenizer);
    qk_arena_free(arena);
    return failed;
}
