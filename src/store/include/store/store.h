/* The result table ⇄ HDF5, and what is made of stored runs: tidy exports and merges.
 *
 * RUN.h5 (docs/results-format.md): dimension scales attached, creation order tracked, object times off, file types
 * explicit little-endian, strings variable-length UTF-8: the same table gives the same bytes. The only layer that
 * includes <hdf5.h>. HDF5 is called from one thread; its error stack is silenced and turned into qk_err. */
#ifndef QK_STORE_STORE_H
#define QK_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/str.h"

/* Writes the whole table to target atomically. */
enum qk_code qk_store_write(const struct qk_table *table, const char *target, bool force,
                            struct qk_err *err) QK_CHECKED;
/* Reads a run file: checks format and version first, bounds sizes before allocating. *ret owned by the caller. */
enum qk_code qk_store_read(const char *path, struct qk_table **ret, struct qk_err *err) QK_CHECKED;

/* Tidy long form, appended to out: one line per value: dataset, checkpoint, metric, one column per axis coordinate,
 * value, state. glob (NULL = all arrays that are no scales), or each of several separated by commas, is matched against
 * the whole path, with or without its first '/', or its last part. missing: include NaN cells. TSV has one header line
 * with the axes of all datasets, and a column "text" when a string array is among them; JSON is an array of objects
 * (docs/results-format.md). No match is QK_EUSAGE. */
enum qk_code qk_export_tsv(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                           struct qk_err *err) QK_CHECKED;
enum qk_code qk_export_json(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                            struct qk_err *err) QK_CHECKED;

/* What there is: one line per dataset with type, shape, axes, units, title. */
enum qk_code qk_export_list(const struct qk_table *table, const char *glob, struct qk_str *out,
                            struct qk_err *err) QK_CHECKED;
/* The one dataset with two axes that glob names, as rows of tab-separated numbers without a header. */
enum qk_code qk_export_matrix(const struct qk_table *table, const char *glob, struct qk_str *out,
                              struct qk_err *err) QK_CHECKED;

/* Scores of heads as other programs keep them; glob names one dataset over (layer, head) or (layer, kv_head), else
 * QK_EUSAGE. DuoAttention (full_attention_heads.tsv): a row per layer, a column per KV head, tabs, in [0, 1] (clipped);
 * a KV head has the score of the highest query head that reads it; "nan" without one. Retrieval_Head
 * (head_score/MODEL.json): one line, {"layer-head": [scores]}, heads without a score left out; of retrieval_mass and
 * retrieval_score a score per probe with a needle, else the dataset's value alone. Sources: Xiao et al. 2024,
 * arXiv:2410.10819; Wu et al. 2024, arXiv:2404.15574, and the programs of these. */
enum qk_code qk_export_duo_attention(const struct qk_table *table, const char *glob, struct qk_str *out,
                                     struct qk_err *err) QK_CHECKED;
enum qk_code qk_export_retrieval_head(const struct qk_table *table, const char *glob, struct qk_str *out,
                                      struct qk_err *err) QK_CHECKED;

/* Joins parts of one configuration, and different measurements of the same checkpoints. Refuses gaps, overlaps,
 * differing inputs or options (QK_EMISMATCH naming both files and the field). Parts of one measurement give what a
 * single run gives bit for bit; after several measurements qk_run_order makes the result independent of the order of
 * the parts. names are used in errors. */
enum qk_code qk_merge(const struct qk_table *const *parts, const char *const *names, size_t n, struct qk_table **ret,
                      struct qk_err *err) QK_CHECKED;

/* Puts the groups and command lines of a table that holds several measurements (drift, probe …) into the order of
 * docs/results-format.md, so that its file does not depend on the order in which they came together. A table with one
 * measurement stays as it is. */
enum qk_code qk_run_order(struct qk_table *table, struct qk_err *err) QK_CHECKED;

/* Library version text, "1.10.8". */
const char *qk_store_hdf5_version(void);

#endif
