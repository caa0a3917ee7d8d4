/* Progress on standard error: see terminal_progress.h. */
#include "terminal_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/str.h"

/* Seconds: work that ends before first_draw shows nothing; then a redraw, resp. a log line, at most this often. */
static const double first_draw = 0.5, redraw_every = 0.1, log_every = 10.0;

unsigned qk_terminal_columns(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 0;
}

void qk_terminal_progress_init(struct qk_terminal_progress *bar, enum qk_progress_mode mode, bool quiet)
{
    memset(bar, 0, sizeof *bar);
    const char *term = getenv("TERM");
    bar->mode = mode;
    bar->quiet = quiet;
    bar->terminal = isatty(STDERR_FILENO) == 1 && term != NULL && !qk_streq(term, "dumb");
    atomic_flag_clear(&bar->busy);
}

static void add_duration(struct qk_str *line, double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600) {
        qk_str_addf(line, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    } else {
        qk_str_addf(line, "%lu:%02lu", s / 60, s % 60);
    }
}

static void add_rate(struct qk_str *line, const char *unit, double per_second)
{
    if (qk_streq(unit, "bytes")) {
        qk_str_add_bytes(line, (uint64_t)per_second);
        qk_str_add(line, "/s, ");
    } else {
        qk_str_addf(line, "%.*f %s/s, ", per_second < 10 ? 1 : 0, per_second, unit);
    }
}

/* "42 %, 3.1 heads/s, 0:12 left, layer 7" */
static void add_numbers(const struct qk_terminal_progress *bar, struct qk_str *line, double now, uint64_t done,
                        uint64_t total, const char *label)
{
    double share = total == 0 ? 1 : (double)done / (double)total, spent = now - bar->started;
    qk_str_addf(line, "%3.0f %%, ", 100 * share);
    if (bar->unit != NULL && spent > 0) {
        add_rate(line, bar->unit, (double)done / spent);
    }
    if (done >= total) {
        add_duration(line, spent);
        qk_str_add(line, " in all");
    } else if (share > 0) {
        add_duration(line, spent * (1 - share) / share);
        qk_str_add(line, " left");
    } else {
        qk_str_add(line, "starting");
    }
    if (label != NULL && label[0] != 0) {
        qk_str_addf(line, ", %s", label);
    }
}

static void draw_bar(struct qk_terminal_progress *bar, double now, uint64_t done, uint64_t total, const char *label)
{
    enum { CELLS = 24 };
    struct qk_str line = {0};
    size_t filled = total == 0 ? CELLS : (size_t)((double)done / (double)total * CELLS);
    qk_str_addc(&line, '[');
    for (size_t i = 0; i < CELLS; i++) {
        qk_str_addc(&line, i < filled ? '#' : '.');
    }
    qk_str_add(&line, "] ");
    add_numbers(bar, &line, now, done, total, label);
    if (!line.failed) {
        unsigned columns = qk_terminal_columns(STDERR_FILENO);
        int width = (int)(columns > 1 ? columns - 1 : 79);
        fprintf(stderr, "\r%.*s\033[K", width, line.s);
        fflush(stderr);
        bar->visible = true;
    }
    qk_str_release(&line);
}

static void log_line(struct qk_terminal_progress *bar, double now, uint64_t done, uint64_t total, const char *label)
{
    struct qk_str line = {0};
    add_numbers(bar, &line, now, done, total, label);
    if (!line.failed) {
        fprintf(stderr, "qkscope: progress: %s\n", line.s + strspn(line.s, " "));
    }
    qk_str_release(&line);
}

static void update_locked(struct qk_terminal_progress *bar, uint64_t done, uint64_t total, const char *label)
{
    double now = qk_seconds();
    bool first = !bar->begun;
    if (first) {
        bar->begun = true;
        bar->started = now;
    }
    bool eager = bar->mode == QK_PROGRESS_ALWAYS;
    double wait = bar->terminal ? (bar->shown ? redraw_every : first_draw) : log_every;
    double since = bar->shown ? bar->drawn : bar->started;
    bool due = now - since >= wait || (eager && (first || done >= total));
    if (!due) {
        return;
    }
    bar->shown = true;
    bar->drawn = now;
    if (bar->terminal) {
        draw_bar(bar, now, done, total, label);
    } else {
        log_line(bar, now, done, total, label);
    }
}

void qk_terminal_progress_update(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    struct qk_terminal_progress *bar = ctx;
    if (bar->mode == QK_PROGRESS_NEVER || atomic_flag_test_and_set(&bar->busy)) {
        return;
    }
    update_locked(bar, done, total, label);
    atomic_flag_clear(&bar->busy);
}

void qk_terminal_progress_clear(struct qk_terminal_progress *bar)
{
    if (bar->visible) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
        bar->visible = false;
    }
}

void qk_terminal_progress_notice(void *ctx, const char *text)
{
    struct qk_terminal_progress *bar = ctx;
    if (bar->quiet) {
        return;
    }
    while (atomic_flag_test_and_set(&bar->busy)) {
        /* another thread draws a line: a matter of microseconds */
    }
    qk_terminal_progress_clear(bar);
    fprintf(stderr, "qkscope: notice: %s\n", text);
    atomic_flag_clear(&bar->busy);
}
