/* Building needle-in-a-haystack documents: see text/haystack.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "haystack_parts.h"

/* How often the hay is cut anew until the document fits: texts put together may have a few tokens more or less than
 * their parts. A document this much shorter than wanted is good enough. */
enum { ATTEMPTS = 8, NEAR_ENOUGH = 4, MAX_VALUE = 40 };

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

static void draw_number(struct qk_rng *rng, char value[MAX_VALUE])
{
    value[0] = (char)('1' + qk_rng_below(rng, 9));
    for (size_t i = 1; i < 7; i++) {
        value[i] = (char)('0' + qk_rng_below(rng, 10));
    }
    value[7] = '\0';
}

static void draw_uuid(struct qk_rng *rng, char value[MAX_VALUE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        value[i] = dash ? '-' : digits[qk_rng_below(rng, 16)];
    }
    value[36] = '\0';
}

static const struct task {
    const char *name, *title;
    bool has_prose;
    void (*draw)(struct qk_rng *rng, char value[MAX_VALUE]);
} tasks[QK_N_NEEDLE_TASKS] = {
    [QK_NEEDLE_S1] = {"s1", "a number in noise", false, draw_number},
    [QK_NEEDLE_S2] = {"s2", "a number in prose", true, draw_number},
    [QK_NEEDLE_S3] = {"s3", "a UUID in prose", true, draw_uuid},
};

const char *qk_needle_task_name(enum qk_needle_task task)
{
    return tasks[task].name;
}

const char *qk_needle_task_title(enum qk_needle_task task)
{
    return tasks[task].title;
}

bool qk_needle_task_find(const char *name, enum qk_needle_task *ret)
{
    for (size_t i = 0; i < QK_N_NEEDLE_TASKS; i++) {
        if (qk_streq(tasks[i].name, name)) {
            *ret = (enum qk_needle_task)i;
            return true;
        }
    }
    return false;
}

/* ---- a document being built ------------------------------------------------------------------------------------- */

struct span {
    size_t at, len; /* bytes */
};

struct builder {
    const struct qk_haystack *h;
    const struct qk_tokenizer *tokenizer;
    const struct qk_needle_spec *spec;
    struct qk_str hay, needle, question, answer; /* hay: more than is needed */
    struct qk_encoding hay_tokens;
    size_t value_at, value_len; /* in the needle: the answer's words where they stand there, else the value */
    struct qk_str text;
    struct qk_encoding tokens; /* of text */
    size_t n_tokens;           /* without special tokens at the end */
    struct span where_needle, where_answer;
    bool repeats;
};

static void release(struct builder *b)
{
    struct qk_str *const strings[] = {&b->hay, &b->needle, &b->question, &b->answer, &b->text};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        qk_str_release(strings[i]);
    }
    qk_encoding_release(&b->hay_tokens);
    qk_encoding_release(&b->tokens);
}

static void expand(struct qk_str *out, const char *text, const char *key, const char *value)
{
    while (*text != '\0') {
        bool is_key = qk_str_starts(text, QK_PLACE_KEY), is_value = qk_str_starts(text, QK_PLACE_VALUE);
        if (is_key || is_value) {
            qk_str_add(out, is_key ? key : value);
            text += strlen(is_key ? QK_PLACE_KEY : QK_PLACE_VALUE);
        } else {
            qk_str_addc(out, *text++);
        }
    }
}

static enum qk_code expand_parts(struct builder *b, const char *key, const char *value, struct qk_err *err)
{
    expand(&b->needle, b->h->needle, key, value);
    expand(&b->question, b->h->question, key, value);
    expand(&b->answer, b->h->answer, key, value);
    if (b->needle.failed || b->question.failed || b->answer.failed) {
        return qk_fail_nomem(err, "haystack");
    }
    const char *answer = strstr(b->needle.s, b->answer.s);
    const char *place = answer != NULL ? answer : strstr(b->needle.s, value);
    b->value_at = (size_t)(place - b->needle.s);
    b->value_len = answer != NULL ? b->answer.len : strlen(value);
    return QK_OK;
}

