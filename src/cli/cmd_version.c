/* qkscope version: which libraries are really loaded, and what the CPU offers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/str.h"
#include "cli_state.h"
#include "loaded_libraries.h"
#include "num/blas.h"
#include "plot/plot.h"
#include "store/store.h"

/* One line of the report; a NULL or empty value is left out of the text and null in JSON. */
struct fact {
    const char *key, *title, *value;
};

enum { PATH_CAP = 1024 };

static bool known(const struct fact *fact)
{
    return fact->value != NULL && fact->value[0] != 0;
}

static void add_json(struct qk_str *out, const struct fact *facts, size_t n)
{
    qk_str_add(out, "{\n");
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "  \"%s\": ", facts[i].key);
        if (known(&facts[i])) {
            qk_str_add_json(out, facts[i].value);
        } else {
            qk_str_add(out, "null");
        }
        qk_str_add(out, i + 1 < n ? ",\n" : "\n");
    }
    qk_str_add(out, "}\n");
}

static void add_text(struct qk_str *out, const struct fact *facts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (known(&facts[i])) {
            qk_str_addf(out, "%-16s%s\n", facts[i].title, facts[i].value);
        }
    }
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    char gnuplot[128], threads[32], unaided[128] = "";
    char openblas[PATH_CAP], lapack[PATH_CAP], lapacke[PATH_CAP], hdf5[PATH_CAP], cjson[PATH_CAP];
    struct qk_err ignored;
    bool has_gnuplot = qk_plot_gnuplot_version(gnuplot, sizeof gnuplot, &ignored) == QK_OK;
    snprintf(threads, sizeof threads, "%zu", qk_cores_available());
    if (getenv(QK_CORE_MARKER) != NULL) {
        snprintf(unaided, sizeof unaided, "%s: too new a CPU for this OpenBLAS", getenv(QK_CORE_MARKER));
    }
    qk_loaded_library("blas", openblas, sizeof openblas);
    qk_loaded_library("liblapack.", lapack, sizeof lapack);
    qk_loaded_library("liblapacke", lapacke, sizeof lapacke);
    qk_loaded_library("hdf5_serial.", hdf5, sizeof hdf5);
    if (hdf5[0] == 0) {
        qk_loaded_library("libhdf5.", hdf5, sizeof hdf5);
    }
    qk_loaded_library("cjson", cjson, sizeof cjson);
    const struct fact facts[] = {
        {"qkscope", "qkscope", QK_VERSION},
        {"blas", "BLAS", qk_blas_config()},
        {"blas_library", "", openblas},
        {"blas_core", "BLAS core", qk_blas_core()},
        {"blas_core_unaided", "  by itself", unaided},
        {"lapack_library", "LAPACK", lapack[0] != 0 ? lapack : openblas},
        {"lapacke_library", "LAPACKE", lapacke[0] != 0 ? lapacke : openblas},
        {"hdf5", "HDF5", qk_store_hdf5_version()},
        {"hdf5_library", "", hdf5},
        {"cjson_library", "cJSON", cjson},
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
    add_text(&out, facts, n);
    if (!has_gnuplot) {
        qk_str_addf(&out, "%-16snot found: plot can only write scripts\n", "gnuplot");
    }
    return qk_cli_print_str(cli, &out, err);
}

static const char *const examples[] = {
    "qkscope version",
    "What to put into a bug report.",
    "qkscope version --json",
    "The same for scripts; what was not found is null.",
    NULL,
};

const struct qk_command qk_cmd_version = {
    .name = "version",
    .summary = "versions of the libraries in use, BLAS kernels, CPU features",
    .description =
        "Prints what is really loaded, for reports and for finding out why a machine is slow. The BLAS library follows "
        "the system's choice of alternatives, which need not be the one it was built with.\n\n"
        "An OpenBLAS that is older than the CPU falls back to its oldest kernels, at a fraction of the speed. Commands "
        "that compute then restart themselves with the kernels that this CPU can run (OPENBLAS_CORETYPE, unless it is "
        "set already). 'BLAS core' names those in use, the line below it what the library had chosen by itself.",
    .common = QK_COMMON_JSON,
    .examples = examples,
    .run = run,
    .best_kernels = true,
};
