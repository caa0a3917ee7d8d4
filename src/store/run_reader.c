/* RUN.h5 → result table.
 *
 * Only files that this program wrote are read: seal, format and version are checked before anything else is touched,
 * and no array is allocated that the file's own size could not hold. */
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "hdf5_handle.h"
#include "seal.h"

enum { MAX_NAME = 1024, MAX_DEPTH = 16, MAX_NODES = 65536 };

/* Where a scale lies in the file, and its node. */
struct scale_place {
    haddr_t address;
    const struct qk_node *node;
};

struct reader {
    const char *file_name;
    uint64_t file_size;
    hid_t file;
    struct qk_table *table;
    size_t n_scales, cap_scales;
    struct scale_place *scales;
};

static enum qk_code fail(const struct reader *r, const char *object, const char *verb, struct qk_err *err)
{
    return qk_hdf5_fail(err, QK_EFORMAT, r->file_name, object, verb);
}

/* ---- values ---- */

/* Bytes that n values take in memory are bounded by what the file holds. */
static enum qk_code check_size(const struct reader *r, const char *object, enum qk_type type, const hsize_t *shape,
                               size_t n_dims, size_t *ret_n, struct qk_err *err)
{
    size_t n = 1, bytes = 0;
    for (size_t i = 0; i < n_dims; i++) {
        if (shape[i] > SIZE_MAX || !qk_size_mul(n, (size_t)shape[i], &n)) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: impossible shape", r->file_name, object);
        }
    }
    if (!qk_size_mul(n, qk_hdf5_stored_size(type), &bytes) || bytes > r->file_size) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: claims more values than the file can hold (%zu in %llu bytes)",
                       r->file_name, object, n, (unsigned long long)r->file_size);
    }
    *ret_n = n;
    return QK_OK;
}

/* Copies n strings as HDF5 gave them (NULL for the empty string) into the table's arena. */
static enum qk_code keep_strings(const struct reader *r, char *const *from, size_t n, const char **to,
                                 struct qk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = qk_arena_strdup(r->table->arena, from[i] == NULL ? "" : from[i]);
        if (to[i] == NULL) {
            return qk_fail_nomem(err, r->file_name);
        }
    }
    return QK_OK;
}

/* Reads n strings of a dataset or attribute (is_attr) into to. */
static enum qk_code read_strings(const struct reader *r, const char *object, hid_t id, bool is_attr, hid_t space,
                                 size_t n, const char **to, struct qk_err *err)
{
    QK_HID memory = qk_hdf5_memory_type(QK_TYPE_STR);
    char **strings = qk_calloc(n, sizeof(*strings));
    if (strings == NULL) {
        return qk_fail_nomem(err, r->file_name);
    }
    herr_t status =
        is_attr ? H5Aread(id, memory, strings) : H5Dread(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, strings);
    enum qk_code code = status < 0 ? fail(r, object, "read the strings", err) : keep_strings(r, strings, n, to, err);
    if (status >= 0) {
        H5Dvlen_reclaim(memory, space, H5P_DEFAULT, strings);
    }
    qk_free(strings);
    return code;
}

/* ---- attributes ---- */

static enum qk_code set_attr(const struct reader *r, struct qk_node *node, const char *name, enum qk_type type,
                             bool scalar, size_t n, const void *values, struct qk_err *err)
{
    if (type == QK_TYPE_STR) {
        const char *const *strings = values;
        return scalar ? qk_node_attr_str(r->table, node, name, strings[0], err)
                      : qk_node_attr_strs(r->table, node, name, strings, n, err);
    }
    if (type == QK_TYPE_I64) {
        const int64_t *ints = values;
        return scalar ? qk_node_attr_i64(r->table, node, name, ints[0], err)
                      : qk_node_attr_i64s(r->table, node, name, ints, n, err);
    }
    return qk_node_attr_f64(r->table, node, name, *(const double *)values, err);
}

