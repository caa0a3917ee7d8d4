/* Reading lists of head scores: see advise/head_list.h. */
#include "advise/head_list.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "ckpt/json.h"

enum { MAX_BYTES = 64 << 20 };

/* Retrieval_Head adds 1/length for every token of the needle that a head copies: a token that is copied twice counts
 * twice, and sums round. Of the lists that it publishes single scores reach 1.79, means 1.003; more is no such score.
 */
static const double largest_mean = 1.1;

struct head_list {
    const char *path;
    const struct qk_evidence *e;
    size_t width; /* of a row of scores */
    double *scores;
    size_t n_named;
};

/* ---- Retrieval_Head ---------------------------------------------------------------------------------------------- */

/* Digits up to end, which follows them; false for anything else and beyond limit. */
static bool read_index(const char **s, char end, size_t limit, size_t *ret)
{
    size_t n = 0;
    const char *start = *s;
    while (**s >= '0' && **s <= '9' && n < limit) {
        n = 10 * n + (size_t)(*(*s)++ - '0');
    }
    bool whole = *s > start && **s == end && n < limit;
    *s += whole && end != '\0';
    *ret = n;
    return whole;
}

static enum qk_code fail_score(const struct head_list *list, const char *key, struct qk_err *err)
{
    return qk_fail(err, QK_EFORMAT, "%s: \"%s\": expected a score or a list of scores, 0 to 1 in the mean", list->path,
                   key);
}

/* Mean of the scores of one head. */
static enum qk_code read_scores(const struct head_list *list, const struct qk_json *json, double *ret,
                                struct qk_err *err)
{
    const char *key = qk_json_key(json);
    bool is_list = qk_json_type(json) == QK_JSON_ARRAY;
    double sum = 0.0;
    size_t n = 0;
    for (const struct qk_json *c = is_list ? qk_json_first(json) : json; c != NULL;
         c = is_list ? qk_json_next(c) : NULL) {
        double score;
        if (!qk_json_double(c, &score) || !(score >= 0.0 && isfinite(score))) {
            return fail_score(list, key, err);
        }
        sum += score;
        n++;
    }
    if (n == 0 || !(sum / (double)n <= largest_mean)) {
        return fail_score(list, key, err);
    }
    *ret = fmin(sum / (double)n, 1.0);
    return QK_OK;
}

static enum qk_code read_object(struct head_list *list, const struct qk_json *json, struct qk_err *err)
{
    if (qk_json_type(json) != QK_JSON_OBJECT) {
        return qk_fail(err, QK_EFORMAT, "%s: expected an object {\"layer-head\": [scores]}", list->path);
    }
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
        const char *s = qk_json_key(c);
        size_t layer, head;
        if (!read_index(&s, '-', list->e->n_layers, &layer) ||
            !read_index(&s, '\0', list->e->layers[layer].n_heads, &head)) {
            return qk_fail(err, QK_EMISMATCH, "%s: \"%s\": expected layer-head of the run's %zu layers", list->path,
                           qk_json_key(c), list->e->n_layers);
        }
        QK_TRY(read_scores(list, c, &list->scores[layer * list->width + head], err));
        list->n_named++;
    }
    return QK_OK;
}

/* ---- DuoAttention ------------------------------------------------------------------------------------------------ */

