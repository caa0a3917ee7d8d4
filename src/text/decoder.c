/* Decoders of tokenizer.json: the spellings of tokens, one piece each, back to text. */
#include <string.h>

#include "byte_level.h"
#include "code_point.h"
#include "pattern.h"
#include "step.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Appends bytes as valid UTF-8: broken sequences become U+FFFD. */
static void add_lossy(struct qk_aligned *out, const char *s, size_t n)
{
    bool valid;
    uint32_t c;
    for (size_t i = 0, step; i < n; i += step) {
        step = qk_utf8_read(s + i, n - i, &c, &valid);
        qk_aligned_add(out, valid ? s + i : replacement, valid ? step : 3, 0, 0);
    }
}

static enum qk_code one_piece(struct qk_pieces *pieces, struct qk_err *err)
{
    QK_TRY(qk_aligned_check(&pieces->next_text, err));
    QK_TRY(qk_pieces_push(pieces, (struct qk_piece){.end = pieces->next_text.n}, err));
    qk_pieces_swap(pieces, true);
    return QK_OK;
}

/* ---- ByteLevel: each character back to its byte ---- */

/* A token with a character that stands for no byte is taken as it is. */
static enum qk_code bytes_of_piece(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                   struct qk_err *err)
{
    (void)params;
    (void)err;
    const char *s = pieces->text.s;
    size_t begin = pieces->next_text.n;
    unsigned char byte;
    bool valid;
    uint32_t c;
    for (size_t i = piece.begin; i < piece.end;) {
        i += qk_utf8_read(s + i, piece.end - i, &c, &valid);
        if (!qk_char_to_byte(c, &byte)) {
            pieces->next_text.n = begin;
            qk_aligned_copy(&pieces->next_text, &pieces->text, piece.begin, piece.end);
            return QK_OK;
        }
        qk_aligned_add(&pieces->next_text, (const char *)&byte, 1, 0, 0);
    }
    return QK_OK;
}

static enum qk_code byte_level(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    QK_TRY(qk_pieces_rewrite(pieces, bytes_of_piece, params, err));
    if (pieces->bytes) {
        qk_aligned_copy(&pieces->next_text, &pieces->text, 0, pieces->text.n);
    } else {
        add_lossy(&pieces->next_text, pieces->text.s, pieces->text.n);
    }
    return one_piece(pieces, err);
}

/* ---- Fuse ---- */

static enum qk_code fuse(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    (void)params;
    for (size_t i = 0; i < pieces->n; i++) {
        qk_aligned_copy(&pieces->next_text, &pieces->text, pieces->v[i].begin, pieces->v[i].end);
    }
    return one_piece(pieces, err);
}

/* ---- ByteFallback: <0x0A> ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_byte_token(const char *s, size_t n, char *ret)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>' || hex_digit(s[4]) < 0) {
        return false;
    }
    int high = s[3] == '+' ? 0 : hex_digit(s[3]); /* the reference library's number parser takes a sign */
    *ret = (char)(high * 16 + hex_digit(s[4]));
    return high >= 0;
}

/* Ends a run of byte tokens that began at begin of the new text: broken as a whole, each byte becomes U+FFFD. */
static enum qk_code end_run(struct qk_pieces *pieces, size_t begin, struct qk_err *err)
{
    struct qk_aligned *out = &pieces->next_text;
    size_t n = out->n - begin;
    if (!pieces->bytes && !qk_utf8_is_valid(out->s == NULL ? "" : out->s + begin, n)) {
        out->n = begin;
        for (size_t i = 0; i < n; i++) {
            size_t at = out->n;
            qk_aligned_add(out, replacement, 3, 0, 0);
            QK_TRY(qk_pieces_push(pieces, (struct qk_piece){.begin = at, .end = out->n}, err));
        }
        return QK_OK;
    }
    return qk_pieces_push(pieces, (struct qk_piece){.begin = begin, .end = out->n}, err);
}

static enum qk_code byte_fallback(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    (void)params;
    struct qk_aligned *out = &pieces->next_text;
    size_t run = 0;
    for (size_t i = 0; i < pieces->n; i++) {
        struct qk_piece piece = pieces->v[i];
        char byte;
        if (is_byte_token(pieces->text.s + piece.begin, piece.end - piece.begin, &byte)) {
            qk_aligned_add(out, &byte, 1, 0, 0);
            continue;
        }
        QK_TRY(end_run(pieces, run, err));
        size_t begin = out->n;
        qk_aligned_copy(out, &pieces->text, piece.begin, piece.end);
        run = out->n;
        QK_TRY(qk_pieces_push(pieces, (struct qk_piece){.begin = begin, .end = run}, err));
    }
    QK_TRY(end_run(pieces, run, err));
    QK_TRY(qk_aligned_check(out, err));
    qk_pieces_swap(pieces, true);
    return QK_OK;
}

