/* Every model below tests/data/models: what qk_model_open says must be, line for line, what expect.txt says (facts.py
 * there derives it independently), for config.json and config_legacy.json alike, and every stored row must be in one
 * slice. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/progress.h"
#include "coverage.h"
#include "describe.h"
#include "fixture.h"

enum { MAX_MODELS = 256, MAX_LAYERS = 256 };

struct expectation {
    char *top;
    char *layers[MAX_LAYERS];
    size_t n_layers;
};

struct place {
    struct expectation *expectation;
    const char *text;
};

static void place_line(void *ctx, const char *index)
{
    struct place *p = ctx;
    size_t i = strtoul(index, NULL, 10);
    assert_true(i < MAX_LAYERS);
    assert_null(p->expectation->layers[i]);
    p->expectation->layers[i] = strdup(p->text);
    if (i + 1 > p->expectation->n_layers) {
        p->expectation->n_layers = i + 1;
    }
}

static void read_expectation(const char *path, struct expectation *e)
{
    *e = (struct expectation){0};
    char *text = fixture_slurp(path);
    assert_non_null(text);
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] != '{') {
            e->top = strdup(line);
            continue;
        }
        char *end = strchr(line, '}');
        struct place p = {e, end + 2};
        char braces[256];
        snprintf(braces, sizeof braces, "%.*s", (int)(end + 1 - line), line);
        fixture_expand(braces, place_line, &p);
    }
    free(text);
}

static void release_expectation(struct expectation *e)
{
    free(e->top);
    for (size_t i = 0; i < MAX_LAYERS; i++) {
        free(e->layers[i]);
    }
}

static void compare_line(const char *model, const char *expected,
                         void (*print)(FILE *, const struct qk_model *, size_t), const struct qk_model *m, size_t i)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    print(out, m, i);
    fclose(out);
    if (!expected || strcmp(text, expected) != 0) {
        print_error("%s, layer %zu:\n  expected %s\n  found    %s\n", model, i, expected ? expected : "(nothing)",
                    text);
        free(text);
        fail();
    }
    free(text);
}

static void print_top(FILE *out, const struct qk_model *m, size_t i)
{
    (void)i;
    describe_top(out, m);
}

static void print_layer(FILE *out, const struct qk_model *m, size_t i)
{
    describe_layer(out, m, &m->layers[i]);
}

static void check_model(const char *name, const struct fixture *f, const struct expectation *e)
{
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    fixture_open(f, &ckpt, &model);
    compare_line(name, e->top, print_top, model, 0);
    assert_int_equal(model->n_layers, e->n_layers);
    for (size_t i = 0; i < model->n_layers; i++) {
        compare_line(name, e->layers[i], print_layer, model, i);
    }
    check_coverage(model);
    fixture_close(ckpt, model);
}

/* One cmocka test per directory; state is its name. */
static void test_model(void **state)
{
    const char *name = *state;
    char rest[512];
    struct fixture f;
    struct expectation e;
    fixture_init(&f);
    snprintf(rest, sizeof rest, "models/%s/tensors.txt", name);
    fixture_add_manifest(&f, fixture_data(rest));
    snprintf(rest, sizeof rest, "models/%s/expect.txt", name);
    read_expectation(fixture_data(rest), &e);
    snprintf(rest, sizeof rest, "models/%s/config.json", name);
    char *config = fixture_slurp(fixture_data(rest));
    assert_non_null(config);
    fixture_write(&f, config, f.n_tensors > 10000 ? 40 : f.n_tensors % 2 ? 1 : 3);
    check_model(name, &f, &e);
    free(config);
    snprintf(rest, sizeof rest, "models/%s/config_legacy.json", name);
    config = fixture_slurp(fixture_data(rest));
    if (config) {
        fixture_write_config(&f, config);
        check_model(name, &f, &e);
        free(config);
    }
    release_expectation(&e);
    fixture_release(&f);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
    static struct CMUnitTest tests[MAX_MODELS];
    static char *names[MAX_MODELS];
    char root[512];
    size_t n = 0;
    snprintf(root, sizeof root, "%s/models", getenv("QK_TEST_DATA"));
    DIR *dir = opendir(root);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char path[1024];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", root, e->d_name);
        if (e->d_name[0] != '.' && e->d_name[0] != '_' && n < MAX_MODELS && stat(path, &st) == 0 &&
            S_ISDIR(st.st_mode)) {
            names[n++] = strdup(e->d_name);
        }
    }
    if (dir) {
        closedir(dir);
    }
    if (n < 60) { /* the fixtures are gone: nothing would be tested */
        fprintf(stderr, "only %zu models below %s\n", n, root);
        return 1;
    }
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest){.name = names[i], .test_func = test_model, .initial_state = names[i]};
    }
    int failed = _cmocka_run_group_tests("families", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    return failed;
}
