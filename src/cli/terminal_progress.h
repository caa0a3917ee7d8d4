/* Draws progress: a bar with rate and time left on a terminal, a line every ten seconds in a log, nothing for work that
 * is over in a moment. update and notice may come from any thread; drawing that another thread is busy with is left
 * out, notices never are. */
#ifndef QK_CLI_TERMINAL_PROGRESS_H
#define QK_CLI_TERMINAL_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum qk_progress_mode { QK_PROGRESS_AUTO, QK_PROGRESS_ALWAYS, QK_PROGRESS_NEVER };

struct qk_terminal_progress {
    enum qk_progress_mode mode;
    bool terminal;         /* standard error is one that can redraw a line */
    bool quiet;            /* no notices */
    const char *unit;      /* of done and total; NULL = unknown */
    bool begun, shown;     /* the first update came; something was drawn */
    double started, drawn; /* monotonic seconds */
    bool visible;          /* a bar is on the current line */
    atomic_flag busy;
};

void qk_terminal_progress_init(struct qk_terminal_progress *bar, enum qk_progress_mode mode, bool quiet);
/* The callbacks of struct qk_progress; ctx is the bar. */
void qk_terminal_progress_update(void *ctx, uint64_t done, uint64_t total, const char *label);
void qk_terminal_progress_notice(void *ctx, const char *text);
/* Takes the bar off the line. */
void qk_terminal_progress_clear(struct qk_terminal_progress *bar);
/* Columns of the terminal behind fd, or 0. */
unsigned qk_terminal_columns(int fd);

#endif
