/* Reading the options of needle-in-a-haystack cases: see niah_options.h. */
#include "niah_options.h"

#include <string.h>

#include "base/str.h"

enum { MAX_WORDS = 64 };

static const char *const option_names[] = {"tasks", "lengths", "depths", "samples", "seed", "template", "haystack"};

const char *qk_niah_option_given(const struct qk_cli *cli)
{
    for (size_t i = 0; i < sizeof option_names / sizeof option_names[0]; i++) {
        if (qk_cli_value(cli, option_names[i]) != NULL) {
            return option_names[i];
        }
    }
    return NULL;
}

/* The words of a list option, or those of its default. */
static enum qk_code words_of(struct qk_cli *cli, const char *name, const char *dflt, const char *const **ret,
                             size_t *ret_n, struct qk_err *err)
{
    size_t n = qk_cli_list(cli, name, ret);
    const char **words = n > 0 ? NULL : qk_arena_alloc(qk_cli_arena(cli), MAX_WORDS, sizeof *words);
    if (n == 0 && words == NULL) {
        return qk_fail_nomem(err, name);
    }
    for (const char *at = dflt; words != NULL && at != NULL && n < MAX_WORDS;) {
        const char *comma = strchr(at, ',');
        words[n] = qk_arena_strndup(qk_cli_arena(cli), at, comma == NULL ? strlen(at) : (size_t)(comma - at));
        if (words[n++] == NULL) {
            return qk_fail_nomem(err, name);
        }
        at = comma == NULL ? NULL : comma + 1;
    }
    *ret = words != NULL ? words : *ret;
    *ret_n = n;
    return QK_OK;
}

static size_t count_or(const struct qk_cli *cli, const char *name, size_t dflt)
{
    return qk_cli_value(cli, name) != NULL ? qk_cli_count(cli, name) : dflt;
}

enum qk_code qk_niah_read_grid(struct qk_cli *cli, const char *lengths, size_t depths, struct qk_niah_grid *ret,
                               struct qk_err *err)
{
    struct qk_niah_grid grid = {.n_depths = count_or(cli, "depths", depths),
                                .n_samples = count_or(cli, "samples", 1),
                                .seed = count_or(cli, "seed", 1),
                                .template_path = qk_cli_value(cli, "template"),
                                .prose_path = qk_cli_value(cli, "haystack")};
    const char *const *words;
    size_t n;
    QK_TRY(words_of(cli, "tasks", "s1,s2,s3", &words, &n, err));
    QK_TRY(qk_niah_parse_tasks(words, n, &grid, err));
    QK_TRY(words_of(cli, "lengths", lengths, &words, &n, err));
    QK_TRY(qk_niah_parse_lengths(words, n, &grid, err));
    const char *const files[] = {grid.template_path, grid.prose_path};
    for (size_t i = 0; i < 2; i++) {
        QK_TRY(files[i] == NULL ? QK_OK : qk_cli_guard_input(cli, files[i], err));
    }
    *ret = grid;
    return QK_OK;
}
