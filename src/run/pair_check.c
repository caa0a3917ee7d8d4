/* Do two checkpoints belong together? Layers, heads, positions and the tensors of Q and K must agree; what differs
 * elsewhere is told and left out. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "run/drift.h"

enum { MAX_LISTED = 4 };

struct differences {
    struct qk_str text;
    size_t n;
};

/* One more difference; only the first few are spelled out. */
static void add(struct differences *list, const char *fmt, ...) QK_PRINTF(2, 3);
static void add(struct differences *list, const char *fmt, ...)
{
    if (list->n++ >= MAX_LISTED) {
        return;
    }
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (list->n > 1) {
        qk_str_add(&list->text, "; ");
    }
    qk_str_add(&list->text, line);
}

static void add_rest(struct differences *list)
{
    if (list->n > MAX_LISTED) {
        qk_str_addf(&list->text, "; and %zu more", list->n - MAX_LISTED);
    }
}

static void compare_size(struct differences *list, const char *where, const char *what, size_t a, size_t b)
{
    if (a != b) {
        add(list, "%s%s: expected %zu, found %zu", where, what, a, b);
    }
}

static void compare_text(struct differences *list, const char *where, const char *what, const char *a, const char *b)
{
    if (!qk_streq(a, b)) {
        add(list, "%s%s: expected %s, found %s", where, what, a, b);
    }
}

static const char *pairing(const struct qk_position *position)
{
    return position->interleaved ? "neighbours" : "halves";
}

static void compare_position(struct differences *list, const char *where, const struct qk_position *a,
                             const struct qk_position *b)
{
    compare_text(list, where, "position encoding", qk_position_name(a->kind), qk_position_name(b->kind));
    if (a->kind != QK_POSITION_ROPE || b->kind != QK_POSITION_ROPE) {
        return;
    }
    compare_size(list, where, "rotary dimensions", a->rotary_dim, b->rotary_dim);
    compare_size(list, where, "first rotary dimension", a->first, b->first);
    compare_text(list, where, "rotary pairs", pairing(a), pairing(b));
    if (a->rotary_dim == b->rotary_dim &&
        memcmp(a->inv_freq, b->inv_freq, a->rotary_dim / 2 * sizeof(*a->inv_freq)) != 0) {
        add(list, "%srotary frequencies differ (theta expected %g, found %g; scaling expected %s, found %s)", where,
            a->theta, b->theta, a->scaling, b->scaling);
    }
}

static bool same_shape(const struct qk_tensor *a, const struct qk_tensor *b)
{
    return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, a->n_dims * sizeof(a->shape[0])) == 0;
}

static bool same_rows(const struct qk_rows *a, const struct qk_rows *b)
{
    if (a->tensor == NULL || b->tensor == NULL) {
        return a->tensor == b->tensor;
    }
    return qk_streq(a->tensor->name, b->tensor->name) && a->first == b->first && a->count == b->count &&
           a->transposed == b->transposed;
}

static bool same_part(const struct qk_head_part *a, const struct qk_head_part *b)
{
    return same_rows(&a->rows, &b->rows) && same_rows(&a->inner, &b->inner) && same_rows(&a->up, &b->up) &&
           same_rows(&a->down, &b->down) && (a->inner_norm == NULL) == (b->inner_norm == NULL);
}

static void compare_parts(struct differences *list, const char *where, const char *what, const struct qk_head_part *a,
                          const struct qk_head_part *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!same_part(&a[i], &b[i])) {
            add(list, "%s%s comes from other tensors or rows (expected '%s', found '%s')", where, what,
                a[i].rows.tensor->name, b[i].rows.tensor->name);
            return;
        }
    }
}

static void compare_layer(struct differences *list, const struct qk_layer *a, const struct qk_layer *b)
{
    char where[48];
    snprintf(where, sizeof(where), "layer %zu: ", a->index);
    compare_text(list, where, "kind", qk_layer_kind_name(a->kind), qk_layer_kind_name(b->kind));
    compare_text(list, where, "mixer", a->mixer, b->mixer);
    size_t before = list->n;
    compare_size(list, where, "heads", a->n_heads, b->n_heads);
    compare_size(list, where, "key heads", a->n_kv_heads, b->n_kv_heads);
    compare_size(list, where, "head_dim", a->head_dim, b->head_dim);
    compare_size(list, where, "input size", a->n_in, b->n_in);
    compare_size(list, where, "parts of a query head", a->n_q_parts, b->n_q_parts);
    compare_size(list, where, "parts of a key head", a->n_k_parts, b->n_k_parts);
    if (list->n == before) {
        compare_parts(list, where, "Q", a->q, b->q, a->n_heads * a->n_q_parts);
        compare_parts(list, where, "K", a->k, b->k, a->n_kv_heads * a->n_k_parts);
    }
    compare_size(list, where, "q/k norm", a->qk_norm_kind, b->qk_norm_kind);
    if ((a->input_norm.tensor == NULL) != (b->input_norm.tensor == NULL)) {
        add(list, "%sonly one side has a norm in front of Q and K", where);
    }
    compare_position(list, where, &a->position, &b->position);
}

