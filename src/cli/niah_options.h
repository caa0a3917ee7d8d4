/* The options that say which needle-in-a-haystack cases, in niah and in probe --niah. */
#ifndef QK_CLI_NIAH_OPTIONS_H
#define QK_CLI_NIAH_OPTIONS_H

#include "cli/command.h"
#include "run/niah.h"

/* Rows of an option table; the arguments are the defaults as text. They come without a default in the table, so that a
 * command can tell whether one was given: the reader below fills it in. */
#define QK_NIAH_OPTION_ROWS(lengths, depths)                                                                           \
    {.name = "tasks",                                                                                                  \
     .kind = QK_OPT_LIST,                                                                                              \
     .arg = "TASK,…",                                                                                                  \
     .help = "s1: a number in repeated noise sentences; s2: a number in prose; s3: a UUID in prose. Default: all."},   \
        {.name = "lengths",                                                                                            \
         .kind = QK_OPT_LIST,                                                                                          \
         .arg = "N,…",                                                                                                 \
         .help = "Lengths of the documents in tokens, question and answer included: 512, 2k (2048). Default: " lengths \
                 "."},                                                                                                 \
        {.name = "depths",                                                                                             \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .help = "Places of the needle, spread evenly from the beginning to the end. Default: " depths "."},           \
        {.name = "samples",                                                                                            \
         .kind = QK_OPT_COUNT,                                                                                         \
         .arg = "N",                                                                                                   \
         .help = "Documents per task, length and depth. Default: 1."},                                                 \
        {.name = "seed", .kind = QK_OPT_COUNT, .arg = "N", .help = "Other documents for another number. Default: 1."}, \
        {.name = "template",                                                                                           \
         .kind = QK_OPT_PATH,                                                                                          \
         .arg = "FILE",                                                                                                \
         .help = "JSON with needle, question, answer, end, noise, keys, haystack (see qkscope niah -h). Default: a "   \
                 "built-in one."},                                                                                     \
    {                                                                                                                  \
        .name = "haystack", .kind = QK_OPT_PATH, .arg = "FILE",                                                        \
        .help = "Prose to hide needles in, instead of the template's."                                                 \
    }

/* Whether one of them was given. */
const char *qk_niah_option_given(const struct qk_cli *cli);
/* The grid that they describe, with these defaults ("512,1k", "10"). */
enum qk_code qk_niah_read_grid(struct qk_cli *cli, const char *lengths, size_t depths, struct qk_niah_grid *ret,
                               struct qk_err *err) QK_CHECKED;

#endif
