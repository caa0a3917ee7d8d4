/* Where a run's numbers come from: checkpoints, options, program. */
#include "provenance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/str.h"
#include "num/blas.h"

/* "2026-01-31T12:00:00Z", or says that the time is left out. */
static void created_text(char *out, size_t cap)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds;
    struct tm utc;
    if (epoch != NULL && qk_parse_u64(epoch, 0, 253402300799u, &seconds)) {
        time_t t = (time_t)seconds;
        if (gmtime_r(&t, &utc) != NULL && strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0) {
            return;
        }
    }
    strncpy(out, "not recorded (SOURCE_DATE_EPOCH is not set)", cap - 1);
    out[cap - 1] = '\0';
}

/* An operand as a shell would take it. */
void qk_provenance_add_word(struct qk_str *str, const char *s)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=,:@%+*?";
    if (s[0] != '\0' && strspn(s, plain) == strlen(s)) {
        qk_str_add(str, s);
        return;
    }
    qk_str_addc(str, '\'');
    for (; *s != '\0'; s++) {
        if (*s == '\'') {
            qk_str_add(str, "'\\''");
        } else {
            qk_str_addc(str, *s);
        }
    }
    qk_str_addc(str, '\'');
}

void qk_provenance_add_operand(struct qk_str *str, const struct qk_run_input *input)
{
    struct qk_str operand = {0};
    qk_str_addf(&operand, "%s=%s", input->name, input->ckpt->path);
    qk_str_addc(str, ' ');
    if (operand.failed) {
        str->failed = true;
    } else {
        qk_provenance_add_word(str, operand.s);
    }
    qk_str_release(&operand);
}

static void add_kinds(struct qk_str *str, const struct qk_drift_options *options)
{
    const char *separator = " --kinds ";
    for (size_t kind = 0; kind < QK_N_LAYER_KINDS; kind++) {
        if (options->kinds != 0 && qk_selection_has_kind(options, (enum qk_layer_kind)kind)) {
            qk_str_addf(str, "%s%s", separator, qk_layer_kind_name((enum qk_layer_kind)kind));
            separator = ",";
        }
    }
}

static void add_command(struct qk_str *str, const struct qk_run_input *base, const struct qk_run_input *tuned,
                        const struct qk_drift_options *options)
{
    qk_str_add(str, "qkscope drift");
    qk_provenance_add_operand(str, base);
    qk_provenance_add_operand(str, tuned);
    add_kinds(str, options);
    for (size_t i = 0; options->metrics != NULL && i < options->n_metrics; i++) {
        qk_str_add(str, i == 0 ? " --metrics " : ",");
        qk_provenance_add_word(str, options->metrics[i]);
    }
}

/* One command line per tuned checkpoint. */
static enum qk_code make_history(struct qk_arena *arena, const struct qk_run_input *base,
                                 const struct qk_run_input *tuned, size_t n_tuned,
                                 const struct qk_drift_options *options, const char ***ret, struct qk_err *err)
{
    const char **lines = qk_arena_alloc(arena, n_tuned, sizeof(*lines));
    for (size_t i = 0; lines != NULL && i < n_tuned; i++) {
        struct qk_str command = {0};
        add_command(&command, base, &tuned[i], options);
        lines[i] = command.failed ? NULL : qk_arena_strdup(arena, command.s);
        qk_str_release(&command);
        if (lines[i] == NULL) {
            return qk_fail_nomem(err, "history");
        }
    }
    *ret = lines;
    return lines == NULL ? qk_fail_nomem(err, "history") : QK_OK;
}

enum qk_code qk_provenance_program(struct qk_table *table, const char *title, const char *const *history, size_t n,
                                   struct qk_err *err)
{
    struct qk_node *root = table->nodes[0];
    char created[64];
    created_text(created, sizeof(created));
    QK_TRY(qk_node_attr_str(table, root, "title", title, err));
    QK_TRY(qk_node_attr_strs(table, root, "history", history, n, err));
    QK_TRY(qk_node_attr_str(table, root, "source", "qkscope " QK_VERSION, err));
    return qk_node_attr_str(table, root, "created", created, err);
}

enum qk_code qk_provenance_command(struct qk_table *table, const char *title, struct qk_str *command,
                                   struct qk_err *err)
{
    const char *line = command->s;
    enum qk_code code =
        command->failed ? qk_fail_nomem(err, "history") : qk_provenance_program(table, title, &line, 1, err);
    qk_str_release(command);
    return code;
}

