/* A directory of its own for a test: see scratch_dir.h. */
#include "scratch_dir.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

const char *scratch_dir_make(void)
{
    static char path[512];
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/qk-plot-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    char *made = mkdtemp(path);
    assert(made != NULL);
    return made;
}

static bool is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

void scratch_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        if (is_entry(entry)) {
            (void)unlinkat(dirfd(d), entry->d_name, 0);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    (void)rmdir(dir);
}

size_t scratch_dir_count(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        n += is_entry(entry);
    }
    if (d != NULL) {
        closedir(d);
    }
    return n;
}

char *scratch_dir_read(const char *dir, const char *name, size_t *ret_len)
{
    char path[1024], *text = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (qk_file_slurp(path, (size_t)64 << 20, &text, &len, NULL) != QK_OK) {
        return NULL;
    }
    if (ret_len != NULL) {
        *ret_len = len;
    }
    return text;
}

bool scratch_dir_has(const char *dir, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return qk_path_exists(path);
}

void scratch_dir_put_program(const char *dir, const char *name, const char *text)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    enum qk_code code = qk_atomic_put(path, true, text, strlen(text), NULL);
    assert(code == QK_OK);
    (void)chmod(path, 0755);
}
