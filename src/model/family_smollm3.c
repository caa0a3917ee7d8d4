/* SmolLM3: Llama with layers that do not rotate (no_rope_layers: 0 = no rotation). */
#include "model/builder.h"

#include <string.h>

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.theta = 2e6};
    const char *const *list = NULL;
    size_t interval = 0;
    QK_TRY(qk_build_plain(b, &plain, NULL, err));
    QK_TRY(qk_cfg_names(b, "no_rope_layers", b->n_layers, &list, err));
    QK_TRY(qk_cfg_count(b, "no_rope_layer_interval", 4, 1, QK_MAX_LAYERS, &interval, err));
    for (size_t i = 0; i < b->n_layers; i++) {
        if (list ? !strcmp(list[i], "0") : (i + 1) % interval == 0) {
            b->layers[i].position = (struct qk_position){.kind = QK_POSITION_NONE};
        }
    }
    return QK_OK;
}

static const char *const types[] = {"smollm3", NULL};

const struct qk_family qk_family_smollm3 = {
    .name = "smollm3",
    .title = "SmolLM3",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj; some layers without position encoding",
    .build = build,
};