/* ---- hay -------------------------------------------------------------------------------------------------------- */

/* n bytes of prose from start on, begun anew at its end. */
static void add_prose(struct qk_str *out, const struct qk_prose *prose, size_t start, size_t n)
{
    for (size_t at = start; n > 0; at = 0) {
        size_t part = prose->len - at < n ? prose->len - at : n;
        qk_str_addn(out, prose->s + at, part);
        n -= part;
        if (n > 0) {
            qk_str_addc(out, ' ');
            n--;
        }
    }
}

/* At least n_tokens of hay and the word behind. */
static enum qk_code gather_hay(struct builder *b, struct qk_rng *rng, size_t n_tokens, struct qk_err *err)
{
    bool has_prose = tasks[b->spec->task].has_prose;
    const struct qk_prose *prose = has_prose ? &b->h->prose : &b->h->noise;
    size_t sentence = has_prose ? (size_t)qk_rng_below(rng, prose->n_ends) : 0;
    size_t start = sentence == 0 ? 0 : prose->ends[sentence - 1] + 1;
    size_t intro = strlen(b->h->intro);
    bool joined = intro > 0 && strchr(" \n\t", b->h->intro[intro - 1]) != NULL;
    for (size_t n = 4 * n_tokens + 256;; n *= 2) {
        if (n > qk_tokenizer_max_text / 2) {
            return qk_fail(err, QK_EUNSUPPORTED, "a haystack of %zu tokens is too long", b->spec->length);
        }
        qk_str_clear(&b->hay);
        qk_encoding_release(&b->hay_tokens);
        b->hay_tokens = (struct qk_encoding){0};
        qk_str_add(&b->hay, joined ? "" : " ");
        add_prose(&b->hay, prose, start, n);
        if (b->hay.failed) {
            return qk_fail_nomem(err, "haystack");
        }
        QK_TRY(qk_tokenizer_encode(b->tokenizer, b->hay.s, b->hay.len, false, &b->hay_tokens, err));
        if (b->hay_tokens.n > n_tokens + 64) {
            b->repeats = has_prose && b->hay_tokens.spans[n_tokens].end > prose->len;
            return QK_OK;
        }
    }
}

/* Bytes of the hay's first n tokens, back to a word's end. */
static size_t cut_hay(const struct builder *b, size_t n)
{
    size_t cut = n == 0 ? 0 : b->hay_tokens.spans[n - 1].end;
    while (cut > 0 && b->hay.s[cut] != ' ') {
        cut--;
    }
    return cut;
}

/* Where the needle goes in cut bytes of hay: the sentence end nearest to the depth, in tokens; in front of all when no
 * sentence ends. */