/* ---- Strip: a number of one character at both ends of each token ---- */

struct strip {
    char content[5];
    size_t n_content;
    uint64_t start, stop;
};

static enum qk_code read_strip(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    void *params;
    uint32_t content;
    QK_TRY(qk_step_params(spec, sizeof(struct strip), &params, err));
    struct strip *self = params;
    QK_TRY(qk_step_char(spec, "content", &content, err));
    self->n_content = qk_utf8_write(content, self->content);
    QK_TRY(qk_json_opt_u64(spec->json, "start", 0, spec->where, &self->start, err));
    QK_TRY(qk_json_opt_u64(spec->json, "stop", 0, spec->where, &self->stop, err));
    *ret = self;
    return QK_OK;
}

static enum qk_code strip_piece(const void *params, struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    const struct strip *self = params;
    const char *s = pieces->text.s;
    size_t n = self->n_content;
    (void)err;
    for (uint64_t i = 0; i < self->start && piece.end - piece.begin >= n; i++) {
        if (memcmp(s + piece.begin, self->content, n) != 0) {
            break;
        }
        piece.begin += n;
    }
    for (uint64_t i = 0; i < self->stop && piece.end - piece.begin >= n; i++) {
        if (memcmp(s + piece.end - n, self->content, n) != 0) {
            break;
        }
        piece.end -= n;
    }
    qk_aligned_copy(&pieces->next_text, &pieces->text, piece.begin, piece.end);
    return QK_OK;
}

static enum qk_code strip(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, strip_piece, params, err);
}

/* ---- Metaspace ---- */

struct metaspace {
    char replacement[5];
    size_t n;
    bool drop_first; /* those of the first token vanish */
};

static enum qk_code read_metaspace(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    void *params;
    uint32_t c;
    const char *scheme;
    bool add;
    QK_TRY(qk_step_params(spec, sizeof(struct metaspace), &params, err));
    struct metaspace *self = params;
    QK_TRY(qk_step_char(spec, "replacement", &c, err));
    self->n = qk_utf8_write(c, self->replacement);
    QK_TRY(qk_json_opt_string(spec->json, "prepend_scheme", "always", spec->where, &scheme, err));
    QK_TRY(qk_json_opt_bool(spec->json, "add_prefix_space", true, spec->where, &add, err));
    self->drop_first = add && strcmp(scheme, "never") != 0;
    *ret = self;
    return QK_OK;
}

static enum qk_code metaspace_piece(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                    struct qk_err *err)
{
    const struct metaspace *self = params;
    (void)err;
    bool drop = self->drop_first && piece.begin == pieces->v[0].begin;
    for (size_t i = piece.begin; i < piece.end;) {
        if (piece.end - i < self->n || memcmp(pieces->text.s + i, self->replacement, self->n) != 0) {
            qk_aligned_copy(&pieces->next_text, &pieces->text, i, i + 1);
            i++;
            continue;
        }
        qk_aligned_add(&pieces->next_text, " ", drop ? 0 : 1, 0, 0);
        i += self->n;
    }
    return QK_OK;
}

static enum qk_code metaspace(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, metaspace_piece, params, err);
}

/* ---- BPEDecoder: the suffix of a word's last token is a space, except at the end ---- */

static enum qk_code read_suffix(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    const char *suffix;
    QK_TRY(qk_step_string(spec, "suffix", &suffix, err));
    if (suffix[0] == 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: suffix: an empty string", spec->where);
    }
    *ret = suffix;
    return QK_OK;
}

static enum qk_code suffix_piece(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                 struct qk_err *err)
{
    const char *suffix = params, *s = pieces->text.s;
    size_t n = strlen(suffix), i = piece.begin;
    bool last = piece.end == pieces->v[pieces->n - 1].end;
    (void)err;
    while (i < piece.end) {
        if (piece.end - i < n || memcmp(s + i, suffix, n) != 0) {
            qk_aligned_copy(&pieces->next_text, &pieces->text, i, i + 1);
            i++;
            continue;
        }
        qk_aligned_add(&pieces->next_text, " ", last ? 0 : 1, 0, 0);
        i += n;
    }
    return QK_OK;
}

static enum qk_code bpe_suffix(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, suffix_piece, params, err);
}

/* ---- Replace is shared with normalizers ---- */

static enum qk_code read_replace(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    return qk_step_replace.read(spec, ret, err);
}

static enum qk_code replace(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_step_replace.apply(params, pieces, err);
}

const struct qk_step_kind qk_decoder_kinds[] = {
    {"ByteLevel", NULL, byte_level},
    {"ByteFallback", NULL, byte_fallback},
    {"Replace", read_replace, replace},
    {"Fuse", NULL, fuse},
    {"Strip", read_strip, strip},
    {"Metaspace", read_metaspace, metaspace},
    {"BPEDecoder", read_suffix, bpe_suffix},
    {NULL, NULL, NULL},
};
