/* Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): Q and K through low-rank latents.
 *
 *   W_Q[h] = q_b[h] · diag(q_a_layernorm) · q_a           rows [nope | rope]; or a plain q_proj
 *   W_K[h] = kv_b[h, k_nope] · diag(kv_a_layernorm) · kv_a[latent rows]   over   kv_a[rope rows], shared by all heads
 */
#include "model/builder.h"

#include <stdio.h>

#include "heads.h"

struct tensors {
    const struct qk_tensor *q, *q_a, *q_a_norm, *kv_a, *kv_a_norm, *kv_b;
};

static enum qk_code find(const struct qk_model_builder *b, size_t layer, const char *module, const char *leaf,
                         uint64_t rows, uint64_t cols, const struct qk_tensor **ret, struct qk_err *err)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s.weight", module, leaf);
    QK_TRY(qk_layer_tensor(b, layer, name, ret, err));
    return qk_check_matrix(b, *ret, false, rows, cols, err);
}

static enum qk_code find_tensors(const struct qk_model_builder *b, size_t layer, const struct qk_mla *m,
                                 struct tensors *t, struct qk_err *err)
{
    uint64_t q_rows = (uint64_t)m->n_heads * (m->nope + m->rope);
    if (m->q_rank) {
        QK_TRY(find(b, layer, m->module, "q_a_proj", m->q_rank, m->n_in, &t->q_a, err));
        QK_TRY(find(b, layer, m->module, "q_a_layernorm", m->q_rank, 1, &t->q_a_norm, err));
        QK_TRY(find(b, layer, m->module, "q_b_proj", q_rows, m->q_rank, &t->q, err));
    } else {
        QK_TRY(find(b, layer, m->module, "q_proj", q_rows, m->n_in, &t->q, err));
    }
    QK_TRY(find(b, layer, m->module, "kv_a_proj_with_mqa", m->kv_rank + m->rope, m->n_in, &t->kv_a, err));
    QK_TRY(find(b, layer, m->module, "kv_a_layernorm", m->kv_rank, 1, &t->kv_a_norm, err));
    return find(b, layer, m->module, "kv_b_proj", (uint64_t)m->n_heads * (m->nope + m->v_head_dim), m->kv_rank,
                &t->kv_b, err);
}

static enum qk_code claim(struct qk_model_builder *b, const struct qk_mla *m, const struct tensors *t,
                          struct qk_err *err)
{
    struct qk_rows q = {t->q, 0, (uint64_t)m->n_heads * (m->nope + m->rope), false};
    struct qk_rows kv_a = {t->kv_a, 0, m->kv_rank + m->rope, false};
    QK_TRY(qk_claim_rows(b, &q, QK_ROLE_Q, err));
    if (t->q_a) {
        struct qk_rows q_a = {t->q_a, 0, m->q_rank, false};
        QK_TRY(qk_claim_rows(b, &q_a, QK_ROLE_Q, err));
    }
    QK_TRY(qk_claim_rows(b, &kv_a, QK_ROLE_K, err));
    return qk_claim_strided(b, t->kv_b, false, 0, m->nope, m->nope + m->v_head_dim, m->n_heads, QK_ROLE_K, err);
}

enum qk_code qk_build_mla(struct qk_model_builder *b, size_t layer, const struct qk_mla *m, struct qk_err *err)
{
    struct qk_layer *l = &b->layers[layer];
    struct tensors t = {0};
    QK_TRY(qk_count_heads(b, layer, m->n_heads, err));
    QK_TRY(find_tensors(b, layer, m, &t, err));
    QK_TRY(qk_layer_norm(b, layer, m->input_norm, false, m->n_in, &l->input_norm, err));
    QK_TRY(claim(b, m, &t, err));
    struct qk_head_part *q = qk_arena_alloc(b->arena, m->n_heads, sizeof *q);
    struct qk_head_part *k = qk_arena_alloc(b->arena, 2 * m->n_heads, sizeof *k);
    if (!q || !k) {
        return qk_fail_nomem(err, "heads");
    }
    size_t head_dim = m->nope + m->rope;
    for (size_t h = 0; h < m->n_heads; h++) {
        q[h].rows = (struct qk_rows){t.q, (uint64_t)h * head_dim, head_dim, false};
        if (t.q_a) {
            q[h].inner = (struct qk_rows){t.q_a, 0, m->q_rank, false};
            q[h].inner_norm = t.q_a_norm;
        }
        k[2 * h].rows = (struct qk_rows){t.kv_b, (uint64_t)h * (m->nope + m->v_head_dim), m->nope, false};
        k[2 * h].inner = (struct qk_rows){t.kv_a, 0, m->kv_rank, false};
        k[2 * h].inner_norm = t.kv_a_norm;
        k[2 * h + 1].rows = (struct qk_rows){t.kv_a, m->kv_rank, m->rope, false};
    }
    l->kind = QK_LAYER_FULL;
    l->mixer = "mla";
    l->n_heads = l->n_kv_heads = l->n_value_heads = m->n_heads;
    l->head_dim = head_dim;
    l->v_head_dim = m->v_head_dim;
    l->n_in = m->n_in;
    if (m->position) {
        l->position = *m->position;
    }
    l->n_q_parts = 1;
    l->n_k_parts = 2;
    l->q = q;
    l->k = k;
    return QK_OK;
}

enum qk_code qk_cfg_mla(struct qk_model_builder *b, const struct qk_dims *dims, struct qk_mla *ret, struct qk_err *err)
{
    struct qk_mla m = {
        .module = "self_attn", .n_heads = dims->n_heads, .n_in = dims->hidden, .input_norm = "input_layernorm.weight"};
    QK_TRY(qk_cfg_count(b, "qk_nope_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &m.nope, err));
    QK_TRY(qk_cfg_count(b, "qk_rope_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &m.rope, err));
    QK_TRY(qk_cfg_count(b, "v_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &m.v_head_dim, err));
    QK_TRY(qk_cfg_count(b, "q_lora_rank", 0, 0, QK_MAX_HIDDEN, &m.q_rank, err));
    QK_TRY(qk_cfg_count(b, "kv_lora_rank", QK_REQUIRED, 1, QK_MAX_HIDDEN, &m.kv_rank, err));
    *ret = m;
    return QK_OK;
}
