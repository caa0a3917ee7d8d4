/* An adapter whose k-th allocation fails, for every k: QK_ENOMEM or success, no open file left (leaks are the address
 * sanitizer's). Reads of any range give the bytes of reading all, and from several threads the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "ckpt/adapter.h"

static const char module[] = "base_model.model.model.layers.0.self_attn.q_proj";
enum { RANK = 3, WIDTH = 64 };
static char base_path[1024], dir[] = "/tmp/qk_adapter_XXXXXX";

static void put_file(const char *name, const void *data, size_t n)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* DoRA, so that norms are computed on the way. */
static int make(void **state)
{
    (void)state;
    static char header[2048];
    static float data[2 * RANK * WIDTH + WIDTH];
    static unsigned char file[sizeof header + sizeof data + 8];
    static const char config[] = "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 5, \"use_dora\": true, "
                                 "\"target_modules\": [\"q_proj\"], \"alpha_pattern\": {\".*k_proj\": 2}}";
    size_t half = sizeof(float) * RANK * WIDTH;
    int n = snprintf(header, sizeof header,
                     "{\"%s.lora_A.weight\": {\"dtype\": \"F32\", \"shape\": [3, 64], \"data_offsets\": [0, %zu]}, "
                     "\"%s.lora_B.weight\": {\"dtype\": \"F32\", \"shape\": [64, 3], \"data_offsets\": [%zu, %zu]}, "
                     "\"%s.lora_magnitude_vector\": {\"dtype\": \"F32\", \"shape\": [64], \"data_offsets\": [%zu, "
                     "%zu]}}",
                     module, half, module, half, 2 * half, module, 2 * half, 2 * half + sizeof(float) * WIDTH);
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        data[i] = (float)((i * 37 + 11) % 101) / 200.0F + 0.01F;
    }
    file[0] = (unsigned char)(n & 255);
    file[1] = (unsigned char)(n >> 8);
    memcpy(file + 8, header, (size_t)n);
    memcpy(file + 8 + n, data, sizeof data);
    snprintf(base_path, sizeof base_path, "%s/weights/llama/base", getenv("QK_TEST_DATA"));
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    put_file("adapter_config.json", config, sizeof config - 1);
    put_file("adapter_model.safetensors", file, 8 + (size_t)n + sizeof data);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    char path[1100];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)remove(path);
    }
    return remove(dir);
}

static size_t count_open_files(void)
{
    size_t n = 0;
    DIR *stream = opendir("/proc/self/fd");
    assert_non_null(stream);
    while (readdir(stream) != NULL) {
        n++;
    }
    closedir(stream);
    return n;
}

static const struct qk_tensor *target(const struct qk_ckpt *ckpt)
{
    const struct qk_tensor *t = qk_ckpt_find(ckpt, "model.layers.0.self_attn.q_proj.weight");
    assert_non_null(t);
    assert_int_equal(t->n_elements, WIDTH * WIDTH);
    return t;
}

static enum qk_code open_and_read(struct qk_err *err)
{
    struct qk_ckpt *ckpt = NULL;
    unsigned char bytes[64];
    const struct qk_adapter_options options = {.base_path = base_path};
    QK_TRY(qk_adapter_open(dir, &options, &ckpt, err));
    enum qk_code code = qk_ckpt_read(ckpt, target(ckpt), 33, sizeof bytes, bytes, err);
    qk_ckpt_close(ckpt);
    return code;
}

static void every_allocation(void **state)
{
    (void)state;
    size_t k = 0, files = count_open_files();
    struct qk_err err;
    for (enum qk_code code = QK_ENOMEM; code != QK_OK;) {
        qk_alloc_fail_after(++k);
        code = open_and_read(&err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        assert_int_equal(count_open_files(), files);
    }
    assert_true(k > 20);
}

static void every_range(void **state)
{
    (void)state;
    struct qk_ckpt *ckpt = NULL;
    struct qk_err err;
    const struct qk_adapter_options options = {.base_path = base_path};
    assert_int_equal(qk_adapter_open(dir, &options, &ckpt, &err), QK_OK);
    const struct qk_tensor *t = target(ckpt);
    static unsigned char all[WIDTH * WIDTH * 4], some[WIDTH * WIDTH * 4];
    assert_int_equal(t->n_bytes, sizeof all);
    assert_int_equal(qk_ckpt_read(ckpt, t, 0, sizeof all, all, &err), QK_OK);
    for (size_t from = 0; from < 3 * WIDTH * 4; from += 7) {
        for (size_t n = 0; n < 3 * WIDTH * 4; n += 11) {
            memset(some, 0xEE, sizeof some);
            assert_int_equal(qk_ckpt_read(ckpt, t, from, n, some, &err), QK_OK);
            assert_memory_equal(some, all + from, n);
            assert_int_equal(some[n], 0xEE);
        }
    }
    qk_ckpt_close(ckpt);
}

struct job {
    const struct qk_ckpt *ckpt;
    unsigned char (*rows)[WIDTH * 4];
};

static enum qk_code read_row(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct job *job = ctx;
    (void)worker;
    return qk_ckpt_read(job->ckpt, target(job->ckpt), i % WIDTH * WIDTH * 4, WIDTH * 4, job->rows[i], err);
}

static void threads(void **state)
{
    (void)state;
    enum { TIMES = 4 };
    static unsigned char rows[TIMES * WIDTH][WIDTH * 4], all[WIDTH * WIDTH * 4];
    struct qk_ckpt *ckpt = NULL;
    struct qk_pool *pool = NULL;
    struct qk_err err;
    const struct qk_adapter_options options = {.base_path = base_path};
    assert_int_equal(qk_adapter_open(dir, &options, &ckpt, &err), QK_OK);
    assert_int_equal(qk_pool_new(4, &pool, &err), QK_OK);
    struct job job = {ckpt, rows};
    assert_int_equal(qk_pool_for(pool, TIMES * WIDTH, read_row, &job, &err), QK_OK);
    qk_pool_free(pool);
    assert_int_equal(qk_ckpt_read(ckpt, target(ckpt), 0, sizeof all, all, &err), QK_OK);
    for (size_t i = 0; i < TIMES * WIDTH; i++) {
        assert_memory_equal(rows[i], all + i % WIDTH * WIDTH * 4, WIDTH * 4);
    }
    qk_ckpt_close(ckpt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(every_range),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
