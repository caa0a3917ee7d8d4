/* Streaming parser of safetensors headers: see safetensors.h. What an entry says is judged in safetensors_entry.c. */
#include "safetensors.h"

#include <string.h>

#include "base/alloc.h"
#include "foreign.h"
#include "json_document.h"
#include "order.h"
#include "safetensors_entry.h"

static const char damaged_hint[] = "the file is damaged, or its download was cut short: download it again";

enum qk_code qk_safetensors_frame(struct qk_check *check, const char *file, const char *head, size_t n_head,
                                  uint64_t file_bytes, size_t *ret_header_len, bool *ret_usable, struct qk_err *err)
{
    uint64_t len = 0;
    for (size_t i = 0; i < 8 && i < n_head; i++) {
        len |= (uint64_t)(unsigned char)head[i] << (8 * i);
    }
    bool small = file_bytes < 8 || n_head < 8;
    if (!small && len <= qk_safetensors_max_header && len <= file_bytes - 8) {
        *ret_header_len = (size_t)len;
        *ret_usable = true;
        return QK_OK;
    }
    *ret_usable = false;
    bool foreign;
    QK_TRY(qk_foreign_check(check, file, head, n_head, QK_EXPECT_WEIGHTS, &foreign, err));
    if (foreign) {
        return QK_OK;
    }
    if (small) {
        return qk_violate(check, QK_RULE_FILE_TOO_SMALL, file, "", damaged_hint, err,
                          "no safetensors file (expected at least 8 bytes, found %llu)",
                          (unsigned long long)file_bytes);
    }
    if (len > qk_safetensors_max_header) {
        return qk_violate(check, QK_RULE_HEADER_TOO_LARGE, file, "", "this does not look like a safetensors file", err,
                          "header length out of bounds (expected at most %d bytes, found %llu)",
                          qk_safetensors_max_header, (unsigned long long)len);
    }
    return qk_violate(check, QK_RULE_HEADER_BEYOND_FILE, file, "", damaged_hint, err,
                      "file ends inside its header (expected at least %llu bytes, found %llu)",
                      (unsigned long long)len + 8, (unsigned long long)file_bytes);
}

/* A fault of the scan as a violation; parsing cannot go on. */
static bool report_scan(struct qk_header_parser *p)
{
    char where[200];
    qk_scan_explain(&p->scan, where, sizeof where);
    p->broken = true;
    p->code = qk_violate(p->check, QK_RULE_HEADER_JSON, p->file, "header", "", p->err, "%s %s",
                         p->scan.fault == QK_SCAN_LIMIT ? "exceeds a limit" : "not valid JSON", where);
    return false;
}

static bool check_metadata(struct qk_header_parser *p, struct qk_span value)
{
    struct qk_json_fault fault;
    struct qk_json *metadata;
    enum qk_code code = qk_json_parse_document(value.s, value.n, &metadata, &fault);
    if (code == QK_ENOMEM) {
        p->code = qk_fail_nomem(p->err, p->file);
        return false;
    }
    if (code != QK_OK) {
        char item[400];
        snprintf(item, sizeof item, "__metadata__.%s", fault.key);
        enum qk_rule_id rule = fault.kind == QK_JSON_DUPLICATE ? QK_RULE_METADATA_DUPLICATE_KEY : QK_RULE_METADATA_TYPE;
        return QK_HEADER_VIOLATE(p, rule, fault.key[0] == 0 ? "__metadata__" : item, "%s", fault.text);
    }
    qk_json_free(p->ret->metadata);
    p->ret->metadata = metadata;
    if (qk_json_type(metadata) != QK_JSON_OBJECT) {
        return QK_HEADER_VIOLATE(p, QK_RULE_METADATA_TYPE, "__metadata__", "wrong type (expected an object, found %s)",
                                 qk_json_type_name(metadata));
    }
    for (const struct qk_json *c = qk_json_first(metadata); c != NULL; c = qk_json_next(c)) {
        if (qk_json_type(c) != QK_JSON_STRING) {
            char item[400], key[qk_cut_bytes];
            snprintf(item, sizeof item, "__metadata__.%s", qk_cut(key, qk_json_key(c)));
            if (!QK_HEADER_VIOLATE(p, QK_RULE_METADATA_TYPE, item, "wrong type (expected a string, found %s)",
                                   qk_json_type_name(c))) {
                return false;
            }
        }
    }
    return true;
}

static bool parse_metadata(struct qk_header_parser *p)
{
    qk_scan_space(&p->scan);
    const char *start = p->scan.p;
    if (!qk_scan_value(&p->scan)) {
        return report_scan(p);
    }
    if (p->seen_metadata) {
        return QK_HEADER_VIOLATE(p, QK_RULE_METADATA_DUPLICATE_KEY, "__metadata__",
                                 "occurs more than once (expected once, found another)");
    }
    p->seen_metadata = true;
    return check_metadata(p, (struct qk_span){.s = start, .n = (size_t)(p->scan.p - start)});
}

static bool parse_member(struct qk_header_parser *p)
{
    struct qk_span key;
    if (!qk_scan_key(&p->scan, &key)) {
        return report_scan(p);
    }
    char *name = qk_scan_unescape(p->arena, key);
    if (name == NULL) {
        p->code = qk_fail_nomem(p->err, p->file);
        return false;
    }
    if (strcmp(name, "__metadata__") == 0) {
        return parse_metadata(p);
    }
    if (!qk_header_parse_entry(p, name, key.plain)) {
        return p->scan.fault == QK_SCAN_FINE ? false : report_scan(p);
    }
    return true;
}

