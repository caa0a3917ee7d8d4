/* The seal of a run file: one line of text behind the end of the HDF5 data, "qkscope-run sha256 <64 hex digits>\n",
 * over all bytes before it.
 *
 * HDF5 ignores what follows its end-of-file address, and drops it when another program changes the file: a file with a
 * seal is whole and as we wrote it, a file without one was changed or cut by someone else. */
#ifndef QK_STORE_SEAL_H
#define QK_STORE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { QK_SEAL_BYTES = 84 };

/* The line for n bytes, with a terminating NUL. */
void qk_seal_line(const void *bytes, size_t n, char ret[QK_SEAL_BYTES + 1]);
/* QK_EFORMAT when the file at path has a seal that does not fit its bytes, or is no HDF5 file at all. *ret_size: bytes
 * of the whole file; *ret_sealed: whether it has a seal. */
enum qk_code qk_seal_check(const char *path, uint64_t *ret_size, bool *ret_sealed, struct qk_err *err) QK_CHECKED;

#endif
