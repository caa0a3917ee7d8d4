/* Probe sequences: what every checkpoint of a probe run is shown.
 *
 * A JSONL file has one object per line: {"ids": […]} token ids, or {"text": "…"}, tokenised with the special tokens
 * that the tokenizer puts around a text. "spans": [{"name", "start", "end"}] marks half-open ranges: of tokens beside
 * ids, of characters (code points) beside text. Two names mean something: "needle" (what is to be found) and "answer"
 * (tokens that are to be predicted from it; where it is missing, the token after the last). */
#ifndef QK_RUN_PROBE_SET_H
#define QK_RUN_PROBE_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "text/tokenizer.h"

struct qk_probe_span {
    const char *name;
    size_t start, end; /* tokens [start, end), 0 ≤ start < end ≤ n */
};

struct qk_probe_sequence {
    size_t n; /* at least 1 */
    const uint32_t *ids;
    size_t n_spans;
    const struct qk_probe_span *spans;
    size_t line; /* of the file, from 1; for messages */
};

struct qk_probe_set {
    const char *name; /* the file's name without directory */
    const char *path;
    const char *words;   /* the options of --niah that made it, as a shell takes them; NULL: from a file */
    size_t length, most; /* as asked for: length 0 = JSONL, most 0 = all */
    size_t n, longest;
    const struct qk_probe_sequence *sequences;
    char sha256[65]; /* over all lengths and ids */
};

/* QK_PROBE_MOST: sequences in one run; their list is an attribute, which HDF5 bounds to 64 KB. */
enum { QK_PROBE_MAX_FILE = 1 << 30, QK_PROBE_MOST = 8000 };

/* most: at most so many sequences, 0 = all. tokenizer: path of a checkpoint whose tokenizer.json is opened when the
 * file has texts. Memory from arena. */
enum qk_code qk_probe_set_tokens(const char *path, const char *tokenizer, size_t most, struct qk_arena *arena,
                                 struct qk_probe_set *ret, struct qk_err *err) QK_CHECKED;
/* A text cut into pieces of length tokens, each with the special tokens in front that a text has; what is left at the
 * end is dropped unless it is all there is. */
enum qk_code qk_probe_set_text(const char *path, const char *tokenizer, size_t length, size_t most,
                               struct qk_arena *arena, struct qk_probe_set *ret, struct qk_err *err) QK_CHECKED;

#endif
