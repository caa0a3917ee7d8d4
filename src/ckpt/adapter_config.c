/* adapter_config.json: see adapter_config.h. */
#include "adapter_config.h"

#include <math.h>
#include <string.h>

#include "adapter_targets.h"
#include "base/alloc.h"
#include "base/hash.h"
#include "base/str.h"
#include "document.h"
#include "name_pattern.h"

/* A row of rank_pattern or alpha_pattern. */
struct qk_adapter_pattern {
    const char *text;
    const struct qk_name_pattern *pattern;
    double value;
};

static const uint64_t max_rank = 1 << 16;

static enum qk_code fail(const struct qk_adapter_config *c, enum qk_code code, const char *key, const char *text,
                         struct qk_err *err)
{
    return qk_fail(err, code, "%s: %s: %s", c->path, key, text);
}

static bool is_there(const struct qk_adapter_config *c, const char *key)
{
    const struct qk_json *value = qk_json_get(c->json, key);
    bool flag = true;
    if (value == NULL || qk_json_type(value) == QK_JSON_NULL || (qk_json_bool(value, &flag) && !flag)) {
        return false;
    }
    enum qk_json_type type = qk_json_type(value);
    return (type != QK_JSON_ARRAY && type != QK_JSON_OBJECT) || qk_json_count(value) > 0;
}

/* What would make the tuned weights something else than W0 + s·B·A. */
static const struct {
    const char *key, *what;
} foreign[] = {
    {"alora_invocation_tokens", "an adapter that only works behind certain tokens has no merged weights"},
    {"arrow_config", "routing among several adapters has no merged weights"},
    {"kasa_config", "KaSA changes the base's weights too and is not supported"},
    {"layer_replication", "replicated layers are not supported"},
    {"monteclora_config", "MonteCLoRA is not supported"},
    {"target_parameters", "factors of parameters that belong to no module are not supported"},
    {"trainable_token_indices", "single trained tokens are not supported"},
    {"use_bdlora", "block-diagonal factors are not supported"},
    {"use_qalora", "QALoRA (pooled inputs) is not supported"},
};

/* Ways to begin that leave the base's weights as they are. */
static const char *const plain_inits[] = {"gaussian", "eva", "orthogonal", "mica", NULL};

static enum qk_code check_init(const struct qk_adapter_config *c, struct qk_err *err)
{
    const char *init;
    if (!qk_json_string(qk_json_get(c->json, "init_lora_weights"), &init)) {
        return QK_OK;
    }
    for (const char *const *plain = plain_inits; *plain != NULL; plain++) {
        if (qk_streq(init, *plain)) {
            return QK_OK;
        }
    }
    (void)qk_fail(err, QK_EUNSUPPORTED,
                  "%s: init_lora_weights: '%s' changes the base's weights before training, so that the factors do not "
                  "belong to the base as it is",
                  c->path, init);
    qk_err_hint(err, "save the adapter with path_initial_model_for_weight_conversion, or merge it with PEFT");
    return QK_EUNSUPPORTED;
}

static enum qk_code check_kind(const struct qk_adapter_config *c, struct qk_err *err)
{
    const char *type = NULL;
    QK_TRY(qk_json_opt_string(c->json, "peft_type", NULL, c->path, &type, err));
    if (type == NULL || strcmp(type, "LORA") != 0) {
        return qk_fail(err, type == NULL ? QK_EFORMAT : QK_EUNSUPPORTED,
                       "%s: peft_type: not a LoRA adapter (expected LORA, found %s)", c->path,
                       type == NULL ? "none" : type);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (is_there(c, foreign[i].key)) {
            return fail(c, QK_EUNSUPPORTED, foreign[i].key, foreign[i].what, err);
        }
    }
    return check_init(c, err);
}

