/* Which figures are drawn for which checkpoints, and under what names. See plot/plot.h. */
#include "plot/plot.h"

#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/interrupt.h"
#include "base/str.h"
#include "figure.h"
#include "publish.h"
#include "run_view.h"
#include "sheet.h"

size_t qk_figure_count(void)
{
    return qk_figure_table_count;
}

const char *qk_figure_name(size_t i)
{
    return qk_figure_table[i]->name;
}

const char *qk_figure_title(size_t i)
{
    return qk_figure_table[i]->title;
}

const char *qk_figure_reading(size_t i)
{
    return qk_figure_table[i]->reading;
}

const char *qk_figure_caution(size_t i)
{
    return qk_figure_table[i]->caution;
}

static const char *group_of(const struct qk_figure *figure)
{
    return figure->group != NULL ? figure->group : "drift";
}

static bool any_finite(const struct qk_table *table, const char *group, const char *checkpoint,
                       const char *const *metrics)
{
    for (size_t i = 0; metrics[i] != NULL; i++) {
        struct qk_values values = qk_table_values(table, group, checkpoint, metrics[i]);
        if (qk_values_any_finite(&values)) {
            return true;
        }
    }
    return false;
}

static bool has_data(const struct qk_table *table, const struct qk_figure *figure, const char *checkpoint)
{
    if (figure->has_data != NULL) {
        return figure->has_data(table, checkpoint);
    }
    return any_finite(table, group_of(figure), checkpoint, figure->metrics) &&
           (figure->drift_too == NULL || any_finite(table, "drift", checkpoint, figure->drift_too));
}

bool qk_figure_has_data(const struct qk_table *table, size_t i)
{
    const struct qk_figure *figure = qk_figure_table[i];
    size_t n = 0, n_with = 0;
    const char *name;
    for (size_t at = 0; (name = qk_run_view_next(table, group_of(figure), &at)) != NULL;) {
        n++;
        n_with += has_data(table, figure, name);
    }
    return n_with > 0 && n >= figure->together;
}

/* The name as a part of file names: letters, digits, '.', '_', '-' stay, all else becomes '_'. A name ending like the
 * parts of a tex picture gets one more '_'. */
static void add_stem_part(struct qk_str *out, const char *name)
{
    for (const char *s = name; *s != '\0'; s++) {
        bool keep = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '.' ||
                    *s == '_' || *s == '-';
        qk_str_addc(out, keep ? *s : '_');
    }
    if (qk_str_ends(name, "-inc")) {
        qk_str_addc(out, '_');
    }
}

static bool same_part(const char *a, const char *b, bool *ret_failed)
{
    struct qk_str x = {0}, y = {0};
    add_stem_part(&x, a);
    add_stem_part(&y, b);
    *ret_failed |= x.failed || y.failed;
    bool same = x.s != NULL && y.s != NULL && strcmp(x.s, y.s) == 0;
    qk_str_release(&x);
    qk_str_release(&y);
    return same;
}

/* "figure", or "figure-checkpoint" when a run has several tuned checkpoints; "-checkpoint+2" where two names look the
 * same once they are safe. */
static enum qk_code make_stem(const struct qk_figure *figure, const struct qk_run_view *view, size_t checkpoint,
                              struct qk_str *ret, struct qk_err *err)
{
    qk_str_add(ret, figure->name);
    if (view->n_checkpoints > 1 && !figure->together) {
        size_t twins = 0;
        bool failed = false;
        for (size_t c = 0; c < checkpoint; c++) {
            twins += same_part(view->checkpoints[c], view->checkpoints[checkpoint], &failed);
        }
        qk_str_addc(ret, '-');
        add_stem_part(ret, view->checkpoints[checkpoint]);
        if (twins > 0) {
            qk_str_addf(ret, "+%zu", twins + 1);
        }
        ret->failed |= failed;
    }
    return ret->failed ? qk_fail_nomem(err, "name of a figure") : QK_OK;
}

struct job {
    const struct qk_plot_options *options;
    const struct qk_progress *progress;
    const char *formats[8];
    size_t n_formats;
    size_t n_files;
};

static enum qk_code draw_one(struct job *job, const struct qk_figure *figure, const struct qk_run_view *view,
                             const char *stem, struct qk_err *err)
{
    struct qk_sheet sheet;
    qk_sheet_init(&sheet, stem, figure->title, job->formats[0], job->options->double_column);
    enum qk_code code = figure->draw(&sheet, view, err);
    if (code == QK_OK) {
        code = qk_publish(&sheet, job->formats, job->n_formats, job->options, job->progress, &job->n_files, err);
    }
    if (code != QK_OK) {
        qk_err_context(err, "figure %s", figure->name);
    }
    qk_sheet_release(&sheet);
    return code;
}

/* "one of a, b in /group/NAME" */
static void add_wanted(struct qk_str *out, const char *const *metrics, const char *group, const char *checkpoint)
{
    for (size_t i = 0; metrics[i] != NULL; i++) {
        qk_str_addf(out, "%s%s", i > 0 ? ", " : "one of ", metrics[i]);
    }
    qk_str_addf(out, " in /%s/%s", group, checkpoint);
}

