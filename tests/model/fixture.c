/* Sparse checkpoints from manifests. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"BF16", 2}, {"F16", 2}, {"F32", 4}, {"F64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U8", 1}, {"I32", 4}};

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/qk-model-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
}

void fixture_add(struct fixture *f, const char *name, const char *dtype, const char *dims, const void *data)
{
    struct fixture_tensor t = {.name = strdup(name), .dtype = strdup(dtype), .data = data};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        t.n_bytes = strcmp(dtype, dtypes[i].name) ? t.n_bytes : dtypes[i].bytes;
    }
    assert_true(t.n_bytes > 0);
    for (const char *s = dims; *s >= '0' && *s <= '9';) {
        char *end = NULL;
        t.shape[t.n_dims] = strtoull(s, &end, 10);
        t.n_bytes *= t.shape[t.n_dims++];
        s = *end == ',' ? end + 1 : end;
    }
    if (f->n_tensors == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 256;
        f->tensors = realloc(f->tensors, f->cap * sizeof *f->tensors);
        assert_non_null(f->tensors);
    }
    f->tensors[f->n_tensors++] = t;
}

void fixture_expand(const char *pattern, void (*fn)(void *ctx, const char *name), void *ctx)
{
    const char *open = strchr(pattern, '{');
    if (!open) {
        fn(ctx, pattern);
        return;
    }
    const char *close = strchr(open, '}');
    assert_non_null(close);
    for (const char *s = open + 1; s < close;) {
        size_t n = strcspn(s, ",}");
        char *end = NULL, name[512];
        unsigned long lo = strtoul(s, &end, 10), hi = lo;
        bool number = end > s;
        if (number && *end == '-') {
            hi = strtoul(end + 1, NULL, 10);
        }
        for (unsigned long i = lo; i <= hi; i++) {
            int head = (int)(open - pattern);
            if (number) {
                snprintf(name, sizeof name, "%.*s%lu%s", head, pattern, i, close + 1);
            } else {
                snprintf(name, sizeof name, "%.*s%.*s%s", head, pattern, (int)n, s, close + 1);
            }
            fixture_expand(name, fn, ctx);
        }
        s += n + 1;
    }
}

struct add_ctx {
    struct fixture *fixture;
    const char *dtype, *dims;
};

static void add_expanded(void *ctx, const char *name)
{
    struct add_ctx *a = ctx;
    fixture_add(a->fixture, name, a->dtype, a->dims, NULL);
}

void fixture_add_manifest(struct fixture *f, const char *path)
{
    char line[512], name[384], dtype[32], dims[96];
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        assert_int_equal(sscanf(line, "%383s %31s %95s", name, dtype, dims), 3);
        struct add_ctx ctx = {f, dtype, dims};
        fixture_expand(name, add_expanded, &ctx);
    }
    fclose(in);
}

static char *path_in(const struct fixture *f, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return path;
}

static void shard_name(const struct fixture *f, size_t shard, char *name, size_t cap)
{
    if (f->n_shards == 1) {
        snprintf(name, cap, "model.safetensors");
    } else {
        snprintf(name, cap, "model-%05zu-of-%05zu.safetensors", shard + 1, f->n_shards);
    }
}

static void write_shard(struct fixture *f, size_t shard)
{
    char name[64], *header = NULL;
    size_t len = 0;
    uint64_t at = 0;
    FILE *out = open_memstream(&header, &len);
    const char *comma = "{";
    for (size_t i = 0; i < f->n_tensors; i++) {
        struct fixture_tensor *t = &f->tensors[i];
        if (t->shard != shard) {
            continue;
        }
        t->offset = at;
        at += t->n_bytes;
        fprintf(out, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", comma, t->name, t->dtype);
        for (size_t d = 0; d < t->n_dims; d++) {
            fprintf(out, "%s%llu", d ? "," : "", (unsigned long long)t->shape[d]);
        }
        fprintf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)t->offset, (unsigned long long)at);
        comma = ",";
    }
    fprintf(out, "}");
    fclose(out);
    shard_name(f, shard, name, sizeof name);
    int fd = open(path_in(f, name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    uint64_t n = len;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &n, sizeof n), (ssize_t)sizeof n);
    assert_int_equal(write(fd, header, len), (ssize_t)len);
    assert_int_equal(ftruncate(fd, (off_t)(8 + len + at)), 0);
    for (size_t i = 0; i < f->n_tensors; i++) {
        const struct fixture_tensor *t = &f->tensors[i];
        if (t->shard == shard && t->data) {
            assert_int_equal(pwrite(fd, t->data, t->n_bytes, (off_t)(8 + len + t->offset)), (ssize_t)t->n_bytes);
        }
    }
    close(fd);
    free(header);
}

static void write_index(const struct fixture *f)
{
    FILE *out = fopen(path_in(f, "model.safetensors.index.json"), "w");
    uint64_t total = 0;
    assert_non_null(out);
    for (size_t i = 0; i < f->n_tensors; i++) {
        total += f->tensors[i].n_bytes;
    }
    fprintf(out, "{\"metadata\":{\"total_size\":%llu},\"weight_map\":", (unsigned long long)total);
    for (size_t i = 0; i < f->n_tensors; i++) {
        char name[64];
        shard_name(f, f->tensors[i].shard, name, sizeof name);
        fprintf(out, "%c\"%s\":\"%s\"", i ? ',' : '{', f->tensors[i].name, name);
    }
    fprintf(out, "}}");
    fclose(out);
}

void fixture_write_config(const struct fixture *f, const char *config)
{
    FILE *out = fopen(path_in(f, "config.json"), "w");
    assert_non_null(out);
    fputs(config, out);
    fclose(out);
}

void fixture_write(struct fixture *f, const char *config, size_t n_shards)
{
    f->n_shards = n_shards;
    for (size_t i = 0; i < f->n_tensors; i++) {
        f->tensors[i].shard = i * n_shards / f->n_tensors;
    }
    for (size_t s = 0; s < n_shards; s++) {
        write_shard(f, s);
    }
    if (n_shards > 1) {
        write_index(f);
    }
    fixture_write_config(f, config);
}

/* One block for all tensors; the caller frees it once they are written. */
static float *fill_normal(struct fixture *f, uint64_t seed)
{
    struct qk_rng rng;
    size_t n = 0;
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < f->n_tensors; i++) {
        assert_string_equal(f->tensors[i].dtype, "F32");
        n += f->tensors[i].n_bytes / sizeof(float);
    }
    float *values = calloc(n > 0 ? n : 1, sizeof *values), *x = values;
    assert_non_null(values);
    for (size_t i = 0; i < f->n_tensors; i++) {
        struct fixture_tensor *t = &f->tensors[i];
        double size = t->n_dims < 2 ? 0.3 : 1.2 / sqrt((double)t->shape[t->n_dims - 1]);
        t->data = x;
        for (const float *end = x + t->n_bytes / sizeof *x; x < end; x++) {
            *x = (float)(size * qk_rng_normal(&rng));
        }
    }
    return values;
}

