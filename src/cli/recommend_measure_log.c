/* What is kept of a measuring run: see recommend_measure_log.h. */
#include "recommend_measure_log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "ckpt/json.h"

enum { MAX_LOG = 1 << 30 };

struct qk_measure_log_line {
    const char *variant, *hit;
    size_t n;
    const double *logprob;
};

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static enum qk_code broken(const struct qk_measure_log *log, const char *field, struct qk_err *err)
{
    return qk_fail(err, QK_EFORMAT, "%s: %s: cannot resume: not as it was written", log->path, field);
}

static enum qk_code read_line(struct qk_measure_log *log, const struct qk_json *json, struct qk_measure_log_line *line,
                              struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(log->cli);
    const struct qk_json *values = qk_json_get(json, "logprob");
    const char *variant, *hit;
    if (!qk_json_string(qk_json_get(json, "variant"), &variant) || !qk_json_string(qk_json_get(json, "hit"), &hit)) {
        return broken(log, "variant", err);
    }
    line->n = strlen(hit);
    double *logprob = qk_arena_alloc(arena, line->n + 1, sizeof *logprob);
    line->variant = qk_arena_strdup(arena, variant);
    line->hit = qk_arena_strdup(arena, hit);
    if (logprob == NULL || line->variant == NULL || line->hit == NULL) {
        return qk_fail_nomem(err, log->path);
    }
    if (values == NULL || qk_json_type(values) != QK_JSON_ARRAY || qk_json_count(values) != line->n ||
        strspn(hit, "01") != line->n) {
        return broken(log, line->variant, err);
    }
    size_t i = 0;
    for (const struct qk_json *v = qk_json_first(values); v != NULL; v = qk_json_next(v), i++) {
        if (qk_json_type(v) == QK_JSON_NULL) {
            logprob[i] = -INFINITY;
        } else if (!qk_json_double(v, &logprob[i])) {
            return broken(log, line->variant, err);
        }
    }
    line->logprob = logprob;
    return QK_OK;
}

static enum qk_code check_head(const struct qk_measure_log *log, const struct qk_json *json, const char *config,
                               struct qk_err *err)
{
    const char *format, *found;
    if (!qk_json_string(qk_json_get(json, "format"), &format) || strcmp(format, "qkscope-measure") != 0 ||
        !qk_json_string(qk_json_get(json, "config"), &found)) {
        return broken(log, "format", err);
    }
    if (strcmp(found, config) != 0) {
        (void)qk_fail(err, QK_EMISMATCH,
                      "%s: config: cannot resume: other checkpoints, cases or program (expected %.12s…, found %.12s…)",
                      log->path, config, found);
        qk_err_hint(err, "run without --resume to start anew");
        return QK_EMISMATCH;
    }
    return QK_OK;
}

/* *ret_end: behind the last whole line. */
static enum qk_code read_lines(struct qk_measure_log *log, const char *text, size_t len, const char *config,
                               size_t *ret_end, struct qk_err *err)
{
    size_t n = 0, number = 0;
    for (size_t i = 0; i < len; i++) {
        n += text[i] == '\n';
    }
    struct qk_measure_log_line *lines = qk_arena_alloc(qk_cli_arena(log->cli), n + 1, sizeof *lines);
    if (lines == NULL) {
        return qk_fail_nomem(err, log->path);
    }
    *ret_end = 0;
    for (const char *end; (end = memchr(text + *ret_end, '\n', len - *ret_end)) != NULL; number++) {
        struct qk_json *json = NULL;
        QK_TRY(qk_json_parse(text + *ret_end, (size_t)(end - text) - *ret_end, log->path, &json, err));
        enum qk_code code =
            number == 0 ? check_head(log, json, config, err) : read_line(log, json, &lines[number - 1], err);
        qk_json_free(json);
        QK_TRY(code);
        *ret_end = (size_t)(end - text) + 1;
    }
    log->lines = lines;
    log->n_lines = number > 0 ? number - 1 : 0;
    return QK_OK;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static enum qk_code write_line(const struct qk_measure_log *log, struct qk_str *line, struct qk_err *err)
{
    enum qk_code code = line->failed ? qk_fail_nomem(err, log->path) : QK_OK;
    for (size_t done = 0; code == QK_OK && done < line->len;) {
        ssize_t n = write(log->fd, line->s + done, line->len - done);
        if (n < 0 && errno != EINTR) {
            code = qk_fail_errno(err, log->path, "write");
        }
        done += n > 0 ? (size_t)n : 0;
    }
    qk_str_release(line);
    return code;
}

static enum qk_code begin(struct qk_measure_log *log, const char *config, size_t kept, struct qk_err *err)
{
    struct qk_str line = {0};
    log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->fd < 0 || ftruncate(log->fd, (off_t)kept) != 0) {
        return qk_fail_errno(err, log->path, "write");
    }
    if (kept > 0) {
        return QK_OK;
    }
    qk_str_addf(&line, "{\"format\": \"qkscope-measure\", \"version\": 1, \"config\": \"%s\"}\n", config);
    return write_line(log, &line, err);
}

