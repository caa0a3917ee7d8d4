/* Runs qk_align_matrix on cases for check_align.py.
 *
 * Standard input per case: int64 {k, d, has_bias, action, method, side, is_key, position kind, first, rotary_dim,
 * interleaved}, doubles {λ, α}, then W0, W1 and K0 as row-major (k, d) doubles. Standard output per case, all doubles:
 * the code of qk_align_matrix, outcome, rank of the key, the result (k, d), and the map (k, k), column-major, zero when
 * there is none. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "num/blas.h"
#include "repair/align.h"

enum { N_WORDS = 11 };

static double *doubles(size_t n)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    if (p == NULL) {
        exit(5);
    }
    memset(p, 0, (n + 1) * sizeof *p);
    return p;
}

static bool read_exactly(void *p, size_t n)
{
    return fread(p, 1, n, stdin) == n;
}

static void put(const double *x, size_t n)
{
    if (fwrite(x, sizeof *x, n, stdout) != n) {
        exit(1);
    }
}

static struct qk_align_rule rule_of(const int64_t *word, const double *number, struct qk_position *position)
{
    *position = (struct qk_position){
        .kind = (enum qk_position_kind)word[7],
        .first = (size_t)word[8],
        .rotary_dim = (size_t)word[9],
        .interleaved = word[10] != 0,
    };
    return (struct qk_align_rule){
        .action = (enum qk_plan_action)word[3],
        .method = (enum qk_plan_method)word[4],
        .side = (enum qk_plan_side)word[5],
        .lambda = number[0],
        .alpha = number[1],
        .is_key = word[6] != 0,
        .position = position,
    };
}

static bool evaluate(const int64_t *word)
{
    size_t k = (size_t)word[0], d = (size_t)word[1], n = k * d;
    double number[2], *w = doubles(3 * n), *result = doubles(n), *map = doubles(k * k);
    double *memory = doubles(qk_align_size(k, QK_ALIGN_TILE));
    if (!read_exactly(number, sizeof number) || !read_exactly(w, 3 * n * sizeof *w)) {
        return false;
    }
    struct qk_position position;
    struct qk_align_rule rule = rule_of(word, number, &position);
    struct qk_align align = {0};
    struct qk_err err = {0};
    double code = qk_align_matrix(&align, &rule, k, d, word[2] != 0, w, w + n, w + 2 * n, d, result, memory, &err);
    if (code == QK_OK && align.outcome == QK_ALIGN_MAPPED && rule.action == QK_PLAN_ALIGN) {
        memcpy(map, align.map, k * k * sizeof *map);
    }
    double head[] = {code, align.outcome, (double)align.key_rank};
    put(head, 3);
    put(result, n);
    put(map, k * k);
    qk_free(memory);
    qk_free(map);
    qk_free(result);
    qk_free(w);
    return true;
}

int main(void)
{
    qk_blas_init();
    int64_t word[N_WORDS];
    while (read_exactly(word, sizeof word)) {
        if (!evaluate(word)) {
            fprintf(stderr, "align_eval: truncated case\n");
            return 1;
        }
    }
    return 0;
}
