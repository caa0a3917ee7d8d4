/* Delta Grams tile by tile: see num/gram_tile.h. The AVX-512 kernel is in gram_panels.c; here is the choice, the way by
 * xSYRK (tile: 2K rows of n contiguous values; sums: (2K)², upper triangle), and the end. */
#include "num/gram_tile.h"

#include <string.h>

#include "gram_panels.h"
#include "num/blas.h"

enum { BLOCK = QK_PANEL * QK_PANEL };

size_t qk_gram_tile_size(size_t k, size_t n)
{
    return 2 * qk_panels(k) * QK_PANEL * n;
}

size_t qk_gram_sums_size(size_t k)
{
    size_t panels = 2 * qk_panels(k), blocks = panels * (panels + 1) / 2 * BLOCK;
    return blocks > 4 * k * k ? blocks : 4 * k * k;
}

void qk_gram_tile_pack(size_t k, size_t n, const double *w0, const double *w1, size_t ld, double *tile)
{
    if (qk_panels_available()) {
        qk_panels_pack(k, n, w0, w1, ld, tile);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        const double *base = w0 + i * ld, *tuned = w1 == NULL ? base : w1 + i * ld;
        double *row = tile + i * n, *delta = tile + (k + i) * n;
        for (size_t j = 0; j < n; j++) {
            row[j] = base[j];
            delta[j] = w1 == NULL ? 0 : tuned[j] - base[j];
        }
    }
}

void qk_gram_tile_scale(size_t k, size_t n, const double *g0, const double *g1, double *tile)
{
    if (qk_panels_available()) {
        qk_panels_scale(k, n, g0, g1, tile);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        double *row = tile + i * n, *delta = tile + (k + i) * n;
        for (size_t j = 0; j < n; j++) {
            delta[j] = delta[j] * g1[j] + row[j] * (g1[j] - g0[j]);
            row[j] *= g0[j];
        }
    }
}

void qk_gram_tile_add(size_t k, size_t n, const double *tile, bool unchanged, bool first, double *sums)
{
    if (unchanged && first) {
        memset(sums, 0, qk_gram_sums_size(k) * sizeof *sums);
    }
    if (qk_panels_available()) {
        qk_panels_add(unchanged ? qk_panels(k) : 2 * qk_panels(k), n, tile, first, sums);
    } else {
        qk_syrk_t(unchanged ? k : 2 * k, n, tile, n, first ? 0.0 : 1.0, sums, 2 * k);
    }
}

/* What is not finite turns 0·x into NaN. Eight sums, so that the additions do not wait for each other. */
struct probe {
    double lanes[QK_PANEL];
};

/* Rows [row, row + height) and columns [col, col + width) of one of the three parts from its 8 × 8 block. */
static void copy_block(const double *block, size_t height, size_t width, double *dst, size_t ld, struct probe *probe)
{
    for (size_t j = 0; j < width; j++) {
        for (size_t i = 0; i < height; i++) {
            dst[i + j * ld] = block[i + j * QK_PANEL];
            probe->lanes[i] += 0 * block[i + j * QK_PANEL];
        }
    }
}

static void copy_transposed(const double *block, size_t height, size_t width, double *dst, size_t ld,
                            struct probe *probe)
{
    for (size_t i = 0; i < height; i++) {
        for (size_t j = 0; j < width; j++) {
            dst[j + i * ld] = block[i + j * QK_PANEL];
        }
    }
    for (size_t j = 0; j < width; j++) {
        for (size_t i = 0; i < height; i++) {
            probe->lanes[i] += 0 * block[i + j * QK_PANEL];
        }
    }
}

static const double *block_at(const double *sums, size_t p, size_t q)
{
    return sums + (q * (q + 1) / 2 + p) * BLOCK;
}

static void finish_panels(struct qk_gram *g, const double *sums)
{
    size_t k = g->k, half = qk_panels(k);
    struct probe probe = {{0}};
    double drift = 0;
    for (size_t q = 0; q < half; q++) {
        size_t col = q * QK_PANEL, width = k - col < QK_PANEL ? k - col : QK_PANEL;
        for (size_t p = 0; p < half; p++) {
            size_t row = p * QK_PANEL, height = k - row < QK_PANEL ? k - row : QK_PANEL;
            if (p <= q) {
                copy_block(block_at(sums, p, q), height, width, g->a + row + col * k, k, &probe);
                copy_block(block_at(sums, half + p, half + q), height, width, g->e + row + col * k, k, &probe);
            }
            /* the block holds ⟨W0, Δ⟩ = Fᵀ */
            copy_transposed(block_at(sums, p, half + q), height, width, g->f + col + row * k, k, &probe);
        }
        for (size_t j = 0; j < width; j++) {
            drift += g->e[(col + j) * (k + 1)];
        }
    }
    qk_symmetrise(k, g->a, k);
    qk_symmetrise(k, g->e, k);
    double sum = 0;
    for (size_t i = 0; i < QK_PANEL; i++) {
        sum += probe.lanes[i];
    }
    g->finite = sum == 0;
    g->identical = g->finite && drift == 0;
    if (g->identical) {
        memset(g->f, 0, k * k * sizeof *g->f);
        memset(g->e, 0, k * k * sizeof *g->e);
    }
}

void qk_gram_tile_finish(struct qk_gram *g, const double *sums)
{
    if (qk_panels_available()) {
        finish_panels(g, sums);
    } else {
        qk_gram_finish(g, sums);
    }
}
