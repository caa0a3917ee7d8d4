/* What the parts of a probe run share. */
#ifndef QK_RUN_PROBE_RUN_H
#define QK_RUN_PROBE_RUN_H

#include "analyses/attention_distance.h"
#include "part_list.h"
#include "run/probe.h"

extern const struct qk_part_sort qk_probe_part;

/* The datasets that one checkpoint's sequences are added up in; profile and logits NULL when not wanted. */
struct qk_probe_nodes {
    struct qk_node *entry, *scalar, *bins, *tail, *profile, *nll, *logits;
    size_t n_layers, n_heads, n_bins, n_windows, n_profile;
};

/* Finds them below /probe/NAME; QK_EINTERNAL when one is missing or has another shape. */
enum qk_code qk_probe_nodes_of(const struct qk_table *table, const char *name, struct qk_probe_nodes *ret,
                               struct qk_err *err) QK_CHECKED;
/* The sums of a head in a sequence. */
struct qk_distance_sums qk_probe_sums_at(const struct qk_probe_nodes *nodes, size_t sequence, size_t layer,
                                         size_t head);

/* Fills longest and sha256. */
void qk_probe_set_seal(struct qk_probe_set *set);

/* The attribute `mixing` of an entry, one per layer. */
#define QK_MIXING_SOFTMAX      "softmax"
#define QK_MIXING_IMPLICIT     "implicit"     /* of a linear layer, normalised */
#define QK_MIXING_NONE         "none"         /* no weights between tokens that could be had */
#define QK_MIXING_NOT_COMPUTED "not computed" /* left out by the options */

#endif
