/* Plain gated linear attention: lightning, simple GLA, Mamba 2. */
#include "forward/linear_mixer.h"
#include "gated_linear_chunk.h"

enum qk_code qk_gated_linear_run(const struct qk_linear_mixer *mixer, struct qk_pool *pool, struct qk_err *err)
{
    struct qk_linear_mixer plain = *mixer;
    plain.beta = NULL;
    return qk_gated_linear_heads(&plain, pool, err);
}
