/* Hostile configs: values of every model's config replaced at random (fixed seed). Whatever comes out is either a model
 * whose slices cover every row once, or an error of the file; never a crash, never out of memory. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "coverage.h"
#include "fixture.h"

enum { N_MUTATIONS = 40 };

static const char *const values[] = {
    "0",    "1",    "2",        "3",  "4096",  "4097", "9007199254740992", "1e308", "-1",           "0.5",   "null",
    "true", "\"\"", "\"attn\"", "[]", "[0,1]", "{}",   "1e-320",           "NaN",   "\"['attn']\"", "65536", "1048576"};

/* Start and length of the n-th value after a ':' or inside an array; false when there are fewer. */
static bool find_value(const char *text, size_t n, size_t *ret_at, size_t *ret_len)
{
    size_t seen = 0;
    for (const char *s = text; *s; s++) {
        bool value = (*s >= '0' && *s <= '9') || *s == '-' || *s == 't' || *s == 'f' || *s == 'n';
        if (*s == '"') {
            const char *end = strchr(s + 1, '"');
            if (!end) {
                return false;
            }
            size_t len = (size_t)(end + 1 - s);
            const char *after = end + 1 + strspn(end + 1, " \n");
            if (*after != ':' && seen++ == n) {
                *ret_at = (size_t)(s - text);
                *ret_len = len;
                return true;
            }
            s = end;
        } else if (value) {
            size_t len = strcspn(s, ",]}\n");
            if (seen++ == n) {
                *ret_at = (size_t)(s - text);
                *ret_len = len;
                return true;
            }
            s += len - 1;
        }
    }
    return false;
}

static char *mutate(const char *text, struct qk_rng *rng)
{
    size_t n = 0, at = 0, len = 0, cap = strlen(text) + 64;
    while (find_value(text, n, &at, &len)) {
        n++;
    }
    char *out = malloc(cap);
    assert_non_null(out);
    assert_true(find_value(text, (size_t)qk_rng_below(rng, n), &at, &len));
    snprintf(out, cap, "%.*s%s%s", (int)at, text, values[qk_rng_below(rng, sizeof values / sizeof *values)],
             text + at + len);
    return out;
}

static size_t opened, refused;

static void try_config(const struct fixture *f, const char *config)
{
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    struct qk_err err = {0};
    fixture_write_config(f, config);
    if (qk_ckpt_open(f->dir, &ckpt, &err) != QK_OK) {
        assert_true(err.text[0] != 0);
        refused++;
        return;
    }
    enum qk_code code = qk_model_open(ckpt, &model, &err);
    if (code == QK_OK) {
        check_coverage(model);
        opened++;
    } else {
        refused++;
        if ((code != QK_EFORMAT && code != QK_EUNSUPPORTED) || !err.text[0]) {
            fail_msg("code %d (%s) for %s", code, err.text, config);
        }
    }
    fixture_close(ckpt, model);
}

static void mutate_model(const char *name, struct qk_rng *rng)
{
    struct fixture f;
    char rest[512];
    fixture_init(&f);
    snprintf(rest, sizeof rest, "models/%s/tensors.txt", name);
    fixture_add_manifest(&f, fixture_data(rest));
    snprintf(rest, sizeof rest, "models/%s/config.json", name);
    char *config = fixture_slurp(fixture_data(rest));
    assert_non_null(config);
    if (f.n_tensors < 2000) {
        fixture_write(&f, config, 1);
        for (size_t i = 0; i < N_MUTATIONS; i++) {
            char *once = mutate(config, rng), *twice = mutate(once, rng);
            try_config(&f, i % 2 ? once : twice);
            free(once);
            free(twice);
        }
    }
    free(config);
    fixture_release(&f);
}

static void test_mutations(void **state)
{
    (void)state;
    struct qk_rng rng;
    struct dirent **entries = NULL;
    char root[512];
    qk_rng_seed(&rng, 1);
    snprintf(root, sizeof root, "%s", fixture_data("models"));
    int n = scandir(root, &entries, NULL, alphasort);
    assert_true(n > 60);
    for (int i = 0; i < n; i++) {
        if (!strchr(entries[i]->d_name, '.') && entries[i]->d_name[0] != '_') {
            mutate_model(entries[i]->d_name, &rng);
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(opened > 100 && refused > 100); /* both ends were really visited */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations)};
    return cmocka_run_group_tests_name("mutations", tests, NULL, NULL);
}
