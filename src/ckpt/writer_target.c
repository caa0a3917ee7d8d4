/* Target directories: see writer_target.h. */
#include "writer_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "writer_tree.h"

static const char staging_mark[] = ".qkscope-", staging_end[] = ".part";
enum { MAX_NAME = 200, N_RANDOM = 6 }; /* of the target's name in the sibling's, to stay within NAME_MAX */

static const char *name_of(const struct qk_writer_target *t)
{
    const char *slash = strrchr(t->path, '/');
    return slash == NULL ? t->path : slash + 1;
}

enum qk_code qk_target_init(struct qk_writer_target *t, const char *path, struct qk_arena *arena, struct qk_err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    t->lock = -1;
    t->staging = NULL;
    t->path = qk_arena_strndup(arena, path, n);
    if (t->path == NULL) {
        return qk_fail_nomem(err, path);
    }
    const char *slash = strrchr(t->path, '/'), *name = name_of(t);
    size_t n_parent = slash == NULL ? 0 : slash == t->path ? 1 : (size_t)(slash - t->path);
    t->parent = n_parent == 0 ? "." : qk_arena_strndup(arena, t->path, n_parent);
    if (name[0] == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return qk_fail(err, QK_EUSAGE, "%s: cannot be the output (expected the name of a new directory)",
                       n == 0 ? "(empty)" : path);
    }
    return t->parent == NULL ? qk_fail_nomem(err, path) : QK_OK;
}

/* ---- may it be written? ----------------------------------------------------------------------------------------- */

static bool same_place(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether place is path or a directory above it; path exists, its links are followed. */
static bool is_at_or_above(const struct stat *place, const char *path)
{
    char *real = realpath(path, NULL);
    bool found = false;
    for (size_t n = real == NULL ? 0 : strlen(real); n > 0 && !found;) {
        struct stat st;
        real[n] = 0;
        found = stat(real, &st) == 0 && same_place(&st, place);
        size_t up = n;
        while (up > 0 && real[up - 1] != '/') {
            up--;
        }
        n = up > 1 ? up - 1 : n > 1 ? 1 : 0; /* the root keeps its slash */
    }
    free(real);
    return found;
}

/* The nearest directory above the target that exists. */
static char *nearest_above(const struct qk_writer_target *t)
{
    char *path = qk_calloc(strlen(t->parent) + 2, 1);
    if (path == NULL) {
        return NULL;
    }
    memcpy(path, t->parent, strlen(t->parent));
    while (!qk_path_exists(path)) {
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            memcpy(path, ".", 2);
        } else {
            slash[slash == path] = 0;
        }
    }
    return path;
}

static enum qk_code refuse_input(const struct qk_writer_target *t, const struct qk_ckpt *input, const char *above,
                                 struct qk_err *err)
{
    struct stat in, out;
    /* an adapter's directory is its own, its configuration's that of its base */
    bool is_dir = qk_path_is_dir(input->path);
    bool within = is_dir && ((stat(input->path, &in) == 0 && is_at_or_above(&in, above)) ||
                             (stat(input->dir, &in) == 0 && is_at_or_above(&in, above)));
    if (within) {
        (void)qk_fail(err, QK_EUSAGE, "%s: lies in an input (%s)", t->path, input->path);
        qk_err_hint(err, "inputs are never written; give -o a directory elsewhere");
        return QK_EUSAGE;
    }
    if (stat(t->path, &out) != 0) {
        return QK_OK;
    }
    bool holds = is_at_or_above(&out, input->path) || is_at_or_above(&out, input->dir) ||
                 is_at_or_above(&out, input->config_path);
    for (size_t s = 0; s < input->n_shards && !holds; s++) {
        holds = is_at_or_above(&out, input->shards[s].path);
    }
    if (holds) {
        (void)qk_fail(err, QK_EUSAGE, "%s: is an input or holds one (%s)", t->path, input->path);
        qk_err_hint(err, "inputs are never written; give -o another name");
        return QK_EUSAGE;
    }
    return QK_OK;
}

/* What force may replace: a checkpoint, or nothing at all. */
static bool is_replaceable(const char *path)
{
    static const char *const marks[] = {"config.json", "qkscope.json", "adapter_config.json"};
    bool found = false;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0] && !found; i++) {
        char *mark = qk_path_join(path, marks[i]);
        found = mark != NULL && qk_path_exists(mark);
        qk_free(mark);
    }
    DIR *dir = found ? NULL : opendir(path);
    size_t n = 0;
    for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    found = found || (dir != NULL && n == 0);
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

static enum qk_code refuse_existing(const struct qk_writer_target *t, bool force, struct qk_err *err)
{
    struct stat st;
    if (lstat(t->path, &st) != 0) {
        return QK_OK;
    }
    if (!S_ISDIR(st.st_mode)) {
        return qk_fail(err, QK_EUSAGE, "%s: exists and is no directory (expected a new name, found a %s)", t->path,
                       S_ISLNK(st.st_mode) ? "link" : "file");
    }
    if (!force) {
        (void)qk_fail(err, QK_EUSAGE, "%s: exists already", t->path);
        qk_err_hint(err, "--force replaces it");
        return QK_EUSAGE;
    }
    return is_replaceable(t->path)
               ? QK_OK
               : qk_fail(err, QK_EUSAGE, "%s: is no checkpoint (expected one to replace, found other files)", t->path);
}

