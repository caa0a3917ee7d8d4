/* Ctrl-C: the first SIGINT, SIGTERM or SIGHUP (unless it is ignored, as under nohup) sets a flag that long loops ask
 * for; they return QK_EINTERRUPTED and unwind, so that finished work is kept and no half-written file stays. A second
 * signal removes temporaries and exits at once. */
#ifndef QK_BASE_INTERRUPT_H
#define QK_BASE_INTERRUPT_H

#include <stdbool.h>

#include "base/err.h"

void qk_interrupt_install(void);
bool qk_interrupted(void);
/* QK_EINTERRUPTED with a text when the flag is set, else QK_OK. */
enum qk_code qk_interrupt_check(struct qk_err *err) QK_CHECKED;
/* For the atomic writer: a path to unlink when the process is told to go at once. Slots are few; -1 when full. */
int qk_interrupt_guard_path(const char *path);
void qk_interrupt_release_path(int slot);

#endif
