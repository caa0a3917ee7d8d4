/* SHA-256 against the published vectors of FIPS 180-4, in every way of cutting the input; the generator's stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "hash_blocks.h"

static void published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t repeat;
        const char *hex;
    } cases[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_sha256 sha;
        char hex[65];
        qk_sha256_init(&sha);
        for (size_t r = 0; r < cases[i].repeat; r++) {
            qk_sha256_add(&sha, cases[i].text, strlen(cases[i].text));
        }
        qk_sha256_hex(&sha, hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

static void instructions_agree_with_plain_c(void **state)
{
    (void)state;
    enum { N_BLOCKS = 9 };
    unsigned char data[64 * N_BLOCKS + 1];
    qk_sha256_blocks_fn fast = qk_sha256_blocks_fast();
    if (fast == NULL) {
        print_message("this CPU has no SHA instructions\n");
        skip();
    }
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * i * 31 + i * 7);
    }
    for (size_t n = 0; n <= N_BLOCKS; n++) {
        uint32_t a[8], b[8];
        for (uint32_t i = 0; i < 8; i++) {
            a[i] = b[i] = 0x9e3779b9u * (i + 1);
        }
        qk_sha256_blocks_plain(a, data + 1, n);
        fast(b, data + 1, n);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void cutting_does_not_matter(void **state)
{
    (void)state;
    unsigned char data[300];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * 37);
    }
    for (size_t n = 0; n <= sizeof data; n++) {
        struct qk_sha256 a, b;
        char ha[65], hb[65];
        qk_sha256_init(&a);
        qk_sha256_add(&a, data, n);
        qk_sha256_hex(&a, ha);
        qk_sha256_init(&b);
        qk_sha256_add(&b, data, n / 3);
        qk_sha256_add(&b, data + n / 3, n - n / 3);
        qk_sha256_hex(&b, hb);
        assert_string_equal(ha, hb);
    }
}

static void the_generator_is_uniform_and_normal(void **state)
{
    (void)state;
    struct qk_rng a, b;
    qk_rng_seed(&a, 1);
    qk_rng_seed(&b, 1);
    double sum = 0, squares = 0, cubes = 0;
    const size_t n = 200000;
    for (size_t i = 0; i < n; i++) {
        double x = qk_rng_normal(&a);
        assert_true(x == qk_rng_normal(&b));
        sum += x;
        squares += x * x;
        cubes += x * x * x;
    }
    /* five standard errors: sd of the mean 1/sqrt n, of the mean square sqrt(2/n), of the mean cube sqrt(15/n) */
    double se = 1 / sqrt((double)n);
    assert_true(fabs(sum / (double)n) < 5 * se);
    assert_true(fabs(squares / (double)n - 1) < 5 * se * sqrt(2));
    assert_true(fabs(cubes / (double)n) < 5 * se * sqrt(15));
    size_t counts[7] = {0};
    for (size_t i = 0; i < 70000; i++) {
        counts[qk_rng_below(&a, 7)]++;
    }
    for (size_t i = 0; i < 7; i++) {
        assert_true(fabs((double)counts[i] - 10000) < 5 * sqrt(10000 * 6.0 / 7));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors), cmocka_unit_test(instructions_agree_with_plain_c),
        cmocka_unit_test(cutting_does_not_matter), cmocka_unit_test(the_generator_is_uniform_and_normal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
