/* Result table → RUN.h5.
 *
 * Objects are made in an order that depends only on the table's tree (groups and scales first, then arrays; siblings in
 * table order), so that reading a file and writing it again gives the same bytes. Each group gets soft links to the
 * scales its arrays use: netCDF-style readers look for dimensions only in the group itself and its parents. */
#include "store/store.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "dimension_scale.h"
#include "memory_file.h"
#include "run_size.h"
#include "seal.h"

/* Axis axis of node array lies along node scale. */
struct axis_use {
    const struct qk_node *array, *scale;
    int32_t axis;
};

struct writer {
    const struct qk_table *table;
    const char *target; /* for errors */
    size_t *parents;    /* per node: index of its group */
    size_t n_scales, n_uses;
    const struct qk_node **scales; /* in the order written */
    struct axis_use *uses;         /* in the order written */
    hid_t file, attribute_props, link_props;
};

static const char *leaf_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

static enum qk_code fail(const struct writer *w, const char *object, const char *verb, struct qk_err *err)
{
    return qk_hdf5_fail(err, QK_EIO, w->target, object, verb);
}

/* ---- attributes ---- */

static enum qk_code write_attr(const struct writer *w, hid_t object, const char *path, const struct qk_attr *attr,
                               struct qk_err *err)
{
    if (qk_hdf5_attribute_is_reserved(attr->name)) {
        return qk_fail(err, QK_EINTERNAL, "%s: %s: attribute name '%s' is reserved", w->target, path, attr->name);
    }
    hsize_t n = attr->n;
    QK_HID space = attr->scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, NULL);
    QK_HID stored = qk_hdf5_file_type(attr->type);
    QK_HID memory = qk_hdf5_memory_type(attr->type);
    QK_HID id = H5Acreate2(object, attr->name, stored, space, w->attribute_props, H5P_DEFAULT);
    if (id < 0 || (n > 0 && H5Awrite(id, memory, attr->v.f64) < 0)) {
        return fail(w, path, "write an attribute", err);
    }
    return QK_OK;
}

static enum qk_code write_attrs(const struct writer *w, hid_t object, const struct qk_node *node, struct qk_err *err)
{
    for (size_t i = 0; i < node->n_attrs; i++) {
        QK_TRY(write_attr(w, object, node->path, &node->attrs[i], err));
    }
    return QK_OK;
}

/* The two attributes by which a reader knows the file come first; the table may or may not hold them. */
static enum qk_code write_root_attrs(const struct writer *w, hid_t root, struct qk_err *err)
{
    const char *format = QK_RUN_FORMAT;
    int64_t version = QK_RUN_FORMAT_VERSION;
    const struct qk_attr own[] = {
        {.name = "format", .type = QK_TYPE_STR, .n = 1, .scalar = true, .v.str = &format},
        {.name = "format_version", .type = QK_TYPE_I64, .n = 1, .scalar = true, .v.i64 = &version},
    };
    const struct qk_node *node = w->table->nodes[0];
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        QK_TRY(write_attr(w, root, "/", &own[i], err));
    }
    for (size_t i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, "format") != 0 && strcmp(node->attrs[i].name, "format_version") != 0) {
            QK_TRY(write_attr(w, root, "/", &node->attrs[i], err));
        }
    }
    return QK_OK;
}

/* ---- objects ---- */

