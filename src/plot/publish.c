/* From a finished sheet to files: see publish.h. */
#include "publish.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/file.h"
#include "base/str.h"

struct picture_format {
    const char *name;
    const char *suffixes[3]; /* what one run of the script leaves, the picture itself first */
};

static const struct picture_format picture_formats[] = {
    {"pdf", {".pdf"}},
    {"svg", {".svg"}},
    {"png", {".png"}},
    {"tex", {".tex", "-inc.tex", "-inc.pdf"}},
};
enum { N_FORMATS = sizeof picture_formats / sizeof picture_formats[0] };

static const size_t max_picture_bytes = (size_t)256 << 20;
static const double timeout_s = 120;

static const struct picture_format *find_format(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (qk_streq(picture_formats[i].name, name)) {
            return &picture_formats[i];
        }
    }
    return NULL;
}

enum qk_code qk_publish_check_formats(const char *const *formats, size_t n, struct qk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (find_format(formats[i]) == NULL) {
            (void)qk_fail(err, QK_EUSAGE, "unknown picture format '%s'", formats[i]);
            qk_err_hint(err, "formats are pdf, svg, png and tex");
            return QK_EUSAGE;
        }
    }
    return QK_OK;
}

/* A stem and a suffix inside a directory; NULL when out of memory. */
static char *file_path(const char *dir, const char *stem, const char *suffix)
{
    struct qk_str name = {0};
    qk_str_add(&name, stem);
    qk_str_add(&name, suffix);
    char *path = name.failed ? NULL : qk_path_join(dir, name.s);
    qk_str_release(&name);
    return path;
}

static enum qk_code put_file(const char *dir, const char *stem, const char *suffix, bool force, const void *data,
                             size_t n, struct qk_err *err)
{
    char *path = file_path(dir, stem, suffix);
    if (path == NULL) {
        return qk_fail_nomem(err, "path of a figure");
    }
    enum qk_code code = qk_atomic_put(path, force, data, n, err);
    qk_free(path);
    return code;
}

/* Cairo stamps a PDF with the time of day: the same input would give other bytes. The stamp is overwritten by one of
 * the same length, so that no offset in the file moves. */
static void still_pdf_clock(char *data, size_t n)
{
    static const char key[] = "/CreationDate (D:", fixed[] = "19700101000000";
    char *at = memmem(data, n, key, strlen(key));
    if (at != NULL && strspn(at + strlen(key), "0123456789") >= strlen(fixed)) {
        memcpy(at + strlen(key), fixed, strlen(fixed));
    }
}

static enum qk_code move_picture(const char *work, const char *stem, const char *suffix,
                                 const struct qk_plot_options *options, struct qk_err *err)
{
    char *path = file_path(work, stem, suffix);
    if (path == NULL) {
        return qk_fail_nomem(err, "path of a figure");
    }
    char *data = NULL;
    size_t n = 0;
    enum qk_code code = qk_file_slurp(path, max_picture_bytes, &data, &n, err);
    if (code == QK_OK && n == 0) {
        code = qk_fail(err, QK_ECHILD, "gnuplot: wrote nothing into %s%s", stem, suffix);
    }
    if (code == QK_OK) {
        if (qk_str_ends(suffix, ".pdf")) {
            still_pdf_clock(data, n);
        }
        code = put_file(options->dir, stem, suffix, options->force, data, n, err);
    }
    qk_free(data);
    qk_free(path);
    return code;
}

static enum qk_code report_file(const char *stem, const char *suffix, const struct qk_plot_options *options,
                                const struct qk_progress *progress, struct qk_err *err)
{
    char *path = file_path(options->dir, stem, suffix);
    if (path == NULL) {
        return qk_fail_nomem(err, "path of a figure");
    }
    if (options->on_file != NULL) {
        options->on_file(options->on_file_ctx, path);
    } else {
        qk_progress_notice(progress, "wrote %s", path);
    }
    qk_free(path);
    return QK_OK;
}

static enum qk_code run_gnuplot(const struct qk_sheet *sheet, const char *work, const char *format,
                                const struct qk_progress *progress, struct qk_err *err)
{
    struct qk_str choice = {0}, script = {0};
    qk_str_addf(&choice, "format='%s'", format);
    qk_str_addf(&script, "%s.gp", sheet->stem);
    if (choice.failed || script.failed) {
        qk_str_release(&choice);
        qk_str_release(&script);
        return qk_fail_nomem(err, "gnuplot's command line");
    }
    /* -d: no start-up files of the user, which could change the picture */
    const char *argv[] = {"gnuplot", "-d", "-e", choice.s, script.s, NULL};
    char said[4096];
    enum qk_code code = qk_child_run(argv, work, timeout_s, said, sizeof said, err);
    if (code == QK_ECHILD) {
        qk_err_context(err, "%s", script.s);
        if (err != NULL && err->hint[0] != '\0') {
            qk_err_hint(err, "figures need gnuplot 5.4 or later (Debian: gnuplot-nox); --script-only does without");
        }
    } else if (code == QK_OK && said[0] != '\0') {
        said[strcspn(said + strspn(said, "\n "), "\n") + strspn(said, "\n ")] = '\0';
        qk_progress_notice(progress, "gnuplot on %s: %s", script.s, said + strspn(said, "\n "));
    }
    qk_str_release(&choice);
    qk_str_release(&script);
    return code;
}