enum qk_code qk_provenance_root(struct qk_table *table, const struct qk_run_input *base,
                                const struct qk_run_input *tuned, size_t n_tuned,
                                const struct qk_drift_options *options, struct qk_err *err)
{
    const char **lines;
    QK_TRY(make_history(table->arena, base, tuned, n_tuned, options, &lines, err));
    return qk_provenance_program(table, "Drift of attention routing under fine-tuning", lines, n_tuned, err);
}

/* The storage type that holds most of the bytes. */
static const char *main_dtype(const struct qk_ckpt *ckpt)
{
    uint64_t bytes[QK_N_DTYPES] = {0};
    size_t best = 0;
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        bytes[ckpt->tensors[i].dtype] += ckpt->tensors[i].n_bytes;
    }
    for (size_t d = 1; d < QK_N_DTYPES; d++) {
        best = bytes[d] > bytes[best] ? d : best;
    }
    return qk_dtype_info((enum qk_dtype)best)->name;
}

enum qk_code qk_provenance_checkpoint(struct qk_table *table, const struct qk_run_input *input, const char *role,
                                      char ret_sample[65], struct qk_err *err)
{
    QK_TRY(qk_ckpt_sample(input->ckpt, ret_sample, err));
    char *path = qk_arena_printf(table->arena, "/checkpoints/%s", input->name);
    if (path == NULL) {
        return qk_fail_nomem(err, "checkpoint name");
    }
    if (qk_table_find(table, path) != NULL) {
        return qk_fail(err, QK_EUSAGE, "two checkpoints are called '%s'", input->name);
    }
    struct qk_node *node;
    QK_TRY(qk_table_group(table, path, &node, err));
    const char *const texts[][2] = {
        {"role", role},
        {"path", input->ckpt->path},
        {"dtype", main_dtype(input->ckpt)},
        {"config_sha256", input->ckpt->config_sha256},
        {"header_sha256", input->ckpt->header_sha256},
        {"sample_sha256", ret_sample},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        QK_TRY(qk_node_attr_str(table, node, texts[i][0], texts[i][1], err));
    }
    QK_TRY(qk_node_attr_i64(table, node, "total_bytes", (int64_t)input->ckpt->total_bytes, err));
    return qk_node_attr_i64(table, node, "n_tensors", (int64_t)input->ckpt->n_tensors, err);
}

enum qk_code qk_provenance_checkpoints(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t base,
                                       char (**ret_samples)[65], struct qk_err *err)
{
    char(*samples)[65] = qk_arena_alloc(table->arena, n, sizeof(*samples));
    if (samples == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t i = 0; i < n; i++) {
        QK_TRY(qk_provenance_checkpoint(table, &inputs[i], i == base ? "base" : "tuned", samples[i], err));
    }
    *ret_samples = samples;
    return QK_OK;
}

enum qk_code qk_provenance_hash(struct qk_str *text, char ret[65], struct qk_err *err)
{
    struct qk_sha256 sha;
    enum qk_code code = text->failed ? qk_fail_nomem(err, "configuration") : QK_OK;
    qk_sha256_init(&sha);
    if (code == QK_OK) {
        qk_sha256_add(&sha, text->s, text->len);
        qk_sha256_hex(&sha, ret);
    }
    qk_str_release(text);
    return code;
}

static void add_field(struct qk_sha256 *sha, const char *s)
{
    qk_sha256_add(sha, s, strlen(s) + 1);
}

static void add_input(struct qk_sha256 *sha, const struct qk_run_input *input, const char *sampled)
{
    add_field(sha, input->name);
    add_field(sha, input->ckpt->config_sha256);
    add_field(sha, input->ckpt->header_sha256);
    add_field(sha, sampled);
}

void qk_provenance_config_hash(const struct qk_run_input *base, const char *base_sample,
                               const struct qk_run_input *tuned, const char *tuned_sample,
                               const struct qk_drift_options *options, const struct qk_selection *selection,
                               char ret[65])
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    add_field(&sha, "drift 1");
    add_field(&sha, QK_VERSION);
    add_input(&sha, base, base_sample);
    add_input(&sha, tuned, tuned_sample);
    for (size_t kind = 0; kind < QK_N_LAYER_KINDS; kind++) {
        add_field(&sha, qk_selection_has_kind(options, (enum qk_layer_kind)kind) ? "1" : "0");
    }
    for (size_t m = 0; m < selection->n_metrics; m++) {
        add_field(&sha, selection->metrics[m]->name);
    }
    qk_sha256_hex(&sha, ret);
}
