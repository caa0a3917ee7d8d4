/* The gated delta rule, with a decay per head or per key channel (KDA). */
#include <assert.h>

#include "forward/linear_mixer.h"
#include "gated_linear_chunk.h"

enum qk_code qk_gated_delta_run(const struct qk_linear_mixer *mixer, struct qk_pool *pool, struct qk_err *err)
{
    assert(mixer->beta != NULL);
    return qk_gated_linear_heads(mixer, pool, err);
}
