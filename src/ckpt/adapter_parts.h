/* Joining the tensors of an adapter's file to the base's tensors that they change. */
#ifndef QK_CKPT_ADAPTER_PARTS_H
#define QK_CKPT_ADAPTER_PARTS_H

#include "adapter_config.h"
#include "ckpt/adapter.h"

/* Fills adapter->parts from its tensors and checks them: partners, shapes, ranks, types, targets. Memory from the
 * arena. */
enum qk_code qk_adapter_parts_join(const struct qk_adapter_config *config, struct qk_adapter *adapter,
                                   struct qk_arena *arena, struct qk_err *err) QK_CHECKED;

#endif
