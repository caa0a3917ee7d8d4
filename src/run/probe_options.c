/* Options of a probe run out of words, what of it an interrupted run left, and whether a checkpoint can take the
 * probes. */
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
        if (qk_str_starts(text, rules[i].prefix) && qk_parse_size(text + strlen(rules[i].prefix), 1, UINT32_MAX, &n)) {
            options->queries = rules[i].rule;
            options->n_queries = (size_t)n;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EUSAGE, "--queries: '%s' (expected all, last:N or every:N, N ≥ 1)", text);
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

enum qk_code qk_probe_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                             size_t n, size_t n_sequences, const struct qk_probe_options *options, size_t *ret_done,
                             struct qk_err *err)
{
    return qk_part_list_resume(table, partial, inputs, n, &qk_probe_part, n_sequences, &options->shard, ret_done, err);
}
