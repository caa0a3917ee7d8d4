/* A directory of its own for a test, and questions about the files in it. */
#ifndef QK_TESTS_SCRATCH_DIR_H
#define QK_TESTS_SCRATCH_DIR_H

#include <stdbool.h>
#include <stddef.h>

/* Makes a fresh directory under TMPDIR and returns its path; the string lives until the next call. Asserts. */
const char *scratch_dir_make(void);
/* Removes a directory made by it, with all in it (one level of files). */
void scratch_dir_remove(const char *dir);
/* Content of dir/name, NUL-terminated, from qk_calloc; NULL when there is no such file. */
char *scratch_dir_read(const char *dir, const char *name, size_t *ret_len);
bool scratch_dir_has(const char *dir, const char *name);
/* Number of entries, hidden ones too. */
size_t scratch_dir_count(const char *dir);
/* Writes an executable file. */
void scratch_dir_put_program(const char *dir, const char *name, const char *text);

#endif
