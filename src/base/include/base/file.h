/* Files: checked reads, whole small files, output that appears only when complete.
 *
 * Inputs are opened O_RDONLY|O_CLOEXEC. Reads are checked pread loops (no mmap: it dies by signal when a network file
 * system fails). */
#ifndef QK_BASE_FILE_H
#define QK_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Opens for reading. Refuses directories, FIFOs and devices (a read of those may hang): QK_EIO. */
enum qk_code qk_file_open(const char *path, int *ret_fd, uint64_t *ret_size, struct qk_err *err) QK_CHECKED;
void qk_file_close(int fd);
/* Exactly n bytes at offset into buf; a short file is QK_EFORMAT "truncated"; EINTR is retried. Thread-safe. */
enum qk_code qk_file_read_at(int fd, const char *path, uint64_t offset, size_t n, void *buf,
                             struct qk_err *err) QK_CHECKED;
/* A whole file of at most max bytes as NUL-terminated memory (*ret_len excludes the NUL). *ret from qk_calloc. */
enum qk_code qk_file_slurp(const char *path, size_t max, char **ret, size_t *ret_len, struct qk_err *err) QK_CHECKED;
/* The same of a text that a person wrote, in any editor: without the byte order mark that some put in front of UTF-8;
 * one of UTF-16 is QK_EFORMAT. */
enum qk_code qk_file_slurp_text(const char *path, size_t max, char **ret, size_t *ret_len,
                                struct qk_err *err) QK_CHECKED;

bool qk_path_exists(const char *path);
bool qk_path_is_dir(const char *path);
/* "dir/name"; *ret from qk_calloc, NULL when out of memory. */
char *qk_path_join(const char *dir, const char *name);
/* The part after the last '/' (trailing '/' ignored); *ret from qk_calloc. */
char *qk_path_basename(const char *path);
/* mkdir -p. */
enum qk_code qk_mkdirs(const char *path, struct qk_err *err) QK_CHECKED;

/* Output that replaces its target only when complete: a temporary sibling, fsync, rename, fsync of the directory.
 * A process killed at any moment leaves the target as it was; SIGINT and SIGTERM also remove the temporary
 * (qk_interrupt_install). */
struct qk_atomic_file;
/* QK_EUSAGE when qk_atomic_open would refuse the target: a directory or a device, or without force anything that
 * exists. For programs that work long before they write. */
enum qk_code qk_atomic_check(const char *target, bool force, struct qk_err *err) QK_CHECKED;
/* force = false refuses an existing target (QK_EUSAGE, hint --force). Missing parent directories are made. */
enum qk_code qk_atomic_open(const char *target, bool force, struct qk_atomic_file **ret, struct qk_err *err) QK_CHECKED;
/* The temporary's path, for libraries that open by name (HDF5). The file exists and is empty. */
const char *qk_atomic_path(const struct qk_atomic_file *file);
enum qk_code qk_atomic_write(struct qk_atomic_file *file, const void *data, size_t n, struct qk_err *err) QK_CHECKED;
/* Publishes and frees; on failure the temporary is removed and the handle freed all the same. */
enum qk_code qk_atomic_commit(struct qk_atomic_file *file, struct qk_err *err) QK_CHECKED;
/* Removes the temporary and frees. Takes NULL. */
void qk_atomic_abort(struct qk_atomic_file *file);
/* All of data in one go. */
enum qk_code qk_atomic_put(const char *target, bool force, const void *data, size_t n, struct qk_err *err) QK_CHECKED;

#endif