static enum qk_code read_patterns(const struct qk_adapter_config *c, const char *key, bool integral,
                                  struct qk_arena *arena, const struct qk_adapter_pattern **ret, size_t *ret_n,
                                  struct qk_err *err)
{
    const struct qk_json *object = qk_json_get(c->json, key);
    if (!is_there(c, key)) {
        return QK_OK;
    }
    if (qk_json_type(object) != QK_JSON_OBJECT) {
        return fail(c, QK_EFORMAT, key, "no table of patterns (expected an object)", err);
    }
    size_t n = qk_json_count(object), i = 0;
    struct qk_adapter_pattern *rows = qk_arena_alloc(arena, n, sizeof *rows);
    if (rows == NULL) {
        return qk_fail_nomem(err, c->path);
    }
    for (const struct qk_json *row = qk_json_first(object); row != NULL; row = qk_json_next(row), i++) {
        uint64_t whole = 0;
        rows[i].text = qk_json_key(row);
        bool fits = qk_json_double(row, &rows[i].value) && isfinite(rows[i].value);
        if (!fits || (integral && (!qk_json_u64(row, &whole) || whole == 0 || whole > max_rank))) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: '%s' has no usable value (expected %s)", c->path, key,
                           rows[i].text, integral ? "an integer from 1 to 65536" : "a finite number");
        }
        enum qk_code code = qk_name_pattern_new("(.*\\.)?(", rows[i].text, ")", arena, &rows[i].pattern, err);
        if (code != QK_OK) {
            qk_err_context(err, "%s: %s: '%s'", c->path, key, rows[i].text);
            return code;
        }
    }
    *ret = rows;
    *ret_n = n;
    return QK_OK;
}

static enum qk_code read_numbers(struct qk_adapter_config *c, struct qk_err *err)
{
    QK_TRY(qk_json_opt_u64(c->json, "r", 8, c->path, &c->rank, err));
    QK_TRY(qk_json_opt_double(c->json, "lora_alpha", 8.0, c->path, &c->alpha, err));
    QK_TRY(qk_json_opt_bool(c->json, "use_rslora", false, c->path, &c->rslora, err));
    QK_TRY(qk_json_opt_bool(c->json, "use_dora", false, c->path, &c->dora, err));
    QK_TRY(qk_json_opt_bool(c->json, "fan_in_fan_out", false, c->path, &c->fan_in_fan_out, err));
    if (c->rank == 0 || c->rank > max_rank) {
        return qk_fail(err, QK_EFORMAT, "%s: r: no rank (expected an integer from 1 to %llu, found %llu)", c->path,
                       (unsigned long long)max_rank, (unsigned long long)c->rank);
    }
    return isfinite(c->alpha) ? QK_OK : fail(c, QK_EFORMAT, "lora_alpha", "not finite", err);
}

static enum qk_code load(struct qk_adapter_config *c, struct qk_err *err)
{
    struct qk_check check = {0};
    struct qk_sha256 sha;
    char *text;
    size_t len;
    QK_TRY(qk_document_read(&check, &qk_config_rules, c->path, &text, &len, err));
    qk_sha256_init(&sha);
    qk_sha256_add(&sha, text, len);
    qk_sha256_hex(&sha, c->sha256);
    enum qk_code code = qk_document_parse(&check, &qk_config_rules, c->path, text, len, &c->json, err);
    qk_free(text);
    return code;
}

enum qk_code qk_adapter_config_read(const char *path, struct qk_arena *arena, struct qk_adapter_config *ret,
                                    struct qk_err *err)
{
    struct qk_adapter_config *c = ret;
    c->path = path;
    QK_TRY(load(c, err));
    QK_TRY(check_kind(c, err));
    QK_TRY(read_numbers(c, err));
    QK_TRY(qk_json_opt_string(c->json, "base_model_name_or_path", NULL, path, &c->base_model, err));
    QK_TRY(read_patterns(c, "rank_pattern", true, arena, &c->ranks, &c->n_ranks, err));
    QK_TRY(read_patterns(c, "alpha_pattern", false, arena, &c->alphas, &c->n_alphas, err));
    return qk_adapter_targets_read(c, arena, &c->targets, err);
}

void qk_adapter_config_release(struct qk_adapter_config *c)
{
    qk_json_free(c->json);
    c->json = NULL;
}

/* The value of the first pattern that matches, as PEFT takes it. */
static enum qk_code look_up(const struct qk_adapter_pattern *rows, size_t n, const char *module, double *value,
                            struct qk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        bool matches;
        QK_TRY(qk_name_pattern_match(rows[i].pattern, module, &matches, err));
        if (matches) {
            *value = rows[i].value;
            return QK_OK;
        }
    }
    return QK_OK;
}

enum qk_code qk_adapter_config_module(const struct qk_adapter_config *c, const char *module, uint64_t *ret_rank,
                                      double *ret_scale, struct qk_err *err)
{
    double rank = (double)c->rank, alpha = c->alpha;
    QK_TRY(look_up(c->ranks, c->n_ranks, module, &rank, err));
    QK_TRY(look_up(c->alphas, c->n_alphas, module, &alpha, err));
    *ret_rank = (uint64_t)rank;
    *ret_scale = alpha / (c->rslora ? sqrt(rank) : rank);
    return QK_OK;
}
