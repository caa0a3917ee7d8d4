/* Layout and other files of two checkpoints: see compare_report.h. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/str.h"
#include "compare_report.h"

enum { MAX_DEPTH = 16, CHUNK = 1 << 16 };

/* ---- layout ---- */

static bool same_names(const struct qk_ckpt *a, const struct qk_ckpt *b)
{
    if (a->n_shards != b->n_shards) {
        return false;
    }
    bool directories = qk_path_is_dir(a->path) && qk_path_is_dir(b->path);
    for (size_t i = 0; directories && i < a->n_shards; i++) {
        if (!qk_streq(a->shards[i].file_name, b->shards[i].file_name)) {
            return false;
        }
    }
    return true;
}

enum qk_code qk_compare_layout(const struct qk_ckpt *a, const struct qk_ckpt *b, struct qk_arena *arena,
                               struct qk_compare *ret, struct qk_err *err)
{
    const char **notes = qk_arena_alloc(arena, a->n_shards + 1, sizeof *notes);
    if (notes == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    ret->layout = notes;
    if (!same_names(a, b)) {
        notes[ret->n_layout++] = qk_arena_printf(arena, "the tensors lie in other files (%zu: %s%s; %zu: %s%s)",
                                                 a->n_shards, a->shards[0].file_name, a->n_shards > 1 ? ", …" : "",
                                                 b->n_shards, b->shards[0].file_name, b->n_shards > 1 ? ", …" : "");
    } else {
        for (size_t i = 0; i < a->n_shards; i++) {
            const struct qk_shard *x = &a->shards[i], *y = &b->shards[i];
            if (!qk_streq(x->header_sha256, y->header_sha256)) {
                notes[ret->n_layout++] = qk_arena_printf(arena, "%s: the header differs (SHA-256 %.12s, %.12s)",
                                                         y->file_name, x->header_sha256, y->header_sha256);
            }
        }
    }
    for (size_t i = 0; i < ret->n_layout; i++) {
        if (notes[i] == NULL) {
            return qk_fail_nomem(err, "compare");
        }
    }
    return QK_OK;
}

/* ---- names of other files ---- */

struct names {
    const struct qk_ckpt *ckpt;
    const char *ignored; /* at the top, or NULL */
    struct qk_arena *arena;
    size_t n, cap;
    const char **list;
};

static bool is_shard(const struct qk_ckpt *ckpt, const char *name)
{
    for (size_t i = 0; i < ckpt->n_shards; i++) {
        if (qk_streq(ckpt->shards[i].file_name, name)) {
            return true;
        }
    }
    return false;
}

static enum qk_code add_name(struct names *names, const char *name, struct qk_err *err)
{
    if (names->n == names->cap) {
        size_t cap = names->cap == 0 ? 64 : 2 * names->cap;
        const char **grown = qk_realloc(names->list, cap, sizeof *grown);
        if (grown == NULL) {
            return qk_fail_nomem(err, "file names");
        }
        names->list = grown;
        names->cap = cap;
    }
    names->list[names->n++] = name;
    return QK_OK;
}

static enum qk_code walk(struct names *names, const char *below, size_t depth, struct qk_err *err);

/* Files are compared and directories entered, links followed, as restore copies them. Hidden directories (.git, .cache)
 * are bookkeeping about the checkpoint, not part of it. */
static enum qk_code visit(struct names *names, const char *below, const char *entry, size_t depth, struct qk_err *err)
{
    const char *name =
        below[0] == 0 ? qk_arena_strdup(names->arena, entry) : qk_arena_printf(names->arena, "%s/%s", below, entry);
    const char *path = name == NULL ? NULL : qk_arena_printf(names->arena, "%s/%s", names->ckpt->dir, name);
    struct stat st;
    if (path == NULL) {
        return qk_fail_nomem(err, "file names");
    }
    if (depth == 0 && (is_shard(names->ckpt, name) || (names->ignored != NULL && qk_streq(name, names->ignored)))) {
        return QK_OK;
    }
    if (stat(path, &st) != 0) {
        return qk_fail_errno(err, path, "look at");
    }
    if (!S_ISDIR(st.st_mode)) {
        return add_name(names, name, err);
    }
    return entry[0] == '.' ? QK_OK : walk(names, name, depth + 1, err);
}

static enum qk_code walk(struct names *names, const char *below, size_t depth, struct qk_err *err)
{
    const char *path = qk_arena_printf(names->arena, "%s/%s", names->ckpt->dir, below);
    if (path == NULL) {
        return qk_fail_nomem(err, "file names");
    }
    if (depth > MAX_DEPTH) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: more than %d directories inside each other (does a link lead back?)",
                       path, MAX_DEPTH);
    }
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return qk_fail_errno(err, path, "list");
    }
    enum qk_code code = QK_OK;
    const struct dirent *entry;
    while (code == QK_OK && (errno = 0, entry = readdir(dir)) != NULL) {
        if (!qk_streq(entry->d_name, ".") && !qk_streq(entry->d_name, "..")) {
            code = visit(names, below, entry->d_name, depth, err);
        }
    }
    if (code == QK_OK && errno != 0) {
        code = qk_fail_errno(err, path, "list");
    }
    (void)closedir(dir);
    return code;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static enum qk_code list_names(struct names *names, bool all, struct qk_err *err)
{
    if (!all) {
        const char *name = strrchr(names->ckpt->config_path, '/');
        return add_name(names, name != NULL ? name + 1 : names->ckpt->config_path, err);
    }
    QK_TRY(walk(names, "", 0, err));
    qsort(names->list, names->n, sizeof *names->list, by_name);
    return QK_OK;
}

