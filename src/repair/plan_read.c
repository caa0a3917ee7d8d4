/* Reading plan.json: one table of members per kind of object, every value checked. See repair/plan.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "ckpt/json.h"
#include "json_text.h"
#include "plan_check.h"
#include "plan_value.h"
#include "plan_words.h"
#include "repair/plan.h"

enum { MAX_PLAN_BYTES = 64 << 20, MAX_LAYERS = 1 << 20, MAX_KV_GROUPS = 1 << 20, SHA256_DIGITS = 64 };

/* ---- members of a unit ------------------------------------------------------------------------------------------ */

static enum qk_code read_layer(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                               struct qk_err *err)
{
    uint64_t layer;
    if (!qk_json_u64(json, &layer) || layer >= MAX_LAYERS) {
        return qk_plan_wrong(r, key, "the index of a layer", json, err);
    }
    ((struct qk_plan_unit *)dst)->layer = (size_t)layer;
    return QK_OK;
}

static int by_number(const void *pa, const void *pb)
{
    size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    return (a > b) - (a < b);
}

static enum qk_code read_kv_groups(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                   struct qk_err *err)
{
    struct qk_plan_unit *unit = dst;
    const char *text;
    if (qk_json_string(json, &text) && strcmp(text, "all") == 0) {
        unit->n_kv_groups = 0;
        return QK_OK;
    }
    size_t n = qk_json_count(json), i = 0;
    if (qk_json_type(json) != QK_JSON_ARRAY || n == 0) {
        return qk_plan_wrong(r, key, "\"all\" or the indices of KV groups", json, err);
    }
    size_t *groups = qk_arena_alloc(r->arena, n, sizeof *groups);
    if (groups == NULL) {
        return qk_fail_nomem(err, r->name);
    }
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
        uint64_t group;
        if (!qk_json_u64(c, &group) || group >= MAX_KV_GROUPS) {
            return qk_plan_wrong(r, key, "indices of KV groups", json, err);
        }
        groups[i++] = (size_t)group;
    }
    qsort(groups, n, sizeof *groups, by_number);
    for (i = 1; i < n; i++) {
        if (groups[i] == groups[i - 1]) {
            return qk_plan_wrong(r, key, "each KV group once", json, err);
        }
    }
    unit->n_kv_groups = n;
    unit->kv_groups = groups;
    return QK_OK;
}

static enum qk_code read_tensors(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                 struct qk_err *err)
{
    struct qk_plan_unit *unit = dst;
    unsigned bits;
    QK_TRY(qk_plan_read_words(r, key, json, qk_plan_tensor_names, &bits, err));
    unit->tensors = (unit->tensors & ~(unsigned)(QK_PLAN_Q | QK_PLAN_K)) | bits;
    return QK_OK;
}

static enum qk_code read_with(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                              struct qk_err *err)
{
    struct qk_plan_unit *unit = dst;
    unsigned bits;
    QK_TRY(qk_plan_read_words(r, key, json, qk_plan_with_names, &bits, err));
    unit->tensors |= bits * QK_PLAN_Q_NORM;
    return QK_OK;
}

static enum qk_code read_action(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    unsigned word;
    QK_TRY(qk_plan_read_word(r, key, json, qk_plan_actions, &word, err));
    ((struct qk_plan_unit *)dst)->action = (enum qk_plan_action)word;
    return QK_OK;
}

static enum qk_code read_method(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    unsigned word;
    QK_TRY(qk_plan_read_word(r, key, json, qk_plan_methods, &word, err));
    ((struct qk_plan_unit *)dst)->method = (enum qk_plan_method)word;
    return QK_OK;
}

static enum qk_code read_side(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                              struct qk_err *err)
{
    unsigned word;
    QK_TRY(qk_plan_read_word(r, key, json, qk_plan_sides, &word, err));
    ((struct qk_plan_unit *)dst)->side = (enum qk_plan_side)word;
    return QK_OK;
}

static enum qk_code read_lambda(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    double value = NAN;
    const char *text;
    if (qk_json_string(json, &text) && strcmp(text, "inf") == 0) {
        value = INFINITY;
    } else if (!qk_json_double(json, &value) || !(value >= 0.0)) {
        return qk_plan_wrong(r, key, "a number of at least 0, or \"inf\"", json, err);
    }
    ((struct qk_plan_unit *)dst)->lambda = value;
    return QK_OK;
}

static enum qk_code read_alpha(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                               struct qk_err *err)
{
    double value;
    if (!qk_json_double(json, &value) || !(value >= 0.0 && value <= 1.0)) {
        return qk_plan_wrong(r, key, "a number from 0 to 1", json, err);
    }
    ((struct qk_plan_unit *)dst)->alpha = value;
    return QK_OK;
}

