/* adapter_config.json of a PEFT LoRA: what it says about scaling and targets. Facts from PEFT's LoraConfig and its
 * loading code; what changes the weights in a way that is not handled here is refused by name. */
#ifndef QK_CKPT_ADAPTER_CONFIG_H
#define QK_CKPT_ADAPTER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "ckpt/json.h"

struct qk_adapter_config {
    const char *path;
    struct qk_json *json;   /* owned */
    const char *base_model; /* base_model_name_or_path; NULL = none */
    char sha256[65];
    uint64_t rank;
    double alpha;
    bool rslora, dora, fan_in_fan_out;
    size_t n_ranks, n_alphas; /* rank_pattern and alpha_pattern, in the file's order */
    const struct qk_adapter_pattern *ranks, *alphas;
    const struct qk_adapter_targets *targets;
};

/* Reads and checks dir/adapter_config.json. Strings and tables live in the arena. Release in every case (config zeroed
 * before). */
enum qk_code qk_adapter_config_read(const char *path, struct qk_arena *arena, struct qk_adapter_config *ret,
                                    struct qk_err *err) QK_CHECKED;
void qk_adapter_config_release(struct qk_adapter_config *config);

/* Rank and scale (lora_alpha / r, or / √r) of a module, by its name in the model. */
enum qk_code qk_adapter_config_module(const struct qk_adapter_config *config, const char *module, uint64_t *ret_rank,
                                      double *ret_scale, struct qk_err *err) QK_CHECKED;
/* Whether target_modules, exclude_modules, layers_to_transform and layers_pattern choose the module. A regular
 * expression that qk_name_pattern does not handle chooses everything: the file of weights decides then. */
enum qk_code qk_adapter_config_targets(const struct qk_adapter_config *config, const char *module, bool *ret,
                                       struct qk_err *err) QK_CHECKED;

#endif
