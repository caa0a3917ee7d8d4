/* Where a run's numbers come from: checkpoints, options, program. */
#ifndef QK_RUN_PROVENANCE_H
#define QK_RUN_PROVENANCE_H

#include "analyses/table.h"
#include "base/str.h"
#include "run/drift.h"
#include "selection.h"

/* Root attributes: title, history, source, created. history has, per tuned checkpoint, the command line that the
 * configuration stands for, without --layers, --threads, -o and the like, so that a run that is joined from parts (of
 * the layers or of the checkpoints) says the same as a run in one piece. created is the time of SOURCE_DATE_EPOCH;
 * without it the time is not recorded, so that the same inputs give the same bytes. */
enum qk_code qk_provenance_root(struct qk_table *table, const struct qk_run_input *base,
                                const struct qk_run_input *tuned, size_t n_tuned,
                                const struct qk_drift_options *options, struct qk_err *err) QK_CHECKED;
/* The same attributes with a title and command lines of the caller's. */
enum qk_code qk_provenance_program(struct qk_table *table, const char *title, const char *const *history, size_t n,
                                   struct qk_err *err) QK_CHECKED;
/* The same with one command line, released after. */
enum qk_code qk_provenance_command(struct qk_table *table, const char *title, struct qk_str *command,
                                   struct qk_err *err) QK_CHECKED;
/* Appends a word as a shell would take it, resp. " NAME=PATH" of a checkpoint. */
void qk_provenance_add_word(struct qk_str *str, const char *s);
void qk_provenance_add_operand(struct qk_str *str, const struct qk_run_input *input);
/* /checkpoints/NAME; ret_sample receives the checkpoint's sample_sha256: qk_ckpt_sample. */
enum qk_code qk_provenance_checkpoint(struct qk_table *table, const struct qk_run_input *input, const char *role,
                                      char ret_sample[65], struct qk_err *err) QK_CHECKED;
/* Those of n inputs, inputs[base] in the role of the base; *ret_samples (n) in the table's arena. */
enum qk_code qk_provenance_checkpoints(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t base,
                                       char (**ret_samples)[65], struct qk_err *err) QK_CHECKED;
/* SHA-256 of text, released after. */
enum qk_code qk_provenance_hash(struct qk_str *text, char ret[65], struct qk_err *err) QK_CHECKED;
/* What must agree between parts of one run, and for --resume: SHA-256 over program version, options (without layers and
 * threads) and what identifies the two inputs. The samples are those of qk_provenance_checkpoint. */
void qk_provenance_config_hash(const struct qk_run_input *base, const char *base_sample,
                               const struct qk_run_input *tuned, const char *tuned_sample,
                               const struct qk_drift_options *options, const struct qk_selection *selection,
                               char ret[65]);

#endif
