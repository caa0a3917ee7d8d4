/* A step of the way from text to tokens, or back: one normalizer, pre-tokenizer or decoder of the file.
 *
 * Each kind is one row of a table: its "type" in the file, how its parameters are read, what it does to the pieces. A
 * "Sequence" becomes its members, one after another. */
#ifndef QK_TEXT_STEP_H
#define QK_TEXT_STEP_H

#include "base/arena.h"
#include "ckpt/json.h"
#include "pieces.h"

/* What a kind reads from. */
struct qk_step_spec {
    struct qk_arena *arena; /* for parameters; the JSON does not live on */
    const struct qk_json *json;
    const char *where; /* "FILE: pre_tokenizer.pretokenizers[1]", for errors */
};

struct qk_step_kind {
    const char *type;
    /* Parameters into the arena; NULL: it has none. */
    enum qk_code (*read)(const struct qk_step_spec *spec, const void **ret_params, struct qk_err *err);
    enum qk_code (*apply)(const void *params, struct qk_pieces *pieces, struct qk_err *err);
};

struct qk_step {
    const struct qk_step_kind *kind;
    const void *params;
};

struct qk_steps {
    struct qk_step *v;
    size_t n;
};

/* kinds ends with type NULL; members: the key that holds the list of a Sequence. json NULL or null: no steps. */
enum qk_code qk_steps_read(const struct qk_step_spec *spec, const struct qk_step_kind *kinds, const char *members,
                           struct qk_steps *ret, struct qk_err *err) QK_CHECKED;
enum qk_code qk_steps_apply(const struct qk_steps *steps, struct qk_pieces *pieces, struct qk_err *err) QK_CHECKED;

/* n bytes of parameters. */
enum qk_code qk_step_params(const struct qk_step_spec *spec, size_t n, void **ret, struct qk_err *err) QK_CHECKED;
/* A string that must be there, copied. */
enum qk_code qk_step_string(const struct qk_step_spec *spec, const char *key, const char **ret,
                            struct qk_err *err) QK_CHECKED;
/* A string of one character. */
enum qk_code qk_step_char(const struct qk_step_spec *spec, const char *key, uint32_t *ret,
                          struct qk_err *err) QK_CHECKED;

/* Shared by normalizers and decoders. */
extern const struct qk_step_kind qk_step_replace;
extern const struct qk_step_kind qk_normalizer_kinds[];
extern const struct qk_step_kind qk_pre_tokenizer_kinds[];
extern const struct qk_step_kind qk_decoder_kinds[];

#endif
