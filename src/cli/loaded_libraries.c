/* Which shared libraries are really loaded: see loaded_libraries.h. */
#include "loaded_libraries.h"

#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct search {
    const char *part;
    char *path;
    size_t cap;
};

static int look(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    struct search *search = ctx;
    const char *slash = strrchr(info->dlpi_name, '/');
    if (slash == NULL || strstr(slash + 1, search->part) == NULL) {
        return 0;
    }
    char real[PATH_MAX];
    snprintf(search->path, search->cap, "%s", realpath(info->dlpi_name, real) != NULL ? real : info->dlpi_name);
    return 1;
}

void qk_loaded_library(const char *part, char *path, size_t cap)
{
    struct search search = {part, path, cap};
    path[0] = 0;
    dl_iterate_phdr(look, &search);
}
