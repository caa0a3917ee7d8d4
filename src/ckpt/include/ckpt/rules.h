/* The rules of a checkpoint on disk, as one table: what qk_ckpt_open enforces and qk_ckpt_validate reports.
 *
 * Ids are stable (scripts may match them). Sources: the format description of safetensors and its reference reader (the
 * latter decides where the former is silent), and what transformers reads and writes for indices and directories. */
#ifndef QK_CKPT_RULES_H
#define QK_CKPT_RULES_H

#include <stddef.h>

#include "base/err.h"

enum qk_rule_id {
    /* the directory */
    QK_RULE_UNREADABLE_FILE,
    QK_RULE_LFS_POINTER,
    QK_RULE_WEB_PAGE,
    QK_RULE_FOREIGN_FORMAT,
    QK_RULE_MISSING_WEIGHTS,
    QK_RULE_MISSING_INDEX,
    QK_RULE_UNSUPPORTED_WEIGHTS,
    QK_RULE_UNMERGED_ADAPTER,
    /* config.json */
    QK_RULE_MISSING_CONFIG,
    QK_RULE_CONFIG_JSON,
    QK_RULE_CONFIG_DUPLICATE_KEY,
    QK_RULE_CONFIG_LIMIT,
    QK_RULE_CONFIG_OBJECT,
    /* a .safetensors file: frame and header text */
    QK_RULE_FILE_TOO_SMALL,
    QK_RULE_HEADER_TOO_LARGE,
    QK_RULE_HEADER_BEYOND_FILE,
    QK_RULE_HEADER_JSON,
    QK_RULE_HEADER_OBJECT,
    QK_RULE_METADATA_TYPE,
    QK_RULE_METADATA_DUPLICATE_KEY,
    /* its tensors */
    QK_RULE_TENSOR_NAME,
    QK_RULE_DUPLICATE_TENSOR,
    QK_RULE_TENSOR_ENTRY,
    QK_RULE_MISSING_FIELD,
    QK_RULE_DUPLICATE_FIELD,
    QK_RULE_DTYPE_TYPE,
    QK_RULE_UNKNOWN_DTYPE,
    QK_RULE_SHAPE_TYPE,
    QK_RULE_TOO_MANY_DIMS,
    QK_RULE_SIZE_OVERFLOW,
    QK_RULE_PARTIAL_BYTE,
    QK_RULE_OFFSETS_TYPE,
    QK_RULE_OFFSETS_ORDER,
    QK_RULE_BYTE_SIZE,
    /* its data */
    QK_RULE_HOLE_IN_DATA,
    QK_RULE_OVERLAPPING_DATA,
    QK_RULE_TRUNCATED_FILE,
    QK_RULE_TRAILING_BYTES,
    /* model.safetensors.index.json and its shards */
    QK_RULE_INDEX_JSON,
    QK_RULE_INDEX_DUPLICATE_KEY,
    QK_RULE_INDEX_LIMIT,
    QK_RULE_INDEX_OBJECT,
    QK_RULE_INDEX_WEIGHT_MAP,
    QK_RULE_INDEX_ENTRY,
    QK_RULE_INDEX_SHARD_NAME,
    QK_RULE_INDEX_TOTAL_SIZE_TYPE,
    QK_RULE_MISSING_SHARD,
    QK_RULE_TENSOR_NOT_IN_SHARD,
    QK_RULE_TENSOR_IN_TWO_SHARDS,
    QK_RULE_INDEX_TOTAL_SIZE,
    QK_N_RULES
};

struct qk_rule {
    enum qk_rule_id rule;
    const char *id;        /* kebab-case */
    enum qk_code code;     /* of qk_ckpt_open when the rule is broken */
    const char *statement; /* what holds in a good checkpoint, one line */
};

/* All QK_N_RULES rows, in the order of the enum. */
extern const struct qk_rule qk_rules[];

#endif
