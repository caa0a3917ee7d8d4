/* Spans of bytes against each other, down to rows: see compare_span.h. */
#include "compare_span.h"

#include <math.h>
#include <string.h>

/* Equal stretches are skipped in blocks of this many bytes; a multiple of every element's size. */
enum { BLOCK = 4096, N_DECODED = 512 };

uint64_t qk_compare_sums_words(uint64_t n_rows)
{
    return n_rows / 64 + 1;
}

void qk_compare_sums_init(struct qk_compare_sums *sums, const struct qk_tensor *a, const struct qk_tensor *b,
                          bool transposed)
{
    sums->a = a;
    sums->b = b;
    sums->transposed = transposed && a->n_dims >= 2;
    uint64_t last = a->n_dims >= 2 ? a->shape[a->n_dims - 1] : 1;
    uint64_t rest = last > 0 ? a->n_elements / last : 0;
    sums->n_rows = sums->transposed ? last : rest;
    sums->n_cols = sums->transposed ? rest : last;
    atomic_init(&sums->first_byte, UINT64_MAX);
    atomic_init(&sums->max_bits, 0);
    atomic_init(&sums->n_different, 0);
}

static void mark(struct qk_compare_sums *sums, uint64_t row)
{
    atomic_fetch_or_explicit(&sums->rows[row / 64], (uint64_t)1 << row % 64, memory_order_relaxed);
}

static void least(_Atomic uint64_t *to, uint64_t value)
{
    uint64_t now = atomic_load_explicit(to, memory_order_relaxed);
    while (value < now && !atomic_compare_exchange_weak(to, &now, value)) {
    }
}

static void greatest(_Atomic uint64_t *to, uint64_t value)
{
    uint64_t now = atomic_load_explicit(to, memory_order_relaxed);
    while (value > now && !atomic_compare_exchange_weak(to, &now, value)) {
    }
}

/* |x − y|, infinite where one of them is no number and they are not the same infinity. */
static double distance(double x, double y)
{
    double d = x == y || (isnan(x) && isnan(y)) ? 0 : fabs(x - y);
    return isfinite(d) ? d : INFINITY;
}

/* Lanes, because a maximum is a chain otherwise; whatever is not finite is looked at again. */
static double largest_distance(size_t n, const double *x, const double *y)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, poison[LANES] = {0}, most = 0;
    size_t whole = n - n % LANES;
    bool finite = true;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            double d = fabs(x[i + j] - y[i + j]);
            lane[j] = d > lane[j] ? d : lane[j];
            poison[j] += d * 0;
        }
    }
    for (size_t j = 0; j < LANES; j++) {
        most = fmax(most, lane[j]);
        finite = finite && poison[j] == 0;
    }
    for (size_t i = finite ? whole : 0; i < n; i++) {
        most = fmax(most, distance(x[i], y[i]));
    }
    return most;
}

static void measure(struct qk_compare_sums *sums, size_t n, const unsigned char *expected, const unsigned char *found)
{
    const struct qk_dtype_info *type = qk_dtype_info(sums->a->dtype);
    if (!type->is_float || type->bits % 8 != 0) {
        return;
    }
    double x[N_DECODED], y[N_DECODED], most = 0;
    size_t size = type->bits / 8;
    for (size_t i = 0, m; i < n / size; i += m) {
        m = n / size - i < N_DECODED ? n / size - i : N_DECODED;
        type->to_f64(expected + i * size, m, x);
        type->to_f64(found + i * size, m, y);
        most = fmax(most, largest_distance(m, x, y));
    }
    uint64_t bits;
    memcpy(&bits, &most, sizeof bits);
    greatest(&sums->max_bits, bits);
}

/* Whole runs of one row at a time. */
static void mark_rows(struct qk_compare_sums *sums, size_t size, uint64_t at, size_t n, const unsigned char *expected,
                      const unsigned char *found)
{
    uint64_t row_bytes = sums->n_cols * size, row = at / row_bytes, left = row_bytes - at % row_bytes;
    for (size_t i = 0, m; i < n; i += m, row++, left = row_bytes) {
        m = left < n - i ? (size_t)left : n - i;
        if (memcmp(expected + i, found + i, m) != 0) {
            mark(sums, row);
        }
    }
}

/* Element by element, where neighbours are of different rows; byte by byte where elements are smaller than a byte. */
static void mark_elements(struct qk_compare_sums *sums, size_t bits, uint64_t at, size_t n,
                          const unsigned char *expected, const unsigned char *found)
{
    size_t step = bits >= 8 ? bits / 8 : 1;
    for (size_t i = 0; i < n; i += step) {
        if (memcmp(expected + i, found + i, step) != 0) {
            uint64_t first = (at + i) * 8 / bits, last = ((at + i + step) * 8 - 1) / bits;
            for (uint64_t e = first; e <= last && e < sums->a->n_elements; e++) {
                mark(sums, sums->transposed ? e % sums->n_rows : e / sums->n_cols);
            }
        }
    }
}

void qk_compare_sums_add(struct qk_compare_sums *sums, uint64_t at, size_t n, const unsigned char *expected,
                         const unsigned char *found)
{
    if (memcmp(expected, found, n) == 0) {
        return;
    }
    size_t bits = qk_dtype_info(sums->a->dtype)->bits;
    bool first = true;
    atomic_fetch_add_explicit(&sums->n_different, 1, memory_order_relaxed);
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < BLOCK ? n - i : BLOCK;
        if (memcmp(expected + i, found + i, m) == 0) {
            continue;
        }
        size_t j = i;
        while (first && expected[j] == found[j]) {
            j++;
        }
        if (first) {
            least(&sums->first_byte, at + j);
            first = false;
        }
        if (sums->transposed || bits % 8 != 0) {
            mark_elements(sums, bits, at + i, m, expected + i, found + i);
        } else {
            mark_rows(sums, bits / 8, at + i, m, expected + i, found + i);
        }
        measure(sums, m, expected + i, found + i);
    }
}

bool qk_compare_sums_row_differs(const struct qk_compare_sums *sums, uint64_t row)
{
    return (atomic_load_explicit(&sums->rows[row / 64], memory_order_relaxed) >> row % 64 & 1) != 0;
}

uint64_t qk_compare_sums_count(const struct qk_compare_sums *sums, uint64_t first, uint64_t count)
{
    uint64_t n = 0;
    for (uint64_t row = first; row < first + count && row < sums->n_rows; row++) {
        n += qk_compare_sums_row_differs(sums, row);
    }
    return n;
}