/* The next word of a line; NULL at its end. *s is left behind it; the word is terminated in place. */
static char *next_word(char **s)
{
    char *word = *s + strspn(*s, " \t\r");
    if (*word == '\0') {
        return NULL;
    }
    char *end = word + strcspn(word, " \t\r");
    *s = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static enum qk_code read_row(struct head_list *list, char *line, size_t layer, size_t line_number, struct qk_err *err)
{
    const struct qk_evidence_layer *l = &list->e->layers[layer];
    size_t group = l->n_kv_heads > 0 ? l->n_heads / l->n_kv_heads : 0, n = 0;
    for (char *word = next_word(&line); word != NULL; word = next_word(&line), n++) {
        double score;
        bool none = strcmp(word, "nan") == 0;
        if (!none && !qk_parse_double(word, &score)) {
            return qk_fail(err, QK_EFORMAT, "%s: line %zu: '%s': expected a number or nan", list->path, line_number,
                           word);
        }
        if (!none && (n >= l->n_kv_heads || !isfinite(score))) {
            return qk_fail(err, QK_EMISMATCH,
                           "%s: line %zu: expected %zu scores, the KV heads of layer %zu, found '%s' as number %zu",
                           list->path, line_number, l->n_kv_heads, layer, word, n + 1);
        }
        for (size_t h = 0; !none && h < group; h++) {
            list->scores[layer * list->width + n * group + h] = fmin(fmax(score, 0.0), 1.0);
            list->n_named++;
        }
    }
    return n >= l->n_kv_heads
               ? QK_OK
               : qk_fail(err, QK_EMISMATCH, "%s: line %zu: expected %zu scores, the KV heads of layer %zu, found %zu",
                         list->path, line_number, l->n_kv_heads, layer, n);
}

static enum qk_code read_matrix(struct head_list *list, char *text, size_t len, struct qk_err *err)
{
    size_t layer = 0, line_number = 0;
    if (memchr(text, '\0', len) != NULL) {
        return qk_fail(err, QK_EFORMAT, "%s: not text", list->path);
    }
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n'), *next = end == NULL ? NULL : end + 1;
        line_number++;
        if (end != NULL) {
            *end = '\0';
        }
        if (line[strspn(line, " \t\r")] != '\0') {
            if (layer >= list->e->n_layers) {
                return qk_fail(err, QK_EMISMATCH, "%s: line %zu: expected %zu lines, one per layer of the run",
                               list->path, line_number, list->e->n_layers);
            }
            QK_TRY(read_row(list, line, layer++, line_number, err));
        }
        line = next;
    }
    return layer == list->e->n_layers
               ? QK_OK
               : qk_fail(err, QK_EMISMATCH, "%s: expected %zu lines, one per layer of the run, found %zu", list->path,
                         list->e->n_layers, layer);
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

static enum qk_code read_text(struct head_list *list, char *text, size_t len, struct qk_err *err)
{
    if (text[strspn(text, " \t\r\n")] == '{') {
        struct qk_json *json;
        QK_TRY(qk_json_parse(text, len, list->path, &json, err));
        enum qk_code code = read_object(list, json, err);
        qk_json_free(json);
        QK_TRY(code);
    } else {
        QK_TRY(read_matrix(list, text, len, err));
    }
    return list->n_named > 0 ? QK_OK : qk_fail(err, QK_EFORMAT, "%s: no head has a score", list->path);
}

enum qk_code qk_head_list_read(const char *path, struct qk_evidence *e, struct qk_arena *arena, struct qk_err *err)
{
    struct head_list list = {.path = path, .e = e};
    for (size_t l = 0; l < e->n_layers; l++) {
        list.width = e->layers[l].n_heads > list.width ? e->layers[l].n_heads : list.width;
    }
    size_t n;
    if (__builtin_mul_overflow(e->n_layers, list.width, &n)) {
        return qk_fail_nomem(err, path);
    }
    list.scores = qk_arena_alloc(arena, n, sizeof *list.scores);
    if (list.scores == NULL) {
        return qk_fail_nomem(err, path);
    }
    for (size_t i = 0; i < n; i++) {
        list.scores[i] = NAN;
    }
    char *text;
    size_t len;
    QK_TRY(qk_file_slurp_text(path, MAX_BYTES, &text, &len, err));
    enum qk_code code = read_text(&list, text, len, err);
    qk_free(text);
    QK_TRY(code);
    e->listed = (struct qk_head_scores){.scores = list.scores, .width = list.width};
    return QK_OK;
}
