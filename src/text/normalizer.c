/* Normalizers of tokenizer.json: what is done to text before it is cut. */
#include <string.h>

#include "byte_level.h"
#include "code_point.h"
#include "pattern.h"
#include "step.h"
#include "unicode_form.h"

/* ---- NFC, NFD, NFKC, NFKD ---- */

static enum qk_code put_into_form(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                  struct qk_err *err)
{
    const unsigned *form = params;
    return qk_unicode_form(&pieces->text, piece.begin, piece.end, *form, &pieces->next_text, err);
}

static enum qk_code nfc(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    static const unsigned form = QK_FORM_COMPOSED;
    (void)params;
    return qk_pieces_rewrite(pieces, put_into_form, &form, err);
}

static enum qk_code nfd(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    static const unsigned form = 0;
    (void)params;
    return qk_pieces_rewrite(pieces, put_into_form, &form, err);
}

static enum qk_code nfkc(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    static const unsigned form = QK_FORM_COMPOSED | QK_FORM_COMPATIBILITY;
    (void)params;
    return qk_pieces_rewrite(pieces, put_into_form, &form, err);
}

static enum qk_code nfkd(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    static const unsigned form = QK_FORM_COMPATIBILITY;
    (void)params;
    return qk_pieces_rewrite(pieces, put_into_form, &form, err);
}

/* ---- one character at a time ---- */

static enum qk_code lower(const void *params, struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    (void)params;
    (void)err;
    const struct qk_aligned *text = &pieces->text;
    size_t step;
    for (size_t i = piece.begin; i < piece.end; i += step) {
        bool valid;
        uint32_t c, small[2];
        step = qk_utf8_read(text->s + i, piece.end - i, &c, &valid);
        size_t n = qk_lower_case(c, small);
        if (n == 1 && small[0] == c) {
            qk_aligned_copy(&pieces->next_text, text, i, i + step);
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            qk_aligned_add_char(&pieces->next_text, small[k], text->begin[i], text->end[i + step - 1]);
        }
    }
    return QK_OK;
}

static enum qk_code lowercase(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, lower, params, err);
}

static enum qk_code drop_marks(const void *params, struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    (void)params;
    (void)err;
    size_t step;
    for (size_t i = piece.begin; i < piece.end; i += step) {
        bool valid;
        uint32_t c;
        step = qk_utf8_read(pieces->text.s + i, piece.end - i, &c, &valid);
        if (!qk_is_mark(c)) {
            qk_aligned_copy(&pieces->next_text, &pieces->text, i, i + step);
        }
    }
    return QK_OK;
}

static enum qk_code strip_accents(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, drop_marks, params, err);
}

static enum qk_code byte_level(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, qk_byte_level_spell, params, err);
}

/* ---- Strip ---- */

struct strip {
    bool left, right;
};

static enum qk_code read_strip(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    void *params;
    QK_TRY(qk_step_params(spec, sizeof(struct strip), &params, err));
    struct strip *self = params;
    QK_TRY(qk_json_opt_bool(spec->json, "strip_left", true, spec->where, &self->left, err));
    QK_TRY(qk_json_opt_bool(spec->json, "strip_right", true, spec->where, &self->right, err));
    *ret = self;
    return QK_OK;
}

static enum qk_code strip_piece(const void *params, struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    const struct strip *self = params;
    (void)err;
    const char *s = pieces->text.s;
    bool valid;
    uint32_t c;
    while (self->left && piece.begin < piece.end) {
        size_t step = qk_utf8_read(s + piece.begin, piece.end - piece.begin, &c, &valid);
        if (!qk_is_space(c)) {
            break;
        }
        piece.begin += step;
    }
    while (self->right && piece.begin < piece.end) {
        size_t before = qk_utf8_before(s, piece.end);
        (void)qk_utf8_read(s + before, piece.end - before, &c, &valid);
        if (!qk_is_space(c)) {
            break;
        }
        piece.end = before;
    }
    qk_aligned_copy(&pieces->next_text, &pieces->text, piece.begin, piece.end);
    return QK_OK;
}

static enum qk_code strip(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, strip_piece, params, err);
}

/* ---- Prepend ---- */

static enum qk_code read_prepend(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    const char *text;
    QK_TRY(qk_step_string(spec, "prepend", &text, err));
    *ret = text;
    return QK_OK;
}

static enum qk_code prepend_to(const void *params, struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    const char *front = params;
    (void)err;
    uint32_t at = pieces->text.begin[piece.begin];
    qk_aligned_add(&pieces->next_text, front, strlen(front), at, at);
    qk_aligned_copy(&pieces->next_text, &pieces->text, piece.begin, piece.end);
    return QK_OK;
}

static enum qk_code prepend(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, prepend_to, params, err);
}

/* ---- Replace is shared with decoders ---- */

static enum qk_code read_replace(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    return qk_step_replace.read(spec, ret, err);
}

static enum qk_code replace(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_step_replace.apply(params, pieces, err);
}

const struct qk_step_kind qk_normalizer_kinds[] = {
    {"NFC", NULL, nfc},
    {"NFD", NULL, nfd},
    {"NFKC", NULL, nfkc},
    {"NFKD", NULL, nfkd},
    {"Lowercase", NULL, lowercase},
    {"StripAccents", NULL, strip_accents},
    {"ByteLevel", NULL, byte_level},
    {"Strip", read_strip, strip},
    {"Prepend", read_prepend, prepend},
    {"Replace", read_replace, replace},
    {NULL, NULL, NULL},
};