/* ---- their contents ---- */

static enum qk_code same_bytes(int a, int b, const char *path_a, const char *path_b, uint64_t size, bool *ret,
                               struct qk_err *err)
{
    unsigned char *x = qk_calloc(2, CHUNK), *y = x == NULL ? NULL : x + CHUNK;
    enum qk_code code = x == NULL ? qk_fail_nomem(err, "compare") : QK_OK;
    *ret = true;
    for (uint64_t at = 0; code == QK_OK && *ret && at < size; at += CHUNK) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        code = qk_file_read_at(a, path_a, at, n, x, err);
        code = code == QK_OK ? qk_file_read_at(b, path_b, at, n, y, err) : code;
        code = code == QK_OK ? qk_interrupt_check(err) : code;
        *ret = code == QK_OK && memcmp(x, y, n) == 0;
    }
    qk_free(x);
    return code;
}

static enum qk_code same_content(const char *a, const char *b, bool *ret, struct qk_err *err)
{
    int fd_a, fd_b;
    uint64_t size_a, size_b;
    QK_TRY(qk_file_open(a, &fd_a, &size_a, err));
    enum qk_code code = qk_file_open(b, &fd_b, &size_b, err);
    if (code == QK_OK) {
        *ret = size_a == size_b;
        code = *ret ? same_bytes(fd_a, fd_b, a, b, size_a, ret, err) : QK_OK;
        qk_file_close(fd_b);
    }
    qk_file_close(fd_a);
    return code;
}

static enum qk_code compare_names(const struct names *a, const struct names *b, struct qk_arena *arena,
                                  struct qk_compare *ret, struct qk_err *err)
{
    struct qk_compare_other *list = qk_arena_alloc(arena, a->n + b->n + 1, sizeof *list);
    if (list == NULL) {
        return qk_fail_nomem(err, "compare");
    }
    ret->other = list;
    for (size_t i = 0, j = 0; i < a->n || j < b->n;) {
        int order = i == a->n ? 1 : j == b->n ? -1 : strcmp(a->list[i], b->list[j]);
        if (order != 0) {
            list[ret->n_other++] = (struct qk_compare_other){order < 0 ? a->list[i] : b->list[j],
                                                             order < 0 ? QK_FILE_ONLY_A : QK_FILE_ONLY_B};
            i += order < 0;
            j += order > 0;
            continue;
        }
        const char *path_a = qk_arena_printf(arena, "%s/%s", a->ckpt->dir, a->list[i]);
        const char *path_b = qk_arena_printf(arena, "%s/%s", b->ckpt->dir, b->list[j]);
        bool same;
        if (path_a == NULL || path_b == NULL) {
            return qk_fail_nomem(err, "compare");
        }
        QK_TRY(same_content(path_a, path_b, &same, err));
        if (!same) {
            list[ret->n_other++] = (struct qk_compare_other){a->list[i], QK_FILE_DIFFERS};
        }
        ret->n_files++;
        i++;
        j++;
    }
    return QK_OK;
}

enum qk_code qk_compare_files(const struct qk_ckpt *a, const struct qk_ckpt *b, const char *ignored,
                              struct qk_arena *arena, struct qk_compare *ret, struct qk_err *err)
{
    bool all = qk_path_is_dir(a->path) && qk_path_is_dir(b->path);
    struct names of_a = {.ckpt = a, .arena = arena}, of_b = {.ckpt = b, .arena = arena, .ignored = ignored};
    enum qk_code code = list_names(&of_a, all, err);
    code = code == QK_OK ? list_names(&of_b, all, err) : code;
    code = code == QK_OK ? compare_names(&of_a, &of_b, arena, ret, err) : code;
    qk_free(of_a.list);
    qk_free(of_b.list);
    return code;
}
