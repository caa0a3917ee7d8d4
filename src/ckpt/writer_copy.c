/* Copying a file: shared blocks where the file system can, else in the kernel, else by hand. See writer_copy.h. */
#include "writer_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/interrupt.h"

enum { STEP = 16 << 20, BUFFER = 1 << 20 }; /* bytes between two looks at Ctrl-C; bytes of a plain copy's read */

/* An open copy. */
struct copying {
    struct qk_tree_copy *copy;
    const char *from, *to;
    int in, out;
    uint64_t size, done;
    uint64_t end; /* of the stretch at hand */
};

static enum qk_code advance(struct copying *c, uint64_t n, struct qk_err *err)
{
    /* starts the write-back early, so that the disk works while the rest is copied */
    (void)sync_file_range(c->out, (off_t)c->done, (off_t)n, SYNC_FILE_RANGE_WRITE);
    c->done += n;
    c->copy->done += n;
    qk_progress_update(c->copy->progress, c->copy->done, c->copy->total, "copying");
    return qk_interrupt_check(err);
}

static bool is_missing_feature(int error)
{
    return error == ENOSYS || error == EXDEV || error == EINVAL || error == EOPNOTSUPP || error == EPERM ||
           error == ETXTBSY;
}

/* QK_OK with c->done < c->end: the kernel does not copy between these two. */
static enum qk_code copy_in_kernel(struct copying *c, struct qk_err *err)
{
    while (c->done < c->end) {
        off_t at_in = (off_t)c->done, at_out = at_in;
        uint64_t left = c->end - c->done;
        ssize_t n = copy_file_range(c->in, &at_in, c->out, &at_out, left < STEP ? (size_t)left : STEP, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0 || (n < 0 && is_missing_feature(errno))) {
            return QK_OK;
        }
        if (n < 0) {
            return qk_fail_errno(err, c->to, "write");
        }
        QK_TRY(advance(c, (uint64_t)n, err));
    }
    return QK_OK;
}

static enum qk_code write_all(const struct copying *c, const char *p, size_t n, struct qk_err *err)
{
    uint64_t at = c->done;
    while (n > 0) {
        ssize_t put = pwrite(c->out, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return qk_fail_errno(err, c->to, "write");
        }
        p += put;
        at += (uint64_t)put;
        n -= (size_t)put;
    }
    return QK_OK;
}

static enum qk_code copy_by_hand(struct copying *c, struct qk_err *err)
{
    char *buffer = c->done < c->end ? qk_alloc_aligned(BUFFER, 1) : NULL;
    enum qk_code code = c->done < c->end && buffer == NULL ? qk_fail_nomem(err, c->to) : QK_OK;
    while (code == QK_OK && c->done < c->end) {
        size_t n = c->end - c->done < BUFFER ? (size_t)(c->end - c->done) : BUFFER;
        code = qk_file_read_at(c->in, c->from, c->done, n, buffer, err);
        if (code == QK_OK) {
            code = write_all(c, buffer, n, err);
        }
        if (code == QK_OK) {
            code = advance(c, n, err);
        }
    }
    qk_free(buffer);
    return code;
}

static enum qk_code copy_contents(struct copying *c, struct qk_err *err)
{
    if (c->size > 0 && ioctl(c->out, FICLONE, c->in) == 0) {
        c->copy->done += c->size;
        qk_progress_update(c->copy->progress, c->copy->done, c->copy->total, "copying");
        return qk_interrupt_check(err);
    }
    if (ftruncate(c->out, (off_t)c->size) != 0) {
        return qk_fail_errno(err, c->to, "write");
    }
    for (size_t g = 0; g <= c->copy->n_gaps; g++) {
        const struct qk_tree_gap *gap = g < c->copy->n_gaps ? &c->copy->gaps[g] : NULL;
        if (gap != NULL && strcmp(gap->path, c->from) != 0) {
            continue;
        }
        c->end = gap == NULL || gap->from > c->size ? c->size : gap->from;
        QK_TRY(copy_in_kernel(c, err));
        QK_TRY(copy_by_hand(c, err));
        if (gap != NULL && gap->to <= c->size) {
            c->copy->done += gap->to - c->done;
            c->done = gap->to;
        }
    }
    return QK_OK;
}

enum qk_code qk_file_copy(struct qk_tree_copy *copy, const char *from, const char *to, struct qk_err *err)
{
    struct copying c = {.copy = copy, .from = from, .to = to};
    struct stat st;
    QK_TRY(qk_file_open(from, &c.in, &c.size, err));
    /* the owner can write the copy whatever the mode of a shared original is */
    mode_t mode = fstat(c.in, &st) == 0 ? (st.st_mode & 0777) | S_IWUSR : 0666;
    c.out = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (c.out < 0) {
        enum qk_code code = qk_fail_errno(err, to, "create");
        qk_file_close(c.in);
        return code;
    }
    enum qk_code code = copy_contents(&c, err);
    qk_file_close(c.in);
    if (close(c.out) != 0 && code == QK_OK) {
        code = qk_fail_errno(err, to, "close");
    }
    return code;
}

bool qk_tree_can_clone(const char *from, const char *to)
{
    int in, out = -1;
    uint64_t size;
    bool can = false;
    char *probe = qk_path_join(to, ".clone");
    if (probe != NULL && qk_file_open(from, &in, &size, NULL) == QK_OK) {
        out = open(probe, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        can = out >= 0 && ioctl(out, FICLONE, in) == 0;
        qk_file_close(in);
    }
    if (out >= 0) {
        close(out);
        unlink(probe);
    }
    qk_free(probe);
    return can;
}