static enum qk_code read_attr(const struct reader *r, struct qk_node *node, hid_t id, const char *name,
                              struct qk_err *err)
{
    QK_HID space = H5Aget_space(id);
    QK_HID stored = H5Aget_type(id);
    enum qk_type type;
    hsize_t length = 1;
    int rank = H5Sget_simple_extent_ndims(space);
    bool scalar = H5Sget_simple_extent_type(space) == H5S_SCALAR;
    bool ours = qk_hdf5_type_of(stored, &type) && type != QK_TYPE_U8 && (scalar || (rank == 1 && type != QK_TYPE_F64));
    if (!ours || (rank == 1 && H5Sget_simple_extent_dims(space, &length, NULL) < 0)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: attribute '%s' has a type or shape that is never written",
                       r->file_name, node->path, name);
    }
    size_t n;
    QK_TRY(check_size(r, node->path, type, &length, 1, &n, err));
    void *values = qk_arena_alloc(r->table->arena, n, sizeof(int64_t));
    if (values == NULL) {
        return qk_fail_nomem(err, r->file_name);
    }
    if (type == QK_TYPE_STR && n > 0) {
        QK_TRY(read_strings(r, node->path, id, true, space, n, values, err));
    } else if (n > 0) {
        QK_HID memory = qk_hdf5_memory_type(type);
        if (H5Aread(id, memory, values) < 0) {
            return fail(r, node->path, "read an attribute", err);
        }
    }
    return set_attr(r, node, name, type, scalar, n, values, err);
}

static H5_index_t attr_index(hid_t object)
{
    QK_HID props = H5Iget_type(object) == H5I_GROUP ? H5Gget_create_plist(object) : H5Dget_create_plist(object);
    unsigned flags = 0;
    H5Pget_attr_creation_order(props, &flags);
    return (flags & H5P_CRT_ORDER_TRACKED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
}

static enum qk_code read_attrs(const struct reader *r, struct qk_node *node, hid_t object, struct qk_err *err)
{
    int n = H5Aget_num_attrs(object);
    H5_index_t index = attr_index(object);
    if (n < 0) {
        return fail(r, node->path, "list the attributes", err);
    }
    for (int i = 0; i < n; i++) {
        char name[MAX_NAME];
        QK_HID id = H5Aopen_by_idx(object, ".", index, H5_ITER_INC, (hsize_t)i, H5P_DEFAULT, H5P_DEFAULT);
        if (id < 0 || H5Aget_name(id, sizeof(name), name) < 0) {
            return fail(r, node->path, "open an attribute", err);
        }
        if (!qk_hdf5_attribute_is_reserved(name)) {
            QK_TRY(read_attr(r, node, id, name, err));
        }
    }
    return QK_OK;
}

/* ---- datasets ---- */

struct stored_shape {
    enum qk_type type;
    size_t n_dims, n_values;
    hsize_t shape[QK_TABLE_MAX_DIMS];
};

/* Only plain contiguous data within the file: everything else could claim to be larger than the file. */
static enum qk_code check_layout(const struct reader *r, const char *path, hid_t id, struct qk_err *err)
{
    QK_HID props = H5Dget_create_plist(id);
    if (props < 0) {
        return fail(r, path, "read the dataset's properties", err);
    }
    H5D_layout_t layout = H5Pget_layout(props);
    if ((layout != H5D_CONTIGUOUS && layout != H5D_COMPACT) || H5Pget_external_count(props) != 0) {
        enum qk_code code =
            qk_fail(err, QK_EUNSUPPORTED, "%s: %s: chunked, compressed or external data", r->file_name, path);
        qk_err_hint(err, "h5repack -l CONTI -f NONE makes it readable");
        return code;
    }
    return QK_OK;
}

static enum qk_code stored_shape(const struct reader *r, const char *path, hid_t id, struct stored_shape *ret,
                                 struct qk_err *err)
{
    QK_TRY(check_layout(r, path, id, err));
    QK_HID space = H5Dget_space(id);
    QK_HID stored = H5Dget_type(id);
    int rank = H5Sget_simple_extent_ndims(space);
    H5S_class_t class = H5Sget_simple_extent_type(space);
    if (!qk_hdf5_type_of(stored, &ret->type) || rank < 0 || rank > QK_TABLE_MAX_DIMS ||
        (class != H5S_SCALAR && class != H5S_SIMPLE)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: a type or rank that is never written", r->file_name, path);
    }
    if (rank > 0 && H5Sget_simple_extent_dims(space, ret->shape, NULL) < 0) {
        return fail(r, path, "read the shape", err);
    }
    ret->n_dims = (size_t)rank;
    return check_size(r, path, ret->type, ret->shape, ret->n_dims, &ret->n_values, err);
}

static enum qk_code read_values(const struct reader *r, struct qk_node *node, hid_t id, struct qk_err *err)
{
    if (node->n_values == 0) {
        return QK_OK;
    }
    if (node->type == QK_TYPE_STR) {
        QK_HID space = H5Dget_space(id);
        return read_strings(r, node->path, id, false, space, node->n_values, node->v.str, err);
    }
    QK_HID memory = qk_hdf5_memory_type(node->type);
    if (H5Dread(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, node->v.p) < 0) {
        return fail(r, node->path, "read the values", err);
    }
    return QK_OK;
}

static haddr_t address_of(hid_t object)
{
    H5O_info_t info;
    return H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0 ? HADDR_UNDEF : info.addr;
}

static enum qk_code read_scale(struct reader *r, const char *path, hid_t id, struct qk_err *err)
{
    struct stored_shape stored;
    QK_TRY(stored_shape(r, path, id, &stored, err));
    if (stored.n_dims != 1) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: a dimension scale of rank %zu (expected 1)", r->file_name, path,
                       stored.n_dims);
    }
    if (r->n_scales == r->cap_scales) {
        size_t cap = r->cap_scales == 0 ? 16 : 2 * r->cap_scales;
        struct scale_place *scales = qk_realloc(r->scales, cap, sizeof(*scales));
        if (scales == NULL) {
            return qk_fail_nomem(err, r->file_name);
        }
        r->scales = scales;
        r->cap_scales = cap;
    }
    struct qk_node *node;
    QK_TRY(qk_table_scale(r->table, path, stored.type, stored.n_values, &node, err));
    r->scales[r->n_scales++] = (struct scale_place){.address = address_of(id), .node = node};
    QK_TRY(read_values(r, node, id, err));
    return read_attrs(r, node, id, err);
}

