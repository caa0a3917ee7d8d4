/* Writes every head of a checkpoint as the head reader gives it, for check_head_reader.py:
 * per head a line "layer role head rows columns ulp2", then rows × columns doubles. */
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

static enum qk_code dump_head(struct qk_head_reader *reader, const struct qk_layer *l, enum qk_role role, size_t head,
                              size_t tile, double *w, struct qk_err *err)
{
    double ulp2 = 0;
    QK_TRY(qk_head_reader_load(reader, l, role, head, err));
    for (size_t col = 0; col < l->n_in; col += tile) {
        size_t n = l->n_in - col < tile ? l->n_in - col : tile;
        QK_TRY(qk_head_reader_tile(reader, col, n, w + col, l->n_in, &ulp2, err));
    }
    printf("%zu %s %zu %zu %zu %.17g\n", l->index, qk_role_name(role), head, l->head_dim, l->n_in, ulp2);
    fwrite(w, sizeof *w, l->head_dim * l->n_in, stdout);
    return QK_OK;
}

static enum qk_code dump_layer(struct qk_head_reader *reader, const struct qk_layer *l, size_t tile, struct qk_err *err)
{
    enum qk_code code = QK_OK;
    double *w = malloc((l->head_dim * l->n_in + 1) * sizeof *w);
    if (!w) {
        return qk_fail_nomem(err, "head");
    }
    for (size_t h = 0; code == QK_OK && h < l->n_heads; h++) {
        code = dump_head(reader, l, QK_ROLE_Q, h, tile, w, err);
    }
    for (size_t g = 0; code == QK_OK && g < l->n_kv_heads; g++) {
        code = dump_head(reader, l, QK_ROLE_K, g, tile, w, err);
    }
    free(w);
    return code;
}

static enum qk_code dump(const char *path, size_t tile, struct qk_err *err)
{
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    struct qk_head_reader *reader = NULL;
    enum qk_code code = qk_ckpt_open(path, &ckpt, err);
    if (code == QK_OK) {
        code = qk_model_open(ckpt, &model, err);
    }
    if (code == QK_OK) {
        code = qk_head_reader_new(model, tile, &reader, err);
    }
    for (size_t i = 0; code == QK_OK && i < model->n_layers; i++) {
        code = dump_layer(reader, &model->layers[i], tile, err);
    }
    qk_head_reader_free(reader);
    qk_model_free(model);
    qk_ckpt_close(ckpt);
    return code;
}

int main(int argc, char **argv)
{
    struct qk_err err = {0};
    if (argc != 3 || dump(argv[1], strtoul(argv[2], NULL, 10), &err) != QK_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
