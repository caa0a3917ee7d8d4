/* Opening a tokenizer.json: see text/tokenizer.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "tokenizer_parts.h"

/* ---- the vocabulary of the model ---- */

static enum qk_code measure_vocabulary(const struct qk_json *vocab, const char *where, size_t *ret_n,
                                       uint64_t *ret_max_id, struct qk_err *err)
{
    *ret_n = 0;
    *ret_max_id = 0;
    for (const struct qk_json *c = qk_json_first(vocab); c != NULL; c = qk_json_next(c)) {
        uint64_t id;
        if (!qk_json_u64(c, &id) || id > qk_vocabulary_max_id) {
            return qk_fail(err, QK_EFORMAT, "%s: vocab: id of '%.100s': expected an integer from 0 to %d", where,
                           qk_json_key(c), qk_vocabulary_max_id);
        }
        *ret_max_id = id > *ret_max_id ? id : *ret_max_id;
        ++*ret_n;
    }
    return QK_OK;
}

static enum qk_code read_vocabulary(const struct qk_json *model, const char *where, struct qk_arena *arena,
                                    struct qk_vocabulary *ret, struct qk_err *err)
{
    const struct qk_json *vocab = qk_json_get(model, "vocab");
    if (vocab == NULL || qk_json_type(vocab) != QK_JSON_OBJECT) {
        return qk_fail(err, QK_EFORMAT, "%s: vocab: expected an object", where);
    }
    size_t n;
    uint64_t max_id;
    QK_TRY(measure_vocabulary(vocab, where, &n, &max_id, err));
    QK_TRY(qk_vocabulary_init(ret, arena, n, (size_t)max_id, err));
    for (const struct qk_json *c = qk_json_first(vocab); c != NULL; c = qk_json_next(c)) {
        uint64_t id = 0;
        (void)qk_json_u64(c, &id);
        size_t length = strlen(qk_json_key(c));
        const char *s = qk_arena_strndup(arena, qk_json_key(c), length);
        if (s == NULL) {
            return qk_fail_nomem(err, "vocabulary");
        }
        if (!qk_vocabulary_add(ret, s, length, (uint32_t)id)) {
            return qk_fail(err, QK_EFORMAT, "%s: vocab: '%.100s' has the id %llu of another token", where, s,
                           (unsigned long long)id);
        }
    }
    return QK_OK;
}

/* Files from before "type" was written are BPE when they have merges. */
static enum qk_code check_type(const struct qk_json *model, const char *where, struct qk_err *err)
{
    const char *type;
    if (model == NULL || qk_json_type(model) != QK_JSON_OBJECT) {
        return qk_fail(err, QK_EFORMAT, "%s: expected an object", where);
    }
    if (qk_json_get(model, "type") == NULL) {
        return qk_json_get(model, "merges") != NULL
                   ? QK_OK
                   : qk_fail(err, QK_EUNSUPPORTED, "%s: a model without type and merges is not supported", where);
    }
    if (!qk_json_string(qk_json_get(model, "type"), &type)) {
        return qk_fail(err, QK_EFORMAT, "%s: type: expected a string", where);
    }
    if (strcmp(type, "BPE") != 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: type '%s' is not supported (expected BPE)", where, type);
    }
    return QK_OK;
}

/* ---- the file ---- */

static enum qk_code read_steps(const struct qk_json *root, const char *key, const char *source, const char *members,
                               const struct qk_step_kind *kinds, struct qk_arena *arena, struct qk_steps *ret,
                               struct qk_err *err)
{
    struct qk_step_spec spec = {arena, qk_json_get(root, key), qk_arena_printf(arena, "%s: %s", source, key)};
    return spec.where == NULL ? qk_fail_nomem(err, "tokenizer") : qk_steps_read(&spec, kinds, members, ret, err);
}

/* Special tokens of the frame must be there, so that what is encoded can be decoded. */
static enum qk_code check_frame(const struct qk_tokenizer *tokenizer, const char *where, const uint32_t *ids, size_t n,
                                struct qk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (qk_tokenizer_piece(tokenizer, ids[i]) == NULL) {
            return qk_fail(err, QK_EFORMAT, "%s: id %lu is not in the vocabulary", where, (unsigned long)ids[i]);
        }
    }
    return QK_OK;
}

static enum qk_code read_frame(struct qk_tokenizer *self, const struct qk_json *root, const char *source,
                               struct qk_err *err)
{
    struct qk_step_spec spec = {self->arena, qk_json_get(root, "post_processor"),
                                qk_arena_printf(self->arena, "%s: post_processor", source)};
    if (spec.where == NULL) {
        return qk_fail_nomem(err, "tokenizer");
    }
    QK_TRY(qk_frame_read(&spec, &self->frame, err));
    QK_TRY(check_frame(self, spec.where, self->frame.before, self->frame.n_before, err));
    return check_frame(self, spec.where, self->frame.after, self->frame.n_after, err);
}

