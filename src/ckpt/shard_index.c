/* The index of a sharded checkpoint: see shard_index.h. */
#include "shard_index.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "document.h"
#include "json_document.h"

/* A name that cannot leave the index's directory on any system. */
static bool is_plain_file_name(const char *s)
{
    return s[0] != 0 && !qk_streq(s, ".") && !qk_streq(s, "..") && strpbrk(s, "/\\") == NULL && strlen(s) <= 255 &&
           qk_name_is_clean(s);
}

/* Whether the entry can be used; *ret_code is set when checking must stop. */
static bool check_entry(struct qk_check *check, const char *file, const struct qk_json *entry, const char **ret_shard,
                        enum qk_code *ret_code, struct qk_err *err)
{
    const char *tensor = qk_json_key(entry), *shard;
    if (tensor[0] == 0 || !qk_name_is_clean(tensor)) {
        *ret_code = qk_violate(check, QK_RULE_TENSOR_NAME, file, tensor, "", err,
                               "unusable tensor name (expected text without control characters, found %s)",
                               tensor[0] == 0 ? "an empty name" : "a control character");
        return false;
    }
    if (!qk_json_string(entry, &shard)) {
        *ret_code = qk_violate(check, QK_RULE_INDEX_ENTRY, file, tensor, "", err,
                               "wrong type in weight_map (expected a string, found %s)", qk_json_type_name(entry));
        return false;
    }
    if (!is_plain_file_name(shard)) {
        char name[qk_cut_bytes];
        *ret_code = qk_violate(check, QK_RULE_INDEX_SHARD_NAME, file, tensor,
                               "only files in the index's own directory are read", err,
                               "unusable shard name (expected a plain file name, found '%s')", qk_cut(name, shard));
        return false;
    }
    *ret_shard = shard;
    return true;
}

static enum qk_code read_total_size(struct qk_check *check, const char *file, struct qk_shard_index *index,
                                    struct qk_err *err)
{
    const struct qk_json *total = qk_json_get(qk_json_get(index->document, "metadata"), "total_size");
    double value;
    if (total == NULL || qk_json_type(total) == QK_JSON_NULL) {
        return QK_OK;
    }
    if (!qk_json_double(total, &value)) {
        return qk_violate(check, QK_RULE_INDEX_TOTAL_SIZE_TYPE, file, "metadata.total_size", "", err,
                          "unusable value (expected a whole number of bytes, found %s)", qk_json_type_name(total));
    }
    if (!(value >= 0.0 && value <= 0x1p53) || value != floor(value)) {
        return qk_violate(check, QK_RULE_INDEX_TOTAL_SIZE_TYPE, file, "metadata.total_size", "", err,
                          "unusable value (expected a whole number of bytes, found %.17g)", value);
    }
    index->has_total_size = true;
    index->total_size = value;
    return QK_OK;
}

/* Fills shards and n_listed from names[n], the shard of every tensor (index: into tensors). */
static enum qk_code collect_shards(struct qk_shard_index *index, struct qk_named *names, struct qk_err *err)
{
    size_t n = index->n_tensors;
    QK_TRY(qk_order_names(names, n, err));
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(names[i - 1].name, names[i].name) != 0) {
            index->shards[index->n_shards++] = names[i].name;
        }
        index->n_listed[index->n_shards - 1]++;
        index->tensors[names[i].index].index = index->n_shards - 1;
    }
    return qk_order_names(index->tensors, n, err);
}

static enum qk_code read_weight_map(struct qk_check *check, const char *file, const struct qk_json *map,
                                    struct qk_shard_index *index, struct qk_err *err)
{
    size_t n = qk_json_count(map);
    index->tensors = qk_calloc(n, sizeof *index->tensors);
    index->shards = qk_calloc(n, sizeof *index->shards);
    index->n_listed = qk_calloc(n, sizeof *index->n_listed);
    struct qk_named *names = qk_calloc(n, sizeof *names);
    enum qk_code code = QK_OK;
    if (index->tensors == NULL || index->shards == NULL || index->n_listed == NULL || names == NULL) {
        code = qk_fail_nomem(err, file);
    }
    for (const struct qk_json *c = qk_json_first(map); c != NULL && code == QK_OK; c = qk_json_next(c)) {
        const char *shard;
        if (check_entry(check, file, c, &shard, &code, err)) {
            names[index->n_tensors] = (struct qk_named){shard, index->n_tensors};
            index->tensors[index->n_tensors++].name = qk_json_key(c);
        }
    }
    if (code == QK_OK) {
        code = collect_shards(index, names, err);
    }
    qk_free(names);
    return code;
}

static enum qk_code read_index(struct qk_check *check, const char *file, struct qk_shard_index *index,
                               struct qk_err *err)
{
    QK_TRY(read_total_size(check, file, index, err));
    const struct qk_json *map = qk_json_get(index->document, "weight_map");
    if (map == NULL || qk_json_type(map) != QK_JSON_OBJECT || qk_json_first(map) == NULL) {
        bool empty = map != NULL && qk_json_type(map) == QK_JSON_OBJECT;
        return qk_violate(check, QK_RULE_INDEX_WEIGHT_MAP, file, "weight_map", "", err,
                          "no tensors (expected an object of tensor names and files, found %s)",
                          empty ? "an empty one" : qk_json_type_name(map));
    }
    return read_weight_map(check, file, map, index, err);
}

enum qk_code qk_shard_index_parse(struct qk_check *check, const char *file, const char *text, size_t len,
                                  struct qk_shard_index *ret, struct qk_err *err)
{
    struct qk_shard_index index = {0};
    size_t before = check->n;
    QK_TRY(qk_document_parse(check, &qk_index_rules, file, text, len, &index.document, err));
    enum qk_code code = index.document == NULL ? QK_OK : read_index(check, file, &index, err);
    if (code != QK_OK) {
        qk_shard_index_release(&index);
        return code;
    }
    index.whole = check->n == before;
    *ret = index;
    return QK_OK;
}

void qk_shard_index_release(struct qk_shard_index *index)
{
    qk_free(index->tensors);
    qk_free(index->shards);
    qk_free(index->n_listed);
    qk_json_free(index->document);
    *index = (struct qk_shard_index){0};
}
