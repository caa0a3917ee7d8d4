/* What every file of this layer needs of HDF5: identifiers that close themselves, stored and in-memory types, and the
 * error stack as one line of text.
 *
 * One thread at a time. Call qk_hdf5_silence at every public entry, since HDF5 otherwise prints its stack. */
#ifndef QK_STORE_HDF5_HANDLE_H
#define QK_STORE_HDF5_HANDLE_H

#define H5_USE_110_API
#include <hdf5.h>
#include <hdf5_hl.h>

#include "analyses/table.h"
#include "base/err.h"

#define QK_RUN_FORMAT         "qkscope-run"
#define QK_RUN_FORMAT_VERSION 1

/* Any identifier that is not predefined; closed at the end of the scope, negative ones are left alone. */
void qk_hid_release(hid_t *id);
#define QK_HID __attribute__((cleanup(qk_hid_release))) hid_t

void qk_hdf5_silence(void);

/* "<file>: <object>: cannot <verb>: <innermost HDF5 message>". object NULL = the file as a whole. */
enum qk_code qk_hdf5_fail(struct qk_err *err, enum qk_code code, const char *file, const char *object,
                          const char *verb);

/* Owned copies of the type in the file (little-endian, variable-length UTF-8) and in memory; negative on failure. */
hid_t qk_hdf5_file_type(enum qk_type type);
hid_t qk_hdf5_memory_type(enum qk_type type);
/* Bytes of one value in the file: strings are 16-byte references into a heap. */
size_t qk_hdf5_stored_size(enum qk_type type);
/* Which of our types a stored type is; false for all others. */
bool qk_hdf5_type_of(hid_t stored, enum qk_type *ret);

/* Attributes by which HDF5 and netCDF mark dimension scales: kept by those libraries, no part of the table. */
bool qk_hdf5_attribute_is_reserved(const char *name);

/* Access properties: format bounds, locking not required, identifiers die with the file. */
hid_t qk_hdf5_access(void);

#endif
