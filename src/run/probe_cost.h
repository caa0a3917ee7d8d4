/* What a forward pass costs. */
#ifndef QK_RUN_PROBE_COST_H
#define QK_RUN_PROBE_COST_H

#include "model/forward_spec.h"
#include "run/probe.h"

/* Floating-point operations of a forward pass over n_tokens tokens, with the weights that linear layers imply. */
double qk_probe_flops(const struct qk_forward_spec *spec, const struct qk_probe_options *options, size_t n_tokens);

#endif
