/* Layers as text; see describe.h. */
#include "describe.h"

#include <string.h>

/* Name after "<prefix><layer>." where it is the layer's own. */
static const char *own_name(const struct qk_model *m, const struct qk_layer *l, const struct qk_tensor *t)
{
    char prefix[256];
    if (!t) {
        return "-";
    }
    int n = snprintf(prefix, sizeof prefix, "%s%zu.", m->prefix, l->index);
    return strncmp(t->name, prefix, (size_t)n) ? t->name : t->name + n;
}

static void describe_position(FILE *out, const struct qk_position *p)
{
    if (p->kind != QK_POSITION_ROPE) {
        fprintf(out, " | %s", qk_position_name(p->kind));
        return;
    }
    double sum = 0;
    size_t n = p->rotary_dim / 2;
    for (size_t i = 0; i < n; i++) {
        sum += p->inv_freq[i];
    }
    fprintf(out, " | rope %zu+%zu %s theta %.9g %s inv %.9g %.9g sum %.9g factor %.9g", p->first, p->rotary_dim,
            p->interleaved ? "pairs" : "half", p->theta, p->scaling, p->inv_freq[0], p->inv_freq[n - 1], sum,
            p->attention_factor);
}

static void describe_norms(FILE *out, const struct qk_model *m, const struct qk_layer *l)
{
    static const char *const kinds[] = {"none", "head", "all"};
    fprintf(out, " | in %s%s", own_name(m, l, l->input_norm.tensor), l->input_norm.plus_one ? " +1" : "");
    fprintf(out, " | qk %s", kinds[l->qk_norm_kind]);
    if (l->qk_norm_kind != QK_QK_NORM_NONE) {
        fprintf(out, " %s %s%s", own_name(m, l, l->q_norm.tensor), own_name(m, l, l->k_norm.tensor),
                l->q_norm.plus_one && l->k_norm.plus_one ? " +1" : "");
    }
}

static void describe_side(FILE *out, const struct qk_model *m, const struct qk_layer *l, char side,
                          const struct qk_head_part *parts, size_t n_heads, size_t n_parts)
{
    for (size_t p = 0; n_heads > 0 && p < n_parts; p++) {
        const struct qk_head_part *part = &parts[p];
        fprintf(out, " | %c %s%s+%llu", side, own_name(m, l, part->rows.tensor), part->rows.transposed ? "^T" : "",
                (unsigned long long)part->rows.count);
        for (size_t h = 0; h < n_heads; h++) {
            fprintf(out, " %llu", (unsigned long long)parts[h * n_parts + p].rows.first);
        }
        if (part->inner.tensor) {
            fprintf(out, " through %s %llu+%llu norm %s", own_name(m, l, part->inner.tensor),
                    (unsigned long long)part->inner.first, (unsigned long long)part->inner.count,
                    own_name(m, l, part->inner_norm));
        }
        if (part->up.tensor) {
            fprintf(out, " plus %s+%llu times %s %llu+%llu", own_name(m, l, part->up.tensor),
                    (unsigned long long)part->up.count, own_name(m, l, part->down.tensor),
                    (unsigned long long)part->down.first, (unsigned long long)part->down.count);
        }
    }
}

static void describe_bias(FILE *out, const struct qk_model *m, const struct qk_layer *l)
{
    if (!l->q_bias && !l->k_bias) {
        fprintf(out, " | bias none");
        return;
    }
    fprintf(out, " | bias %s %s", own_name(m, l, l->q_bias ? l->q_bias[0].tensor : NULL),
            own_name(m, l, l->k_bias ? l->k_bias[0].tensor : NULL));
    for (size_t h = 0; h < l->n_heads && l->q_bias; h++) {
        if (l->q_bias[h].first != l->q[h].rows.first || l->q_bias[h].count != l->q[h].rows.count) {
            fprintf(out, " (q head %zu elsewhere)", h);
        }
    }
    for (size_t g = 0; g < l->n_kv_heads && l->k_bias; g++) {
        if (l->k_bias[g].first != l->k[g].rows.first || l->k_bias[g].count != l->k[g].rows.count) {
            fprintf(out, " (k head %zu elsewhere)", g);
        }
    }
}

void describe_top(FILE *out, const struct qk_model *m)
{
    fprintf(out, "family %s prefix %s tied %d notice %d", m->family->name, m->prefix, m->tied_embeddings,
            m->notice != NULL);
}

void describe_layer(FILE *out, const struct qk_model *m, const struct qk_layer *l)
{
    fprintf(out, "%s %s H%zu G%zu V%zu K%zu Kv%zu D%zu w%zu", qk_layer_kind_name(l->kind), l->mixer, l->n_heads,
            l->n_kv_heads, l->n_value_heads, l->head_dim, l->v_head_dim, l->n_in, l->window);
    describe_position(out, &l->position);
    describe_norms(out, m, l);
    describe_side(out, m, l, 'Q', l->q, l->n_heads, l->n_q_parts);
    describe_side(out, m, l, 'K', l->k, l->n_kv_heads, l->n_k_parts);
    describe_bias(out, m, l);
}
