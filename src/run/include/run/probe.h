/* A probe run: checkpoints run over the same probe sequences; sums over every attention row of every head per sequence;
 * metrics and routing losses made of the sums.
 *
 * How parts become a whole. /probe/NAME/sums and nll hold one row per sequence (axis /model/sequence); a part
 * (--shard i/n) fills the rows of its sequences and lists them in the attribute `sequences` of /probe/NAME. Metrics and
 * /routing are not in a part: qk_probe_finish makes them of the sums, sequence after sequence in order, as soon as all
 * rows are there, after a run in one piece as after a merge. A sequence's sums depend on nothing but its ids, the
 * checkpoint and the options, so both ways give the same bytes. */
#ifndef QK_RUN_PROBE_H
#define QK_RUN_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "run/drift.h"
#include "run/probe_set.h"
#include "run/part.h"

enum qk_query_rule { QK_QUERIES_ALL, QK_QUERIES_LAST, QK_QUERIES_EVERY };

struct qk_probe_options {
    enum qk_query_rule queries;
    size_t n_queries;        /* of last:N and every:N (counted from the last position) */
    size_t n_linear_queries; /* at most so many of the selected queries in linear layers; 0 = leave them out */
    size_t n_sink;
    bool exact_profile;
    size_t n_logits;      /* logits of so many last positions, 0 = none */
    struct qk_part shard; /* of the sequences */
    const bool *layers;   /* n_layers flags, NULL = all */
    /* Called after each finished batch of sequences but the last of all, with the table so far; for --resume. May be
     * NULL. */
    enum qk_code (*on_batch)(void *ctx, const struct qk_table *table, struct qk_err *err);
    void *on_batch_ctx;
};

/* "all", "last:N", "every:N"; QK_EUSAGE else. */
enum qk_code qk_probe_parse_queries(const char *text, struct qk_probe_options *options, struct qk_err *err) QK_CHECKED;

/* Refuses probes that a checkpoint cannot take (ids beyond its vocabulary, QK_EFORMAT with file and line); a context
 * longer than it was made for is a notice. */
enum qk_code qk_probe_check(const struct qk_run_input *input, const struct qk_probe_set *set,
                            const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;

/* Root attributes, /model with the axes of probes, /checkpoints/NAME and /probe/NAME with its sums, into an empty
 * table. inputs[base] is what the others are compared with. */
enum qk_code qk_probe_prepare(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t base,
                              const struct qk_probe_set *set, const struct qk_probe_options *options,
                              struct qk_err *err) QK_CHECKED;
/* Takes over the finished sequences of a partial run into a prepared table; *ret_done: their number over all
 * checkpoints. QK_EMISMATCH, naming the first field that differs, when the partial run was begun with other inputs or
 * options, or is another part. */
enum qk_code qk_probe_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                             size_t n, size_t n_sequences, const struct qk_probe_options *options, size_t *ret_done,
                             struct qk_err *err) QK_CHECKED;
/* Runs the model of inputs[i] over the sequences of the part that are not there yet and fills their sums. */
enum qk_code qk_probe_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                          const struct qk_probe_set *set, const struct qk_probe_options *options, struct qk_pool *pool,
                          const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* What a run takes, told beforehand. */
struct qk_probe_plan {
    size_t n_sequences, n_tokens, longest, n_batches; /* of each checkpoint */
    size_t memory;                                    /* bytes that the largest batch's forward pass holds at most */
    size_t result_bytes;                              /* bytes of the table, which is held all the time */
    uint64_t weight_bytes;                            /* read once per batch */
    double flops;                                     /* of matrix products and attention, per checkpoint */
};
/* For one checkpoint of a prepared table, sequences that are there already included. */
enum qk_code qk_probe_make_plan(const struct qk_table *table, const struct qk_run_input *input,
                                const struct qk_probe_set *set, const struct qk_probe_options *options,
                                struct qk_pool *pool, struct qk_probe_plan *ret, struct qk_err *err) QK_CHECKED;
/* Adds the metrics of every /probe/NAME whose rows are all there, and /routing/NAME where the base's are too. What is
 * there already stays; a table without probes is left as it is. */
enum qk_code qk_probe_finish(struct qk_table *table, struct qk_err *err) QK_CHECKED;

#endif
