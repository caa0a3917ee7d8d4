/* What a model said as text, where it ends, and whether it holds what was wanted. */
#ifndef QK_RUN_SCORING_TEXT_H
#define QK_RUN_SCORING_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/model.h"
#include "text/tokenizer.h"

enum { QK_SCORING_MOST_STOPS = 16 };

/* The ids that end a text: eos_token_id of the checkpoint's generation_config.json, else of config.json; possibly none.
 */
enum qk_code qk_scoring_stops(const struct qk_model *model, uint32_t ret[QK_SCORING_MOST_STOPS], size_t *ret_n,
                              struct qk_err *err) QK_CHECKED;
/* Appends the text of said (n), decoded behind the end of the prompt, since decoders look at what stands in front;
 * special tokens and ids without token are left out. */
enum qk_code qk_scoring_text(const struct qk_tokenizer *tokenizer, const uint32_t *prompt, size_t n_prompt,
                             const uint32_t *said, size_t n, struct qk_str *ret, struct qk_err *err) QK_CHECKED;
/* The same with a character that is cut at the end as its bytes: for text in portions. */
enum qk_code qk_scoring_bytes(const struct qk_tokenizer *tokenizer, const uint32_t *prompt, size_t n_prompt,
                              const uint32_t *said, size_t n, struct qk_str *ret, struct qk_err *err) QK_CHECKED;
/* Whether wanted is part of text; upper and lower case of ASCII letters are the same. */
bool qk_text_contains(const char *text, const char *wanted);
/* Whether they are the same but for white space at the ends. */
bool qk_text_same(const char *text, const char *wanted);

#endif
