/* Checked reads and paths: see base/file.h. The atomic writer is in atomic_file.c. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/str.h"

enum qk_code qk_file_open(const char *path, int *ret_fd, uint64_t *ret_size, struct qk_err *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer; without effect on regular files */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return qk_fail_errno(err, path, "open");
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        enum qk_code code = qk_fail_errno(err, path, "stat");
        close(fd);
        return code;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return qk_fail(err, QK_EIO, "%s: not a regular file (expected a file, found a %s)", path,
                       S_ISDIR(st.st_mode) ? "directory" : "special file");
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return QK_OK;
}

void qk_file_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

enum qk_code qk_file_read_at(int fd, const char *path, uint64_t offset, size_t n, void *buf, struct qk_err *err)
{
    char *p = buf;
    size_t left = n;
    const size_t most = (size_t)1 << 30; /* Linux moves at most 2 GiB a call */
    while (left > 0) {
        ssize_t got = pread(fd, p, left < most ? left : most, (off_t)offset);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return qk_fail_errno(err, path, "read");
        }
        if (got == 0) {
            return qk_fail(err, QK_EFORMAT, "%s: truncated (expected %zu more bytes at %llu, found end of file)", path,
                           left, (unsigned long long)offset);
        }
        p += got;
        offset += (uint64_t)got;
        left -= (size_t)got;
    }
    return QK_OK;
}

enum qk_code qk_file_slurp(const char *path, size_t max, char **ret, size_t *ret_len, struct qk_err *err)
{
    int fd;
    uint64_t size;
    QK_TRY(qk_file_open(path, &fd, &size, err));
    if (size > max) {
        qk_file_close(fd);
        return qk_fail(err, QK_EFORMAT, "%s: file too large (expected at most %zu bytes, found %llu)", path, max,
                       (unsigned long long)size);
    }
    char *text = qk_calloc((size_t)size + 1, 1);
    if (text == NULL) {
        qk_file_close(fd);
        return qk_fail_nomem(err, path);
    }
    enum qk_code code = qk_file_read_at(fd, path, 0, (size_t)size, text, err);
    qk_file_close(fd);
    if (code != QK_OK) {
        qk_free(text);
        return code;
    }
    *ret = text;
    *ret_len = (size_t)size;
    return QK_OK;
}

enum qk_code qk_file_slurp_text(const char *path, size_t max, char **ret, size_t *ret_len, struct qk_err *err)
{
    char *text;
    size_t len;
    QK_TRY(qk_file_slurp(path, max, &text, &len, err));
    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
        qk_free(text);
        return qk_fail(err, QK_EFORMAT, "%s: its byte order mark says UTF-16 (expected UTF-8)", path);
    }
    size_t mark = qk_utf8_mark(text, len);
    memmove(text, text + mark, len - mark + 1);
    *ret = text;
    *ret_len = len - mark;
    return QK_OK;
}

bool qk_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool qk_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *qk_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir), k = strlen(name);
    char *path = qk_calloc(n + k + 2, 1);
    if (path != NULL) {
        memcpy(path, dir, n);
        if (n > 0 && dir[n - 1] != '/') {
            path[n++] = '/';
        }
        memcpy(path + n, name, k);
    }
    return path;
}

char *qk_path_basename(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && (path[start - 1] != '/' || end == 1)) {
        start--;
    }
    char *name = qk_calloc(end - start + 1, 1);
    if (name != NULL) {
        memcpy(name, path + start, end - start);
    }
    return name;
}

enum qk_code qk_mkdirs(const char *path, struct qk_err *err)
{
    size_t n = strlen(path);
    char *part = qk_calloc(n + 1, 1);
    if (part == NULL) {
        return qk_fail_nomem(err, path);
    }
    enum qk_code code = QK_OK;
    for (size_t i = 1; i <= n && code == QK_OK; i++) {
        if (path[i] != '/' && path[i] != 0) {
            continue;
        }
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && !qk_path_is_dir(part)) {
            code = qk_fail_errno(err, part, "make directory");
        }
    }
    qk_free(part);
    return code;
}
