/* The file beside an output in which recommend --measure keeps what it has measured: OUT.part, one JSON object a line,
 *
 *   {"format": "qkscope-measure", "version": 1, "config": SHA-256}
 *   {"variant": "plan: 5 restore", "hit": "0110…", "logprob": [−1.5, …]}
 *
 * hit and logprob in the order of the cases, recall first. A line is written in one go as soon as a variant is
 * measured; one that was cut off in the middle is dropped. --resume goes on where the file has the same configuration.
 */
#ifndef QK_CLI_RECOMMEND_MEASURE_LOG_H
#define QK_CLI_RECOMMEND_MEASURE_LOG_H

#include "cli/command.h"
#include "run/outcomes.h"

struct qk_measure_log {
    struct qk_cli *cli;
    const char *path; /* NULL: nothing is kept */
    int fd;           /* −1: not open */
    size_t n_lines, n_used, n_added;
    const struct qk_measure_log_line *lines;
};

/* output NULL: nothing is kept. With --resume what is there is read; QK_EMISMATCH when its configuration differs. */
enum qk_code qk_measure_log_open(struct qk_cli *cli, const char *output, const char *config, struct qk_measure_log *ret,
                                 struct qk_err *err) QK_CHECKED;
void qk_measure_log_close(struct qk_measure_log *log);
bool qk_measure_log_find(struct qk_measure_log *log, const char *variant, struct qk_outcome *ret);
enum qk_code qk_measure_log_add(struct qk_measure_log *log, const char *variant, const struct qk_outcome *outcome,
                                struct qk_err *err) QK_CHECKED;
/* The command failed: a hint says where the finished variants are; where there are none, the file goes. */
void qk_measure_log_hint(struct qk_measure_log *log, struct qk_err *err);
/* The output is there. */
void qk_measure_log_remove(struct qk_measure_log *log);

#endif