static size_t place_needle(const struct builder *b, size_t cut, size_t n)
{
    double wanted = ((double)b->spec->depth + 0.5) / (double)b->spec->n_depths * (double)n, nearest = 0.0;
    size_t place = SIZE_MAX, token = 0;
    for (size_t at = 1; at <= cut; at++) {
        if ((at < cut && b->hay.s[at] != ' ') || !qk_ends_sentence(b->hay.s, at)) {
            continue;
        }
        while (token < n && b->hay_tokens.spans[token].end <= at) {
            token++;
        }
        double off = (double)token > wanted ? (double)token - wanted : wanted - (double)token;
        if (place == SIZE_MAX || off < nearest) {
            place = at;
            nearest = off;
        }
    }
    return place == SIZE_MAX ? 0 : place;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static enum qk_code assemble(struct builder *b, size_t cut, size_t place, struct qk_err *err)
{
    struct qk_str *t = &b->text;
    qk_str_clear(t);
    qk_encoding_release(&b->tokens);
    b->tokens = (struct qk_encoding){0};
    qk_str_add(t, b->h->intro);
    qk_str_addn(t, b->hay.s == NULL ? "" : b->hay.s, place);
    b->where_needle = (struct span){t->len, b->needle.len};
    qk_str_addn(t, b->needle.s, b->needle.len);
    qk_str_addn(t, b->hay.s == NULL ? "" : b->hay.s + place, cut - place);
    qk_str_addn(t, b->question.s, b->question.len);
    b->where_answer = (struct span){t->len, b->answer.len};
    qk_str_addn(t, b->answer.s, b->answer.len);
    qk_str_add(t, b->h->end);
    if (t->failed) {
        return qk_fail_nomem(err, "haystack");
    }
    QK_TRY(qk_tokenizer_encode(b->tokenizer, t->s, t->len, true, &b->tokens, err));
    b->n_tokens = b->tokens.n;
    while (b->n_tokens > 0 && b->tokens.spans[b->n_tokens - 1].begin == b->tokens.spans[b->n_tokens - 1].end) {
        b->n_tokens--;
    }
    return QK_OK;
}

/* Leaves text and tokens with the longest document found that fits. */
static enum qk_code fit(struct builder *b, struct qk_rng *rng, struct qk_err *err)
{
    size_t length = b->spec->length, best = 0, best_tokens = 0;
    QK_TRY(assemble(b, 0, 0, err));
    if (length < b->n_tokens + NEAR_ENOUGH) {
        return qk_fail(err, QK_EUSAGE, "%zu tokens have no room for hay (the rest of task %s takes %zu)", length,
                       tasks[b->spec->task].name, b->n_tokens);
    }
    size_t n = length - b->n_tokens;
    QK_TRY(gather_hay(b, rng, n, err));
    for (size_t i = 0; i < ATTEMPTS; i++) {
        size_t cut = cut_hay(b, n);
        QK_TRY(assemble(b, cut, place_needle(b, cut, n), err));
        if (b->n_tokens <= length && b->n_tokens > best_tokens) {
            best = n;
            best_tokens = b->n_tokens;
        }
        if (b->n_tokens <= length && length - b->n_tokens <= NEAR_ENOUGH) {
            return QK_OK;
        }
        size_t over = b->n_tokens > length ? b->n_tokens - length : 0, under = length - (b->n_tokens - over);
        n = over > 0 ? n - (over < n ? over : n) : n + under;
        n = n < b->hay_tokens.n ? n : b->hay_tokens.n - 1;
    }
    size_t cut = cut_hay(b, best);
    return assemble(b, cut, place_needle(b, cut, best), err);
}

/* Tokens that have a byte of the span: [*ret_start, *ret_end). */
static void tokens_of(const struct qk_encoding *e, struct span span, size_t *ret_start, size_t *ret_end)
{
    size_t start = 0, end = 0;
    for (size_t i = 0; i < e->n; i++) {
        if (e->spans[i].begin < span.at + span.len && e->spans[i].end > span.at) {
            start = end == 0 ? i : start;
            end = i + 1;
        }
    }
    *ret_start = start;
    *ret_end = end;
}

/* Where a token reaches from the question into the answer, both are tokenised on their own, as a user who ends a prompt
 * there would do. */
static enum qk_code part_apart(struct builder *b, struct qk_encoding *ret, size_t *ret_prompt, struct qk_err *err)
{
    struct qk_encoding head = {0}, tail = {0};
    size_t at = b->where_answer.at;
    enum qk_code code = qk_tokenizer_encode(b->tokenizer, b->text.s, at, true, &head, err);
    if (code == QK_OK) {
        code = qk_tokenizer_encode(b->tokenizer, b->text.s + at, b->text.len - at, false, &tail, err);
    }
    while (head.n > 0 && head.spans[head.n - 1].begin == head.spans[head.n - 1].end) {
        head.n--;
    }
    struct qk_encoding whole = {.n = head.n + tail.n};
    if (code == QK_OK) {
        whole.ids = qk_calloc(whole.n + 1, sizeof *whole.ids);
        whole.spans = qk_calloc(whole.n + 1, sizeof *whole.spans);
        code = whole.ids == NULL || whole.spans == NULL ? qk_fail_nomem(err, "haystack") : QK_OK;
    }
    for (size_t i = 0; code == QK_OK && i < whole.n; i++) {
        bool first = i < head.n;
        whole.ids[i] = first ? head.ids[i] : tail.ids[i - head.n];
        whole.spans[i] = first ? head.spans[i] : tail.spans[i - head.n];
        whole.spans[i].begin += first ? 0 : at;
        whole.spans[i].end += first ? 0 : at;
    }
    *ret_prompt = head.n;
    qk_encoding_release(&head);
    qk_encoding_release(&tail);
    if (code != QK_OK) {
        qk_encoding_release(&whole);
        return code;
    }
    *ret = whole;
    return QK_OK;
}

static enum qk_code hand_over(struct builder *b, struct qk_arena *arena, struct qk_needle_case *ret, struct qk_err *err)
{
    struct qk_needle_case c = *ret;
    size_t end_of_answer = b->where_answer.at + b->where_answer.len, n_prompt = 0, n_answer = 0;
    while (n_prompt < b->n_tokens && b->tokens.spans[n_prompt].begin < b->where_answer.at) {
        n_prompt++;
    }
    if (n_prompt > 0 && b->tokens.spans[n_prompt - 1].end > b->where_answer.at) {
        struct qk_encoding apart;
        QK_TRY(part_apart(b, &apart, &n_prompt, err));
        qk_encoding_release(&b->tokens);
        b->tokens = apart;
        b->n_tokens = apart.n;
    }
    while (n_prompt + n_answer < b->n_tokens && b->tokens.spans[n_prompt + n_answer].begin < end_of_answer) {
        n_answer++;
    }
    uint32_t *ids = qk_arena_alloc(arena, b->n_tokens, sizeof *ids);
    if (ids == NULL) {
        return qk_fail_nomem(err, "haystack");
    }
    memcpy(ids, b->tokens.ids, b->n_tokens * sizeof *ids);
    struct span value = {b->where_needle.at + b->value_at, b->value_len};
    tokens_of(&b->tokens, b->where_needle, &c.needle_start, &c.needle_end);
    tokens_of(&b->tokens, value, &c.value_start, &c.value_end);
    c.ids = ids;
    c.n_prompt = n_prompt;
    c.n_answer = n_answer;
    c.n_end = b->n_tokens - n_prompt - n_answer;
    c.repeats = b->repeats;
    if (n_prompt == 0 || n_answer == 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "the tokenizer has no tokens for the %s",
                       n_prompt == 0 ? "prompt" : "answer");
    }
    *ret = c;
    return QK_OK;
}

