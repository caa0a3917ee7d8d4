/* Text to ids and back: see text/tokenizer.h. */
#include <string.h>

#include "base/alloc.h"
#include "code_point.h"
#include "tokenizer_parts.h"

enum { max_growth = 64, min_room = 1 << 20 }; /* text may grow so many times in normalisation */

static void set_room(struct qk_pieces *pieces, size_t n)
{
    size_t room = n > (size_t)UINT32_MAX / max_growth ? UINT32_MAX - 1 : n * max_growth;
    pieces->text.max = pieces->next_text.max = room < min_room ? min_room : room;
}

/* ---- encoding ---- */

static const char *next_broken(const char *p, const char *end, size_t *ret_length)
{
    bool valid;
    uint32_t c;
    while (p < end) {
        size_t n = qk_utf8_read(p, (size_t)(end - p), &c, &valid);
        if (!valid) {
            *ret_length = n;
            break;
        }
        p += n;
    }
    return p;
}

/* The whole text as one piece, each byte with its own origin. */
static enum qk_code load_text(struct qk_pieces *pieces, const char *text, size_t n, struct qk_err *err)
{
    const char *p = text, *end = text + n;
    while (p < end) {
        size_t length = 0;
        const char *stop = next_broken(p, end, &length);
        size_t first = pieces->text.n, at = (size_t)(p - text);
        qk_aligned_add(&pieces->text, p, (size_t)(stop - p), 0, 0);
        for (size_t i = first; i < pieces->text.n; i++) {
            pieces->text.begin[i] = (uint32_t)(at + i - first);
            pieces->text.end[i] = (uint32_t)(at + i - first + 1);
        }
        if (length > 0) {
            size_t from = (size_t)(stop - text);
            qk_aligned_add_char(&pieces->text, qk_replacement, (uint32_t)from, (uint32_t)(from + length));
        }
        p = stop + length;
    }
    QK_TRY(qk_aligned_check(&pieces->text, err));
    QK_TRY(qk_pieces_push(pieces, (struct qk_piece){.end = pieces->text.n}, err));
    qk_pieces_swap(pieces, false);
    return QK_OK;
}

struct output {
    struct qk_encoding encoding;
    size_t cap;
};

static enum qk_code put(struct output *out, uint32_t id, size_t begin, size_t end, struct qk_err *err)
{
    struct qk_encoding *e = &out->encoding;
    if (e->n == out->cap) {
        size_t cap = out->cap * 2 + 64;
        void *ids = qk_realloc(e->ids, cap, sizeof *e->ids);
        e->ids = ids == NULL ? e->ids : ids;
        void *spans = ids == NULL ? NULL : qk_realloc(e->spans, cap, sizeof *e->spans);
        if (spans == NULL) {
            return qk_fail_nomem(err, "tokens");
        }
        e->spans = spans;
        out->cap = cap;
    }
    e->ids[e->n] = id;
    e->spans[e->n++] = (struct qk_text_span){begin, end};
    return QK_OK;
}

static enum qk_code put_piece(const struct qk_tokenizer *self, const struct qk_aligned *text, struct qk_piece piece,
                              struct qk_pair_work *work, struct output *out, struct qk_err *err)
{
    QK_TRY(qk_byte_pairs_encode(&self->pairs, text->s + piece.begin, piece.end - piece.begin, work, err));
    const uint32_t *begin = text->begin + piece.begin, *end = text->end + piece.begin;
    for (size_t i = 0; i < work->n; i++) {
        struct qk_symbol symbol = work->symbols[i];
        QK_TRY(put(out, symbol.id, begin[symbol.begin], end[symbol.end - 1], err));
    }
    return QK_OK;
}

static enum qk_code put_pieces(const struct qk_tokenizer *self, const struct qk_pieces *pieces, struct output *out,
                               struct qk_err *err)
{
    struct qk_pair_work work = {0};
    enum qk_code code = QK_OK;
    for (size_t i = 0; i < pieces->n && code == QK_OK; i++) {
        struct qk_piece piece = pieces->v[i];
        code = piece.is_token ? put(out, piece.id, piece.origin_begin, piece.origin_end, err)
                              : put_piece(self, &pieces->text, piece, &work, out, err);
    }
    qk_pair_work_release(&work);
    return code;
}

static enum qk_code encode(const struct qk_tokenizer *self, const char *text, size_t n, struct qk_pieces *pieces,
                           struct output *out, struct qk_err *err)
{
    QK_TRY(load_text(pieces, text, n, err));
    QK_TRY(qk_added_tokens_find(&self->added.raw, pieces, err));
    QK_TRY(qk_steps_apply(&self->normalizers, pieces, err));
    QK_TRY(qk_added_tokens_find(&self->added.normalized, pieces, err));
    QK_TRY(qk_steps_apply(&self->pre_tokenizers, pieces, err));
    return put_pieces(self, pieces, out, err);
}

enum qk_code qk_tokenizer_encode(const struct qk_tokenizer *tokenizer, const char *text, size_t n, bool special,
                                 struct qk_encoding *ret, struct qk_err *err)
{
    if (n > qk_tokenizer_max_text) {
        return qk_fail(err, QK_EUNSUPPORTED, "text too long (expected at most %d bytes, found %zu)",
                       qk_tokenizer_max_text, n);
    }
    const struct qk_frame *frame = &tokenizer->frame;
    struct qk_pieces pieces = {0};
    struct output out = {0};
    enum qk_code code = QK_OK;
    set_room(&pieces, n);
    for (size_t i = 0; special && i < frame->n_before && code == QK_OK; i++) {
        code = put(&out, frame->before[i], 0, 0, err);
    }
    if (code == QK_OK) {
        code = encode(tokenizer, text, n, &pieces, &out, err);
    }
    for (size_t i = 0; special && i < frame->n_after && code == QK_OK; i++) {
        code = put(&out, frame->after[i], n, n, err);
    }
    qk_pieces_release(&pieces);
    if (code != QK_OK) {
        qk_encoding_release(&out.encoding);
        return code;
    }
    *ret = out.encoding;
    return QK_OK;
}