static bool parse_header(struct qk_header_parser *p)
{
    struct qk_scan *scan = &p->scan;
    qk_scan_space(scan);
    int c = qk_scan_peek(scan);
    if (c != '{') {
        bool is_json = qk_scan_value(scan) && qk_scan_end(scan);
        p->broken = true;
        return is_json
                   ? QK_HEADER_VIOLATE(p, QK_RULE_HEADER_OBJECT, "header", "wrong type (expected an object, found %s)",
                                       c == '['   ? "an array"
                                       : c == '"' ? "a string"
                                                  : "a plain value")
                   : report_scan(p);
    }
    scan->p++;
    qk_scan_space(scan);
    if (qk_scan_peek(scan) == '}') {
        scan->p++;
        return qk_scan_end(scan) || report_scan(p);
    }
    for (;;) {
        if (!parse_member(p)) {
            return false;
        }
        qk_scan_space(scan);
        c = qk_scan_peek(scan);
        if (c != ',' && c != '}') {
            (void)qk_scan_fail(scan, scan->p, "',' or '}'", NULL);
            return report_scan(p);
        }
        scan->p++;
        if (c == '}') {
            return qk_scan_end(scan) || report_scan(p);
        }
    }
}

/* Puts the tensors into the order of their names and reports names that occur twice. */
static bool order_tensors(struct qk_header_parser *p)
{
    size_t n = p->n;
    struct qk_named *order = qk_calloc(n, sizeof *order);
    struct qk_tensor *sorted = qk_calloc(n, sizeof *sorted);
    p->ret->tensors = sorted;
    p->ret->n_tensors = sorted == NULL ? 0 : n;
    bool fine = order != NULL && sorted != NULL;
    for (size_t i = 0; fine && i < n; i++) {
        order[i] = (struct qk_named){p->tensors[i].name, i};
    }
    if (!fine || qk_order_names(order, n, p->err) != QK_OK) {
        p->code = qk_fail_nomem(p->err, p->file);
        fine = false;
    }
    for (size_t i = 0; fine && i < n; i++) {
        sorted[i] = p->tensors[order[i].index];
        if (i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0) {
            fine = QK_HEADER_VIOLATE(p, QK_RULE_DUPLICATE_TENSOR, sorted[i].name,
                                     "tensor occurs twice in the header (expected once, found entries %zu and %zu)",
                                     order[i - 1].index + 1, order[i].index + 1);
        }
    }
    qk_free(order);
    return fine;
}

/* Tensors must fill the data without hole or overlap, and the data must fill the file. */
static bool check_layout(struct qk_header_parser *p, uint64_t file_bytes)
{
    p->code = qk_order_extents(p->extents, p->n_extents, p->err);
    uint64_t filled = 0, data_at = 8 + (uint64_t)(p->scan.end - p->scan.begin), needed;
    const char *last = "";
    bool fine = p->code == QK_OK;
    for (size_t i = 0; fine && i < p->n_extents; i++) {
        const struct qk_extent *e = &p->extents[i];
        const char *name = p->tensors[e->index].name;
        if (e->begin > filled && !p->lost_extents) {
            fine = QK_HEADER_VIOLATE(p, QK_RULE_HOLE_IN_DATA, name,
                                     "hole in front of the data (expected offset %llu, found %llu)",
                                     (unsigned long long)filled, (unsigned long long)e->begin);
        } else if (e->begin < filled) {
            char other[qk_cut_bytes];
            fine = QK_HEADER_VIOLATE(p, QK_RULE_OVERLAPPING_DATA, name,
                                     "data overlaps that of '%s' (expected offset %llu, found %llu)",
                                     qk_cut(other, last), (unsigned long long)filled, (unsigned long long)e->begin);
        }
        if (e->end >= filled) {
            filled = e->end;
            last = name;
        }
    }
    if (!fine) {
        return false;
    }
    if (__builtin_add_overflow(filled, data_at, &needed) || needed > file_bytes) {
        p->code = qk_violate(p->check, QK_RULE_TRUNCATED_FILE, p->file, last, damaged_hint, p->err,
                             "file ends before its data does (expected %llu bytes of data, found %llu)",
                             (unsigned long long)filled, (unsigned long long)(file_bytes - data_at));
        return p->code == QK_OK;
    }
    if (needed < file_bytes && !p->lost_extents) {
        return QK_HEADER_VIOLATE(p, QK_RULE_TRAILING_BYTES, "",
                                 "bytes behind the last tensor (expected a file of %llu bytes, found %llu)",
                                 (unsigned long long)needed, (unsigned long long)file_bytes);
    }
    return true;
}

enum qk_code qk_safetensors_parse(struct qk_check *check, const char *file, const char *header, size_t len,
                                  uint64_t file_bytes, struct qk_arena *arena, struct qk_safetensors *ret,
                                  bool *ret_usable, struct qk_err *err)
{
    struct qk_safetensors st = {0};
    struct qk_header_parser p = {.check = check, .file = file, .arena = arena, .ret = &st, .err = err};
    size_t before = check->n;
    qk_scan_init(&p.scan, header, len);
    bool whole = parse_header(&p) && order_tensors(&p) && check_layout(&p, file_bytes);
    qk_free(p.tensors);
    qk_free(p.extents);
    if (p.code != QK_OK) {
        qk_safetensors_release(&st);
        return p.code;
    }
    *ret = st;
    *ret_usable = whole && check->n == before;
    return QK_OK;
}

void qk_safetensors_release(struct qk_safetensors *st)
{
    qk_free(st->tensors);
    qk_json_free(st->metadata);
    *st = (struct qk_safetensors){0};
}
