/* RUN.h5 → result table.
 *
 * Only files that this program wrote are read: seal, format and version are checked before anything else is touched,
 * and no array is allocated that the file's own size could not hold. A file without a seal is first read by a copy of
 * this process. */
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rehearsal.h"
#include "run_values.h"
#include "seal.h"

enum { MAX_NAME = 1024, MAX_DEPTH = 16, MAX_NODES = 65536 };

/* Where a scale lies in the file, and its node. */
struct scale_place {
    haddr_t address;
    const struct qk_node *node;
};

struct reader {
    struct qk_run_source source;
    hid_t file;
    size_t n_scales, cap_scales;
    struct scale_place *scales;
};

static haddr_t address_of(hid_t object)
{
    H5O_info_t info;
    return H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0 ? HADDR_UNDEF : info.addr;
}

static enum qk_code read_scale(struct reader *r, const char *path, hid_t id, struct qk_err *err)
{
    struct qk_stored_shape stored;
    QK_TRY(qk_run_read_shape(&r->source, path, id, &stored, err));
    if (stored.n_dims != 1) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: a dimension scale of rank %zu (expected 1)", r->source.file_name, path,
                       stored.n_dims);
    }
    if (r->n_scales == r->cap_scales) {
        size_t cap = r->cap_scales == 0 ? 16 : 2 * r->cap_scales;
        struct scale_place *scales = qk_realloc(r->scales, cap, sizeof(*scales));
        if (scales == NULL) {
            return qk_fail_nomem(err, r->source.file_name);
        }
        r->scales = scales;
        r->cap_scales = cap;
    }
    struct qk_node *node;
    QK_TRY(qk_table_scale(r->source.table, path, stored.type, stored.n_values, &node, err));
    r->scales[r->n_scales++] = (struct scale_place){.address = address_of(id), .node = node};
    QK_TRY(qk_run_read_values(&r->source, node, id, err));
    return qk_run_read_attrs(&r->source, node, id, err);
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
    struct qk_stored_shape stored;
    QK_TRY(qk_run_read_shape(&r->source, path, id, &stored, err));
    const char *dims[QK_TABLE_MAX_DIMS];
    for (size_t i = 0; i < stored.n_dims; i++) {
        const struct qk_node *scale = scale_of_axis(r, id, i);
        if (scale == NULL || scale->n_values != stored.shape[i]) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: axis %zu has no dimension scale of its length",
                           r->source.file_name, path, i);
        }
        dims[i] = scale->path;
    }
    struct qk_node *node;
    QK_TRY(qk_table_array(r->source.table, path, stored.type, stored.n_dims, dims, &node, err));
    QK_TRY(qk_run_read_values(&r->source, node, id, err));
    return qk_run_read_attrs(&r->source, node, id, err);
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
        return qk_hdf5_fail(err, QK_EFORMAT, r->source.file_name, path, "list the group");
    }
    if (depth > MAX_DEPTH) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: groups too deep (more than %d)", r->source.file_name, path, MAX_DEPTH);
    }
    H5_index_t index = link_index(group);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[MAX_NAME];
        H5L_info_t link;
        ssize_t len = H5Lget_name_by_idx(group, ".", index, H5_ITER_INC, i, name, sizeof(name), H5P_DEFAULT);
        if (len < 0 || (size_t)len >= sizeof(name) || H5Lget_info(group, name, &link, H5P_DEFAULT) < 0) {
            return qk_hdf5_fail(err, QK_EFORMAT, r->source.file_name, path, "list the group");
        }
        if (link.type != H5L_TYPE_HARD) {
            continue;
        }
        if (!qk_name_is_clean(name) || r->source.table->n_nodes >= MAX_NODES) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: a member with an unfit name, or too many", r->source.file_name,
                           path);
        }
        QK_HID id = H5Oopen(group, name, H5P_DEFAULT);
        const char *child = qk_arena_printf(r->source.table->arena, "%s/%s", path[1] == '\0' ? "" : path, name);
        if (id < 0) {
            return qk_hdf5_fail(err, QK_EFORMAT, r->source.file_name, path, "open a member");
        }
        if (child == NULL) {
            return qk_fail_nomem(err, r->source.file_name);
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
        return qk_fail(err, QK_EFORMAT, "%s: %s: neither group nor dataset", r->source.file_name, path);
    }
    struct qk_node *node = r->source.table->nodes[0];
    if (depth > 0) {
        QK_TRY(qk_table_group(r->source.table, path, &node, err));
    }
    QK_TRY(qk_run_read_attrs(&r->source, node, id, err));
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
            return qk_fail(err, QK_EFORMAT, "%s: not a qkscope run: no attribute '%s'", r->source.file_name, names[i]);
        }
        QK_TRY(qk_run_read_attr(&r->source, &mark, id, names[i], err));
    }
    const char *format = qk_node_attr_get_str(&mark, "format");
    const struct qk_attr *version = qk_node_attr(&mark, "format_version");
    if (format == NULL || strcmp(format, QK_RUN_FORMAT) != 0) {
        return qk_fail(err, QK_EFORMAT, "%s: not a qkscope run (format: expected %s, found %.64s)", r->source.file_name,
                       QK_RUN_FORMAT, format == NULL ? "no text" : format);
    }
    if (version->type != QK_TYPE_I64 || !version->scalar || version->v.i64[0] != QK_RUN_FORMAT_VERSION) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: format_version: cannot be read by this qkscope (expected %d, found %lld)",
                       r->source.file_name, QK_RUN_FORMAT_VERSION,
                       version->type == QK_TYPE_I64 && version->n > 0 ? (long long)version->v.i64[0] : -1LL);
    }
    return QK_OK;
}

