/* Values and attributes of one object of a run file, checked before anything is allocated. Private to reading. */
#ifndef QK_STORE_RUN_VALUES_H
#define QK_STORE_RUN_VALUES_H

#include "hdf5_handle.h"

/* The file that is read and the table that it becomes. */
struct qk_run_source {
    const char *file_name;
    uint64_t file_size; /* no array may be larger */
    struct qk_table *table;
};

struct qk_stored_shape {
    enum qk_type type;
    size_t n_dims, n_values;
    hsize_t shape[QK_TABLE_MAX_DIMS];
};

/* One attribute of an open object, onto node. QK_EFORMAT for a type or shape that is never written. */
enum qk_code qk_run_read_attr(const struct qk_run_source *r, struct qk_node *node, hid_t id, const char *name,
                              struct qk_err *err) QK_CHECKED;
/* All of them in order of creation, but those that belong to HDF5. */
enum qk_code qk_run_read_attrs(const struct qk_run_source *r, struct qk_node *node, hid_t object,
                               struct qk_err *err) QK_CHECKED;
/* Type and shape of an open dataset that we could have written and that the file can hold. */
enum qk_code qk_run_read_shape(const struct qk_run_source *r, const char *path, hid_t id, struct qk_stored_shape *ret,
                               struct qk_err *err) QK_CHECKED;
/* The values of an open dataset, into a node of its type and shape. */
enum qk_code qk_run_read_values(const struct qk_run_source *r, struct qk_node *node, hid_t id,
                                struct qk_err *err) QK_CHECKED;

#endif
