/* Pre-tokenizers of tokenizer.json: where text is cut before pairs are merged. No merge crosses a cut. */
#include <string.h>

#include "base/str.h"
#include "byte_level.h"
#include "code_point.h"
#include "pattern.h"
#include "step.h"

/* ---- everything that is only a pattern and a behaviour ---- */

struct split {
    const struct qk_pattern *pattern;
    enum qk_behavior behavior;
    bool invert;
};

static enum qk_code make_split(const struct qk_step_spec *spec, struct split split, const void **ret,
                               struct qk_err *err)
{
    void *params;
    QK_TRY(qk_step_params(spec, sizeof split, &params, err));
    memcpy(params, &split, sizeof split);
    *ret = params;
    return QK_OK;
}

static enum qk_code apply_split(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    const struct split *self = params;
    return qk_pieces_split(pieces, self->pattern, self->behavior, self->invert, err);
}

static enum qk_code read_split(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    struct split self = {0};
    QK_TRY(qk_pattern_read(spec->arena, spec->json, "pattern", spec->where, &self.pattern, err));
    QK_TRY(qk_behavior_read(spec->json, "behavior", "", spec->where, &self.behavior, err));
    QK_TRY(qk_json_opt_bool(spec->json, "invert", false, spec->where, &self.invert, err));
    return make_split(spec, self, ret, err);
}

static enum qk_code read_digits(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    struct split self = {0};
    bool individual;
    QK_TRY(qk_json_opt_bool(spec->json, "individual_digits", false, spec->where, &individual, err));
    self.behavior = individual ? QK_BEHAVIOR_ISOLATED : QK_BEHAVIOR_CONTIGUOUS;
    QK_TRY(qk_pattern_class(spec->arena, qk_is_numeric, &self.pattern, err));
    return make_split(spec, self, ret, err);
}

static enum qk_code read_punctuation(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    struct split self = {0};
    QK_TRY(qk_behavior_read(spec->json, "behavior", "Isolated", spec->where, &self.behavior, err));
    QK_TRY(qk_pattern_class(spec->arena, qk_is_punctuation, &self.pattern, err));
    return make_split(spec, self, ret, err);
}

static enum qk_code read_whitespace_split(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    struct split self = {.behavior = QK_BEHAVIOR_REMOVED};
    QK_TRY(qk_pattern_class(spec->arena, qk_is_space, &self.pattern, err));
    return make_split(spec, self, ret, err);
}

/* The reference library has this expression built in. */
static enum qk_code read_whitespace(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    struct split self = {.behavior = QK_BEHAVIOR_REMOVED, .invert = true};
    QK_TRY(qk_pattern_regex(spec->arena, "\\w+|[^\\w\\s]+", spec->where, &self.pattern, err));
    return make_split(spec, self, ret, err);
}

static enum qk_code read_delimiter(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    struct split self = {.behavior = QK_BEHAVIOR_REMOVED};
    uint32_t c;
    char text[5] = {0};
    QK_TRY(qk_step_char(spec, "delimiter", &c, err));
    (void)qk_utf8_write(c, text);
    QK_TRY(qk_pattern_literal(spec->arena, text, &self.pattern, err));
    return make_split(spec, self, ret, err);
}

/* ---- a text in front of pieces that do not begin with it ---- */

struct front {
    const char *text;
    bool only_first; /* only where the input begins */
};

static enum qk_code put_in_front(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                 struct qk_err *err)
{
    const struct front *front = params;
    const struct qk_aligned *text = &pieces->text;
    (void)err;
    size_t n = strlen(front->text);
    uint32_t at = text->begin[piece.begin];
    bool there = piece.end - piece.begin >= n && memcmp(text->s + piece.begin, front->text, n) == 0;
    if (!there && (!front->only_first || at == 0)) {
        qk_aligned_add(&pieces->next_text, front->text, n, at, at);
    }
    qk_aligned_copy(&pieces->next_text, text, piece.begin, piece.end);
    return QK_OK;
}

/* ---- ByteLevel ---- */

struct byte_level {
    bool add_prefix_space;
    const struct qk_pattern *words; /* NULL: use_regex is false */
};

static enum qk_code read_byte_level(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    static const char words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    void *params;
    bool use_regex;
    QK_TRY(qk_step_params(spec, sizeof(struct byte_level), &params, err));
    struct byte_level *self = params;
    QK_TRY(qk_json_opt_bool(spec->json, "add_prefix_space", true, spec->where, &self->add_prefix_space, err));
    QK_TRY(qk_json_opt_bool(spec->json, "use_regex", true, spec->where, &use_regex, err));
    if (use_regex) {
        QK_TRY(qk_pattern_regex(spec->arena, words, spec->where, &self->words, err));
    }
    *ret = self;
    return QK_OK;
}

