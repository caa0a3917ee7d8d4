/* Values and attributes of run files. */
#include "run_values.h"

#include "base/alloc.h"

enum { MAX_NAME = 1024 };

static enum qk_code fail(const struct qk_run_source *r, const char *object, const char *verb, struct qk_err *err)
{
    return qk_hdf5_fail(err, QK_EFORMAT, r->file_name, object, verb);
}

/* ---- values ---- */

/* Bytes that n values take in memory are bounded by what the file holds. */
static enum qk_code check_size(const struct qk_run_source *r, const char *object, enum qk_type type,
                               const hsize_t *shape, size_t n_dims, size_t *ret_n, struct qk_err *err)
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
static enum qk_code keep_strings(const struct qk_run_source *r, char *const *from, size_t n, const char **to,
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
static enum qk_code read_strings(const struct qk_run_source *r, const char *object, hid_t id, bool is_attr, hid_t space,
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

static enum qk_code set_attr(const struct qk_run_source *r, struct qk_node *node, const char *name, enum qk_type type,
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

enum qk_code qk_run_read_attr(const struct qk_run_source *r, struct qk_node *node, hid_t id, const char *name,
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

enum qk_code qk_run_read_attrs(const struct qk_run_source *r, struct qk_node *node, hid_t object, struct qk_err *err)
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
            QK_TRY(qk_run_read_attr(r, node, id, name, err));
        }
    }
    return QK_OK;
}

/* ---- datasets ---- */

/* Only plain contiguous data within the file: everything else could claim to be larger than the file. */
static enum qk_code check_layout(const struct qk_run_source *r, const char *path, hid_t id, struct qk_err *err)
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

enum qk_code qk_run_read_shape(const struct qk_run_source *r, const char *path, hid_t id, struct qk_stored_shape *ret,
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

enum qk_code qk_run_read_values(const struct qk_run_source *r, struct qk_node *node, hid_t id, struct qk_err *err)
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
