/* recommend --measure: from options to a measured plan. Private to src/cli. */
#ifndef QK_CLI_RECOMMEND_MEASURE_H
#define QK_CLI_RECOMMEND_MEASURE_H

#include "analyses/table.h"
#include "cli/command.h"

#define QK_MEASURE_LENGTHS      "512,1k,2k"
#define QK_MEASURE_DEPTHS       12
#define QK_MEASURE_TEST_SAMPLES 32

/* Rows of recommend's option table. */
#define QK_RECOMMEND_MEASURE_ROWS                                                                                      \
    {.name = "measure",                                                                                                \
     .kind = QK_OPT_FLAG,                                                                                              \
     .help = "Choose by running patched models: needs --base and --tuned; RUN.h5 may be left out, else its scores "    \
             "order the search."},                                                                                     \
        {.name = "base", .kind = QK_OPT_PATH, .arg = "CKPT", .help = "With --measure: the base checkpoint."},          \
        {.name = "tuned",                                                                                              \
         .kind = QK_OPT_PATH,                                                                                          \
         .arg = "CKPT",                                                                                                \
         .help = "With --measure: the tuned checkpoint, or a PEFT adapter of the base."},                              \
        {.name = "max-reasoning-loss",                                                                                 \
         .kind = QK_OPT_NUMBER,                                                                                        \
         .arg = "POINTS",                                                                                              \
         .dflt = "3",                                                                                                  \
         .help = "With --measure: at most so many percent of the problems may be lost against the tuned checkpoint."}, \
        {.name = "reasoning",                                                                                          \
         .kind = QK_OPT_PATH,                                                                                          \
         .arg = "FILE",                                                                                                \
         .help = "Problems to hold reasoning by, one JSON object a line: {\"prompt\", \"answer\"}. Without "           \
                 "--reasoning-test every second one is held out."},                                                    \
        {.name = "reasoning-test",                                                                                     \
         .kind = QK_OPT_PATH,                                                                                          \
         .arg = "FILE",                                                                                                \
         .help = "Problems to prove the plan by, never used to choose."},                                              \
        {.name = "tasks",                                                                                              \
         .kind = QK_OPT_LIST,                                                                                          \
         .arg = "TASK,…",                                                                                              \
         .help = "Recall tasks to choose and prove by: s1, s2, s3. Default: the one of the three on which a quick "    \
                 "look finds the largest loss."},                                                                      \
        {.name = "lengths",                                                                                            \
         .kind = QK_OPT_LIST,                                                                                          \
         .arg = "N,…",                                                                                                 \
         .help = "Lengths of the documents in tokens. Default: " QK_MEASURE_LENGTHS                                    \
                 ", as far as the model was made for them."},                                                          \
        {.name = "depths",                                                                                             \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .help = "Places of the needle per length in the cases to choose by. Default: 12."},                           \
        {.name = "samples",                                                                                            \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .help = "Documents per task, length and depth in the cases to choose by. Default: 1."},                       \
        {.name = "test-samples",                                                                                       \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .dflt = "32",                                                                                                 \
         .help = "Held-out documents per task and length, each with the needle at another depth."},                    \
        {.name = "seed",                                                                                               \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .help = "Other documents for another number; held-out ones have a seed of their own. Default: 1."},           \
        {.name = "template",                                                                                           \
         .kind = QK_OPT_PATH,                                                                                          \
         .arg = "FILE",                                                                                                \
         .help = "JSON with needle, question, answer, end, noise, keys, haystack (see qkscope niah -h). Default: a "   \
                 "built-in one."},                                                                                     \
        {.name = "haystack",                                                                                           \
         .kind = QK_OPT_PATH,                                                                                          \
         .arg = "FILE",                                                                                                \
         .help = "Prose to hide needles in, instead of the template's."},                                              \
        {.name = "budget-passes",                                                                                      \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .dflt = "150",                                                                                                \
         .help = "Variants measured in the search at most, each a forward pass over the cases."},                      \
        {.name = "budget-minutes",                                                                                     \
         .kind = QK_OPT_NUMBER,                                                                                        \
         .arg = "M",                                                                                                   \
         .help =                                                                                                       \
             "The search ends so that all is done in about M minutes; what is chosen then depends on the machine."},   \
    {                                                                                                                  \
        .name = "exhaustive", .kind = QK_OPT_FLAG,                                                                     \
        .help = "Instead of searching, measure every set of units, restored or not; at most 10 units, "                \
                "and no more sets than --budget-passes."                                                               \
    }

/* The command with --measure. table: the run of RUN.h5, or NULL. */
enum qk_code qk_recommend_measured(struct qk_cli *cli, struct qk_table *table, struct qk_err *err) QK_CHECKED;
/* QK_EUSAGE for options that have no meaning with --measure, resp. without it. */
enum qk_code qk_recommend_measure_check(const struct qk_cli *cli, struct qk_err *err) QK_CHECKED;

#endif
