/* Sizes of a diagnosis: see diagnose_sizes.h. */
#include "diagnose_sizes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Models that niah and eval run: base, tuned, restored; those that are probed: the base with either. Controls and
 * held-out variants of recommend --measure. Variants start at their lowest changed layer, halfway up on average. A
 * missed answer is decoded on, which costs as much again. */
enum { N_MODELS = 3, N_PROBED = 4, N_CONTROLS = 12, N_PROVED = 4 };
static const double share_of_layers = 0.6, with_decoding = 1.5;

static const struct qk_diagnose_size sizes[] = {
    {"xs", "s1,s2,s3", "256,512", 4, 1, "512", 4, "512", 8, 1, 8, 8},
    {"s", "s1,s2,s3", "512,1k", 6, 1, "1k", 6, "512,1k", 6, 1, 8, 16},
    {"m", "s1,s2,s3", "512,1k,2k", 8, 1, "2k", 8, "512,1k", 12, 1, 16, 40},
    {"l", "s1,s2,s3", "512,1k,2k,4k", 10, 1, "2k", 16, "512,1k,2k", 12, 1, 24, 60},
    {"xl", "s1,s2,s3", "512,1k,2k,4k,8k", 10, 3, "4k", 24, "512,1k,2k,4k", 12, 1, 32, 100},
};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* "512", "2k"; other words were refused by the commands that take them. */
static double length_of(const char *word)
{
    char *end;
    double n = strtod(word, &end);
    return *end == 'k' || *end == 'K' ? 1024.0 * n : *end == 'm' || *end == 'M' ? 1048576.0 * n : n;
}

/* Number and sum of the lengths of a list. */
static double sum_of(const char *lengths, size_t *ret_n)
{
    double sum = 0.0;
    size_t n = 0;
    for (const char *at = lengths; at != NULL && *at != '\0'; n++) {
        sum += length_of(at);
        at = strchr(at, ',');
        at = at != NULL ? at + 1 : NULL;
    }
    *ret_n = n;
    return sum;
}

static size_t count_words(const char *list)
{
    size_t n = 0;
    (void)sum_of(list, &n);
    return n;
}

size_t qk_diagnose_n_sizes(void)
{
    return N_SIZES;
}

const struct qk_diagnose_size *qk_diagnose_size_find(const char *name)
{
    for (size_t i = 0; i < N_SIZES; i++) {
        if (qk_streq(sizes[i].name, name)) {
            return &sizes[i];
        }
    }
    return NULL;
}

double qk_diagnose_size_tokens(const struct qk_diagnose_size *size, double reasoning_tokens)
{
    size_t n;
    double niah = sum_of(size->lengths, &n) * (double)(count_words(size->tasks) * size->depths * size->samples);
    double probe = length_of(size->probe_length) * (double)size->probes;
    double lengths = sum_of(size->measure_lengths, &n);
    double cases = lengths * (double)(size->measure_depths * size->measure_samples) + 0.25 * reasoning_tokens;
    double proof = N_PROVED * (lengths * (double)size->test_samples + reasoning_tokens);
    return with_decoding * N_MODELS * (niah + reasoning_tokens) + N_PROBED * probe + proof +
           share_of_layers * (double)(N_CONTROLS + size->passes) * cases;
}

const struct qk_diagnose_size *qk_diagnose_size_within(double tokens, double reasoning_tokens)
{
    size_t i = N_SIZES - 1;
    while (i > 0 && qk_diagnose_size_tokens(&sizes[i], reasoning_tokens) > tokens) {
        i--;
    }
    return &sizes[i];
}

const char *qk_diagnose_lengths_within(const char *lengths, size_t longest, struct qk_arena *arena)
{
    struct qk_str kept = {0};
    for (const char *at = lengths; longest > 0 && at != NULL;) {
        size_t n = strcspn(at, ",");
        if (length_of(at) <= (double)longest) {
            qk_str_add(&kept, kept.len > 0 ? "," : "");
            qk_str_addn(&kept, at, n);
        }
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    const char *ret = kept.failed ? NULL
                      : kept.len > 0
                          ? qk_arena_strdup(arena, kept.s)
                          : qk_arena_strndup(arena, lengths, longest > 0 ? strcspn(lengths, ",") : strlen(lengths));
    qk_str_release(&kept);
    return ret;
}

void qk_diagnose_size_add(const struct qk_diagnose_size *size, struct qk_str *out)
{
    size_t cases = count_words(size->tasks) * count_words(size->lengths) * size->depths * size->samples;
    qk_str_addf(
        out,
        "recall of %zu cases per checkpoint (%s at %s tokens), attention on %zu probes of %s, a choice among up "
        "to %zu measured variants",
        cases, size->tasks, size->lengths, size->probes, size->probe_length, size->passes);
}
