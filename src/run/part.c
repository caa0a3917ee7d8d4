/* Parts of a run: see run/part.h. */
#include "run/part.h"

#include <string.h>

#include "base/str.h"

enum qk_code qk_part_parse(const char *text, struct qk_part *ret, struct qk_err *err)
{
    const char *slash = strchr(text, '/');
    char head[24];
    uint64_t i, n;
    size_t len = slash == NULL ? 0 : (size_t)(slash - text);
    if (len == 0 || len >= sizeof(head)) {
        return qk_fail(err, QK_EUSAGE, "--shard: '%s' (expected I/N, as in 1/4)", text);
    }
    memcpy(head, text, len);
    head[len] = '\0';
    if (!qk_parse_u64(slash + 1, 1, UINT32_MAX, &n) || !qk_parse_u64(head, 1, n, &i)) {
        return qk_fail(err, QK_EUSAGE, "--shard: '%s' (expected I/N with 1 ≤ I ≤ N, as in 1/4)", text);
    }
    *ret = (struct qk_part){.i = (size_t)i, .n = (size_t)n};
    return QK_OK;
}

bool qk_part_has(const struct qk_part *shard, size_t k)
{
    return shard->n < 2 || k % shard->n == shard->i - 1;
}

size_t qk_part_count(const struct qk_part *shard, size_t n)
{
    size_t parts = shard->n < 2 ? 1 : shard->n, first = shard->n < 2 ? 0 : shard->i - 1;
    return first < n ? (n - first - 1) / parts + 1 : 0;
}