/* Order of attributes is kept; they stay in the object's header, where a checksum covers them. */
static bool set_object_props(hid_t props)
{
    return H5Pset_obj_track_times(props, false) >= 0 &&
           H5Pset_attr_creation_order(props, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
           H5Pset_attr_phase_change(props, 65535, 0) >= 0;
}

static bool set_group_props(hid_t props)
{
    return set_object_props(props) &&
           H5Pset_link_creation_order(props, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0;
}

static enum qk_code write_group(const struct writer *w, const struct qk_node *node, struct qk_err *err)
{
    QK_HID props = H5Pcreate(H5P_GROUP_CREATE);
    if (props < 0 || !set_group_props(props)) {
        return fail(w, node->path, "set the properties", err);
    }
    QK_HID group = H5Gcreate2(w->file, node->path, w->link_props, props, H5P_DEFAULT);
    if (group < 0) {
        return fail(w, node->path, "make the group", err);
    }
    return write_attrs(w, group, node, err);
}

static enum qk_code write_dataset(const struct writer *w, const struct qk_node *node, hid_t *ret, struct qk_err *err)
{
    hsize_t shape[QK_TABLE_MAX_DIMS];
    for (size_t i = 0; i < node->n_dims; i++) {
        shape[i] = node->shape[i];
    }
    QK_HID props = H5Pcreate(H5P_DATASET_CREATE);
    if (props < 0 || !set_object_props(props) || H5Pset_layout(props, H5D_CONTIGUOUS) < 0) {
        return fail(w, node->path, "set the properties", err);
    }
    QK_HID space = node->n_dims == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple((int)node->n_dims, shape, NULL);
    QK_HID stored = qk_hdf5_file_type(node->type);
    QK_HID memory = qk_hdf5_memory_type(node->type);
    hid_t id = H5Dcreate2(w->file, node->path, stored, space, w->link_props, props, H5P_DEFAULT);
    if (id < 0 || (node->n_values > 0 && H5Dwrite(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, node->v.p) < 0)) {
        qk_hid_release(&id);
        return fail(w, node->path, "write the dataset", err);
    }
    enum qk_code code = write_attrs(w, id, node, err);
    if (code != QK_OK) {
        qk_hid_release(&id);
        return code;
    }
    *ret = id;
    return QK_OK;
}

static enum qk_code write_scale(struct writer *w, const struct qk_node *node, struct qk_err *err)
{
    QK_HID id = H5I_INVALID_HID;
    QK_TRY(write_dataset(w, node, &id, err));
    if (H5DSset_scale(id, leaf_name(node->path)) < 0) {
        return fail(w, node->path, "make the dataset a dimension scale", err);
    }
    w->scales[w->n_scales++] = node;
    return QK_OK;
}

static enum qk_code write_array(struct writer *w, const struct qk_node *node, struct qk_err *err)
{
    QK_HID id = H5I_INVALID_HID;
    QK_TRY(write_dataset(w, node, &id, err));
    hobj_ref_t scales[QK_TABLE_MAX_DIMS];
    for (size_t i = 0; i < node->n_dims; i++) {
        if (!qk_reference_make(w->file, node->dims[i], &scales[i])) {
            return fail(w, node->path, "find a dimension scale", err);
        }
        w->uses[w->n_uses++] =
            (struct axis_use){.array = node, .scale = qk_table_find(w->table, node->dims[i]), .axis = (int32_t)i};
    }
    if (node->n_dims > 0 && !qk_dimension_list_write(id, scales, node->n_dims)) {
        return fail(w, node->path, "attach the dimension scales", err);
    }
    return QK_OK;
}

/* The way back: each scale lists the axes that use it. */
static enum qk_code write_back_references(const struct writer *w, const struct qk_node *scale,
                                          struct qk_axis_reference *references, struct qk_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_uses; i++) {
        if (w->uses[i].scale != scale) {
            continue;
        }
        references[n] = (struct qk_axis_reference){.axis = w->uses[i].axis};
        if (!qk_reference_make(w->file, w->uses[i].array->path, &references[n++].array)) {
            return fail(w, w->uses[i].array->path, "find the array", err);
        }
    }
    QK_HID id = n == 0 ? H5I_INVALID_HID : H5Dopen2(w->file, scale->path, H5P_DEFAULT);
    if (n > 0 && !qk_reference_list_write(id, references, n)) {
        return fail(w, scale->path, "list the arrays of the dimension scale", err);
    }
    return QK_OK;
}

static enum qk_code write_all_back_references(const struct writer *w, struct qk_err *err)
{
    struct qk_axis_reference *references = qk_calloc(w->n_uses + 1, sizeof(*references));
    if (references == NULL) {
        return qk_fail_nomem(err, w->target);
    }
    enum qk_code code = QK_OK;
    for (size_t i = 0; i < w->n_scales && code == QK_OK; i++) {
        code = write_back_references(w, w->scales[i], references, err);
    }
    qk_free(references);
    return code;
}

/* ---- the tree ---- */

static enum qk_code find_parents(struct writer *w, struct qk_err *err)
{
    const struct qk_table *table = w->table;
    w->parents = qk_calloc(table->n_nodes, sizeof(*w->parents));
    w->scales = qk_calloc(table->n_nodes, sizeof(*w->scales));
    w->uses = qk_calloc(table->n_nodes, QK_TABLE_MAX_DIMS * sizeof(*w->uses));
    if (w->parents == NULL || w->scales == NULL || w->uses == NULL) {
        return qk_fail_nomem(err, w->target);
    }
    for (size_t i = 1; i < table->n_nodes; i++) {
        const char *path = table->nodes[i]->path;
        size_t len = (size_t)(leaf_name(path) - path) - 1;
        size_t p = 0;
        while (p < i && len > 0 &&
               (strncmp(table->nodes[p]->path, path, len) != 0 || table->nodes[p]->path[len] != '\0')) {
            p++;
        }
        if (p == i || !table->nodes[p]->is_group) {
            return qk_fail(err, QK_EINTERNAL, "%s: %s comes before its group", w->target, path);
        }
        w->parents[i] = p;
    }
    return QK_OK;
}

/* Groups and scales below node g, depth first. */
static enum qk_code write_frame(struct writer *w, size_t g, struct qk_err *err)
{
    for (size_t i = g + 1; i < w->table->n_nodes; i++) {
        const struct qk_node *node = w->table->nodes[i];
        if (w->parents[i] != g) {
            continue;
        }
        if (node->is_group) {
            QK_TRY(write_group(w, node, err));
            QK_TRY(write_frame(w, i, err));
        } else if (node->is_scale) {
            QK_TRY(write_scale(w, node, err));
        }
    }
    return QK_OK;
}

/* A soft link in node g's group for each scale that the array uses, unless the group has a member of that name. */
static enum qk_code link_scales(const struct writer *w, size_t g, const struct qk_node *array, struct qk_err *err)
{
    for (size_t i = 0; i < array->n_dims; i++) {
        const char *name = leaf_name(array->dims[i]);
        bool taken = false;
        for (size_t k = g + 1; k < w->table->n_nodes && !taken; k++) {
            taken = w->parents[k] == g && strcmp(leaf_name(w->table->nodes[k]->path), name) == 0;
        }
        QK_HID group = taken ? H5I_INVALID_HID : H5Gopen2(w->file, w->table->nodes[g]->path, H5P_DEFAULT);
        if (taken || H5Lexists(group, name, H5P_DEFAULT) > 0) {
            continue;
        }
        if (H5Lcreate_soft(array->dims[i], group, name, w->link_props, H5P_DEFAULT) < 0) {
            return fail(w, array->path, "link a dimension scale", err);
        }
    }
    return QK_OK;
}

/* The arrays below node g, depth first. */
static enum qk_code write_arrays(struct writer *w, size_t g, struct qk_err *err)
{
    for (size_t i = g + 1; i < w->table->n_nodes; i++) {
        const struct qk_node *node = w->table->nodes[i];
        if (w->parents[i] == g && !node->is_group && !node->is_scale) {
            QK_TRY(link_scales(w, g, node, err));
        }
    }
    for (size_t i = g + 1; i < w->table->n_nodes; i++) {
        const struct qk_node *node = w->table->nodes[i];
        if (w->parents[i] != g) {
            continue;
        }
        if (node->is_group) {
            QK_TRY(write_arrays(w, i, err));
        } else if (!node->is_scale) {
            QK_TRY(write_array(w, node, err));
        }
    }
    return QK_OK;
}

static enum qk_code write_open_file(struct writer *w, struct qk_err *err)
{
    QK_HID attribute_props = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    QK_HID link_props = H5Pcreate(H5P_LINK_CREATE);
    if (attribute_props < 0 || link_props < 0 || H5Pset_char_encoding(attribute_props, H5T_CSET_UTF8) < 0 ||
        H5Pset_char_encoding(link_props, H5T_CSET_UTF8) < 0) {
        return fail(w, NULL, "set the properties", err);
    }
    w->attribute_props = attribute_props;
    w->link_props = link_props;
    QK_HID root = H5Gopen2(w->file, "/", H5P_DEFAULT);
    if (root < 0) {
        return fail(w, NULL, "open the root group", err);
    }
    QK_TRY(write_root_attrs(w, root, err));
    QK_TRY(write_frame(w, 0, err));
    QK_TRY(write_arrays(w, 0, err));
    return write_all_back_references(w, err);
}

static enum qk_code build_file(struct writer *w, struct qk_memory_file *memory, struct qk_err *err)
{
    QK_TRY(find_parents(w, err));
    size_t bound;
    if (!qk_run_size_bound(w->table, &bound) || !qk_memory_file_reserve(memory, bound)) {
        return qk_fail_nomem(err, w->target);
    }
    QK_HID access = qk_hdf5_access();
    QK_HID create = H5Pcreate(H5P_FILE_CREATE);
    if (access < 0 || create < 0 || !qk_memory_file_use(access, memory) || !set_group_props(create)) {
        return fail(w, NULL, "set the properties", err);
    }
    w->file = H5Fcreate("run.h5", H5F_ACC_TRUNC, create, access);
    if (w->file < 0) {
        return fail(w, NULL, "begin the file", err);
    }
    enum qk_code code = write_open_file(w, err);
    herr_t status = H5Fclose(w->file);
    return status < 0 && code == QK_OK ? fail(w, NULL, "finish the file", err) : code;
}

static enum qk_code write_file(struct writer *w, struct qk_atomic_file *file, struct qk_err *err)
{
    struct qk_memory_file memory = {0};
    enum qk_code code = build_file(w, &memory, err);
    size_t n = code == QK_OK ? qk_memory_file_size(&memory) : 0;
    if (code == QK_OK && n == 0) {
        code = qk_fail(err, QK_EINTERNAL, "%s: the file built in memory has no end", w->target);
    }
    if (code == QK_OK) {
        code = qk_atomic_write(file, memory.bytes, n, err);
    }
    if (code == QK_OK) {
        char line[QK_SEAL_BYTES + 1];
        qk_seal_line(memory.bytes, n, line);
        code = qk_atomic_write(file, line, QK_SEAL_BYTES, err);
    }
    qk_memory_file_release(&memory);
    return code;
}

enum qk_code qk_store_write(const struct qk_table *table, const char *target, bool force, struct qk_err *err)
{
    qk_hdf5_silence();
    struct qk_atomic_file *file;
    QK_TRY(qk_atomic_open(target, force, &file, err));
    struct writer w = {.table = table, .target = target};
    enum qk_code code = write_file(&w, file, err);
    qk_free(w.parents);
    qk_free(w.scales);
    qk_free(w.uses);
    if (code != QK_OK) {
        qk_atomic_abort(file);
        return code;
    }
    return qk_atomic_commit(file, err);
}
