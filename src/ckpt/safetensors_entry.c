/* Entries of a safetensors header: see safetensors_entry.h. */
#include "safetensors_entry.h"

#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

struct entry {
    const char *name;
    const struct qk_dtype_info *dtype; /* NULL when unusable */
    uint64_t shape[QK_MAX_DIMS];
    size_t n_dims;
    uint64_t offsets[2];
    bool has_shape, has_offsets;
};

/* Text of a token for messages, cut. */
struct excerpt {
    char text[48];
};

static struct excerpt excerpt(const char *start, const char *end)
{
    struct excerpt e;
    size_t n = (size_t)(end - start), cut = n > 40 ? 40 : n;
    while (cut < n && cut > 0 && ((unsigned char)start[cut] & 0xc0) == 0x80) {
        cut--;
    }
    snprintf(e.text, sizeof e.text, "%.*s%s", (int)cut, start, cut < n ? "…" : "");
    return e;
}

static bool parse_dtype(struct qk_header_parser *p, struct entry *entry)
{
    const char *start = p->scan.p;
    if (!qk_scan_value(&p->scan)) {
        return false;
    }
    const char *end = p->scan.p;
    if (*start != '"') {
        return QK_HEADER_VIOLATE(p, QK_RULE_DTYPE_TYPE, entry->name, "dtype is unusable (expected a string, found %s)",
                                 excerpt(start, end).text);
    }
    size_t n = (size_t)(end - start) - 2;
    char *name = qk_scan_unescape(
        p->arena, (struct qk_span){.s = start + 1, .n = n, .escaped = memchr(start, '\\', n + 1) != NULL});
    if (name == NULL) {
        p->code = qk_fail_nomem(p->err, p->file);
        return false;
    }
    entry->dtype = qk_dtype_by_name(name);
    return entry->dtype != NULL ||
           QK_HEADER_VIOLATE(p, QK_RULE_UNKNOWN_DTYPE, entry->name,
                             "dtype is not known (expected a type such as BF16, F16 or F32, found %s)",
                             excerpt(start, end).text);
}

/* An array of integers; the first cap are stored, *ret_n counts all. *ret_bad is what is wrong with it, "" if nothing.
 * False on a fault of the scan. */
static bool parse_integers(struct qk_scan *scan, uint64_t *values, size_t cap, size_t *ret_n, struct excerpt *ret_bad)
{
    const char *start = scan->p;
    size_t n = 0;
    ret_bad->text[0] = 0;
    if (qk_scan_peek(scan) != '[') {
        if (!qk_scan_value(scan)) {
            return false;
        }
        *ret_bad = excerpt(start, scan->p);
        return true;
    }
    scan->p++;
    qk_scan_space(scan);
    if (qk_scan_peek(scan) == ']') {
        scan->p++;
        *ret_n = 0;
        return true;
    }
    for (;; n++) {
        uint64_t value = 0;
        qk_scan_space(scan);
        start = scan->p;
        if (!qk_scan_value(scan)) {
            return false;
        }
        if (!qk_span_u64((struct qk_span){.s = start, .n = (size_t)(scan->p - start)}, &value) &&
            ret_bad->text[0] == 0) {
            *ret_bad = excerpt(start, scan->p);
        }
        if (n < cap) {
            values[n] = value;
        }
        qk_scan_space(scan);
        int c = qk_scan_peek(scan);
        if (c != ',' && c != ']') {
            return qk_scan_fail(scan, scan->p, "',' or ']'", NULL);
        }
        scan->p++;
        if (c == ']') {
            *ret_n = n + 1;
            return true;
        }
    }
}

static bool parse_shape(struct qk_header_parser *p, struct entry *entry)
{
    struct excerpt bad;
    if (!parse_integers(&p->scan, entry->shape, QK_MAX_DIMS, &entry->n_dims, &bad)) {
        return false;
    }
    if (bad.text[0] != 0) {
        return QK_HEADER_VIOLATE(p, QK_RULE_SHAPE_TYPE, entry->name,
                                 "shape is unusable (expected an array of integers from 0 to 2^64 - 1, found %s)",
                                 bad.text);
    }
    if (entry->n_dims > QK_MAX_DIMS) {
        return QK_HEADER_VIOLATE(p, QK_RULE_TOO_MANY_DIMS, entry->name,
                                 "too many dimensions (expected at most %d, found %zu)", QK_MAX_DIMS, entry->n_dims);
    }
    entry->has_shape = true;
    return true;
}

