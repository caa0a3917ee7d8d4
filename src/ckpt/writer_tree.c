/* Walking directory trees for the writer: see writer_tree.h. */
#include "writer_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "writer_copy.h"

enum { MAX_DEPTH = 32 }; /* links can make loops */

/* What is done with an entry; to is NULL where a walk has one side only. */
struct visit {
    enum qk_code (*file)(void *ctx, const char *from, const char *to, struct qk_err *err);
    enum qk_code (*enter)(void *ctx, const char *from, const char *to, struct qk_err *err); /* may be NULL */
    enum qk_code (*leave)(void *ctx, const char *from, const char *to, struct qk_err *err); /* may be NULL */
    bool (*takes)(void *ctx, const char *name, bool is_dir, size_t depth);                  /* NULL: everything */
    bool follows; /* links count as what they point to */
    void *ctx;
};

static enum qk_code walk(const struct visit *v, const char *from, const char *to, size_t depth, struct qk_err *err);

static enum qk_code visit_path(const struct visit *v, const char *name, const char *from, const char *to, size_t depth,
                               struct qk_err *err)
{
    struct stat st;
    if (lstat(from, &st) != 0) {
        return qk_fail_errno(err, from, "stat");
    }
    if (S_ISLNK(st.st_mode) && v->follows && stat(from, &st) != 0) {
        return qk_fail_errno(err, from, "follow the link");
    }
    bool is_dir = S_ISDIR(st.st_mode);
    if (v->takes != NULL && !v->takes(v->ctx, name, is_dir, depth)) {
        return QK_OK;
    }
    if (is_dir) {
        QK_TRY(v->enter == NULL ? QK_OK : v->enter(v->ctx, from, to, err));
        QK_TRY(walk(v, from, to, depth + 1, err));
        return v->leave == NULL ? QK_OK : v->leave(v->ctx, from, to, err);
    }
    return v->file(v->ctx, from, to, err);
}

static enum qk_code visit_entry(const struct visit *v, const char *name, const char *from, const char *to, size_t depth,
                                struct qk_err *err)
{
    char *source = qk_path_join(from, name), *target = to == NULL ? NULL : qk_path_join(to, name);
    enum qk_code code = source == NULL || (to != NULL && target == NULL)
                            ? qk_fail_nomem(err, from)
                            : visit_path(v, name, source, target, depth, err);
    qk_free(source);
    qk_free(target);
    return code;
}

static enum qk_code walk(const struct visit *v, const char *from, const char *to, size_t depth, struct qk_err *err)
{
    if (depth > MAX_DEPTH) {
        return qk_fail(err, QK_EIO,
                       "%s: directories nest too deep (expected at most %d levels, found a link that "
                       "leads back?)",
                       from, MAX_DEPTH);
    }
    DIR *dir = opendir(from);
    if (dir == NULL) {
        return qk_fail_errno(err, from, "open");
    }
    enum qk_code code = QK_OK;
    errno = 0;
    for (struct dirent *e = readdir(dir); e != NULL && code == QK_OK; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            code = visit_entry(v, e->d_name, from, to, depth, err);
        }
        errno = 0;
    }
    if (code == QK_OK && errno != 0) {
        code = qk_fail_errno(err, from, "read");
    }
    closedir(dir);
    return code;
}

/* ---- copying ---------------------------------------------------------------------------------------------------- */

static bool is_copied(void *ctx, const char *name, bool is_dir, size_t depth)
{
    const struct qk_tree_copy *copy = ctx;
    if (is_dir) {
        return name[0] != '.' && copy->only == NULL;
    }
    if (depth > 0) {
        return true;
    }
    bool taken = copy->only == NULL || (copy->only_file != NULL && strcmp(name, copy->only_file) == 0);
    for (size_t i = 0; !taken && copy->only[i] != NULL; i++) {
        taken = qk_glob_match(copy->only[i], name);
    }
    return taken && (copy->left_out == NULL || strcmp(name, copy->left_out) != 0);
}

static enum qk_code measure_file(void *ctx, const char *from, const char *to, struct qk_err *err)
{
    struct qk_tree_copy *copy = ctx;
    struct stat st;
    (void)to;
    if (stat(from, &st) != 0) {
        return qk_fail_errno(err, from, "stat");
    }
    if (!S_ISREG(st.st_mode)) {
        return qk_fail(err, QK_EIO, "%s: cannot be copied (expected a file, found a special file)", from);
    }
    copy->total += (uint64_t)st.st_size;
    return QK_OK;
}

static enum qk_code copy_file(void *ctx, const char *from, const char *to, struct qk_err *err)
{
    return qk_file_copy(ctx, from, to, err);
}

static enum qk_code make_directory(void *ctx, const char *from, const char *to, struct qk_err *err)
{
    (void)ctx;
    (void)from;
    return mkdir(to, 0777) == 0 ? QK_OK : qk_fail_errno(err, to, "make directory");
}

enum qk_code qk_tree_measure(struct qk_tree_copy *copy, const char *from, struct qk_err *err)
{
    const struct visit v = {.file = measure_file, .takes = is_copied, .follows = true, .ctx = copy};
    return walk(&v, from, NULL, 0, err);
}

enum qk_code qk_tree_copy(struct qk_tree_copy *copy, const char *from, const char *to, struct qk_err *err)
{
    const struct visit v = {
        .file = copy_file, .enter = make_directory, .takes = is_copied, .follows = true, .ctx = copy};
    return walk(&v, from, to, 0, err);
}

/* ---- syncing and removing --------------------------------------------------------------------------------------- */

static enum qk_code sync_path(void *ctx, const char *path, const char *to, struct qk_err *err)
{
    (void)ctx;
    (void)to;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return qk_fail_errno(err, path, "open");
    }
    enum qk_code code = QK_OK;
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) { /* some file systems cannot sync a directory */
        code = qk_fail_errno(err, path, "sync");
    }
    close(fd);
    return code;
}

enum qk_code qk_tree_sync(const char *dir, struct qk_err *err)
{
    const struct visit v = {.file = sync_path, .leave = sync_path};
    QK_TRY(walk(&v, dir, NULL, 0, err));
    return sync_path(NULL, dir, NULL, err);
}

/* By descriptors and without memory of our own: it also runs when there is none left. */
static void remove_contents(int fd, size_t depth)
{
    DIR *dir = depth > MAX_DEPTH ? NULL : fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || unlinkat(fd, e->d_name, 0) == 0) {
            continue;
        }
        int below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0) {
            remove_contents(below, depth + 1);
            (void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
        }
    }
    closedir(dir);
}

void qk_tree_remove(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        remove_contents(fd, 0);
        (void)rmdir(dir);
    }
}