void qk_encoding_release(struct qk_encoding *encoding)
{
    qk_free(encoding->ids);
    qk_free(encoding->spans);
    *encoding = (struct qk_encoding){0};
}

/* ---- decoding ---- */

/* The text of a token for decoders: of an added one what was looked for. NULL when there is none. */
static const char *token_text(const struct qk_tokenizer *self, uint32_t id, size_t *ret_n)
{
    const struct qk_added_token *added = qk_added_tokens_at(&self->added, id);
    if (added != NULL) {
        *ret_n = added->n_pattern;
        return added->pattern;
    }
    const struct qk_token_text *token = qk_vocabulary_at(&self->vocabulary, id);
    *ret_n = token == NULL ? 0 : token->n;
    return token == NULL ? NULL : token->s;
}

static enum qk_code load_tokens(const struct qk_tokenizer *self, const uint32_t *ids, size_t n, unsigned flags,
                                struct qk_pieces *pieces, struct qk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *text = token_text(self, ids[i], &length);
        if (text == NULL && (flags & QK_DECODE_SKIP_UNKNOWN) == 0) {
            return qk_fail(err, QK_EFORMAT, "id %lu at place %zu names no token (ids go from 0 to %zu)",
                           (unsigned long)ids[i], i, qk_tokenizer_size(self) - 1);
        }
        if (text == NULL || ((flags & QK_DECODE_SKIP_SPECIAL) != 0 && qk_tokenizer_is_special(self, ids[i]))) {
            continue;
        }
        if (self->decoders.n == 0 && pieces->n_next > 0) {
            qk_aligned_add(&pieces->text, " ", 1, 0, 0);
        }
        size_t begin = pieces->text.n;
        qk_aligned_add(&pieces->text, text, length, 0, 0);
        QK_TRY(qk_pieces_push(pieces, (struct qk_piece){.begin = begin, .end = pieces->text.n}, err));
    }
    QK_TRY(qk_aligned_check(&pieces->text, err));
    qk_pieces_swap(pieces, false);
    return QK_OK;
}

static size_t length_of(const struct qk_tokenizer *self, const uint32_t *ids, size_t n)
{
    size_t sum = 0, length;
    for (size_t i = 0; i < n; i++) {
        (void)token_text(self, ids[i], &length);
        sum += length + 1;
    }
    return sum;
}

enum qk_code qk_tokenizer_decode(const struct qk_tokenizer *tokenizer, const uint32_t *ids, size_t n, unsigned flags,
                                 struct qk_str *ret, struct qk_err *err)
{
    struct qk_pieces pieces = {.bytes = (flags & QK_DECODE_BYTES) != 0};
    set_room(&pieces, length_of(tokenizer, ids, n));
    enum qk_code code = load_tokens(tokenizer, ids, n, flags, &pieces, err);
    if (code == QK_OK) {
        code = qk_steps_apply(&tokenizer->decoders, &pieces, err);
    }
    for (size_t i = 0; i < pieces.n && code == QK_OK && tokenizer->decoders.n > 0; i++) {
        qk_str_addn(ret, pieces.text.s + pieces.v[i].begin, pieces.v[i].end - pieces.v[i].begin);
    }
    if (code == QK_OK && tokenizer->decoders.n == 0) {
        qk_str_addn(ret, pieces.text.n > 0 ? pieces.text.s : "", pieces.text.n);
    }
    qk_pieces_release(&pieces);
    return code == QK_OK && ret->failed ? qk_fail_nomem(err, "text") : code;
}

/* ---- questions ---- */

size_t qk_tokenizer_size(const struct qk_tokenizer *tokenizer)
{
    size_t n = tokenizer->vocabulary.n_ids, n_added = tokenizer->added.n_ids;
    return n > n_added ? n : n_added;
}

const char *qk_tokenizer_piece(const struct qk_tokenizer *tokenizer, uint32_t id)
{
    const struct qk_added_token *added = qk_added_tokens_at(&tokenizer->added, id);
    const struct qk_token_text *token = qk_vocabulary_at(&tokenizer->vocabulary, id);
    return added != NULL ? added->content : token == NULL ? NULL : token->s;
}

bool qk_tokenizer_find(const struct qk_tokenizer *tokenizer, const char *piece, uint32_t *ret)
{
    if (qk_vocabulary_find(&tokenizer->vocabulary, piece, strlen(piece), ret)) {
        return true;
    }
    for (size_t i = 0; i < tokenizer->added.n; i++) {
        if (strcmp(tokenizer->added.v[i].content, piece) == 0) {
            *ret = tokenizer->added.v[i].id;
            return true;
        }
    }
    return false;
}

/* As in the reference library, what decides is the text that decoding sees. */
bool qk_tokenizer_is_special(const struct qk_tokenizer *tokenizer, uint32_t id)
{
    const struct qk_added_token *added = qk_added_tokens_at(&tokenizer->added, id);
    return added != NULL && added->special && strlen(added->content) == added->n_pattern &&
           memcmp(added->content, added->pattern, added->n_pattern) == 0;
}