static bool parse_offsets(struct qk_header_parser *p, struct entry *entry)
{
    struct excerpt bad;
    size_t n;
    if (!parse_integers(&p->scan, entry->offsets, 2, &n, &bad)) {
        return false;
    }
    if (bad.text[0] != 0) {
        return QK_HEADER_VIOLATE(p, QK_RULE_OFFSETS_TYPE, entry->name,
                                 "data_offsets are unusable (expected two integers from 0 to 2^64 - 1, found %s)",
                                 bad.text);
    }
    if (n != 2) {
        return QK_HEADER_VIOLATE(p, QK_RULE_OFFSETS_TYPE, entry->name,
                                 "data_offsets are unusable (expected two integers, found %zu)", n);
    }
    if (entry->offsets[0] > entry->offsets[1]) {
        return QK_HEADER_VIOLATE(p, QK_RULE_OFFSETS_ORDER, entry->name,
                                 "data_offsets run backwards (expected an end of at least %llu, found %llu)",
                                 (unsigned long long)entry->offsets[0], (unsigned long long)entry->offsets[1]);
    }
    entry->has_offsets = true;
    return true;
}

static const struct {
    const char *name;
    bool (*parse)(struct qk_header_parser *p, struct entry *entry);
} fields[] = {{"dtype", parse_dtype}, {"shape", parse_shape}, {"data_offsets", parse_offsets}};

enum { n_fields = sizeof fields / sizeof fields[0] };

/* Fields beside the three are passed over, as the reference reader does. */
static bool parse_field(struct qk_header_parser *p, struct entry *entry, bool seen[n_fields])
{
    struct qk_span key;
    if (!qk_scan_key(&p->scan, &key)) {
        return false;
    }
    qk_scan_space(&p->scan);
    if (key.escaped) {
        char *text = qk_scan_unescape(p->arena, key);
        if (text == NULL) {
            p->code = qk_fail_nomem(p->err, p->file);
            return false;
        }
        key = (struct qk_span){.s = text, .n = strlen(text)};
    }
    for (size_t f = 0; f < n_fields; f++) {
        if (!qk_span_is(key, fields[f].name)) {
            continue;
        }
        if (!seen[f]) {
            seen[f] = true;
            return fields[f].parse(p, entry);
        }
        return qk_scan_value(&p->scan) &&
               QK_HEADER_VIOLATE(p, QK_RULE_DUPLICATE_FIELD, entry->name,
                                 "field %s occurs more than once (expected once, found another)", fields[f].name);
    }
    return qk_scan_value(&p->scan);
}

static bool parse_fields(struct qk_header_parser *p, struct entry *entry)
{
    bool seen[n_fields] = {false};
    struct qk_scan *scan = &p->scan;
    scan->p++;
    qk_scan_space(scan);
    bool closed = qk_scan_peek(scan) == '}';
    scan->p += closed;
    while (!closed) {
        if (!parse_field(p, entry, seen)) {
            return false;
        }
        qk_scan_space(scan);
        int c = qk_scan_peek(scan);
        if (c != ',' && c != '}') {
            return qk_scan_fail(scan, scan->p, "',' or '}'", NULL);
        }
        scan->p++;
        closed = c == '}';
    }
    for (size_t f = 0; f < n_fields; f++) {
        if (!seen[f] && !QK_HEADER_VIOLATE(p, QK_RULE_MISSING_FIELD, entry->name,
                                           "field is missing (expected %s, found nothing)", fields[f].name)) {
            return false;
        }
    }
    return true;
}

/* Bytes by shape and dtype against those by offsets. The order of the checked product is that of the reference reader:
 * an overflow counts even where a later dimension is 0. */