enum qk_code qk_target_check(const struct qk_writer_target *t, const struct qk_ckpt *source,
                             const struct qk_writer_options *options, struct qk_err *err)
{
    char *above = nearest_above(t);
    if (above == NULL) {
        return qk_fail_nomem(err, t->path);
    }
    enum qk_code code = refuse_input(t, source, above, err);
    for (size_t i = 0; i < options->n_inputs && code == QK_OK; i++) {
        code = refuse_input(t, options->inputs[i], above, err);
    }
    qk_free(above);
    return code == QK_OK ? refuse_existing(t, options->force, err) : code;
}

/* ---- the hidden sibling ----------------------------------------------------------------------------------------- */

static int lock_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_sibling(const struct qk_writer_target *t, const char *name)
{
    const char *own = name_of(t);
    size_t n = strlen(own) < MAX_NAME ? strlen(own) : MAX_NAME, n_mark = strlen(staging_mark);
    return name[0] == '.' && strncmp(name + 1, own, n) == 0 && strncmp(name + 1 + n, staging_mark, n_mark) == 0 &&
           strlen(name) == 1 + n + n_mark + N_RANDOM + strlen(staging_end) && qk_str_ends(name, staging_end);
}

static void remove_abandoned(const struct qk_writer_target *t)
{
    DIR *dir = opendir(t->parent);
    for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        char *path = is_sibling(t, e->d_name) ? qk_path_join(t->parent, e->d_name) : NULL;
        int lock = path == NULL ? -1 : lock_directory(path);
        if (lock >= 0) {
            qk_tree_remove(path);
            close(lock);
        }
        qk_free(path);
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

/* Fills in random letters until the name is new. */
static enum qk_code make_staging(const struct qk_writer_target *t, char *path, char *letters, struct qk_err *err)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz012345";
    for (size_t attempt = 0; attempt < 100; attempt++) {
        unsigned char random[N_RANDOM];
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
            return qk_fail_errno(err, t->path, "draw a random name for");
        }
        for (size_t i = 0; i < N_RANDOM; i++) {
            letters[i] = alphabet[random[i] % 32];
        }
        if (mkdir(path, 0777) == 0) {
            return QK_OK;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return qk_fail_errno(err, t->path, "create");
}

enum qk_code qk_target_stage(struct qk_writer_target *t, struct qk_arena *arena, struct qk_err *err)
{
    QK_TRY(qk_mkdirs(t->parent, err));
    remove_abandoned(t);
    char *path =
        qk_arena_printf(arena, "%s/.%.*s%sXXXXXX%s", t->parent, MAX_NAME, name_of(t), staging_mark, staging_end);
    if (path == NULL) {
        return qk_fail_nomem(err, t->path);
    }
    QK_TRY(make_staging(t, path, path + strlen(path) - strlen(staging_end) - N_RANDOM, err));
    t->staging = path;
    t->lock = lock_directory(path);
    return QK_OK;
}

void qk_target_release(struct qk_writer_target *t)
{
    if (t->staging != NULL) {
        qk_tree_remove(t->staging);
        t->staging = NULL;
    }
    if (t->lock >= 0) {
        close(t->lock);
        t->lock = -1;
    }
}

/* ---- publication ------------------------------------------------------------------------------------------------ */

static enum qk_code sync_parent(const struct qk_writer_target *t, struct qk_err *err)
{
    int fd = open(t->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return qk_fail_errno(err, t->parent, "open");
    }
    enum qk_code code = QK_OK;
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) {
        code = qk_fail_errno(err, t->parent, "sync");
    }
    close(fd);
    return code;
}

/* For file systems without an exchange: the old one is set aside under a name that no writer removes. */
static bool replace_in_two_steps(const struct qk_writer_target *t)
{
    struct qk_str aside = {0};
    qk_str_addf(&aside, "%.*s.old", (int)(strlen(t->staging) - strlen(staging_end)), t->staging);
    bool done = !aside.failed && rename(t->path, aside.s) == 0;
    if (done && rename(t->staging, t->path) != 0) {
        int cause = errno;
        (void)rename(aside.s, t->path);
        errno = cause;
        done = false;
    } else if (done) {
        qk_tree_remove(aside.s);
    }
    qk_str_release(&aside);
    return done;
}

enum qk_code qk_target_publish(struct qk_writer_target *t, bool force, struct qk_err *err)
{
    QK_TRY(refuse_existing(t, force, err)); /* it may have appeared meanwhile */
    bool replaces = qk_path_exists(t->path);
    unsigned how = replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    bool done = renameat2(AT_FDCWD, t->staging, AT_FDCWD, t->path, how) == 0, exchanged = done && replaces;
    if (!done && (errno == EINVAL || errno == ENOSYS)) {
        done = replaces ? replace_in_two_steps(t) : rename(t->staging, t->path) == 0;
    }
    if (!done) {
        return qk_fail_errno(err, t->path, "rename the finished directory to");
    }
    if (exchanged) {
        qk_tree_remove(t->staging);
    }
    t->staging = NULL;
    return sync_parent(t, err);
}
