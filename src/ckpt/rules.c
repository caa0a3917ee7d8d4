/* The table of rules: see ckpt/rules.h. */
#include "ckpt/rules.h"

#define ROW(name, id_text, code_name, text) [QK_RULE_##name] = {QK_RULE_##name, id_text, QK_E##code_name, text}

/* clang-format off */
const struct qk_rule qk_rules[] = {
    ROW(UNREADABLE_FILE, "unreadable-file", IO, "every file is a regular file that can be read"),
    ROW(LFS_POINTER, "lfs-pointer", FORMAT, "a file holds its content, not the Git-LFS pointer that stands for it"),
    ROW(WEB_PAGE, "web-page", FORMAT, "a file holds its content, not a web page or error message saved in its place"),
    ROW(FOREIGN_FORMAT, "foreign-format", UNSUPPORTED,
        "weights are in safetensors format whatever the file is called"),
    ROW(MISSING_WEIGHTS, "missing-weights", FORMAT,
        "a directory has model.safetensors or model.safetensors.index.json"),
    ROW(MISSING_INDEX, "missing-index", FORMAT, "shards come with model.safetensors.index.json"),
    ROW(UNSUPPORTED_WEIGHTS, "unsupported-weights", UNSUPPORTED,
        "a directory's weights are safetensors, not pickle, GGUF or another format alone"),
    ROW(UNMERGED_ADAPTER, "unmerged-adapter", UNSUPPORTED, "an adapter is merged into its base model"),

    ROW(MISSING_CONFIG, "missing-config", FORMAT, "config.json lies beside the weights"),
    ROW(CONFIG_JSON, "config-json", FORMAT,
        "config.json is JSON (RFC 8259; NaN, Infinity and -Infinity as Python writes them are accepted)"),
    ROW(CONFIG_DUPLICATE_KEY, "config-duplicate-key", FORMAT, "no object of config.json has a key twice"),
    ROW(CONFIG_LIMIT, "config-limit", UNSUPPORTED,
        "config.json stays within the bounds on size, depth and number length"),
    ROW(CONFIG_OBJECT, "config-object", FORMAT, "config.json is a JSON object"),

    ROW(FILE_TOO_SMALL, "file-too-small", FORMAT, "a safetensors file has at least the 8 bytes of its header length"),
    ROW(HEADER_TOO_LARGE, "header-too-large", FORMAT, "a header has at most 100000000 bytes"),
    ROW(HEADER_BEYOND_FILE, "header-beyond-file", FORMAT, "a header ends within its file"),
    ROW(HEADER_JSON, "header-json", FORMAT, "a header is JSON (RFC 8259), white space around it allowed"),
    ROW(HEADER_OBJECT, "header-object", FORMAT, "a header is a JSON object"),
    ROW(METADATA_TYPE, "metadata-type", FORMAT, "__metadata__ is an object whose values are strings"),
    ROW(METADATA_DUPLICATE_KEY, "metadata-duplicate-key", FORMAT, "__metadata__ occurs once and has no key twice"),

    ROW(TENSOR_NAME, "tensor-name", FORMAT, "a tensor's name is not empty and has no control characters"),
    ROW(DUPLICATE_TENSOR, "duplicate-tensor", FORMAT, "a tensor occurs once in a file"),
    ROW(TENSOR_ENTRY, "tensor-entry", FORMAT, "a tensor's entry is a JSON object"),
    ROW(MISSING_FIELD, "missing-field", FORMAT, "a tensor's entry has dtype, shape and data_offsets"),
    ROW(DUPLICATE_FIELD, "duplicate-field", FORMAT, "a tensor's entry has no field twice"),
    ROW(DTYPE_TYPE, "dtype-type", FORMAT, "dtype is a string"),
    ROW(UNKNOWN_DTYPE, "unknown-dtype", UNSUPPORTED, "dtype names a known type"),
    ROW(SHAPE_TYPE, "shape-type", FORMAT, "shape is an array of integers from 0 to 2^64 - 1"),
    ROW(TOO_MANY_DIMS, "too-many-dims", UNSUPPORTED, "a tensor has at most 8 dimensions"),
    ROW(SIZE_OVERFLOW, "size-overflow", FORMAT, "a tensor's number of elements and of bits fits into 64 bits"),
    ROW(PARTIAL_BYTE, "partial-byte", FORMAT, "a tensor of a type below 8 bits fills whole bytes"),
    ROW(OFFSETS_TYPE, "offsets-type", FORMAT, "data_offsets is an array of two integers from 0 to 2^64 - 1"),
    ROW(OFFSETS_ORDER, "offsets-order", FORMAT, "data_offsets begin at or before their end"),
    ROW(BYTE_SIZE, "byte-size", FORMAT, "data_offsets span exactly the bytes of shape and dtype"),

    ROW(HOLE_IN_DATA, "hole-in-data", FORMAT, "tensors follow each other without a gap, the first at offset 0"),
    ROW(OVERLAPPING_DATA, "overlapping-data", FORMAT, "no two tensors share bytes"),
    ROW(TRUNCATED_FILE, "truncated-file", FORMAT, "a file is as long as its header says, not shorter"),
    ROW(TRAILING_BYTES, "trailing-bytes", FORMAT, "a file ends where its last tensor ends"),

    ROW(INDEX_JSON, "index-json", FORMAT, "the index is JSON (RFC 8259)"),
    ROW(INDEX_DUPLICATE_KEY, "index-duplicate-key", FORMAT,
        "the index lists no tensor twice and has no other key twice"),
    ROW(INDEX_LIMIT, "index-limit", UNSUPPORTED,
        "the index stays within the bounds on size, depth and number length"),
    ROW(INDEX_OBJECT, "index-object", FORMAT, "the index is a JSON object"),
    ROW(INDEX_WEIGHT_MAP, "index-weight-map", FORMAT, "the index has a weight_map object with at least one tensor"),
    ROW(INDEX_ENTRY, "index-entry", FORMAT, "weight_map gives every tensor's shard as a string"),
    ROW(INDEX_SHARD_NAME, "index-shard-name", FORMAT,
        "a shard is named by a plain file name in the index's own directory"),
    ROW(INDEX_TOTAL_SIZE_TYPE, "index-total-size-type", FORMAT, "metadata.total_size is a whole number of bytes"),
    ROW(MISSING_SHARD, "missing-shard", FORMAT, "every shard that the index names is there"),
    ROW(TENSOR_NOT_IN_SHARD, "tensor-not-in-shard", FORMAT, "a tensor is in the shard that the index gives for it"),
    ROW(TENSOR_IN_TWO_SHARDS, "tensor-in-two-shards", FORMAT, "a tensor is in one shard only"),
    ROW(INDEX_TOTAL_SIZE, "index-total-size", FORMAT, "metadata.total_size is the sum of all tensors' bytes"),
};
/* clang-format on */

_Static_assert(sizeof qk_rules / sizeof qk_rules[0] == QK_N_RULES, "one row per rule");
