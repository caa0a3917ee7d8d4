/* Runs a checkpoint on sequences of ids and writes all that the stored references have, for check_oracle.py.
 *
 *   dump_forward CKPT IDS OUT      IDS: one sequence per line, ids separated by spaces
 *
 * OUT: records "<name> <rows> <cols>\n" and rows × cols little-endian doubles. Names: s<n>/<what>[/L<layer>]. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward/runner.h"
#include "num/blas.h"

enum { MAX_SEQUENCES = 8, MAX_TOKENS = 4096, FED_AT_ONCE = 5 };

struct dump {
    FILE *out;
    const struct qk_forward_spec *spec;
    size_t n_tokens[MAX_SEQUENCES];
    size_t n_heads;
    double *hist, *entropy, *distance; /* of the layer at hand: (heads, tokens), (heads), (heads) */
    double *logits, *final, *nll, *argmax;
    size_t sequence;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "dump_forward: %s: %s\n", what, why);
    exit(1);
}

static double *doubles(size_t n)
{
    double *p = calloc(n > 0 ? n : 1, sizeof *p);
    if (!p) {
        die("calloc", "out of memory");
    }
    return p;
}

static void put(FILE *out, size_t sequence, const char *what, long layer, size_t rows, size_t cols, const double *x)
{
    if (layer < 0) {
        fprintf(out, "s%zu/%s %zu %zu\n", sequence, what, rows, cols);
    } else {
        fprintf(out, "s%zu/%s/L%ld %zu %zu\n", sequence, what, layer, rows, cols);
    }
    if (fwrite(x, sizeof *x, rows * cols, out) != rows * cols) {
        die("write", strerror(errno));
    }
}

static void put_floats(FILE *out, size_t sequence, const char *what, long layer, size_t rows, size_t cols,
                       const float *x)
{
    double *y = doubles(rows * cols);
    for (size_t i = 0; i < rows * cols; i++) {
        y[i] = (double)x[i];
    }
    put(out, sequence, what, layer, rows, cols, y);
    free(y);
}

/* ---- softmax layers ---- */

static enum qk_code on_rows(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err)
{
    struct dump *d = ctx;
    size_t n_tokens = d->n_tokens[d->sequence];
    (void)worker;
    (void)err;
    for (size_t r = 0; r < rows->n_rows; r++) {
        size_t position = rows->first_position + r;
        for (size_t j = 0; j < rows->n_keys && rows->first_key + j <= position; j++) {
            double a = (double)rows->a[r * rows->ld + j];
            size_t distance = position - (rows->first_key + j);
            d->hist[rows->head * n_tokens + distance] += a;
            d->distance[rows->head] += a * (double)distance;
            d->entropy[rows->head] -= a > 0 ? a * log(a) : 0;
        }
    }
    return QK_OK;
}

static enum qk_code on_attention(void *ctx, const struct qk_forward_place *place, const struct qk_attention *attention,
                                 struct qk_attention_observer *ret, struct qk_err *err)
{
    struct dump *d = ctx;
    (void)err;
    d->sequence = place->sequence;
    d->n_heads = attention->n_heads;
    d->hist = doubles(attention->n_heads * attention->n_queries);
    d->entropy = doubles(attention->n_heads);
    d->distance = doubles(attention->n_heads);
    ret->ctx = d;
    ret->rows = on_rows;
    return QK_OK;
}

static enum qk_code on_attention_done(void *ctx, const struct qk_forward_place *place, struct qk_err *err)
{
    struct dump *d = ctx;
    size_t n = d->n_tokens[place->sequence];
    (void)err;
    for (size_t h = 0; h < d->n_heads; h++) {
        d->entropy[h] /= (double)n;
        d->distance[h] /= (double)n;
    }
    put(d->out, place->sequence, "attn_hist", (long)place->layer, d->n_heads, n, d->hist);
    put(d->out, place->sequence, "attn_entropy", (long)place->layer, 1, d->n_heads, d->entropy);
    put(d->out, place->sequence, "attn_meandist", (long)place->layer, 1, d->n_heads, d->distance);
    free(d->hist);
    free(d->entropy);
    free(d->distance);
    return QK_OK;
}

/* ---- linear layers ---- */

static enum qk_code on_linear(void *ctx, const struct qk_forward_place *place, const struct qk_linear_view *view,
                              struct qk_err *err)
{
    struct dump *d = ctx;
    const struct qk_linear_mixer *m = view->mixer;
    size_t n = m->n_tokens;
    double *sum = doubles(m->n_heads * n), *absolute = doubles(m->n_heads * n), *a = doubles(n);
    double *work = doubles(m->d_k);
    (void)err;
    for (size_t h = 0; h < m->n_heads; h++) {
        for (size_t t = 0; t < n; t++) {
            qk_implicit_row(m, h, t, a, work);
            for (size_t s = 0; s <= t; s++) {
                double x = a[s] * (view->value_scale ? (double)view->value_scale[s * m->n_heads + h] : 1);
                sum[h * n + t - s] += x;
                absolute[h * n + t - s] += fabs(x);
            }
        }
    }
    put(d->out, place->sequence, "lin_signed", (long)place->layer, m->n_heads, n, sum);
    put(d->out, place->sequence, "lin_abs", (long)place->layer, m->n_heads, n, absolute);
    free(sum);
    free(absolute);
    free(a);
    free(work);
    return QK_OK;
}

/* ---- the residual stream and what is read from it ---- */

static enum qk_code on_hidden(void *ctx, const struct qk_forward_place *place, const float *x, struct qk_err *err)
{
    struct dump *d = ctx;
    (void)err;
    put_floats(d->out, place->sequence, "hidden", (long)place->layer, place->n_tokens, d->spec->hidden, x);
    return QK_OK;
}

