/* Reading haystack templates, keys and prose: see text/haystack.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "builtin.h"
#include "ckpt/json.h"
#include "haystack_parts.h"

enum { MAX_TEMPLATE = 1 << 20, MAX_KEYS = 16 << 20, MAX_PROSE = 16 << 20 };

/* ---- prose ------------------------------------------------------------------------------------------------------ */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

bool qk_ends_sentence(const char *s, size_t n)
{
    while (n > 0 && s[n - 1] != '\0' && strchr("\"')]}", s[n - 1]) != NULL) {
        n--;
    }
    return n > 0 && s[n - 1] != '\0' && strchr(".!?", s[n - 1]) != NULL;
}

enum qk_code qk_prose_make(const char *text, size_t len, const char *source, struct qk_arena *arena,
                           struct qk_prose *ret, struct qk_err *err)
{
    char *s = qk_arena_alloc(arena, len + 1, 1);
    size_t *ends = qk_arena_alloc(arena, len / 2 + 1, sizeof *ends), n = 0, n_ends = 0;
    if (s == NULL || ends == NULL) {
        return qk_fail_nomem(err, source);
    }
    for (size_t i = 0; i < len; i++) {
        bool space = is_space(text[i]);
        if (space && n > 0 && s[n - 1] != ' ' && qk_ends_sentence(s, n)) {
            ends[n_ends++] = n;
        }
        if (!space || (n > 0 && s[n - 1] != ' ')) {
            s[n++] = space ? ' ' : text[i];
        }
    }
    n -= n > 0 && s[n - 1] == ' ' ? 1 : 0;
    s[n] = '\0';
    if (qk_ends_sentence(s, n) && (n_ends == 0 || ends[n_ends - 1] != n)) {
        ends[n_ends++] = n;
    }
    if (n_ends == 0) {
        return qk_fail(err, QK_EFORMAT, "%s: no sentence in it (expected text with '.', '!' or '?' before white space)",
                       source);
    }
    *ret = (struct qk_prose){.s = s, .len = n, .n_ends = n_ends, .ends = ends};
    return QK_OK;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static enum qk_code read_keys(struct qk_haystack *h, const char *text, size_t len, const char *source,
                              struct qk_err *err)
{
    const char **keys = qk_arena_alloc(h->arena, len / 2 + 1, sizeof *keys);
    if (keys == NULL) {
        return qk_fail_nomem(err, source);
    }
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t end = newline == NULL ? len : (size_t)(newline - text), next = end + 1;
        while (at < end && is_space(text[at])) {
            at++;
        }
        while (at < end && is_space(text[end - 1])) {
            end--;
        }
        if (at < end) {
            keys[h->n_keys] = qk_arena_strndup(h->arena, text + at, end - at);
            if (keys[h->n_keys++] == NULL) {
                return qk_fail_nomem(err, source);
            }
        }
        at = next;
    }
    h->keys = keys;
    return h->n_keys > 0 ? QK_OK : qk_fail(err, QK_EFORMAT, "%s: no keys in it (expected one a line)", source);
}

/* ---- the template ----------------------------------------------------------------------------------------------- */

/* Members, their default (NULL: must be there), and the places that they must and may have. */
struct member {
    const char *name;
    size_t offset; /* of the string in struct qk_haystack; SIZE_MAX = read elsewhere */
    const char *dflt;
    bool has_key, has_value;
};

static const struct member members[] = {
    {"intro", offsetof(struct qk_haystack, intro), "", false, false},
    {"needle", offsetof(struct qk_haystack, needle), NULL, true, true},
    {"question", offsetof(struct qk_haystack, question), NULL, true, false},
    {"answer", offsetof(struct qk_haystack, answer), " " QK_PLACE_VALUE, false, true},
    {"end", offsetof(struct qk_haystack, end), ".", false, false},
    {"noise", SIZE_MAX, "", false, false},
    {"keys", SIZE_MAX, "", false, false},
    {"haystack", SIZE_MAX, "", false, false},
};
enum { N_MEMBERS = sizeof members / sizeof members[0] };

