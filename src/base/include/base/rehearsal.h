/* Doing a thing first in a copy of this process, for libraries that can be crashed by what they read. */
#ifndef QK_BASE_REHEARSAL_H
#define QK_BASE_REHEARSAL_H

#include "base/err.h"

/* Calls act(ctx) in a forked copy of this process, whose outputs go nowhere, and waits for its end. QK_OK when act
 * returned, whatever it found; QK_EFORMAT "NAME: damaged: …" when the copy was ended by a signal, left otherwise, or
 * did not end within timeout_s seconds; QK_EINTERRUPTED on Ctrl-C. Nothing that act changes is seen here. The copy has
 * one thread: act must not wait for others (no pool, no BLAS threads). Cost: a fork and act itself. */
enum qk_code qk_rehearse(void (*act)(void *ctx), void *ctx, const char *name, double timeout_s,
                         struct qk_err *err) QK_CHECKED;

#endif