static void compare_models(struct differences *list, const struct qk_model *a, const struct qk_model *b)
{
    compare_text(list, "config.json: ", "model_type", a->model_type, b->model_type);
    compare_size(list, "config.json: ", "hidden size", a->hidden_size, b->hidden_size);
    compare_size(list, "config.json: ", "layers", a->n_layers, b->n_layers);
    if (a->n_layers == b->n_layers) {
        for (size_t l = 0; l < a->n_layers; l++) {
            compare_layer(list, &a->layers[l], &b->layers[l]);
        }
    }
}

/* Fields of the configuration that no weight metric depends on, but a reader of the result should know. */
static void compare_settings(struct differences *list, const struct qk_model *a, const struct qk_model *b)
{
    compare_size(list, "config.json: ", "positions", a->max_position, b->max_position);
    for (size_t l = 0; a->n_layers == b->n_layers && l < a->n_layers; l++) {
        char where[48];
        snprintf(where, sizeof(where), "layer %zu: ", l);
        compare_size(list, where, "window", a->layers[l].window, b->layers[l].window);
    }
}

/* What a tensor is to the model: in a layer at all, and in the layer's routing. */
struct use {
    bool in_layer, in_routing;
};

static struct use use_of(const struct qk_model *model, const struct qk_tensor *tensor)
{
    struct use use = {0};
    for (size_t l = 0; l < model->n_layers; l++) {
        for (size_t s = 0; s < model->layers[l].n_slices; s++) {
            const struct qk_slice *slice = &model->layers[l].slices[s];
            if (slice->rows.tensor == tensor) {
                use.in_layer = true;
                use.in_routing = use.in_routing || slice->role == QK_ROLE_Q || slice->role == QK_ROLE_K ||
                                 slice->role == QK_ROLE_QK_NORM || slice->role == QK_ROLE_QK_BIAS;
            }
        }
    }
    return use;
}

static void add_shape(struct differences *list, const struct qk_tensor *a, const struct qk_tensor *b)
{
    struct qk_str text = {0};
    const struct qk_tensor *tensors[] = {a, b};
    for (size_t t = 0; t < 2; t++) {
        qk_str_add(&text, t == 0 ? "expected [" : ", found [");
        for (size_t i = 0; i < tensors[t]->n_dims; i++) {
            qk_str_addf(&text, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)tensors[t]->shape[i]);
        }
        qk_str_addc(&text, ']');
    }
    add(list, "%s: shape %s", a->name, text.failed ? "differs" : text.s);
    qk_str_release(&text);
}

static void one_sided(const struct qk_run_input *side, const struct qk_tensor *tensor, struct differences *fatal,
                      struct differences *harmless)
{
    struct use use = use_of(side->model, tensor);
    add(use.in_routing ? fatal : harmless, "%s: only in '%s'", tensor->name, side->name);
}

/* Walks both sorted tensor tables. */
static void compare_tensors(const struct qk_run_input *base, const struct qk_run_input *tuned,
                            struct differences *fatal, struct differences *harmless)
{
    const struct qk_ckpt *a = base->ckpt, *b = tuned->ckpt;
    size_t i = 0, j = 0;
    while (i < a->n_tensors || j < b->n_tensors) {
        int order = i == a->n_tensors ? 1 : j == b->n_tensors ? -1 : strcmp(a->tensors[i].name, b->tensors[j].name);
        if (order < 0) {
            one_sided(base, &a->tensors[i++], fatal, harmless);
        } else if (order > 0) {
            one_sided(tuned, &b->tensors[j++], fatal, harmless);
        } else {
            if (!same_shape(&a->tensors[i], &b->tensors[j])) {
                bool in_layer = use_of(base->model, &a->tensors[i]).in_layer;
                add_shape(in_layer ? fatal : harmless, &a->tensors[i], &b->tensors[j]);
            }
            i++;
            j++;
        }
    }
}

enum qk_code qk_run_check_pair(const struct qk_run_input *base, const struct qk_run_input *tuned,
                               const struct qk_progress *progress, struct qk_err *err)
{
    struct differences fatal = {0}, harmless = {0};
    compare_models(&fatal, base->model, tuned->model);
    compare_settings(&harmless, base->model, tuned->model);
    compare_tensors(base, tuned, &fatal, &harmless);
    add_rest(&fatal);
    add_rest(&harmless);
    enum qk_code code = QK_OK;
    if (fatal.text.failed || harmless.text.failed) {
        code = qk_fail_nomem(err, "comparing checkpoints");
    } else if (fatal.n > 0) {
        code = qk_fail(err, QK_EMISMATCH, "%s: does not belong to %s: %s", tuned->ckpt->path, base->ckpt->path,
                       fatal.text.s);
        qk_err_hint(err, "a tuned checkpoint must have the layers, heads and shapes of its base");
    } else if (harmless.n > 0) {
        qk_progress_notice(progress, "'%s' and '%s' differ outside Q and K (what only one has is left out): %s",
                           base->name, tuned->name, harmless.text.s);
    }
    qk_str_release(&fatal.text);
    qk_str_release(&harmless.text);
    return code;
}
