/* Tokenizer: text to ids and back, as a checkpoint's tokenizer.json says.
 *
 * Byte-pair encoding (Sennrich et al. 2016) over bytes (GPT-2, Llama 3, Qwen) or over characters with byte fallback
 * (SentencePiece style), with the normalizers, pre-tokenizers, added tokens, post-processors and decoders that such
 * files name. The answers are those of the reference library (Hugging Face tokenizers 0.23), quirks included. What is
 * not handled is QK_EUNSUPPORTED with the field's name; truncation and padding in the file are ignored, as they are a
 * caller's matter. A tokenizer does not change after opening: any number of threads may use it at once. */
#ifndef QK_TEXT_TOKENIZER_H
#define QK_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct qk_tokenizer;

/* Texts longer than this are QK_EUNSUPPORTED, tokenizer files larger than qk_tokenizer_max_file likewise. */
enum { qk_tokenizer_max_text = 1 << 28, qk_tokenizer_max_file = 100 << 20 };

/* path: a checkpoint's directory, a file in it (its tokenizer.json is taken), or a .json file, which is then the
 * tokenizer itself. QK_EIO when there is none; the hint says what else is there. */
enum qk_code qk_tokenizer_open(const char *path, struct qk_tokenizer **ret, struct qk_err *err) QK_CHECKED;
/* The same from the text of a tokenizer.json; source names it in errors. */
enum qk_code qk_tokenizer_parse(const char *json, size_t len, const char *source, struct qk_tokenizer **ret,
                                struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_tokenizer_free(struct qk_tokenizer *tokenizer);

struct qk_text_span {
    size_t begin, end; /* bytes of the input: [begin, end) */
};

/* Owned by the caller: starts as {0}, release with qk_encoding_release. */
struct qk_encoding {
    size_t n;
    uint32_t *ids; /* (n) */
    /* (n). Ascending, except where a character without token stands before one that falls back to bytes. Where
     * normalisation turned several characters into others, all tokens of that stretch have the whole of it; what has no
     * place in the text (a template's special token, a space put in front) has an empty span where it stands. */
    struct qk_text_span *spans;
};

/* text: n bytes, NUL included, of any kind; what is not UTF-8 becomes U+FFFD, one for each maximal broken sequence.
 * The spelling of an added token in the text becomes that token, special or not. special: also the tokens that the
 * file's post-processor puts around a text. */
enum qk_code qk_tokenizer_encode(const struct qk_tokenizer *tokenizer, const char *text, size_t n, bool special,
                                 struct qk_encoding *ret, struct qk_err *err) QK_CHECKED;
void qk_encoding_release(struct qk_encoding *encoding);

enum qk_decode_flag {
    QK_DECODE_SKIP_SPECIAL = 1, /* leave special tokens out */
    QK_DECODE_SKIP_UNKNOWN =
        2,               /* leave out ids that name no token (rows that only pad an embedding), else QK_EFORMAT */
    QK_DECODE_BYTES = 4, /* a character cut at an end stays as its bytes, not as U+FFFD: for text in portions */
};
/* Appends the text of n ids to ret; flags: enum qk_decode_flag. */
enum qk_code qk_tokenizer_decode(const struct qk_tokenizer *tokenizer, const uint32_t *ids, size_t n, unsigned flags,
                                 struct qk_str *ret, struct qk_err *err) QK_CHECKED;

/* One more than the highest id. An embedding may have more rows; some ids below may name no token. */
size_t qk_tokenizer_size(const struct qk_tokenizer *tokenizer);
/* The spelling of a token in the file ("Ġworld", "▁world", "<0x0A>"), NUL-terminated UTF-8 that lives as long as the
 * tokenizer; NULL when the id names none. */
const char *qk_tokenizer_piece(const struct qk_tokenizer *tokenizer, uint32_t id);
/* The id of such a spelling; false when there is none. */
bool qk_tokenizer_find(const struct qk_tokenizer *tokenizer, const char *piece, uint32_t *ret);
bool qk_tokenizer_is_special(const struct qk_tokenizer *tokenizer, uint32_t id);

#endif
