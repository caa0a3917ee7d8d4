/* DIMENSION_LIST and REFERENCE_LIST, written in one piece. */
#include "dimension_scale.h"

#include "analyses/table.h"

bool qk_reference_make(hid_t file, const char *path, hobj_ref_t *ret)
{
    return H5Rcreate(ret, file, path, H5R_OBJECT, H5I_INVALID_HID) >= 0;
}

static bool write_list(hid_t object, const char *name, hid_t stored, hid_t memory, size_t n, const void *values)
{
    hsize_t length = n;
    QK_HID space = H5Screate_simple(1, &length, NULL);
    QK_HID attribute = H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    return attribute >= 0 && H5Awrite(attribute, memory, values) >= 0;
}

bool qk_dimension_list_write(hid_t array, hobj_ref_t *scales, size_t n)
{
    hvl_t lists[QK_TABLE_MAX_DIMS];
    for (size_t i = 0; i < n; i++) {
        lists[i] = (hvl_t){.len = 1, .p = &scales[i]};
    }
    QK_HID type = H5Tvlen_create(H5T_STD_REF_OBJ);
    return type >= 0 && write_list(array, "DIMENSION_LIST", type, type, n, lists);
}

/* The compound type with its integer as given. */
static hid_t reference_type(hid_t integer)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(struct qk_axis_reference));
    if (type >= 0 && (H5Tinsert(type, "dataset", HOFFSET(struct qk_axis_reference, array), H5T_STD_REF_OBJ) < 0 ||
                      H5Tinsert(type, "dimension", HOFFSET(struct qk_axis_reference, axis), integer) < 0)) {
        H5Tclose(type);
        return H5I_INVALID_HID;
    }
    return type;
}

bool qk_reference_list_write(hid_t scale, const struct qk_axis_reference *references, size_t n)
{
    QK_HID stored = reference_type(H5T_STD_I32LE);
    QK_HID memory = reference_type(H5T_NATIVE_INT32);
    return stored >= 0 && memory >= 0 && write_list(scale, "REFERENCE_LIST", stored, memory, n, references);
}
