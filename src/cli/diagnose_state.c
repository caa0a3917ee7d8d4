/* What of a diagnosis is complete: see diagnose_state.h. */
#include "diagnose_state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"

enum { MOST_LINES = 128, MOST_BYTES = 1 << 20 };
static const char head[] = "qkscope-diagnose 1";

struct line {
    const char *name, *value;
};

struct qk_diagnose_state {
    struct qk_arena *arena;
    const char *path;
    size_t n_old, n; /* what was read; what holds now */
    struct line old[MOST_LINES], now[MOST_LINES];
};

/* The descriptor stays open, in the steps' processes too: a step that outlives this process keeps the lock. */
static enum qk_code lock(const char *dir, struct qk_arena *arena, struct qk_err *err)
{
    const char *path = qk_arena_printf(arena, "%s/steps/lock", dir);
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT, 0666);
    if (path == NULL) {
        return qk_fail_nomem(err, "state");
    }
    if (fd < 0) {
        return qk_fail_errno(err, path, "write");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool held = errno == EWOULDBLOCK;
        enum qk_code code =
            held ? qk_fail(err, QK_EUSAGE, "%s: a diagnosis is at work here", dir) : qk_fail_errno(err, path, "lock");
        close(fd);
        return code;
    }
    return QK_OK;
}

static enum qk_code parse(struct qk_diagnose_state *state, char *text, struct qk_err *err)
{
    char *next = NULL;
    size_t number = 0;
    for (char *at = text; at != NULL && *at != '\0'; at = next, number++) {
        char *end = strchr(at, '\n');
        next = end == NULL ? NULL : end + 1;
        at[end == NULL ? strlen(at) : (size_t)(end - at)] = '\0';
        char *value = strchr(at, ' ');
        if (value == NULL || state->n_old == MOST_LINES || (number == 0 && strcmp(at, head) != 0)) {
            return qk_fail(err, QK_EFORMAT, "%s: line %zu: is not a line of a diagnosis' state", state->path,
                           number + 1);
        }
        *value++ = '\0';
        if (number > 0) {
            struct line line = {qk_arena_strdup(state->arena, at), qk_arena_strdup(state->arena, value)};
            if (line.name == NULL || line.value == NULL) {
                return qk_fail_nomem(err, "state");
            }
            state->old[state->n_old++] = line;
        }
    }
    return QK_OK;
}

enum qk_code qk_diagnose_state_open(const char *dir, bool resume, struct qk_arena *arena,
                                    struct qk_diagnose_state **ret, bool *ret_resumed, struct qk_err *err)
{
    struct qk_diagnose_state *state = qk_arena_alloc(arena, 1, sizeof *state);
    char *text = NULL;
    size_t len;
    QK_TRY(lock(dir, arena, err));
    if (state == NULL) {
        return qk_fail_nomem(err, "state");
    }
    state->arena = arena;
    state->path = qk_arena_printf(arena, "%s/steps/state", dir);
    if (state->path == NULL) {
        return qk_fail_nomem(err, "state");
    }
    bool there = resume && qk_path_exists(state->path);
    if (there) {
        QK_TRY(qk_file_slurp(state->path, MOST_BYTES, &text, &len, err));
        enum qk_code code = parse(state, text, err);
        qk_free(text);
        QK_TRY(code);
    }
    *ret = state;
    *ret_resumed = there;
    return QK_OK;
}

const char *qk_diagnose_state_find(const struct qk_diagnose_state *state, const char *name)
{
    for (size_t i = 0; i < state->n_old; i++) {
        if (strcmp(state->old[i].name, name) == 0) {
            return state->old[i].value;
        }
    }
    return NULL;
}

static enum qk_code add_line(struct qk_diagnose_state *state, const char *name, const char *value, struct qk_err *err)
{
    struct line line = {qk_arena_strdup(state->arena, name), qk_arena_strdup(state->arena, value)};
    if (line.name == NULL || line.value == NULL || state->n == MOST_LINES) {
        return qk_fail_nomem(err, "state");
    }
    state->now[state->n++] = line;
    return QK_OK;
}