static enum qk_code read_score(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                               struct qk_err *err)
{
    return qk_plan_read_number(r, key, json, &((struct qk_plan_unit *)dst)->score, err);
}

static enum qk_code read_evidence(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                  struct qk_err *err)
{
    struct qk_plan_unit *unit = dst;
    size_t n = qk_json_count(json), i = 0;
    if (qk_json_type(json) != QK_JSON_OBJECT) {
        return qk_plan_wrong(r, key, "an object of numbers", json, err);
    }
    struct qk_plan_evidence *evidence = qk_arena_alloc(r->arena, n, sizeof *evidence);
    if (evidence == NULL) {
        return qk_fail_nomem(err, r->name);
    }
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c), i++) {
        QK_TRY(qk_plan_read_number(r, key, c, &evidence[i].value, err));
        evidence[i].key = qk_arena_strdup(r->arena, qk_json_key(c));
        if (evidence[i].key == NULL) {
            return qk_fail_nomem(err, r->name);
        }
    }
    unit->n_evidence = n;
    unit->evidence = evidence;
    return QK_OK;
}

static enum qk_code read_reason(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    return qk_plan_read_text(r, key, json, &((struct qk_plan_unit *)dst)->reason, err);
}

static const struct qk_plan_member unit_members[] = {
    {"layer", true, read_layer},  {"kv_groups", false, read_kv_groups}, {"tensors", false, read_tensors},
    {"with", false, read_with},   {"action", true, read_action},        {"method", false, read_method},
    {"side", false, read_side},   {"lambda", false, read_lambda},       {"alpha", false, read_alpha},
    {"score", false, read_score}, {"evidence", false, read_evidence},   {"reason", false, read_reason},
    {NULL, false, NULL},
};

/* ---- members of a checkpoint and of the provenance -------------------------------------------------------------- */

struct checkpoint {
    struct qk_plan_checkpoint of;
    const char *sample;
};

static enum qk_code read_name(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                              struct qk_err *err)
{
    return qk_plan_read_text(r, key, json, &((struct checkpoint *)dst)->of.name, err);
}

static enum qk_code read_sha256(struct qk_plan_reader *r, const char *key, const struct qk_json *json, const char **ret,
                                struct qk_err *err)
{
    const char *text;
    if (!qk_json_string(json, &text) || strlen(text) != SHA256_DIGITS ||
        strspn(text, "0123456789abcdef") != SHA256_DIGITS) {
        return qk_plan_wrong(r, key, "64 lower-case hex digits", json, err);
    }
    return qk_plan_read_text(r, key, json, ret, err);
}

static enum qk_code read_header(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    return read_sha256(r, key, json, &((struct checkpoint *)dst)->of.header_sha256, err);
}

static enum qk_code read_sample(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    return read_sha256(r, key, json, &((struct checkpoint *)dst)->sample, err);
}

static const struct qk_plan_member checkpoint_members[] = {
    {"name", true, read_name},
    {"header_sha256", true, read_header},
    {"sample_sha256", false, read_sample},
    {NULL, false, NULL},
};

static enum qk_code read_version_text(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                      struct qk_err *err)
{
    return qk_plan_read_text(r, key, json, &((struct qk_plan *)dst)->qkscope, err);
}

static enum qk_code read_command(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                 struct qk_err *err)
{
    return qk_plan_read_text(r, key, json, &((struct qk_plan *)dst)->command, err);
}

static const struct qk_plan_member provenance_members[] = {
    {"qkscope", false, read_version_text},
    {"command", false, read_command},
    {NULL, false, NULL},
};

/* ---- members of the plan ---------------------------------------------------------------------------------------- */

static enum qk_code read_format(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                struct qk_err *err)
{
    const char *text;
    (void)dst;
    return qk_json_string(json, &text) && strcmp(text, "qkscope-plan") == 0
               ? QK_OK
               : qk_plan_wrong(r, key, "\"qkscope-plan\"", json, err);
}

static enum qk_code read_version(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                 struct qk_err *err)
{
    uint64_t version;
    (void)dst;
    return qk_json_u64(json, &version) && version == 1 ? QK_OK : qk_plan_wrong(r, key, "1", json, err);
}

static enum qk_code read_base(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                              struct qk_err *err)
{
    struct qk_plan *plan = dst;
    struct checkpoint c = {0};
    QK_TRY(qk_plan_read_object(r, key, json, checkpoint_members, &c, err));
    plan->base = c.of;
    plan->base_sample = c.sample;
    return QK_OK;
}