static enum qk_code read_parts(struct qk_tokenizer *self, const struct qk_json *root, const char *source,
                               struct qk_err *err)
{
    struct qk_arena *arena = self->arena;
    const char *version;
    if (qk_json_type(root) != QK_JSON_OBJECT) {
        return qk_fail(err, QK_EFORMAT, "%s: expected an object", source);
    }
    QK_TRY(qk_json_opt_string(root, "version", "1.0", source, &version, err));
    if (strcmp(version, "1.0") != 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: version '%s' is not supported (expected 1.0)", source, version);
    }
    const char *where = qk_arena_printf(arena, "%s: model", source);
    if (where == NULL) {
        return qk_fail_nomem(err, "tokenizer");
    }
    const struct qk_json *model = qk_json_get(root, "model");
    QK_TRY(check_type(model, where, err));
    QK_TRY(read_vocabulary(model, where, arena, &self->vocabulary, err));
    QK_TRY(qk_byte_pairs_read(model, where, &self->vocabulary, &self->pairs, err));
    QK_TRY(read_steps(root, "normalizer", source, "normalizers", qk_normalizer_kinds, arena, &self->normalizers, err));
    QK_TRY(read_steps(root, "pre_tokenizer", source, "pretokenizers", qk_pre_tokenizer_kinds, arena,
                      &self->pre_tokenizers, err));
    QK_TRY(read_steps(root, "decoder", source, "decoders", qk_decoder_kinds, arena, &self->decoders, err));
    QK_TRY(qk_added_tokens_read(qk_json_get(root, "added_tokens"), source, &self->vocabulary, &self->normalizers,
                                &self->added, err));
    return read_frame(self, root, source, err);
}

enum qk_code qk_tokenizer_parse(const char *json, size_t len, const char *source, struct qk_tokenizer **ret,
                                struct qk_err *err)
{
    if (len > qk_tokenizer_max_file) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: file too large (expected at most %d bytes, found %zu)", source,
                       qk_tokenizer_max_file, len);
    }
    struct qk_json *root;
    QK_TRY(qk_json_parse(json, len, source, &root, err));
    struct qk_arena *arena = qk_arena_new();
    struct qk_tokenizer *self = arena == NULL ? NULL : qk_arena_alloc(arena, 1, sizeof *self);
    enum qk_code code;
    if (self == NULL) {
        code = qk_fail_nomem(err, "tokenizer");
    } else {
        self->arena = arena;
        code = read_parts(self, root, source, err);
    }
    qk_json_free(root);
    if (code != QK_OK) {
        qk_arena_free(arena);
        return code;
    }
    *ret = self;
    return QK_OK;
}

void qk_tokenizer_free(struct qk_tokenizer *tokenizer)
{
    if (tokenizer != NULL) {
        qk_arena_free(tokenizer->arena);
    }
}

/* ---- finding it ---- */

/* Where the tokenizer of a checkpoint is; NULL when out of memory. */
static char *tokenizer_path(const char *path)
{
    if (qk_path_is_dir(path)) {
        return qk_path_join(path, "tokenizer.json");
    }
    struct qk_str out = {0};
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    bool other = strcmp(name, "config.json") == 0 || qk_str_ends(name, ".safetensors.index.json");
    if (!qk_path_exists(path) || (qk_str_ends(name, ".json") && !other)) { /* an error names what was asked for */
        qk_str_add(&out, path);
    } else {
        qk_str_addn(&out, path, (size_t)(name - path));
        qk_str_add(&out, "tokenizer.json");
    }
    if (out.failed) {
        qk_str_release(&out);
    }
    return out.s;
}

/* What else might be in a directory without a tokenizer.json. */
static void hint_at(const char *path, struct qk_err *err)
{
    static const char *const others[] = {"tokenizer.model", "vocab.json", "tiktoken.model"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char *other = qk_path_is_dir(path) ? qk_path_join(path, others[i]) : NULL;
        bool there = other != NULL && qk_path_exists(other);
        qk_free(other);
        if (there) {
            qk_err_hint(
                err,
                "there is a %s: in Python, transformers.AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) "
                "writes a tokenizer.json from it",
                others[i]);
            return;
        }
    }
}

enum qk_code qk_tokenizer_open(const char *path, struct qk_tokenizer **ret, struct qk_err *err)
{
    char *file = tokenizer_path(path), *text;
    if (file == NULL) {
        return qk_fail_nomem(err, "path");
    }
    size_t len;
    enum qk_code code = qk_file_slurp(file, qk_tokenizer_max_file, &text, &len, err);
    if (code == QK_OK) {
        code = qk_tokenizer_parse(text, len, file, ret, err);
        qk_free(text);
    } else if (!qk_path_exists(file)) {
        hint_at(path, err);
    }
    qk_free(file);
    return code;
}