enum qk_code qk_diagnose_state_fact(struct qk_diagnose_state *state, const char *name, const char *value,
                                    struct qk_err *err)
{
    const char *now = value != NULL ? value : "-", *old = qk_diagnose_state_find(state, name);
    if (state->n_old > 0 && (old == NULL || strcmp(old, now) != 0)) {
        (void)qk_fail(err, QK_EMISMATCH,
                      "%s: %s: cannot resume a diagnosis of other inputs or options (expected %s, found %s)",
                      state->path, name, now, old != NULL ? old : "none");
        qk_err_hint(err, "--force begins anew");
        return QK_EMISMATCH;
    }
    return add_line(state, name, now, err);
}

enum qk_code qk_diagnose_hash(const char *path, char *ret, struct qk_err *err)
{
    enum { PIECE = 1 << 16 };
    struct qk_sha256 sha;
    int fd = -1;
    uint64_t size = 0;
    char *record = qk_path_is_dir(path) ? qk_path_join(path, "qkscope.json") : NULL;
    enum qk_code code = qk_file_open(record != NULL ? record : path, &fd, &size, err);
    char *piece = code == QK_OK ? qk_calloc(PIECE, 1) : NULL;
    if (code == QK_OK && piece == NULL) {
        code = qk_fail_nomem(err, path);
    }
    qk_sha256_init(&sha);
    for (uint64_t at = 0; code == QK_OK && at < size; at += PIECE) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        code = qk_file_read_at(fd, path, at, n, piece, err);
        qk_sha256_add(&sha, piece, code == QK_OK ? n : 0);
    }
    if (code == QK_OK) {
        qk_sha256_hex(&sha, ret);
    }
    if (fd >= 0) {
        qk_file_close(fd);
    }
    qk_free(piece);
    qk_free(record);
    return code;
}

/* "done STEP" and "COMMAND OUTPUT" as the file has them. */
static enum qk_code done_line(const char *command, const char *output, char *ret, size_t cap, struct qk_err *err)
{
    char command_sha[65], output_sha[65];
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    qk_sha256_add(&sha, command, strlen(command));
    qk_sha256_hex(&sha, command_sha);
    QK_TRY(qk_diagnose_hash(output, output_sha, err));
    assert(cap >= sizeof command_sha + sizeof output_sha);
    memcpy(ret, command_sha, sizeof command_sha - 1);
    ret[sizeof command_sha - 1] = ' ';
    memcpy(ret + sizeof command_sha, output_sha, sizeof output_sha);
    return QK_OK;
}

bool qk_diagnose_state_is_done(const struct qk_diagnose_state *state, const char *step, const char *command,
                               const char *output)
{
    char now[130];
    const char *name = qk_arena_printf(state->arena, "done:%s", step);
    const char *old = name != NULL ? qk_diagnose_state_find(state, name) : NULL;
    return old != NULL && done_line(command, output, now, sizeof now, NULL) == QK_OK && strcmp(old, now) == 0;
}

enum qk_code qk_diagnose_state_done(struct qk_diagnose_state *state, const char *step, const char *command,
                                    const char *output, bool write, struct qk_err *err)
{
    char now[130];
    struct qk_str text = {0};
    const char *name = qk_arena_printf(state->arena, "done:%s", step);
    if (name == NULL) {
        return qk_fail_nomem(err, "state");
    }
    QK_TRY(done_line(command, output, now, sizeof now, err));
    QK_TRY(add_line(state, name, now, err));
    if (!write) {
        return QK_OK;
    }
    qk_str_addf(&text, "%s\n", head);
    for (size_t i = 0; i < state->n; i++) {
        qk_str_addf(&text, "%s %s\n", state->now[i].name, state->now[i].value);
    }
    enum qk_code code =
        text.failed ? qk_fail_nomem(err, "state") : qk_atomic_put(state->path, true, text.s, text.len, err);
    qk_str_release(&text);
    return code;
}
