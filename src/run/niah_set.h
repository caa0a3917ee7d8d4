/* What sets of recall cases have in common. */
#ifndef QK_RUN_NIAH_SET_H
#define QK_RUN_NIAH_SET_H

#include "run/niah.h"

/* Fills longest and sha256. */
void qk_niah_set_seal(struct qk_niah_set *set);
/* QK_EUSAGE: more cases than one run takes. */
enum qk_code qk_niah_too_many(const char *source, size_t n, struct qk_err *err) QK_CHECKED;

#endif