static enum qk_code read_tuned(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                               struct qk_err *err)
{
    struct qk_plan *plan = dst;
    struct checkpoint c = {0};
    QK_TRY(qk_plan_read_object(r, key, json, checkpoint_members, &c, err));
    plan->tuned = c.of;
    plan->tuned_sample = c.sample;
    return QK_OK;
}

static enum qk_code read_unit(struct qk_plan_reader *r, size_t i, const struct qk_json *json, struct qk_plan_unit *unit,
                              struct qk_err *err)
{
    char key[sizeof r->object - 1];
    snprintf(key, sizeof key, "units[%zu]", i);
    *unit = (struct qk_plan_unit){.tensors = QK_PLAN_Q | QK_PLAN_K, .lambda = 0.01, .alpha = 1.0, .score = NAN};
    r->object[0] = 0;
    QK_TRY(qk_plan_read_object(r, key, json, unit_members, unit, err));
    if (unit->tensors == 0) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: names no tensors (expected \"q\", \"k\" or both, found none)", r->name,
                       key);
    }
    return QK_OK;
}

static enum qk_code read_units(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                               struct qk_err *err)
{
    struct qk_plan *plan = dst;
    size_t n = qk_json_count(json), i = 0;
    if (qk_json_type(json) != QK_JSON_ARRAY) {
        return qk_plan_wrong(r, key, "an array of units", json, err);
    }
    struct qk_plan_unit *units = qk_arena_alloc(r->arena, n, sizeof *units);
    if (units == NULL) {
        return qk_fail_nomem(err, r->name);
    }
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c), i++) {
        QK_TRY(read_unit(r, i, c, &units[i], err));
    }
    qk_plan_sort(units, n);
    QK_TRY(qk_plan_check_units(r->name, units, n, err));
    plan->n_units = n;
    plan->units = units;
    return QK_OK;
}

static enum qk_code read_measured(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                  struct qk_err *err)
{
    if (qk_json_type(json) != QK_JSON_OBJECT) {
        return qk_plan_wrong(r, key, "an object", json, err);
    }
    struct qk_str text = {0};
    qk_json_add_text(&text, json);
    const char *copy = text.failed ? NULL : qk_arena_strndup(r->arena, text.s, text.len);
    qk_str_release(&text);
    if (copy == NULL) {
        return qk_fail_nomem(err, r->name);
    }
    ((struct qk_plan *)dst)->measured = copy;
    return QK_OK;
}

static enum qk_code read_provenance(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                                    struct qk_err *err)
{
    return qk_plan_read_object(r, key, json, provenance_members, dst, err);
}

static const struct qk_plan_member plan_members[] = {
    {"format", true, read_format},
    {"version", true, read_version},
    {"base", true, read_base},
    {"tuned", true, read_tuned},
    {"units", true, read_units},
    {"measured", false, read_measured},
    {"provenance", false, read_provenance},
    {NULL, false, NULL},
};

/* ---- whole plans ------------------------------------------------------------------------------------------------ */

/* The plan in the record that restore leaves beside its output (qkscope.json), else json itself. */
static const struct qk_json *find_plan(const struct qk_json *json)
{
    const char *format;
    const struct qk_json *plan = qk_json_get(json, "plan");
    bool record = qk_json_string(qk_json_get(json, "format"), &format) &&
                  (strcmp(format, "qkscope-restore") == 0 || strcmp(format, "qkscope-trimmed-adapter") == 0);
    return record && plan != NULL ? plan : json;
}

enum qk_code qk_plan_parse(const char *name, const char *text, size_t n, struct qk_arena *arena, struct qk_plan *ret,
                           struct qk_err *err)
{
    struct qk_json *json;
    struct qk_plan plan = {0};
    struct qk_plan_reader reader = {.name = name, .arena = arena};
    QK_TRY(qk_json_parse(text, n, name, &json, err));
    enum qk_code code = qk_plan_read_object(&reader, "", find_plan(json), plan_members, &plan, err);
    qk_json_free(json);
    if (code == QK_OK) {
        *ret = plan;
    }
    return code;
}

enum qk_code qk_plan_read(const char *path, struct qk_arena *arena, struct qk_plan *ret, struct qk_err *err)
{
    char *text;
    size_t n;
    QK_TRY(qk_file_slurp_text(path, MAX_PLAN_BYTES, &text, &n, err));
    enum qk_code code = qk_plan_parse(path, text, n, arena, ret, err);
    qk_free(text);
    return code;
}