static void seed_with(struct qk_rng *rng, const struct qk_needle_spec *spec)
{
    const uint64_t fields[] = {(uint64_t)spec->task, spec->length, spec->depth, spec->n_depths, spec->sample};
    qk_rng_seed(rng, spec->seed);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        qk_rng_seed(rng, qk_rng_u64(rng) ^ fields[i]);
    }
}

enum qk_code qk_haystack_make(const struct qk_haystack *h, const struct qk_tokenizer *tokenizer,
                              const struct qk_needle_spec *spec, struct qk_arena *arena, struct qk_needle_case *ret,
                              struct qk_err *err)
{
    struct builder b = {.h = h, .tokenizer = tokenizer, .spec = spec};
    struct qk_rng rng;
    char value[MAX_VALUE];
    seed_with(&rng, spec);
    const char *key = h->keys[qk_rng_below(&rng, h->n_keys)];
    tasks[spec->task].draw(&rng, value);
    struct qk_needle_case c = {.key = key, .value = qk_arena_strdup(arena, value)};
    if (c.value == NULL) {
        return qk_fail_nomem(err, "haystack");
    }
    enum qk_code code = expand_parts(&b, key, value, err);
    if (code == QK_OK) {
        code = fit(&b, &rng, err);
    }
    if (code == QK_OK) {
        code = hand_over(&b, arena, &c, err);
    }
    release(&b);
    if (code == QK_OK) {
        *ret = c;
    }
    return code;
}
