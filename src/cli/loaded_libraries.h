/* Which shared libraries are really loaded. Private to src/cli. */
#ifndef QK_CLI_LOADED_LIBRARIES_H
#define QK_CLI_LOADED_LIBRARIES_H

#include <stddef.h>

/* The real file (symbolic links resolved, so that its name carries the version) of the loaded library whose file name
 * contains `part`, into path; "" when there is none. */
void qk_loaded_library(const char *part, char *path, size_t cap);

#endif
