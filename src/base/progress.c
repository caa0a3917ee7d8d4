/* Progress sinks: see base/progress.h. */
#include "base/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void qk_progress_update(const struct qk_progress *progress, uint64_t done, uint64_t total, const char *label)
{
    if (progress != NULL && progress->update != NULL) {
        progress->update(progress->ctx, done, total, label);
    }
}

void qk_progress_notice(const struct qk_progress *progress, const char *fmt, ...)
{
    if (progress == NULL || progress->notice == NULL) {
        return;
    }
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    progress->notice(progress->ctx, text);
}

double qk_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