static enum qk_code apply_byte_level(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    const struct byte_level *self = params;
    if (self->add_prefix_space) {
        QK_TRY(qk_pieces_rewrite(pieces, put_in_front, &(struct front){.text = " "}, err));
    }
    if (self->words != NULL) {
        QK_TRY(qk_pieces_split(pieces, self->words, QK_BEHAVIOR_ISOLATED, false, err));
    }
    return qk_pieces_rewrite(pieces, qk_byte_level_spell, NULL, err);
}

/* ---- Metaspace ---- */

struct metaspace {
    char replacement[5];
    bool prepend;
    struct front front;
    const struct qk_pattern *split; /* NULL: not split */
};

static enum qk_code read_scheme(const struct qk_step_spec *spec, struct metaspace *self, struct qk_err *err)
{
    const char *scheme;
    bool add;
    QK_TRY(qk_json_opt_string(spec->json, "prepend_scheme", "always", spec->where, &scheme, err));
    bool known = qk_streq(scheme, "always") || qk_streq(scheme, "first") || qk_streq(scheme, "never");
    if (!known) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: prepend_scheme '%s' is not supported", spec->where, scheme);
    }
    self->prepend = !qk_streq(scheme, "never");
    self->front.only_first = qk_streq(scheme, "first");
    QK_TRY(qk_json_opt_bool(spec->json, "add_prefix_space", true, spec->where, &add, err));
    if (!add && qk_json_get(spec->json, "prepend_scheme") != NULL && self->prepend) {
        return qk_fail(err, QK_EFORMAT, "%s: add_prefix_space is false, but prepend_scheme is '%s'", spec->where,
                       scheme);
    }
    self->prepend &= add;
    return QK_OK;
}

static enum qk_code read_metaspace(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    void *params;
    uint32_t replacement;
    bool split;
    QK_TRY(qk_step_params(spec, sizeof(struct metaspace), &params, err));
    struct metaspace *self = params;
    QK_TRY(qk_step_char(spec, "replacement", &replacement, err));
    (void)qk_utf8_write(replacement, self->replacement);
    QK_TRY(read_scheme(spec, self, err));
    QK_TRY(qk_json_opt_bool(spec->json, "split", true, spec->where, &split, err));
    if (split) {
        QK_TRY(qk_pattern_literal(spec->arena, self->replacement, &self->split, err));
    }
    self->front.text = self->replacement;
    *ret = self;
    return QK_OK;
}

static enum qk_code spaces_replaced(const void *params, struct qk_pieces *pieces, struct qk_piece piece,
                                    struct qk_err *err)
{
    const struct metaspace *self = params;
    const struct qk_aligned *text = &pieces->text;
    (void)err;
    size_t n = strlen(self->replacement);
    for (size_t i = piece.begin; i < piece.end; i++) {
        if (text->s[i] == ' ') {
            qk_aligned_add(&pieces->next_text, self->replacement, n, text->begin[i], text->end[i]);
        } else {
            qk_aligned_copy(&pieces->next_text, text, i, i + 1);
        }
    }
    return QK_OK;
}

static enum qk_code apply_metaspace(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    const struct metaspace *self = params;
    QK_TRY(qk_pieces_rewrite(pieces, spaces_replaced, self, err));
    if (self->prepend) {
        QK_TRY(qk_pieces_rewrite(pieces, put_in_front, &self->front, err));
    }
    return self->split == NULL ? QK_OK : qk_pieces_split(pieces, self->split, QK_BEHAVIOR_MERGED_WITH_NEXT, false, err);
}

/* ---- BertPreTokenizer ---- */

struct bert {
    const struct qk_pattern *spaces, *punctuation;
};

static enum qk_code read_bert(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    void *params;
    QK_TRY(qk_step_params(spec, sizeof(struct bert), &params, err));
    struct bert *self = params;
    QK_TRY(qk_pattern_class(spec->arena, qk_is_space, &self->spaces, err));
    QK_TRY(qk_pattern_class(spec->arena, qk_is_punctuation, &self->punctuation, err));
    *ret = self;
    return QK_OK;
}

static enum qk_code apply_bert(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    const struct bert *self = params;
    QK_TRY(qk_pieces_split(pieces, self->spaces, QK_BEHAVIOR_REMOVED, false, err));
    return qk_pieces_split(pieces, self->punctuation, QK_BEHAVIOR_ISOLATED, false, err);
}

const struct qk_step_kind qk_pre_tokenizer_kinds[] = {
    {"Split", read_split, apply_split},
    {"ByteLevel", read_byte_level, apply_byte_level},
    {"Metaspace", read_metaspace, apply_metaspace},
    {"Digits", read_digits, apply_split},
    {"Punctuation", read_punctuation, apply_split},
    {"WhitespaceSplit", read_whitespace_split, apply_split},
    {"Whitespace", read_whitespace, apply_split},
    {"CharDelimiterSplit", read_delimiter, apply_split},
    {"BertPreTokenizer", read_bert, apply_bert},
    {NULL, NULL, NULL},
};
