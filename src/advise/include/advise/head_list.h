/* Scores of the base's heads that another program found, read from its file: what a run without probes can be scored
 * by.
 *
 * Two forms, told apart by the first character that is no blank:
 *   {     Retrieval_Head (head_score/MODEL.json): {"layer-head": [scores]}; a head has the mean of its list, a number
 *         alone counts as a list of one
 *   else  DuoAttention (full_attention_heads.tsv): a line per layer, numbers separated by tabs or blanks, one per KV
 *         head; every query head has its KV head's; "nan" is no score, and layers with fewer KV heads end with it
 * A score is in [0, 1]: DuoAttention's are clipped to it, as its own programs do, and Retrieval_Head's means, which can
 * be a little more.
 *
 * Source: Wu et al. 2024, arXiv:2404.15574; Xiao et al. 2024, arXiv:2410.10819, and the programs of these. */
#ifndef QK_ADVISE_HEAD_LIST_H
#define QK_ADVISE_HEAD_LIST_H

#include <stddef.h>

#include "advise/evidence.h"
#include "base/arena.h"
#include "base/err.h"

/* Reads path and sets e->listed: a score per layer and head, NaN for heads that the file does not name; memory from the
 * arena. A layer or head that the run does not have, another number of layers or KV heads: QK_EMISMATCH. Scores below
 * 0, means above 1.1, a file without any score, and what is neither form: QK_EFORMAT. e untouched on failure. */
enum qk_code qk_head_list_read(const char *path, struct qk_evidence *e, struct qk_arena *arena,
                               struct qk_err *err) QK_CHECKED;

#endif