static enum qk_code check_names(const struct qk_json *json, const char *source, struct qk_err *err)
{
    for (const struct qk_json *item = qk_json_first(json); item != NULL; item = qk_json_next(item)) {
        size_t i = 0;
        while (i < N_MEMBERS && !qk_streq(members[i].name, qk_json_key(item))) {
            i++;
        }
        if (i == N_MEMBERS) {
            (void)qk_fail(err, QK_EFORMAT, "%s: %s: no such member", source, qk_json_key(item));
            qk_err_hint(err, "a template has intro, needle, question, answer, end, noise, keys and haystack");
            return QK_EFORMAT;
        }
    }
    return QK_OK;
}

static enum qk_code check_places(const struct member *m, const char *text, const char *source, struct qk_err *err)
{
    const struct {
        const char *place;
        bool wanted;
    } places[] = {{QK_PLACE_KEY, m->has_key}, {QK_PLACE_VALUE, m->has_value}};
    for (size_t i = 0; i < 2; i++) {
        const char *place = places[i].place, *first = strstr(text, place);
        if (places[i].wanted && first == NULL) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: no %s in it", source, m->name, place);
        }
        /* the answer may name the key too; a value in the question would give the answer away */
        bool is_stray = !places[i].wanted && first != NULL && !qk_streq(m->name, "answer");
        bool is_twice = first != NULL && i == 1 && strstr(first + 1, place) != NULL;
        if (is_stray || is_twice) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: %s %s", source, m->name, place,
                           is_stray ? "does not belong there" : "is there twice");
        }
    }
    return QK_OK;
}

static enum qk_code read_members(struct qk_haystack *h, const struct qk_json *json, const char *source,
                                 struct qk_err *err)
{
    if (qk_json_type(json) != QK_JSON_OBJECT) {
        return qk_fail(err, QK_EFORMAT, "%s: expected a JSON object", source);
    }
    QK_TRY(check_names(json, source, err));
    for (const struct member *m = members; m < members + N_MEMBERS; m++) {
        const char *text;
        QK_TRY(qk_json_opt_string(json, m->name, m->dflt, source, &text, err));
        if (text == NULL) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: is missing", source, m->name);
        }
        QK_TRY(check_places(m, text, source, err));
        char *copy = m->offset == SIZE_MAX ? NULL : qk_arena_strdup(h->arena, text);
        if (m->offset != SIZE_MAX && copy == NULL) {
            return qk_fail_nomem(err, source);
        }
        if (m->offset != SIZE_MAX) {
            *(const char **)(void *)((char *)h + m->offset) = copy;
        }
    }
    return QK_OK;
}

/* ---- files beside the template ---------------------------------------------------------------------------------- */

/* name as given, relative to the template's directory. */
static char *path_beside(const char *template_path, const char *name, struct qk_arena *arena)
{
    const char *slash = template_path == NULL ? NULL : strrchr(template_path, '/');
    return name[0] == '/' || slash == NULL
               ? qk_arena_strdup(arena, name)
               : qk_arena_printf(arena, "%.*s/%s", (int)(slash - template_path), template_path, name);
}

static enum qk_code slurp_keys(struct qk_haystack *h, const char *path, struct qk_err *err)
{
    char *text;
    size_t len;
    if (path == NULL) {
        return read_keys(h, qk_builtin_keys.bytes, qk_builtin_keys.len, "built-in keys", err);
    }
    QK_TRY(qk_file_slurp_text(path, MAX_KEYS, &text, &len, err));
    enum qk_code code = read_keys(h, text, len, path, err);
    qk_free(text);
    return code;
}

static enum qk_code slurp_prose(struct qk_haystack *h, const char *path, struct qk_err *err)
{
    char *text;
    size_t len;
    if (path == NULL) {
        return qk_prose_make(qk_builtin_haystack.bytes, qk_builtin_haystack.len, "built-in haystack", h->arena,
                             &h->prose, err);
    }
    QK_TRY(qk_file_slurp_text(path, MAX_PROSE, &text, &len, err));
    enum qk_code code = qk_prose_make(text, len, path, h->arena, &h->prose, err);
    qk_free(text);
    return code;
}

/* The member of the template as a path; NULL when it has none. */
static enum qk_code file_of(struct qk_haystack *h, const struct qk_json *json, const char *member,
                            const char *template_path, const char **ret, struct qk_err *err)
{
    const char *name = NULL;
    *ret = NULL;
    if (qk_json_string(qk_json_get(json, member), &name)) {
        *ret = path_beside(template_path, name, h->arena);
        return *ret == NULL ? qk_fail_nomem(err, template_path) : QK_OK;
    }
    return QK_OK;
}