void fixture_write_described(struct fixture *f, const char *model, uint64_t seed)
{
    char rest[256];
    snprintf(rest, sizeof rest, "models/%s/tensors.txt", model);
    fixture_add_manifest(f, fixture_data(rest));
    snprintf(rest, sizeof rest, "models/%s/config.json", model);
    char *config = fixture_slurp(fixture_data(rest));
    assert_non_null(config);
    float *values = fill_normal(f, seed);
    fixture_write(f, config, 1);
    for (size_t i = 0; i < f->n_tensors; i++) {
        f->tensors[i].data = NULL;
    }
    free(values);
    free(config);
}

void fixture_release(struct fixture *f)
{
    DIR *dir = opendir(f->dir);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            unlink(path_in(f, e->d_name));
        }
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(f->dir);
    for (size_t i = 0; i < f->n_tensors; i++) {
        free(f->tensors[i].name);
        free(f->tensors[i].dtype);
    }
    free(f->tensors);
}

const char *fixture_data(const char *rest)
{
    static char path[512];
    const char *root = getenv("QK_TEST_DATA");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/%s", root, rest);
    return path;
}

char *fixture_slurp(const char *path)
{
    char *text = NULL, buf[4096];
    size_t len = 0, n = 0;
    FILE *in = fopen(path, "r");
    if (!in) {
        return NULL;
    }
    FILE *out = open_memstream(&text, &len);
    while ((n = fread(buf, 1, sizeof buf, in)) > 0) {
        fwrite(buf, 1, n, out);
    }
    fclose(out);
    fclose(in);
    return text;
}

void fixture_open(const struct fixture *f, struct qk_ckpt **ckpt, struct qk_model **model)
{
    struct qk_err err = {0};
    if (qk_ckpt_open(f->dir, ckpt, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    if (qk_model_open(*ckpt, model, &err) != QK_OK) {
        qk_ckpt_close(*ckpt);
        fail_msg("%s", err.text);
    }
}

void fixture_close(struct qk_ckpt *ckpt, struct qk_model *model)
{
    qk_model_free(model);
    qk_ckpt_close(ckpt);
}
