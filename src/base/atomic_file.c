/* Output that appears only when complete: see base/file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/interrupt.h"

struct qk_atomic_file {
    char *target, *temporary, *dir;
    int fd;
    int guard; /* slot of qk_interrupt_guard_path, −1 = none */
    bool force;
};

static void release(struct qk_atomic_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
    }
    if (file->guard >= 0) {
        qk_interrupt_release_path(file->guard);
    }
    qk_free(file->target);
    qk_free(file->temporary);
    qk_free(file->dir);
    qk_free(file);
}

enum qk_code qk_atomic_check(const char *target, bool force, struct qk_err *err)
{
    struct stat st;
    if (qk_path_is_dir(target)) {
        return qk_fail(err, QK_EUSAGE, "%s: is a directory (expected the name of a file to write)", target);
    }
    /* the final rename would put a plain file in the place of /dev/stdout, for everybody when the user is root */
    if (stat(target, &st) == 0 && !S_ISREG(st.st_mode)) {
        return qk_fail(err, QK_EUSAGE, "%s: cannot be replaced (expected the name of a file, found a special file)",
                       target);
    }
    if (!force && qk_path_exists(target)) {
        (void)qk_fail(err, QK_EUSAGE, "%s: exists already", target);
        qk_err_hint(err, "--force overwrites it");
        return QK_EUSAGE;
    }
    return QK_OK;
}

/* mkstemp gives 0600; a result file should be as readable as any other file the user makes. */
static void apply_umask(int fd)
{
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
}

/* "dir/.name.XXXXXX.part": hidden, and recognisably unfinished. */
static char *temporary_name(const char *target, const char *dir)
{
    char *base = qk_path_basename(target);
    size_t size = strlen(dir) + 256;
    char *name = base == NULL ? NULL : qk_calloc(size, 1);
    if (name != NULL) {
        /* a long base name is cut so that the temporary's stays within NAME_MAX */
        snprintf(name, size, "%s/.%.200s.XXXXXX.part", dir, base);
    }
    qk_free(base);
    return name;
}

static char *directory_of(const char *target)
{
    const char *slash = strrchr(target, '/');
    size_t n = slash == NULL ? 0 : slash == target ? 1 : (size_t)(slash - target);
    char *dir = qk_calloc(n + 2, 1);
    if (dir != NULL) {
        memcpy(dir, n == 0 ? "." : target, n == 0 ? 1 : n);
    }
    return dir;
}

enum qk_code qk_atomic_open(const char *target, bool force, struct qk_atomic_file **ret, struct qk_err *err)
{
    QK_TRY(qk_atomic_check(target, force, err));
    struct qk_atomic_file *file = qk_calloc(1, sizeof *file);
    if (file == NULL) {
        return qk_fail_nomem(err, target);
    }
    file->fd = file->guard = -1;
    file->force = force;
    file->target = qk_calloc(strlen(target) + 1, 1);
    file->dir = directory_of(target);
    file->temporary = file->dir == NULL ? NULL : temporary_name(target, file->dir);
    if (file->target == NULL || file->temporary == NULL) {
        release(file);
        return qk_fail_nomem(err, target);
    }
    memcpy(file->target, target, strlen(target) + 1);
    enum qk_code code = qk_mkdirs(file->dir, err);
    if (code == QK_OK) {
        file->fd = mkostemps(file->temporary, 5, O_CLOEXEC);
        if (file->fd < 0) {
            code = qk_fail_errno(err, target, "create");
        }
    }
    if (code != QK_OK) {
        release(file);
        return code;
    }
    file->guard = qk_interrupt_guard_path(file->temporary);
    apply_umask(file->fd);
    *ret = file;
    return QK_OK;
}

const char *qk_atomic_path(const struct qk_atomic_file *file)
{
    return file->temporary;
}

enum qk_code qk_atomic_write(struct qk_atomic_file *file, const void *data, size_t n, struct qk_err *err)
{
    const char *p = data;
    while (n > 0) {
        ssize_t put = write(file->fd, p, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return qk_fail_errno(err, file->target, "write");
        }
        p += put;
        n -= (size_t)put;
    }
    return QK_OK;
}

static enum qk_code sync_directory(const char *dir, struct qk_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return qk_fail_errno(err, dir, "open");
    }
    int failed = fsync(fd);
    if (failed != 0 && errno != EINVAL && errno != EROFS) { /* some file systems cannot sync a directory */
        enum qk_code code = qk_fail_errno(err, dir, "sync");
        close(fd);
        return code;
    }
    close(fd);
    return QK_OK;
}

enum qk_code qk_atomic_commit(struct qk_atomic_file *file, struct qk_err *err)
{
    enum qk_code code = QK_OK;
    if (fsync(file->fd) != 0) {
        code = qk_fail_errno(err, file->target, "sync");
    }
    if (code == QK_OK) {
        /* a target that appeared meanwhile is not overwritten without force */
        code = qk_atomic_check(file->target, file->force, err);
    }
    if (code == QK_OK && rename(file->temporary, file->target) != 0) {
        code = qk_fail_errno(err, file->target, "rename the finished file to");
    }
    if (code != QK_OK) {
        unlink(file->temporary);
    } else {
        code = sync_directory(file->dir, err);
    }
    release(file);
    return code;
}

void qk_atomic_abort(struct qk_atomic_file *file)
{
    if (file != NULL) {
        unlink(file->temporary);
        release(file);
    }
}

enum qk_code qk_atomic_put(const char *target, bool force, const void *data, size_t n, struct qk_err *err)
{
    struct qk_atomic_file *file;
    QK_TRY(qk_atomic_open(target, force, &file, err));
    enum qk_code code = qk_atomic_write(file, data, n, err);
    if (code != QK_OK) {
        qk_atomic_abort(file);
        return code;
    }
    return qk_atomic_commit(file, err);
}
