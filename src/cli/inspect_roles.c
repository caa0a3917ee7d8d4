/* Which layer and roles each tensor of a checkpoint has, for `inspect --tensors`. */
#include <string.h>

#include "inspect.h"

/* Roles of one tensor, gathered as bits before they become text. */
struct gathered {
    size_t layer;
    unsigned roles; /* bit per enum qk_role */
    const char *outer;
};

static size_t index_of(const struct qk_ckpt *ckpt, const struct qk_tensor *t)
{
    return (size_t)(t - ckpt->tensors);
}

static void gather(const struct qk_inspect_view *view, struct gathered *all)
{
    const struct qk_model *m = view->model;
    for (size_t i = 0; i < view->ckpt->n_tensors; i++) {
        all[i].layer = (size_t)-1;
    }
    for (size_t l = 0; l < m->n_layers; l++) {
        for (size_t s = 0; s < m->layers[l].n_slices; s++) {
            const struct qk_slice *slice = &m->layers[l].slices[s];
            struct gathered *g = &all[index_of(view->ckpt, slice->rows.tensor)];
            g->roles |= 1u << slice->role;
            /* weights that layers share are shown with the first of them */
            g->layer = g->layer == (size_t)-1 ? l : g->layer;
        }
    }
    for (size_t o = 0; o < m->n_outer; o++) {
        all[index_of(view->ckpt, m->outer[o].tensor)].outer = m->outer[o].role;
    }
}

static const char *role_text(struct qk_arena *arena, const struct gathered *g)
{
    if (g->outer != NULL) {
        return g->outer;
    }
    struct qk_str text = {0};
    qk_str_add(&text, "");
    for (unsigned r = 0; r < QK_N_ROLES; r++) {
        if ((g->roles & (1u << r)) != 0) {
            qk_str_addf(&text, "%s%s", text.len > 0 ? "+" : "", qk_role_name((enum qk_role)r));
        }
    }
    const char *copy = text.failed ? NULL : qk_arena_strdup(arena, text.s != NULL ? text.s : "");
    qk_str_release(&text);
    return copy;
}

enum qk_code qk_tensor_roles(const struct qk_inspect_view *view, const char ***ret_roles, size_t **ret_layers,
                             struct qk_err *err)
{
    size_t n = view->ckpt->n_tensors;
    struct gathered *all = qk_arena_alloc(view->arena, n, sizeof *all);
    const char **roles = qk_arena_alloc(view->arena, n, sizeof *roles);
    size_t *layers = qk_arena_alloc(view->arena, n, sizeof *layers);
    if (all == NULL || roles == NULL || layers == NULL) {
        return qk_fail_nomem(err, "tensor list");
    }
    gather(view, all);
    for (size_t i = 0; i < n; i++) {
        layers[i] = all[i].layer;
        roles[i] = role_text(view->arena, &all[i]);
        if (roles[i] == NULL) {
            return qk_fail_nomem(err, "tensor list");
        }
    }
    *ret_roles = roles;
    *ret_layers = layers;
    return QK_OK;
}
