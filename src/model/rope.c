/* Rotary frequencies; see model/rope.h. One table row per way of scaling. */
#include "model/rope.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

struct scaling {
    const char *name;
    const char *aliases[3];
    /* plain frequencies come in; parameters are checked here */
    enum qk_code (*apply)(const struct qk_rope *rope, double *inv_freq, double *attention_factor, struct qk_err *err);
};

static bool positive(double x)
{
    return isfinite(x) && x > 0;
}

/* The stretch: given, or how far max_position goes beyond the original context. */
static enum qk_code stretch(const struct qk_rope *rope, double *ret, struct qk_err *err)
{
    double factor = rope->factor;
    if (factor == 0 && positive(rope->original_max) && positive(rope->max_position)) {
        factor = rope->max_position / rope->original_max;
    }
    if (!positive(factor)) {
        return qk_fail(err, QK_EFORMAT, "factor: missing or not positive (rope type '%s')", rope->scaling);
    }
    *ret = factor;
    return QK_OK;
}

static double original_context(const struct qk_rope *rope)
{
    return positive(rope->original_max) ? rope->original_max : rope->max_position;
}

static enum qk_code apply_default(const struct qk_rope *rope, double *inv_freq, double *attention_factor,
                                  struct qk_err *err)
{
    (void)rope;
    (void)inv_freq;
    (void)attention_factor;
    (void)err;
    return QK_OK;
}

static enum qk_code apply_linear(const struct qk_rope *rope, double *inv_freq, double *attention_factor,
                                 struct qk_err *err)
{
    double factor = 0;
    (void)attention_factor;
    QK_TRY(stretch(rope, &factor, err));
    for (size_t p = 0; p < rope->rotary_dim / 2; p++) {
        inv_freq[p] /= factor;
    }
    return QK_OK;
}

static enum qk_code apply_llama3(const struct qk_rope *rope, double *inv_freq, double *attention_factor,
                                 struct qk_err *err)
{
    double factor = 0;
    double low = rope->low_freq_factor, high = rope->high_freq_factor, context = original_context(rope);
    (void)attention_factor;
    QK_TRY(stretch(rope, &factor, err));
    if (!positive(low) || !positive(high) || high <= low) {
        return qk_fail(err, QK_EFORMAT,
                       "low_freq_factor, high_freq_factor: out of range (expected 0 < low < high, found %g and %g)",
                       low, high);
    }
    if (!positive(context)) {
        return qk_fail(err, QK_EFORMAT, "original_max_position_embeddings: missing (rope type 'llama3')");
    }
    for (size_t p = 0; p < rope->rotary_dim / 2; p++) {
        double turns = context * inv_freq[p] / (2 * pi); /* context / wavelength */
        double keep = fmin(fmax((turns - low) / (high - low), 0), 1);
        inv_freq[p] = (1 - keep) * inv_freq[p] / factor + keep * inv_freq[p];
    }
    return QK_OK;
}

/* The (fractional) pair index that turns the given number of times over the original context. */
static double yarn_dimension(const struct qk_rope *rope, double turns)
{
    return (double)rope->rotary_dim * log(original_context(rope) / (turns * 2 * pi)) / (2 * log(rope->theta));
}

static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static enum qk_code apply_yarn(const struct qk_rope *rope, double *inv_freq, double *attention_factor,
                               struct qk_err *err)
{
    double factor = 0;
    double fast = rope->beta_fast > 0 ? rope->beta_fast : 32, slow = rope->beta_slow > 0 ? rope->beta_slow : 1;
    QK_TRY(stretch(rope, &factor, err));
    if (!positive(original_context(rope)) || rope->theta == 1) {
        return qk_fail(err, QK_EFORMAT, "original_max_position_embeddings: missing (rope type 'yarn')");
    }
    double lo = yarn_dimension(rope, fast), hi = yarn_dimension(rope, slow);
    if (!rope->no_truncate) {
        lo = floor(lo);
        hi = ceil(hi);
    }
    lo = fmax(lo, 0);
    hi = fmin(hi, (double)rope->rotary_dim - 1);
    if (lo == hi) {
        hi += 0.001;
    }
    for (size_t p = 0; p < rope->rotary_dim / 2; p++) {
        double ramp = fmin(fmax(((double)p - lo) / (hi - lo), 0), 1);
        inv_freq[p] = inv_freq[p] / factor * ramp + inv_freq[p] * (1 - ramp);
    }
    if (rope->attention_factor != 0) {
        *attention_factor = rope->attention_factor;
    } else if (rope->mscale != 0 && rope->mscale_all_dim != 0) {
        *attention_factor = yarn_mscale(factor, rope->mscale) / yarn_mscale(factor, rope->mscale_all_dim);
    } else {
        *attention_factor = yarn_mscale(factor, 1);
    }
    return QK_OK;
}