static bool check_size(struct qk_header_parser *p, const struct entry *entry, struct qk_tensor *t)
{
    uint64_t n = 1, bits;
    bool overflow = false;
    for (size_t d = 0; d < entry->n_dims; d++) {
        overflow = overflow || __builtin_mul_overflow(n, entry->shape[d], &n);
    }
    if (overflow || __builtin_mul_overflow(n, (uint64_t)entry->dtype->bits, &bits)) {
        return QK_HEADER_VIOLATE(p, QK_RULE_SIZE_OVERFLOW, entry->name,
                                 "shape is too large (expected fewer than 2^64 bits, found more)");
    }
    if (bits % 8 != 0) {
        return QK_HEADER_VIOLATE(p, QK_RULE_PARTIAL_BYTE, entry->name,
                                 "%s data ends inside a byte (expected a multiple of 8 bits, found %llu)",
                                 entry->dtype->name, (unsigned long long)bits);
    }
    t->n_elements = n;
    t->n_bytes = bits / 8;
    uint64_t span = entry->offsets[1] - entry->offsets[0];
    return !entry->has_offsets || span == t->n_bytes ||
           QK_HEADER_VIOLATE(p, QK_RULE_BYTE_SIZE, entry->name,
                             "data_offsets do not fit shape and dtype (expected %llu bytes, found %llu)",
                             (unsigned long long)t->n_bytes, (unsigned long long)span);
}

static void *grown(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return v;
    }
    size_t more = *cap == 0 ? 64 : *cap * 2;
    void *p = qk_realloc(v, more, size);
    if (p != NULL) {
        *cap = more;
    }
    return p;
}

static bool append(struct qk_header_parser *p, const struct qk_tensor *t, const struct entry *entry)
{
    struct qk_tensor *tensors = grown(p->tensors, p->n, &p->cap, sizeof *tensors);
    p->tensors = tensors == NULL ? p->tensors : tensors;
    struct qk_extent *extents = grown(p->extents, p->n_extents, &p->extents_cap, sizeof *extents);
    p->extents = extents == NULL ? p->extents : extents;
    if (tensors == NULL || extents == NULL) {
        p->code = qk_fail_nomem(p->err, p->file);
        return false;
    }
    if (entry->has_offsets) {
        extents[p->n_extents++] = (struct qk_extent){entry->offsets[0], entry->offsets[1], p->n};
    } else {
        p->lost_extents = true;
    }
    tensors[p->n++] = *t;
    return true;
}

bool qk_header_parse_entry(struct qk_header_parser *p, const char *name, bool plain_name)
{
    struct entry entry = {.name = name};
    if ((!plain_name && !qk_name_is_clean(name)) || name[0] == 0) {
        if (!QK_HEADER_VIOLATE(p, QK_RULE_TENSOR_NAME, name,
                               "unusable tensor name (expected text without control characters, found %s)",
                               name[0] == 0 ? "an empty name" : "a control character")) {
            return false;
        }
    }
    qk_scan_space(&p->scan);
    const char *start = p->scan.p;
    if (qk_scan_peek(&p->scan) != '{') {
        p->lost_extents = true;
        return qk_scan_value(&p->scan) &&
               QK_HEADER_VIOLATE(p, QK_RULE_TENSOR_ENTRY, name, "entry is not an object (expected an object, found %s)",
                                 excerpt(start, p->scan.p).text);
    }
    if (!parse_fields(p, &entry)) {
        return false;
    }
    struct qk_tensor t = {.name = name, .n_dims = entry.n_dims, .n_elements = 1};
    memcpy(t.shape, entry.shape, sizeof t.shape);
    if (entry.dtype != NULL && entry.has_shape) {
        t.dtype = entry.dtype->dtype;
        if (!check_size(p, &entry, &t)) {
            return false;
        }
    }
    uint64_t data_at = 8 + (uint64_t)(p->scan.end - p->scan.begin);
    if (!entry.has_offsets || __builtin_add_overflow(entry.offsets[0], data_at, &t.offset)) {
        t.offset = 0;
    }
    return append(p, &t, &entry);
}