/* Visitor of one axis: keeps the address of the first scale attached. */
static herr_t keep_address(hid_t array, unsigned dim, hid_t scale, void *ctx)
{
    (void)array;
    (void)dim;
    *(haddr_t *)ctx = address_of(scale);
    return 1;
}

static const struct qk_node *scale_of_axis(const struct reader *r, hid_t id, size_t axis)
{
    haddr_t address = HADDR_UNDEF;
    if (H5DSiterate_scales(id, (unsigned)axis, NULL, keep_address, &address) < 0 || address == HADDR_UNDEF) {
        return NULL;
    }
    for (size_t i = 0; i < r->n_scales; i++) {
        if (r->scales[i].address == address) {
            return r->scales[i].node;
        }
    }
    return NULL;
}

static enum qk_code read_array(struct reader *r, const char *path, hid_t id, struct qk_err *err)
{
    struct stored_shape stored;
    QK_TRY(stored_shape(r, path, id, &stored, err));
    const char *dims[QK_TABLE_MAX_DIMS];
    for (size_t i = 0; i < stored.n_dims; i++) {
        const struct qk_node *scale = scale_of_axis(r, id, i);
        if (scale == NULL || scale->n_values != stored.shape[i]) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: axis %zu has no dimension scale of its length", r->file_name, path,
                           i);
        }
        dims[i] = scale->path;
    }
    struct qk_node *node;
    QK_TRY(qk_table_array(r->table, path, stored.type, stored.n_dims, dims, &node, err));
    QK_TRY(read_values(r, node, id, err));
    return read_attrs(r, node, id, err);
}

/* ---- the tree ---- */

typedef enum qk_code (*group_walk)(struct reader *r, const char *path, hid_t id, size_t depth, struct qk_err *err);

static H5_index_t link_index(hid_t group)
{
    QK_HID props = H5Gget_create_plist(group);
    unsigned flags = 0;
    H5Pget_link_creation_order(props, &flags);
    return (flags & H5P_CRT_ORDER_TRACKED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
}

/* Calls walk for each object that is a member of the group; soft and external links are passed over. */
static enum qk_code for_members(struct reader *r, const char *path, hid_t group, size_t depth, group_walk walk,
                                struct qk_err *err)
{
    H5G_info_t info;
    if (H5Gget_info(group, &info) < 0) {
        return fail(r, path, "list the group", err);
    }
    if (depth > MAX_DEPTH) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: groups too deep (more than %d)", r->file_name, path, MAX_DEPTH);
    }
    H5_index_t index = link_index(group);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[MAX_NAME];
        H5L_info_t link;
        ssize_t len = H5Lget_name_by_idx(group, ".", index, H5_ITER_INC, i, name, sizeof(name), H5P_DEFAULT);
        if (len < 0 || (size_t)len >= sizeof(name) || H5Lget_info(group, name, &link, H5P_DEFAULT) < 0) {
            return fail(r, path, "list the group", err);
        }
        if (link.type != H5L_TYPE_HARD) {
            continue;
        }
        if (!qk_name_is_clean(name) || r->table->n_nodes >= MAX_NODES) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: a member with an unfit name, or too many", r->file_name, path);
        }
        QK_HID id = H5Oopen(group, name, H5P_DEFAULT);
        const char *child = qk_arena_printf(r->table->arena, "%s/%s", path[1] == '\0' ? "" : path, name);
        if (id < 0) {
            return fail(r, path, "open a member", err);
        }
        if (child == NULL) {
            return qk_fail_nomem(err, r->file_name);
        }
        QK_TRY(walk(r, child, id, depth, err));
    }
    return QK_OK;
}