static enum qk_code read_noise(struct qk_haystack *h, const struct qk_json *json, const struct qk_json *builtin,
                               const char *source, struct qk_err *err)
{
    const char *noise = NULL;
    char *name = qk_arena_printf(h->arena, "%s: noise", source);
    if (name == NULL) {
        return qk_fail_nomem(err, source);
    }
    if (!qk_json_string(qk_json_get(json, "noise"), &noise) && !qk_json_string(qk_json_get(builtin, "noise"), &noise)) {
        return qk_fail(err, QK_EINTERNAL, "no built-in noise");
    }
    return qk_prose_make(noise, strlen(noise), name, h->arena, &h->noise, err);
}

static enum qk_code read_template(struct qk_haystack *h, const struct qk_json *json, const struct qk_json *builtin,
                                  const char *template_path, const char *prose_path, struct qk_err *err)
{
    const char *source = template_path == NULL ? "built-in template" : template_path, *keys, *prose = prose_path;
    QK_TRY(read_members(h, json, source, err));
    QK_TRY(read_noise(h, json, builtin, source, err));
    QK_TRY(file_of(h, json, "keys", template_path, &keys, err));
    QK_TRY(slurp_keys(h, keys, err));
    if (prose_path == NULL) {
        QK_TRY(file_of(h, json, "haystack", template_path, &prose, err));
    }
    return slurp_prose(h, prose, err);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static void hash_text(struct qk_sha256 *sha, const char *s, size_t n)
{
    qk_sha256_add_number(sha, n, 8);
    qk_sha256_add(sha, s, n);
}

static void hash_all(struct qk_haystack *h)
{
    const char *const texts[] = {h->intro, h->needle, h->question, h->answer, h->end};
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hash_text(&sha, texts[i], strlen(texts[i]));
    }
    hash_text(&sha, h->noise.s, h->noise.len);
    hash_text(&sha, h->prose.s, h->prose.len);
    for (size_t i = 0; i < h->n_keys; i++) {
        hash_text(&sha, h->keys[i], strlen(h->keys[i]));
    }
    qk_sha256_hex(&sha, h->sha256);
}

static enum qk_code load_template(const char *path, struct qk_json **ret, struct qk_err *err)
{
    char *text;
    size_t len;
    QK_TRY(qk_file_slurp_text(path, MAX_TEMPLATE, &text, &len, err));
    enum qk_code code = qk_json_parse(text, len, path, ret, err);
    qk_free(text);
    return code;
}

static enum qk_code open_all(struct qk_haystack *h, const char *template_path, const char *prose_path,
                             struct qk_err *err)
{
    struct qk_json *builtin = NULL, *given = NULL;
    QK_TRY(qk_json_parse(qk_builtin_niah.bytes, qk_builtin_niah.len, "built-in template", &builtin, err));
    enum qk_code code = template_path == NULL ? QK_OK : load_template(template_path, &given, err);
    if (code == QK_OK) {
        code = read_template(h, given == NULL ? builtin : given, builtin, template_path, prose_path, err);
    }
    qk_json_free(given);
    qk_json_free(builtin);
    return code;
}

enum qk_code qk_haystack_open(const char *template_path, const char *prose_path, struct qk_haystack **ret,
                              struct qk_err *err)
{
    struct qk_haystack *h = qk_calloc(1, sizeof *h);
    if (h != NULL) {
        h->arena = qk_arena_new();
    }
    if (h == NULL || h->arena == NULL) {
        qk_free(h);
        return qk_fail_nomem(err, "haystack");
    }
    enum qk_code code = open_all(h, template_path, prose_path, err);
    if (code != QK_OK) {
        qk_haystack_free(h);
        return code;
    }
    hash_all(h);
    *ret = h;
    return QK_OK;
}

void qk_haystack_free(struct qk_haystack *h)
{
    if (h != NULL) {
        qk_arena_free(h->arena);
        qk_free(h);
    }
}

const char *qk_haystack_sha256(const struct qk_haystack *h)
{
    return h->sha256;
}