static enum qk_code apply_longrope(const struct qk_rope *rope, double *inv_freq, double *attention_factor,
                                   struct qk_err *err)
{
    bool beyond = positive(rope->original_max) && rope->max_position > rope->original_max;
    const double *divisor = beyond ? rope->long_factor : rope->short_factor;
    if (!divisor) {
        return qk_fail(err, QK_EFORMAT, "%s: missing (rope type 'longrope')", beyond ? "long_factor" : "short_factor");
    }
    for (size_t p = 0; p < rope->rotary_dim / 2; p++) {
        if (!positive(divisor[p])) {
            return qk_fail(err, QK_EFORMAT, "%s: value %zu is not positive (found %g)",
                           beyond ? "long_factor" : "short_factor", p, divisor[p]);
        }
        inv_freq[p] /= divisor[p];
    }
    if (rope->attention_factor != 0) {
        *attention_factor = rope->attention_factor;
        return QK_OK;
    }
    double factor = rope->factor;
    if (factor == 0 && positive(rope->original_max)) {
        factor = rope->max_position / rope->original_max;
    }
    double context = original_context(rope);
    if (factor > 1 && context > 1) {
        *attention_factor = sqrt(1 + log(factor) / log(context));
    }
    return QK_OK;
}

static const struct scaling scalings[] = {
    {"default", {"mrope", "none"}, apply_default},
    {"linear", {0}, apply_linear},
    {"dynamic", {"ntk"}, apply_default}, /* within max_position the base is not raised */
    {"llama3", {0}, apply_llama3},
    {"yarn", {"deepseek_yarn"}, apply_yarn},
    {"longrope", {"su"}, apply_longrope},
};

static const struct scaling *find_scaling(const char *type)
{
    for (size_t i = 0; i < sizeof scalings / sizeof *scalings; i++) {
        const struct scaling *s = &scalings[i];
        if (!strcmp(type, s->name)) {
            return s;
        }
        for (size_t a = 0; a < sizeof s->aliases / sizeof *s->aliases && s->aliases[a]; a++) {
            if (!strcmp(type, s->aliases[a])) {
                return s;
            }
        }
    }
    return NULL;
}

const char *qk_rope_scaling_name(const char *type)
{
    const struct scaling *s = find_scaling(type);
    return s ? s->name : NULL;
}

enum qk_code qk_rope_frequencies(const struct qk_rope *rope, double *inv_freq, double *ret_attention_factor,
                                 struct qk_err *err)
{
    const struct scaling *s = find_scaling(rope->scaling);
    double attention_factor = 1;
    if (!s) {
        return qk_fail(
            err, QK_EUNSUPPORTED,
            "rope_type: unknown way of scaling '%s' (expected default, linear, dynamic, llama3, yarn, longrope)",
            rope->scaling);
    }
    if (!positive(rope->theta)) {
        return qk_fail(err, QK_EFORMAT, "rope_theta: out of range (expected a positive number, found %g)", rope->theta);
    }
    if (rope->rotary_dim % 2) {
        return qk_fail(err, QK_EFORMAT, "partial_rotary_factor: %zu rotary dimensions (expected an even number)",
                       rope->rotary_dim);
    }
    for (size_t p = 0; p < rope->rotary_dim / 2; p++) {
        inv_freq[p] = 1 / pow(rope->theta, (double)(2 * p) / (double)rope->rotary_dim);
    }
    QK_TRY(s->apply(rope, inv_freq, &attention_factor, err));
    *ret_attention_factor = attention_factor;
    return QK_OK;
}
