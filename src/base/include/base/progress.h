/* Progress of long work as numbers; src/cli draws them. A sink is called from any thread, rarely, and must be quick. */
#ifndef QK_BASE_PROGRESS_H
#define QK_BASE_PROGRESS_H

#include <stdint.h>

struct qk_progress {
    void *ctx;
    /* done and total in the same unit; label names the item at hand ("layer 7"). NULL update = no progress wanted. */
    void (*update)(void *ctx, uint64_t done, uint64_t total, const char *label);
    /* A line for the user that is not an error: "notice: …". May be NULL. */
    void (*notice)(void *ctx, const char *text);
};

/* Both take a NULL progress. */
void qk_progress_update(const struct qk_progress *progress, uint64_t done, uint64_t total, const char *label);
void qk_progress_notice(const struct qk_progress *progress, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Monotonic seconds. */
double qk_seconds(void);

#endif
