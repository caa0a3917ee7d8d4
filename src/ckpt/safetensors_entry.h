/* One tensor's entry of a safetensors header: {"dtype": …, "shape": […], "data_offsets": [begin, end]}. */
#ifndef QK_CKPT_SAFETENSORS_ENTRY_H
#define QK_CKPT_SAFETENSORS_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "json_scan.h"
#include "order.h"
#include "safetensors.h"

struct qk_header_parser {
    struct qk_scan scan;
    struct qk_check *check;
    const char *file;
    struct qk_arena *arena;
    struct qk_safetensors *ret;
    struct qk_err *err;
    enum qk_code code; /* what the parse returns */
    bool broken;       /* the JSON is: nothing further can be said */
    bool seen_metadata;
    bool lost_extents;         /* some tensor's offsets are unusable: a hole may be its place */
    struct qk_tensor *tensors; /* in file order; the parser's own */
    size_t n, cap;
    struct qk_extent *extents; /* of those tensors whose offsets are usable */
    size_t n_extents, extents_cap;
};

/* Reports a violation; true to go on. */
#define QK_HEADER_VIOLATE(p, rule, item, ...)                                                                          \
    (((p)->code = qk_violate((p)->check, rule, (p)->file, item, "", (p)->err, __VA_ARGS__)) == QK_OK)

/* Parses the value behind a tensor's name (plain: printable ASCII for certain) and appends the tensor. False to stop:
 * p->code is set, or the scan's fault.
 */
bool qk_header_parse_entry(struct qk_header_parser *p, const char *name, bool plain_name);

#endif
