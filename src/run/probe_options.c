/* Options of a probe run out of words, and whether a checkpoint can take the probes. */
#include <string.h>

#include "base/str.h"
#include "probe_run.h"

enum qk_code qk_probe_parse_queries(const char *text, struct qk_probe_options *options, struct qk_err *err)
{
    static const struct {
        const char *prefix;
        enum qk_query_rule rule;
    } rules[] = {{"last:", QK_QUERIES_LAST}, {"every:", QK_QUERIES_EVERY}};
    if (qk_streq(text, "all")) {
        options->queries = QK_QUERIES_ALL;
        return QK_OK;
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        uint64_t n;
        if (qk_str_starts(text, rules[i].prefix) && qk_parse_u64(text + strlen(rules[i].prefix), 1, UINT32_MAX, &n)) {
            options->queries = rules[i].rule;
            options->n_queries = (size_t)n;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EUSAGE, "--queries: '%s' (expected all, last:N or every:N, N ≥ 1)", text);
}

enum qk_code qk_probe_parse_shard(const char *text, struct qk_probe_options *options, struct qk_err *err)
{
    const char *slash = strchr(text, '/');
    char head[24];
    uint64_t i, n;
    size_t len = slash == NULL ? 0 : (size_t)(slash - text);
    if (len == 0 || len >= sizeof(head)) {
        return qk_fail(err, QK_EUSAGE, "--shard: '%s' (expected I/N, as in 1/4)", text);
    }
    memcpy(head, text, len);
    head[len] = '\0';
    if (!qk_parse_u64(slash + 1, 1, UINT32_MAX, &n) || !qk_parse_u64(head, 1, n, &i)) {
        return qk_fail(err, QK_EUSAGE, "--shard: '%s' (expected I/N with 1 ≤ I ≤ N, as in 1/4)", text);
    }
    options->shard = (size_t)i;
    options->n_shards = (size_t)n;
    return QK_OK;
}

bool qk_probe_has_sequence(const struct qk_probe_options *options, size_t sequence)
{
    return options->n_shards < 2 || sequence % options->n_shards == options->shard - 1;
}

enum qk_code qk_probe_check(const struct qk_run_input *input, const struct qk_probe_set *set,
                            const struct qk_progress *progress, struct qk_err *err)
{
    size_t vocab = input->model->vocab_size, context = input->model->max_position, n_long = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_probe_sequence *sequence = &set->sequences[i];
        for (size_t t = 0; t < sequence->n; t++) {
            if (sequence->ids[t] >= vocab) {
                return qk_fail(err, QK_EFORMAT,
                               "%s: line %zu: token %zu: id %lu is outside the vocabulary of '%s' (expected below %zu)",
                               set->path, sequence->line, t, (unsigned long)sequence->ids[t], input->name, vocab);
            }
        }
        n_long += context > 0 && sequence->n > context ? 1 : 0;
    }
    if (n_long > 0) {
        qk_progress_notice(progress,
                           "%s: %zu of %zu sequences are longer than the context that '%s' was made for (%zu tokens "
                           "against %zu)",
                           set->path, n_long, set->n, input->name, set->longest, context);
    }
    return QK_OK;
}
