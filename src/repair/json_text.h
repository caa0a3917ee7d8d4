/* A parsed JSON value as text again: members that a plan carries along without reading them. */
#ifndef QK_REPAIR_JSON_TEXT_H
#define QK_REPAIR_JSON_TEXT_H

#include "base/str.h"
#include "ckpt/json.h"

/* Appends json on one line, members in their order, ", " and ": " between; numbers as the shortest that read back as
 * the same double, NaN and infinities as null. Depth is bounded by the parser's. */
void qk_json_add_text(struct qk_str *out, const struct qk_json *json);

#endif