/* Existing files are refused before any work is done. */
static enum qk_code check_absent(const struct qk_sheet *sheet, const char *const *suffixes, size_t n,
                                 const struct qk_plot_options *options, struct qk_err *err)
{
    for (size_t i = 0; i < n && !options->force; i++) {
        char *path = file_path(options->dir, sheet->stem, suffixes[i]);
        if (path == NULL) {
            return qk_fail_nomem(err, "path of a figure");
        }
        enum qk_code code = QK_OK;
        if (qk_path_exists(path)) {
            code = qk_fail(err, QK_EUSAGE, "%s: exists already", path);
            qk_err_hint(err, "--force overwrites");
        }
        qk_free(path);
        QK_TRY(code);
    }
    return QK_OK;
}

static void remove_work(char *work)
{
    DIR *dir = opendir(work);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (!qk_streq(entry->d_name, ".") && !qk_streq(entry->d_name, "..")) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(work);
}

static enum qk_code draw_in(const struct qk_sheet *sheet, const struct qk_str *script, const char *work,
                            const char *const *formats, size_t n_formats, const struct qk_plot_options *options,
                            const struct qk_progress *progress, size_t *n_files, struct qk_err *err)
{
    QK_TRY(put_file(work, sheet->stem, ".gp", true, script->s, script->len, err));
    QK_TRY(put_file(work, sheet->stem, ".dat", true, sheet->data.s, sheet->data.len, err));
    for (size_t i = 0; i < n_formats; i++) {
        QK_TRY(run_gnuplot(sheet, work, formats[i], progress, err));
    }
    QK_TRY(move_picture(work, sheet->stem, ".dat", options, err));
    QK_TRY(move_picture(work, sheet->stem, ".gp", options, err));
    for (size_t i = 0; i < n_formats; i++) {
        const struct picture_format *format = find_format(formats[i]);
        for (size_t k = 0; k < 3 && format->suffixes[k] != NULL; k++) {
            QK_TRY(move_picture(work, sheet->stem, format->suffixes[k], options, err));
        }
        QK_TRY(report_file(sheet->stem, format->suffixes[0], options, progress, err));
        (*n_files)++;
    }
    return QK_OK;
}

static enum qk_code publish_script(const struct qk_sheet *sheet, const struct qk_str *script,
                                   const struct qk_plot_options *options, const struct qk_progress *progress,
                                   size_t *n_files, struct qk_err *err)
{
    QK_TRY(put_file(options->dir, sheet->stem, ".dat", options->force, sheet->data.s, sheet->data.len, err));
    QK_TRY(put_file(options->dir, sheet->stem, ".gp", options->force, script->s, script->len, err));
    (*n_files)++;
    return report_file(sheet->stem, ".gp", options, progress, err);
}

static enum qk_code publish(const struct qk_sheet *sheet, const struct qk_str *script, const char *const *formats,
                            size_t n_formats, const struct qk_plot_options *options, const struct qk_progress *progress,
                            size_t *n_files, struct qk_err *err)
{
    static const char *const always[] = {".gp", ".dat"};
    QK_TRY(check_absent(sheet, always, 2, options, err));
    QK_TRY(qk_mkdirs(options->dir, err));
    if (options->script_only) {
        return publish_script(sheet, script, options, progress, n_files, err);
    }
    for (size_t i = 0; i < n_formats; i++) {
        const struct picture_format *format = find_format(formats[i]);
        size_t n = 0;
        while (n < 3 && format->suffixes[n] != NULL) {
            n++;
        }
        QK_TRY(check_absent(sheet, format->suffixes, n, options, err));
    }
    char *work = qk_path_join(options->dir, ".qkscope-plot-XXXXXX");
    if (work == NULL) {
        return qk_fail_nomem(err, "path of a figure");
    }
    enum qk_code code;
    if (mkdtemp(work) == NULL) {
        code = qk_fail_errno(err, options->dir, "make a temporary directory in");
    } else {
        code = draw_in(sheet, script, work, formats, n_formats, options, progress, n_files, err);
        remove_work(work);
    }
    qk_free(work);
    return code;
}

enum qk_code qk_publish(const struct qk_sheet *sheet, const char *const *formats, size_t n_formats,
                        const struct qk_plot_options *options, const struct qk_progress *progress, size_t *n_files,
                        struct qk_err *err)
{
    struct qk_str script = {0};
    enum qk_code code = qk_sheet_script(sheet, &script, err);
    if (code == QK_OK) {
        code = publish(sheet, &script, formats, n_formats, options, progress, n_files, err);
    }
    qk_str_release(&script);
    return code;
}