static enum qk_code fail_no_data(const struct qk_figure *figure, const struct qk_run_view *view, struct qk_err *err)
{
    if (view->n_checkpoints < figure->together && figure->together > 1) {
        return qk_fail(err, QK_EUSAGE, "figure %s: compares tuned checkpoints (expected at least %zu, found %zu)",
                       figure->name, figure->together, view->n_checkpoints);
    }
    if (figure->has_data != NULL) {
        return qk_fail(err, QK_EUSAGE, "figure %s: the run has no values for it (expected %s)", figure->name,
                       figure->needs);
    }
    const char *name = view->n_checkpoints > 0 ? view->checkpoints[0] : "NAME";
    struct qk_str wanted = {0};
    add_wanted(&wanted, figure->metrics, view->group, name);
    if (figure->drift_too != NULL) {
        qk_str_add(&wanted, " and ");
        add_wanted(&wanted, figure->drift_too, "drift", name);
    }
    enum qk_code code = wanted.failed ? qk_fail_nomem(err, "name of a figure")
                                      : qk_fail(err, QK_EUSAGE, "figure %s: the run has no values for it (expected %s)",
                                                figure->name, wanted.s);
    qk_str_release(&wanted);
    return code;
}

static enum qk_code draw_entries(struct job *job, const struct qk_figure *figure, struct qk_run_view *view, bool asked,
                                 struct qk_err *err)
{
    size_t n_drawn = 0;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        QK_TRY(qk_interrupt_check(err));
        bool enough = figure->together == 0 || (view->n_checkpoints >= figure->together && n_drawn == 0);
        if (!enough || !has_data(view->table, figure, view->checkpoints[c])) {
            continue;
        }
        view->current = c;
        struct qk_str stem = {0};
        enum qk_code code = make_stem(figure, view, c, &stem, err);
        if (code == QK_OK) {
            code = draw_one(job, figure, view, stem.s, err);
        }
        qk_str_release(&stem);
        QK_TRY(code);
        n_drawn++;
    }
    return asked && n_drawn == 0 ? fail_no_data(figure, view, err) : QK_OK;
}

static enum qk_code draw_figure(struct job *job, const struct qk_figure *figure, const struct qk_table *table,
                                bool asked, struct qk_err *err)
{
    struct qk_run_view view;
    QK_TRY(qk_run_view_init(table, group_of(figure), &view, err));
    enum qk_code code = draw_entries(job, figure, &view, asked, err);
    qk_run_view_release(&view);
    return code;
}

static enum qk_code find_figure(const char *name, const struct qk_figure **ret, struct qk_err *err)
{
    for (size_t i = 0; i < qk_figure_table_count; i++) {
        if (strcmp(qk_figure_table[i]->name, name) == 0) {
            *ret = qk_figure_table[i];
            return QK_OK;
        }
    }
    const char *names[32];
    size_t n = qk_figure_table_count < 32 ? qk_figure_table_count : 32;
    for (size_t i = 0; i < n; i++) {
        names[i] = qk_figure_table[i]->name;
    }
    (void)qk_fail(err, QK_EUSAGE, "unknown figure '%s'", name);
    const char *near = qk_nearest(name, names, n);
    if (near != NULL) {
        qk_err_hint(err, "did you mean %s?", near);
    } else {
        qk_err_hint(err, "plot --list names the figures");
    }
    return QK_EUSAGE;
}

static bool listed_before(const char *const *names, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(names[k], names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum qk_code draw_all(struct job *job, const struct qk_table *table, struct qk_err *err)
{
    const struct qk_plot_options *options = job->options;
    if (options->figures == NULL || options->n_figures == 0) {
        for (size_t i = 0; i < qk_figure_table_count; i++) {
            QK_TRY(draw_figure(job, qk_figure_table[i], table, false, err));
        }
        return QK_OK;
    }
    for (size_t i = 0; i < options->n_figures; i++) {
        const struct qk_figure *figure = NULL;
        QK_TRY(find_figure(options->figures[i], &figure, err)); /* all names before the first picture */
    }
    for (size_t i = 0; i < options->n_figures; i++) {
        const struct qk_figure *figure = NULL;
        QK_TRY(find_figure(options->figures[i], &figure, err));
        if (!listed_before(options->figures, i)) {
            QK_TRY(draw_figure(job, figure, table, true, err));
        }
    }
    return QK_OK;
}

static enum qk_code choose_formats(struct job *job, struct qk_err *err)
{
    static const char *const usual[] = {"pdf", "png"};
    bool given = job->options->formats != NULL && job->options->n_formats > 0;
    const char *const *formats = given ? job->options->formats : usual;
    size_t n = given ? job->options->n_formats : 2;
    QK_TRY(qk_publish_check_formats(formats, n, err));
    for (size_t i = 0; i < n; i++) {
        if (!listed_before(formats, i)) {
            job->formats[job->n_formats++] = formats[i];
        }
    }
    return QK_OK;
}

enum qk_code qk_plot(const struct qk_table *table, const struct qk_plot_options *options,
                     const struct qk_progress *progress, size_t *ret_n, struct qk_err *err)
{
    struct job job = {.options = options, .progress = progress};
    QK_TRY(choose_formats(&job, err));
    QK_TRY(draw_all(&job, table, err));
    if (ret_n != NULL) {
        *ret_n = job.n_files;
    }
    return QK_OK;
}

enum qk_code qk_plot_gnuplot_version(char *out, size_t cap, struct qk_err *err)
{
    static const char *const argv[] = {"gnuplot", "--version", NULL};
    char said[256];
    QK_TRY(qk_child_run(argv, NULL, 10, said, sizeof said, err));
    size_t n = strcspn(said, "\n");
    n = n < cap ? n : cap - 1;
    memcpy(out, said, n);
    out[n] = '\0';
    return QK_OK;
}
