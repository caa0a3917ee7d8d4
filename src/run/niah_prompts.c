/* The cases of a recall run: the lines of a prompt file. See run/niah.h. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "ckpt/json_lines.h"
#include "niah_set.h"
#include "provenance.h"

struct prompt_reader {
    const char *path;
    struct qk_tokenizer *tokenizer;
    struct qk_arena *arena;
    size_t n, cap, line;
    struct qk_niah_case *cases; /* length: in tokens until the axis is made */
};

static enum qk_code read_outputs(struct prompt_reader *r, const struct qk_json *outputs, struct qk_niah_case *c,
                                 struct qk_err *err)
{
    bool is_list = outputs != NULL && qk_json_type(outputs) == QK_JSON_ARRAY;
    size_t n = is_list ? qk_json_count(outputs) : 1;
    const char **wanted = qk_arena_alloc(r->arena, n, sizeof *wanted);
    if (wanted == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    for (const struct qk_json *item = is_list ? qk_json_first(outputs) : outputs; item != NULL;
         item = is_list ? qk_json_next(item) : NULL) {
        const char *text;
        if (!qk_json_string(item, &text) || text[0] == '\0') {
            return qk_fail(err, QK_EFORMAT, "%s: line %zu: outputs: expected texts that are not empty", r->path,
                           r->line);
        }
        wanted[c->n_wanted] = qk_arena_strdup(r->arena, text);
        if (wanted[c->n_wanted++] == NULL) {
            return qk_fail_nomem(err, r->path);
        }
    }
    c->wanted = wanted;
    return c->n_wanted > 0 ? QK_OK : qk_fail(err, QK_EFORMAT, "%s: line %zu: outputs: no text in it", r->path, r->line);
}

static enum qk_code read_input(struct prompt_reader *r, const struct qk_json *object, struct qk_niah_case *c,
                               struct qk_err *err)
{
    const char *input, *prefix = "";
    struct qk_str text = {0};
    struct qk_encoding encoding = {0};
    if (!qk_json_string(qk_json_get(object, "input"), &input)) {
        return qk_fail(err, QK_EFORMAT, "%s: line %zu: input: expected a text", r->path, r->line);
    }
    QK_TRY(qk_json_opt_string(object, "answer_prefix", "", r->path, &prefix, err));
    qk_str_add(&text, input);
    qk_str_add(&text, prefix);
    enum qk_code code =
        text.failed ? qk_fail_nomem(err, r->path)
                    : qk_tokenizer_encode(r->tokenizer, text.s == NULL ? "" : text.s, text.len, true, &encoding, err);
    uint32_t *ids = code == QK_OK ? qk_arena_alloc(r->arena, encoding.n, sizeof *ids) : NULL;
    if (code == QK_OK && ids == NULL) {
        code = qk_fail_nomem(err, r->path);
    } else if (code == QK_OK && encoding.n == 0) {
        code = qk_fail(err, QK_EFORMAT, "%s: line %zu: input: no tokens in it", r->path, r->line);
    } else if (code == QK_OK) {
        memcpy(ids, encoding.ids, encoding.n * sizeof *ids);
        c->scoring = (struct qk_scoring_case){.n_prompt = encoding.n, .prompt = ids};
    }
    qk_encoding_release(&encoding);
    qk_str_release(&text);
    return code;
}

static enum qk_code read_prompt(struct prompt_reader *r, const struct qk_json *object, struct qk_err *err)
{
    struct qk_niah_case c = {0};
    uint64_t length = 0;
    QK_TRY(read_input(r, object, &c, err));
    QK_TRY(read_outputs(r, qk_json_get(object, "outputs"), &c, err));
    QK_TRY(qk_json_opt_u64(object, "length", 0, r->path, &length, err));
    c.length = (size_t)length;
    for (size_t p = 1; length == 0 && c.length < c.scoring.n_prompt; p *= 2) {
        c.length = p;
    }
    if (r->n == QK_NIAH_MOST_CASES) {
        return qk_niah_too_many(r->path, r->n + 1, err);
    }
    struct qk_niah_case *cases = qk_arena_grow(r->arena, r->cases, r->n, &r->cap, sizeof *cases);
    if (cases == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    r->cases = cases;
    r->cases[r->n++] = c;
    return QK_OK;
}

static enum qk_code read_prompts(struct prompt_reader *r, struct qk_json_lines *lines, struct qk_err *err)
{
    for (;;) {
        struct qk_json *json;
        QK_TRY(qk_json_lines_next(lines, &json, err));
        if (json == NULL) {
            break;
        }
        r->line = lines->line;
        enum qk_code code = read_prompt(r, json, err);
        qk_json_free(json);
        QK_TRY(code);
    }
    return r->n > 0 ? QK_OK : qk_fail(err, QK_EFORMAT, "%s: no prompts in it", r->path);
}

/* The lengths that occur, ascending; a case's length becomes its place among them. */
static enum qk_code prompt_axes(struct prompt_reader *r, struct qk_niah_set *set, struct qk_err *err)
{
    static const char *const tasks[] = {"prompts"};
    static const double depths[] = {NAN};
    size_t *lengths = qk_arena_alloc(r->arena, r->n, sizeof *lengths), n = 0;
    if (lengths == NULL) {
        return qk_fail_nomem(err, r->path);
    }
    for (size_t i = 0; i < r->n; i++) {
        size_t at = 0;
        while (at < n && lengths[at] < r->cases[i].length) {
            at++;
        }
        if (at == n || lengths[at] != r->cases[i].length) {
            memmove(lengths + at + 1, lengths + at, (n - at) * sizeof *lengths);
            lengths[at] = r->cases[i].length;
            n++;
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        size_t at = 0, sample = 0;
        while (lengths[at] != r->cases[i].length) {
            at++;
        }
        for (size_t k = 0; k < i; k++) {
            sample += r->cases[k].length == at ? 1 : 0;
        }
        r->cases[i].length = at;
        r->cases[i].sample = sample;
    }
    set->n_tasks = set->n_depths = 1;
    set->tasks = tasks;
    set->depths = depths;
    set->n_lengths = n;
    set->lengths = lengths;
    return QK_OK;
}

enum qk_code qk_niah_set_prompts(const char *path, const char *tokenizer_path, struct qk_arena *arena,
                                 struct qk_niah_set *ret, struct qk_err *err)
{
    struct prompt_reader r = {.path = path, .arena = arena};
    struct qk_niah_set set = {.source = path};
    struct qk_str words = {0};
    struct qk_json_lines lines;
    qk_str_add(&words, "--prompts ");
    qk_provenance_add_word(&words, path);
    set.words = words.failed ? NULL : qk_arena_strdup(arena, words.s);
    qk_str_release(&words);
    char *name = qk_path_basename(path);
    set.name = name == NULL ? NULL : qk_arena_strdup(arena, name);
    qk_free(name);
    if (set.words == NULL || set.name == NULL) {
        return qk_fail_nomem(err, path);
    }
    QK_TRY(qk_json_lines_open(path, QK_NIAH_MAX_FILE, &lines, err));
    enum qk_code code = qk_tokenizer_open(tokenizer_path, &r.tokenizer, err);
    if (code == QK_OK) {
        code = read_prompts(&r, &lines, err);
    }
    qk_tokenizer_free(r.tokenizer);
    qk_json_lines_release(&lines);
    QK_TRY(code);
    QK_TRY(prompt_axes(&r, &set, err));
    set.n = r.n;
    set.cases = r.cases;
    qk_niah_set_seal(&set);
    *ret = set;
    return QK_OK;
}
