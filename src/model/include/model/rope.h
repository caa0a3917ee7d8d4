/* Rotary frequencies: inv_freq[p] = θ^(−2p/d) and the published ways to stretch them over longer contexts.
 *
 *   linear    inv_freq / factor                                            (position interpolation)
 *   dynamic   the base is raised beyond max_position only: up to there the plain frequencies
 *   llama3    wavelengths above original/low_freq_factor are divided by factor, below original/high_freq_factor kept,
 *             between them blended linearly in original/wavelength
 *   yarn      per dimension blend of plain and interpolated frequencies, ramp from beta_fast to beta_slow rotations
 * over the original context (arXiv 2309.00071); cos and sin times attention_factor longrope  inv_freq / long_factor[p]
 * where max_position is beyond the original context, / short_factor[p] otherwise (arXiv 2402.13753)
 *
 * Same numbers as the reference implementations in transformers, in double precision. */
#ifndef QK_MODEL_ROPE_H
#define QK_MODEL_ROPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct qk_rope {
    const char *scaling; /* as published: "default" "linear" "dynamic" "llama3" "yarn" "longrope"; aliases accepted */
    double theta;
    size_t rotary_dim;                        /* even */
    double factor;                            /* 0 = max_position / original_max where that is defined */
    double max_position, original_max;        /* 0 = unknown; original defaults to max_position */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn; 0 = 32 and 1 */
    double mscale, mscale_all_dim;            /* yarn; 0 = absent */
    double attention_factor;                  /* 0 = derived */
    bool no_truncate;                         /* yarn: the ramp's ends are not rounded to whole dimensions */
    const double *short_factor, *long_factor; /* longrope: rotary_dim / 2 values */
};

/* The row's name of a scaling type ("su" → "longrope", "mrope" → "default" …), NULL when unknown. */
const char *qk_rope_scaling_name(const char *type);
/* inv_freq: rotary_dim / 2 values. QK_EFORMAT names the parameter that is missing or out of range. */
enum qk_code qk_rope_frequencies(const struct qk_rope *rope, double *inv_freq, double *ret_attention_factor,
                                 struct qk_err *err) QK_CHECKED;

#endif
