/* Needle-in-a-haystack documents: a fact hidden in long text, and the question for it at the end.
 *
 *   special tokens · INTRO · HAY1 · NEEDLE · HAY2 · QUESTION | ANSWER · END
 *
 * The prompt is what stands before the bar, the answer what a model has to go on with. The whole, ANSWER and END
 * included, is tokenised as one text of at most the nominal length; as hay is cut between words, it is a few tokens
 * shorter at most. HAY begins behind a sentence end and runs on to a word's end; NEEDLE goes behind the sentence end
 * that is nearest to depth (j + ½) / n of the hay, counted in tokens, for place j of n. Hay is the noise sentences over
 * and over, or prose from a sentence drawn at random; prose that ends is begun anew.
 *
 * A template file is a JSON object with the strings
 *   needle (with {key} and {value}), question (with {key}), and if wanted
 *   intro, answer (with {value}; " {value}"), end ("."), noise, and the file names, relative to the template,
 *   keys (one a line) and haystack (prose; runs of white space count as one space).
 * What it leaves out is built in: sentences of our own, common nouns, a piece of the King James Bible.
 *
 * A document depends on its spec, the template and the tokenizer alone. The design follows RULER (Hsieh et al. 2024,
 * arXiv:2404.06654): single needles of rising difficulty. Read-only once open: any number of threads. */
#ifndef QK_TEXT_HAYSTACK_H
#define QK_TEXT_HAYSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "text/tokenizer.h"

enum qk_needle_task {
    QK_NEEDLE_S1, /* noise and a 7-digit number */
    QK_NEEDLE_S2, /* prose and such a number */
    QK_NEEDLE_S3, /* prose and a UUID */
    QK_N_NEEDLE_TASKS
};
const char *qk_needle_task_name(enum qk_needle_task task);
const char *qk_needle_task_title(enum qk_needle_task task);
bool qk_needle_task_find(const char *name, enum qk_needle_task *ret);

struct qk_haystack;

/* template_path NULL: all built in. prose_path (may be NULL) takes the place of the template's haystack. QK_EFORMAT for
 * a template that is none. */
enum qk_code qk_haystack_open(const char *template_path, const char *prose_path, struct qk_haystack **ret,
                              struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_haystack_free(struct qk_haystack *haystack);
/* SHA-256 over all that documents are made of. */
const char *qk_haystack_sha256(const struct qk_haystack *haystack);

struct qk_needle_spec {
    enum qk_needle_task task;
    size_t length;          /* tokens, nominal */
    size_t depth, n_depths; /* place j of n */
    size_t sample;
    uint64_t seed;
};

struct qk_needle_case {
    size_t n_prompt, n_answer, n_end;
    const uint32_t *ids;             /* (n_prompt + n_answer + n_end) */
    size_t needle_start, needle_end; /* tokens of the needle in the prompt */
    size_t value_start, value_end;   /* those of its value */
    const char *key, *value;
    bool repeats; /* the prose was too short and was begun anew */
};

/* Memory from arena. QK_EUSAGE when the length has no room for the question and a sentence of hay. Cost: tokenising the
 * document two or three times. */
enum qk_code qk_haystack_make(const struct qk_haystack *haystack, const struct qk_tokenizer *tokenizer,
                              const struct qk_needle_spec *spec, struct qk_arena *arena, struct qk_needle_case *ret,
                              struct qk_err *err) QK_CHECKED;

#endif