static enum qk_code read_file(struct reader *r, struct qk_err *err)
{
    QK_HID root = H5Gopen2(r->file, "/", H5P_DEFAULT);
    if (root < 0) {
        return qk_hdf5_fail(err, QK_EFORMAT, r->source.file_name, NULL, "open the root group");
    }
    QK_TRY(check_format(r, root, err));
    QK_TRY(read_frame(r, "/", root, 0, err));
    return read_arrays(r, "/", root, 0, err);
}

static enum qk_code read_path(const char *path, uint64_t file_size, struct qk_table **ret, struct qk_err *err)
{
    struct reader r = {.source = {.file_name = path, .file_size = file_size}};
    QK_HID access = qk_hdf5_access();
    QK_HID file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0) {
        return qk_hdf5_fail(err, QK_EFORMAT, r.source.file_name, NULL, "open the file");
    }
    r.file = file;
    QK_TRY(qk_table_new(&r.source.table, err));
    enum qk_code code = read_file(&r, err);
    qk_free(r.scales);
    if (code != QK_OK) {
        qk_table_free(r.source.table);
        return code;
    }
    *ret = r.source.table;
    return QK_OK;
}

struct unsealed {
    const char *path;
    uint64_t file_size;
};

static void rehearse(void *ctx)
{
    const struct unsealed *u = ctx;
    struct qk_table *table = NULL;
    struct qk_err err = {0};
    if (read_path(u->path, u->file_size, &table, &err) == QK_OK) {
        qk_table_free(table);
    }
}

/* Nothing vouches for the bytes of a file without a seal, and HDF5 can crash on damaged ones. */
enum qk_code qk_store_read(const char *path, struct qk_table **ret, struct qk_err *err)
{
    enum { SECONDS = 60, BYTES_PER_SECOND = 1 << 24 };
    qk_hdf5_silence();
    uint64_t size;
    bool sealed;
    QK_TRY(qk_seal_check(path, &size, &sealed, err));
    if (!sealed) {
        struct unsealed u = {path, size};
        QK_TRY(qk_rehearse(rehearse, &u, path, SECONDS + (double)size / BYTES_PER_SECOND, err));
    }
    return read_path(path, size, ret, err);
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
