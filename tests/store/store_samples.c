/* For the checks in Python: writes a run file and its exports, or reads any file and prints what came of it. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/store.h"
#include "synthetic_run.h"

static int fail_with(const struct qk_err *err)
{
    printf("%d\t%s\t%s\n", (int)err->code, err->text, err->hint);
    return 1;
}

typedef enum qk_code (*exporter)(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                                 struct qk_err *err);

static enum qk_code list(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                         struct qk_err *err)
{
    (void)missing;
    return qk_export_list(table, glob, out, err);
}

static enum qk_code matrix(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                           struct qk_err *err)
{
    (void)missing;
    return qk_export_matrix(table, glob, out, err);
}

static const struct sample {
    const char *file, *glob;
    bool missing;
    exporter export;
} samples[] = {
    {"all.tsv", NULL, false, qk_export_tsv},
    {"missing.tsv", NULL, true, qk_export_tsv},
    {"all.json", NULL, false, qk_export_json},
    {"missing.json", NULL, true, qk_export_json},
    {"rel.tsv", "q_rel_*", true, qk_export_tsv},
    {"state.tsv", "drift/*/q_rel_drift_state", false, qk_export_tsv},
    {"list.tsv", NULL, false, list},
    {"matrix.tsv", "/drift/sft/q_rel_drift", false, matrix},
};

static enum qk_code write_sample(const struct qk_table *table, const char *directory, const struct sample *sample,
                                 struct qk_err *err)
{
    struct qk_str out = {0};
    char *file = qk_path_join(directory, sample->file);
    enum qk_code code = sample->export(table, sample->glob, sample->missing, &out, err);
    if (code == QK_OK) {
        code = qk_atomic_put(file, true, out.s, out.len, err);
    }
    qk_str_release(&out);
    qk_free(file);
    return code;
}

/* Runs over layer ranges of the same pair, for merge. */
static const struct range {
    const char *file, *options;
    size_t first, last;
} ranges[] = {
    {"whole.h5", "all", 0, 5},
    {"low.h5", "all", 0, 2},
    {"high.h5", "all", 3, 5},
    {"other.h5", "kinds=full", 3, 5},
};

static enum qk_code write_range(const char *directory, const struct range *range, struct qk_err *err)
{
    struct synthetic_run run = synthetic_whole();
    run.first = range->first;
    run.last = range->last;
    run.options = range->options;
    struct qk_table *table = synthetic_table(&run);
    char *path = qk_path_join(directory, range->file);
    enum qk_code code = qk_store_write(table, path, true, err);
    qk_free(path);
    qk_table_free(table);
    return code;
}

static int write_samples(const char *directory)
{
    struct qk_err err = {0};
    struct synthetic_run run = synthetic_whole();
    run.last = 4;
    struct qk_table *table = synthetic_table(&run);
    char *path = qk_path_join(directory, "run.h5");
    enum qk_code code = qk_store_write(table, path, true, &err);
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]) && code == QK_OK; i++) {
        code = write_sample(table, directory, &samples[i], &err);
    }
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && code == QK_OK; i++) {
        code = write_range(directory, &ranges[i], &err);
    }
    qk_free(path);
    qk_table_free(table);
    return code == QK_OK ? 0 : fail_with(&err);
}

static int read_back(const char *path)
{
    struct qk_err err = {0};
    struct qk_table *table;
    if (qk_store_read(path, &table, &err) != QK_OK) {
        return fail_with(&err);
    }
    printf("0\t%zu nodes\t\n", table->n_nodes);
    qk_table_free(table);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: store_samples write DIR | read FILE\n", stderr);
        return 2;
    }
    return strcmp(argv[1], "write") == 0 ? write_samples(argv[2]) : read_back(argv[2]);
}
