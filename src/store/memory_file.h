/* An HDF5 file that is built in memory and handed over as bytes when it is closed.
 *
 * Run files are built so because HDF5 1.10 crashes at the end of the process after a write to disk has failed. The
 * bytes are those that the library would have written to disk; what it leaves unwritten is zero. */
#ifndef QK_STORE_MEMORY_FILE_H
#define QK_STORE_MEMORY_FILE_H

#include "hdf5_handle.h"

struct qk_memory_file {
    unsigned char *bytes; /* owned */
    size_t capacity;
};

/* Room for n bytes, zeroed and not touched until used. A caller that reserves enough before it starts never sees HDF5
 * run out of memory halfway, which it does not survive either. False when there is no memory. */
bool qk_memory_file_reserve(struct qk_memory_file *file, size_t n);

/* Makes files opened with the access properties live in file, which must outlive them. False on failure. */
bool qk_memory_file_use(hid_t access, struct qk_memory_file *file);
/* Bytes of the closed file, 0 when it is none. */
size_t qk_memory_file_size(const struct qk_memory_file *file);
void qk_memory_file_release(struct qk_memory_file *file);

#endif
