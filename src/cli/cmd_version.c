/* qkscope version: which libraries are really loaded, and what the CPU offers. */
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "base/str.h"
#include "cli/command.h"
#include "ckpt/json.h"
#include "num/blas.h"
#include "plot/plot.h"
#include "store/store.h"

/* One line of the report; value may be NULL: left out. */
struct fact {
    const char *key, *title, *value;
};

static void add_json(struct qk_str *out, const struct fact *facts, size_t n)
{
    qk_str_add(out, "{\n");
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "  \"%s\": ", facts[i].key);
        if (facts[i].value != NULL) {
            qk_str_add_json(out, facts[i].value);
        } else {
            qk_str_add(out, "null");
        }
        qk_str_add(out, i + 1 < n ? ",\n" : "\n");
    }
    qk_str_add(out, "}\n");
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    char gnuplot[128], threads[32];
    struct qk_err ignored;
    bool has_gnuplot = qk_plot_gnuplot_version(gnuplot, sizeof gnuplot, &ignored) == QK_OK;
    snprintf(threads, sizeof threads, "%zu", qk_cores_available());
    const struct fact facts[] = {
        {"qkscope", "qkscope", QK_VERSION},
        {"blas", "BLAS", qk_blas_config()},
        {"blas_core", "BLAS core", qk_blas_core()},
        {"blas_better_core", "better core", qk_blas_better_core()},
        {"hdf5", "HDF5", qk_store_hdf5_version()},
        {"gnuplot", "gnuplot", has_gnuplot ? gnuplot : NULL},
        {"cpu_features", "CPU features", qk_cpu_features()},
        {"threads", "threads", threads},
    };
    size_t n = sizeof facts / sizeof facts[0];
    struct qk_str out = {0};
    if (qk_cli_json(cli)) {
        add_json(&out, facts, n);
        return qk_cli_print_str(cli, &out, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (facts[i].value != NULL) {
            qk_str_addf(&out, "%-14s%s\n", facts[i].title, facts[i].value);
        }
    }
    if (!has_gnuplot) {
        qk_str_addf(&out, "%-14snot found: plot can only write scripts\n", "gnuplot");
    }
    return qk_cli_print_str(cli, &out, err);
}

const struct qk_command qk_cmd_version = {
    .name = "version",
    .summary = "versions of the libraries in use, BLAS kernels, CPU features",
    .description = "Prints what is really loaded, for reports and for finding out why a machine is slow.",
    .common = QK_COMMON_JSON,
    .run = run,
};
