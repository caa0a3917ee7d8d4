/* Reading and parsing JSON files under rules: see document.h. */
#include "document.h"

#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "foreign.h"
#include "json_document.h"

const struct qk_document_rules qk_config_rules = {QK_RULE_CONFIG_JSON, QK_RULE_CONFIG_DUPLICATE_KEY,
                                                  QK_RULE_CONFIG_LIMIT, QK_RULE_CONFIG_OBJECT, (size_t)16 << 20};
const struct qk_document_rules qk_index_rules = {QK_RULE_INDEX_JSON, QK_RULE_INDEX_DUPLICATE_KEY, QK_RULE_INDEX_LIMIT,
                                                 QK_RULE_INDEX_OBJECT, (size_t)256 << 20};

/* An error's text without the file's name in front, which a violation carries by itself. */
static const char *without_path(const char *text, const char *path)
{
    size_t n = strlen(path);
    return strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

enum qk_code qk_document_unreadable(struct qk_check *check, const char *path, enum qk_code code,
                                    const struct qk_err *cause, struct qk_err *err)
{
    if (code == QK_ENOMEM) {
        return qk_fail_nomem(err, path);
    }
    struct stat here, there;
    bool dangling = lstat(path, &here) == 0 && S_ISLNK(here.st_mode) && stat(path, &there) != 0;
    return qk_violate(check, QK_RULE_UNREADABLE_FILE, path, "",
                      dangling ? "a symbolic link that leads nowhere: the file it stands for was moved or deleted" : "",
                      err, "%s", without_path(cause->text, path));
}

enum qk_code qk_document_read(struct qk_check *check, const struct qk_document_rules *rules, const char *path,
                              char **ret, size_t *ret_len, struct qk_err *err)
{
    struct qk_err cause;
    int fd;
    uint64_t size = 0;
    *ret = NULL;
    enum qk_code code = qk_file_open(path, &fd, &size, &cause);
    if (code != QK_OK) {
        return qk_document_unreadable(check, path, code, &cause, err);
    }
    if (size > rules->max_bytes) {
        qk_file_close(fd);
        return qk_violate(check, rules->limit, path, "", "", err,
                          "file is too large (expected at most %zu bytes, found %llu)", rules->max_bytes,
                          (unsigned long long)size);
    }
    char *text = qk_calloc((size_t)size + 1, 1);
    code = text == NULL ? QK_ENOMEM : qk_file_read_at(fd, path, 0, (size_t)size, text, &cause);
    qk_file_close(fd);
    if (code != QK_OK) {
        qk_free(text);
        return qk_document_unreadable(check, path, code, &cause, err);
    }
    *ret = text;
    *ret_len = (size_t)size;
    return QK_OK;
}

static enum qk_code report_fault(struct qk_check *check, const struct qk_document_rules *rules, const char *path,
                                 const char *text, size_t len, const struct qk_json_fault *fault, struct qk_err *err)
{
    bool foreign = false;
    if (fault->kind == QK_JSON_SYNTAX) {
        QK_TRY(qk_foreign_check(check, path, text, len < qk_foreign_head ? len : qk_foreign_head, QK_EXPECT_JSON,
                                &foreign, err));
    }
    if (foreign) {
        return QK_OK;
    }
    enum qk_rule_id rule = fault->kind == QK_JSON_SYNTAX  ? rules->json
                           : fault->kind == QK_JSON_LIMIT ? rules->limit
                                                          : rules->duplicate_key;
    const char *hint = len == 0 ? "the file is empty: download it again" : "";
    return qk_violate(check, rule, path, fault->key, hint, err, "%s", fault->text);
}

enum qk_code qk_document_parse(struct qk_check *check, const struct qk_document_rules *rules, const char *path,
                               const char *text, size_t len, struct qk_json **ret, struct qk_err *err)
{
    struct qk_json_fault fault;
    struct qk_json *json = NULL;
    *ret = NULL;
    enum qk_code code = qk_json_parse_document(text, len, &json, &fault);
    if (code == QK_ENOMEM) {
        return qk_fail_nomem(err, path);
    }
    if (code != QK_OK) {
        return report_fault(check, rules, path, text, len, &fault, err);
    }
    if (qk_json_type(json) != QK_JSON_OBJECT) {
        code = qk_violate(check, rules->object, path, "", "", err, "wrong type (expected an object, found %s)",
                          qk_json_type_name(json));
        qk_json_free(json);
        return code;
    }
    *ret = json;
    return QK_OK;
}
