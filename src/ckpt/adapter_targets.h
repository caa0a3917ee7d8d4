/* Which modules an adapter's config chooses: target_modules, exclude_modules, layers_to_transform, layers_pattern. */
#ifndef QK_CKPT_ADAPTER_TARGETS_H
#define QK_CKPT_ADAPTER_TARGETS_H

#include "adapter_config.h"

struct qk_adapter_targets;

/* *ret lives in the arena and borrows config->json. */
enum qk_code qk_adapter_targets_read(const struct qk_adapter_config *config, struct qk_arena *arena,
                                     const struct qk_adapter_targets **ret, struct qk_err *err) QK_CHECKED;

#endif