/* Groups and scales: the frame that arrays need. */
static enum qk_code read_frame(struct reader *r, const char *path, hid_t id, size_t depth, struct qk_err *err)
{
    H5I_type_t type = H5Iget_type(id);
    if (type == H5I_DATASET) {
        return H5DSis_scale(id) > 0 ? read_scale(r, path, id, err) : QK_OK;
    }
    if (type != H5I_GROUP) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: neither group nor dataset", r->file_name, path);
    }
    struct qk_node *node = r->table->nodes[0];
    if (depth > 0) {
        QK_TRY(qk_table_group(r->table, path, &node, err));
    }
    QK_TRY(read_attrs(r, node, id, err));
    return for_members(r, path, id, depth + 1, read_frame, err);
}

static enum qk_code read_arrays(struct reader *r, const char *path, hid_t id, size_t depth, struct qk_err *err)
{
    if (H5Iget_type(id) == H5I_DATASET) {
        return H5DSis_scale(id) > 0 ? QK_OK : read_array(r, path, id, err);
    }
    return for_members(r, path, id, depth + 1, read_arrays, err);
}

/* The two attributes that say what the file is, read before all others. */
static enum qk_code check_format(const struct reader *r, hid_t root, struct qk_err *err)
{
    struct qk_node mark = {.path = "/", .is_group = true};
    const char *names[] = {"format", "format_version"};
    for (size_t i = 0; i < 2; i++) {
        QK_HID id = H5Aexists(root, names[i]) > 0 ? H5Aopen(root, names[i], H5P_DEFAULT) : H5I_INVALID_HID;
        if (id < 0) {
            return qk_fail(err, QK_EFORMAT, "%s: not a qkscope run: no attribute '%s'", r->file_name, names[i]);
        }
        QK_TRY(read_attr(r, &mark, id, names[i], err));
    }
    const char *format = qk_node_attr_get_str(&mark, "format");
    const struct qk_attr *version = qk_node_attr(&mark, "format_version");
    if (format == NULL || strcmp(format, QK_RUN_FORMAT) != 0) {
        return qk_fail(err, QK_EFORMAT, "%s: not a qkscope run (format: expected %s, found %.64s)", r->file_name,
                       QK_RUN_FORMAT, format == NULL ? "no text" : format);
    }
    if (version->type != QK_TYPE_I64 || !version->scalar || version->v.i64[0] != QK_RUN_FORMAT_VERSION) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: format_version: cannot be read by this qkscope (expected %d, found %lld)", r->file_name,
                       QK_RUN_FORMAT_VERSION,
                       version->type == QK_TYPE_I64 && version->n > 0 ? (long long)version->v.i64[0] : -1LL);
    }
    return QK_OK;
}

static enum qk_code read_file(struct reader *r, struct qk_err *err)
{
    QK_HID root = H5Gopen2(r->file, "/", H5P_DEFAULT);
    if (root < 0) {
        return fail(r, NULL, "open the root group", err);
    }
    QK_TRY(check_format(r, root, err));
    QK_TRY(read_frame(r, "/", root, 0, err));
    return read_arrays(r, "/", root, 0, err);
}

enum qk_code qk_store_read(const char *path, struct qk_table **ret, struct qk_err *err)
{
    qk_hdf5_silence();
    struct reader r = {.file_name = path};
    QK_TRY(qk_seal_check(path, &r.file_size, err));
    QK_HID access = qk_hdf5_access();
    QK_HID file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0) {
        return fail(&r, NULL, "open the file", err);
    }
    r.file = file;
    QK_TRY(qk_table_new(&r.table, err));
    enum qk_code code = read_file(&r, err);
    qk_free(r.scales);
    if (code != QK_OK) {
        qk_table_free(r.table);
        return code;
    }
    *ret = r.table;
    return QK_OK;
}

const char *qk_store_hdf5_version(void)
{
    static char text[64];
    unsigned major, minor, release;
    if (H5get_libversion(&major, &minor, &release) < 0) {
        return "unknown";
    }
    snprintf(text, sizeof(text), "%u.%u.%u", major, minor, release);
    return text;
}