static enum qk_code on_logits(void *ctx, const struct qk_forward_place *place, const float *final, const float *logits,
                              struct qk_err *err)
{
    struct dump *d = ctx;
    (void)err;
    for (size_t i = 0; i < place->n_tokens * d->spec->vocab; i++) {
        d->logits[place->first_position * d->spec->vocab + i] = (double)logits[i];
    }
    for (size_t i = 0; i < place->n_tokens * d->spec->hidden; i++) {
        d->final[place->first_position * d->spec->hidden + i] = (double) final[i];
    }
    return QK_OK;
}

static enum qk_code on_token(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err)
{
    struct dump *d = ctx;
    size_t n = d->n_tokens[sequence];
    (void)err;
    d->argmax[t] = (double)argmax;
    d->nll[t] = nll;
    if (t + 1 == n) {
        put(d->out, sequence, "logits", -1, n, d->spec->vocab, d->logits);
        put(d->out, sequence, "final_norm", -1, n, d->spec->hidden, d->final);
        put(d->out, sequence, "nll", -1, 1, n, d->nll);
        put(d->out, sequence, "argmax", -1, 1, n, d->argmax);
    }
    return QK_OK;
}

/* Logits of the same sequence fed in pieces: some tokens at once, one by one, the rest together. Rows that no piece
 * ends with are NaN. */
static enum qk_code run_session(struct dump *d, struct qk_runner *runner, size_t sequence, const uint32_t *ids,
                                struct qk_err *err)
{
    struct qk_session *session = NULL;
    size_t n = d->n_tokens[sequence], v = d->spec->vocab, half = n / 2;
    float *logits = calloc(v, sizeof *logits);
    if (!logits) {
        die("calloc", "out of memory");
    }
    for (size_t i = 0; i < n * v; i++) {
        d->logits[i] = (double)NAN;
    }
    enum qk_code code = qk_session_new(runner, n, &session, err);
    for (size_t t = 0; code == QK_OK && t < n;) {
        size_t m = t == 0 ? FED_AT_ONCE : t < half ? 1 : n - t;
        m = m < n - t ? m : n - t;
        code = qk_session_feed(session, m, ids + t, logits, err);
        t += m;
        for (size_t i = 0; i < v; i++) {
            d->logits[(t - 1) * v + i] = (double)logits[i];
        }
    }
    qk_session_free(session);
    free(logits);
    if (code == QK_OK) {
        put(d->out, sequence, "session", -1, n, v, d->logits);
    }
    return code;
}

static size_t read_ids(const char *path, struct qk_sequence *sequences, uint32_t *ids)
{
    FILE *in = fopen(path, "r");
    static char line[1 << 16];
    size_t n = 0, used = 0;
    if (!in) {
        die(path, strerror(errno));
    }
    for (; n < MAX_SEQUENCES && fgets(line, sizeof line, in); n++) {
        sequences[n] = (struct qk_sequence){.ids = ids + used};
        for (char *word = strtok(line, " \n"); word && used < (size_t)MAX_SEQUENCES * MAX_TOKENS;
             word = strtok(NULL, " \n")) {
            ids[used++] = (uint32_t)strtoul(word, NULL, 10);
            sequences[n].n++;
        }
    }
    fclose(in);
    return n;
}

static enum qk_code run(struct dump *d, struct qk_runner *runner, size_t n, const struct qk_sequence *sequences,
                        struct qk_err *err)
{
    struct qk_forward_hooks hooks = {
        .ctx = d,
        .attention = on_attention,
        .attention_done = on_attention_done,
        .linear = on_linear,
        .hidden = on_hidden,
        .logits = on_logits,
        .token = on_token,
    };
    size_t longest = 0;
    d->spec = qk_runner_spec(runner);
    for (size_t i = 0; i < n; i++) {
        d->n_tokens[i] = sequences[i].n;
        longest = sequences[i].n > longest ? sequences[i].n : longest;
    }
    d->logits = doubles(longest * d->spec->vocab);
    d->final = doubles(longest * d->spec->hidden);
    d->nll = doubles(longest);
    d->argmax = doubles(longest);
    QK_TRY(qk_runner_forward(runner, n, sequences, &hooks, NULL, err));
    for (size_t i = 0; i < n; i++) {
        QK_TRY(run_session(d, runner, i, sequences[i].ids, err));
    }
    free(d->logits);
    free(d->final);
    free(d->nll);
    free(d->argmax);
    return QK_OK;
}

int main(int argc, char **argv)
{
    static uint32_t ids[MAX_SEQUENCES * MAX_TOKENS];
    struct qk_sequence sequences[MAX_SEQUENCES];
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    struct qk_pool *pool = NULL;
    struct qk_runner *runner = NULL;
    struct qk_err err = {0};
    struct dump d = {0};
    if (argc != 4) {
        die("usage", "dump_forward CKPT IDS OUT");
    }
    qk_blas_init();
    size_t n = read_ids(argv[2], sequences, ids);
    d.out = fopen(argv[3], "wb");
    if (!d.out) {
        die(argv[3], strerror(errno));
    }
    if (qk_ckpt_open(argv[1], &ckpt, &err) != QK_OK || qk_model_open(ckpt, &model, &err) != QK_OK ||
        qk_pool_new(0, &pool, &err) != QK_OK || qk_runner_new(model, pool, NULL, &runner, &err) != QK_OK ||
        run(&d, runner, n, sequences, &err) != QK_OK) {
        die(argv[1], err.text);
    }
    if (fclose(d.out) != 0) {
        die(argv[3], strerror(errno));
    }
    qk_runner_free(runner);
    qk_pool_free(pool);
    qk_model_free(model);
    qk_ckpt_close(ckpt);
    return 0;
}
