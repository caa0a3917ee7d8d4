/* The seal of a run file: one line of text behind the end of the HDF5 data, "qkscope-run sha256 <64 hex digits>\n",
 * over all bytes before it.
 *
 * HDF5 ignores what follows its end-of-file address, and drops it when another program changes the file: a file with a
 * seal is whole and as we wrote it, a file without one was changed or cut by someone else. */
#ifndef QK_STORE_SEAL_H
#define QK_STORE_SEAL_H

#include <stdint.h>

#include "base/err.h"

/* Appends the seal to the closed file at path. name is used in errors. */
enum qk_code qk_seal_append(const char *path, const char *name, struct qk_err *err) QK_CHECKED;
/* QK_EFORMAT when the file at path has a seal that does not fit its bytes, or is no HDF5 file at all. *ret_size: bytes
 * of the whole file. */
enum qk_code qk_seal_check(const char *path, uint64_t *ret_size, struct qk_err *err) QK_CHECKED;

#endif