enum qk_code qk_measure_log_open(struct qk_cli *cli, const char *output, const char *config, struct qk_measure_log *ret,
                                 struct qk_err *err)
{
    char *text = NULL;
    size_t len = 0, kept = 0;
    *ret = (struct qk_measure_log){.cli = cli, .fd = -1};
    if (output == NULL) {
        return QK_OK;
    }
    ret->path = qk_arena_printf(qk_cli_arena(cli), "%s.part", output);
    if (ret->path == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    if (qk_cli_resume(cli) && !qk_path_exists(ret->path)) {
        qk_cli_notice(cli, "%s: nothing to resume, starting anew", ret->path);
    } else if (qk_cli_resume(cli)) {
        QK_TRY(qk_file_slurp(ret->path, MAX_LOG, &text, &len, err));
        enum qk_code code = read_lines(ret, text, len, config, &kept, err);
        qk_free(text);
        QK_TRY(code);
        qk_cli_notice(cli, "%s: %zu variants are there already", ret->path, ret->n_lines);
    }
    return begin(ret, config, kept, err);
}

void qk_measure_log_close(struct qk_measure_log *log)
{
    if (log->fd >= 0) {
        (void)close(log->fd);
        log->fd = -1;
    }
}

bool qk_measure_log_find(struct qk_measure_log *log, const char *variant, struct qk_outcome *ret)
{
    size_t n = ret->n_recall + ret->n_reasoning;
    for (size_t i = 0; i < log->n_lines; i++) {
        const struct qk_measure_log_line *line = &log->lines[i];
        if (line->n == n && strcmp(line->variant, variant) == 0) {
            for (size_t k = 0; k < n; k++) {
                ret->hit[k] = line->hit[k] == '1';
                ret->logprob[k] = line->logprob[k];
            }
            log->n_used++;
            return true;
        }
    }
    return false;
}

enum qk_code qk_measure_log_add(struct qk_measure_log *log, const char *variant, const struct qk_outcome *outcome,
                                struct qk_err *err)
{
    struct qk_str line = {0};
    size_t n = outcome->n_recall + outcome->n_reasoning;
    if (log->fd < 0) {
        return QK_OK;
    }
    qk_str_add(&line, "{\"variant\": ");
    qk_str_add_json(&line, variant);
    qk_str_add(&line, ", \"hit\": \"");
    for (size_t i = 0; i < n; i++) {
        qk_str_addc(&line, outcome->hit[i] ? '1' : '0');
    }
    qk_str_add(&line, "\", \"logprob\": [");
    for (size_t i = 0; i < n; i++) {
        qk_str_add(&line, i > 0 ? "," : "");
        qk_str_add_json_double(&line, outcome->logprob[i]);
    }
    qk_str_add(&line, "]}\n");
    log->n_added++;
    return write_line(log, &line, err);
}

void qk_measure_log_remove(struct qk_measure_log *log)
{
    if (log->path != NULL && unlink(log->path) != 0 && errno != ENOENT) {
        qk_cli_notice(log->cli, "%s could not be removed: %s", log->path, strerror(errno));
    }
}

void qk_measure_log_hint(struct qk_measure_log *log, struct qk_err *err)
{
    if (log->fd >= 0 && log->n_lines + log->n_added == 0) {
        qk_measure_log_remove(log);
    } else if (log->fd >= 0) {
        qk_err_hint(err, "what was measured is in %s; the same command with --resume continues", log->path);
    }
}
