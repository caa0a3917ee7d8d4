/* HDF5 identifiers, types and errors in the forms that this layer uses. */
#include "hdf5_handle.h"

#include <stdio.h>

#include "base/str.h"

void qk_hid_release(hid_t *id)
{
    if (*id >= 0) {
        H5Idec_ref(*id);
    }
}

void qk_hdf5_silence(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* Keeps the first entry seen: walking upward that is where the fault was noticed. */
static herr_t keep_first(unsigned n, const H5E_error2_t *entry, void *ctx)
{
    if (n == 0 && entry->desc != NULL) {
        snprintf(ctx, 256, "%s", entry->desc);
    }
    return 0;
}

enum qk_code qk_hdf5_fail(struct qk_err *err, enum qk_code code, const char *file, const char *object, const char *verb)
{
    char text[256] = "no further detail from HDF5";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, text);
    H5Eclear2(H5E_DEFAULT);
    if (object == NULL) {
        return qk_fail(err, code, "%s: cannot %s: %s", file, verb, text);
    }
    return qk_fail(err, code, "%s: %s: cannot %s: %s", file, object, verb, text);
}

static hid_t string_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
                      H5Tset_strpad(type, H5T_STR_NULLTERM) < 0)) {
        H5Tclose(type);
        return H5I_INVALID_HID;
    }
    return type;
}

hid_t qk_hdf5_file_type(enum qk_type type)
{
    const hid_t types[] = {[QK_TYPE_F64] = H5T_IEEE_F64LE, [QK_TYPE_I64] = H5T_STD_I64LE, [QK_TYPE_U8] = H5T_STD_U8LE};
    return type == QK_TYPE_STR ? string_type() : H5Tcopy(types[type]);
}

hid_t qk_hdf5_memory_type(enum qk_type type)
{
    const hid_t types[] = {
        [QK_TYPE_F64] = H5T_NATIVE_DOUBLE, [QK_TYPE_I64] = H5T_NATIVE_INT64, [QK_TYPE_U8] = H5T_NATIVE_UINT8};
    return type == QK_TYPE_STR ? string_type() : H5Tcopy(types[type]);
}

size_t qk_hdf5_stored_size(enum qk_type type)
{
    static const size_t sizes[] = {[QK_TYPE_F64] = 8, [QK_TYPE_I64] = 8, [QK_TYPE_U8] = 1, [QK_TYPE_STR] = 16};
    return sizes[type];
}

bool qk_hdf5_type_of(hid_t stored, enum qk_type *ret)
{
    H5T_class_t class = H5Tget_class(stored);
    size_t size = H5Tget_size(stored);
    if (class == H5T_FLOAT && size == 8) {
        *ret = QK_TYPE_F64;
    } else if (class == H5T_INTEGER && size == 8 && H5Tget_sign(stored) == H5T_SGN_2) {
        *ret = QK_TYPE_I64;
    } else if (class == H5T_INTEGER && size == 1 && H5Tget_sign(stored) == H5T_SGN_NONE) {
        *ret = QK_TYPE_U8;
    } else if (class == H5T_STRING && H5Tis_variable_str(stored) > 0) {
        *ret = QK_TYPE_STR;
    } else {
        return false;
    }
    return true;
}

hid_t qk_hdf5_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0) {
        return access;
    }
    /* 1.8 objects carry checksums, are read by everything in use, and do not change with the library's version */
    bool fine = H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
                H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0;
#if H5_VERSION_GE(1, 10, 7)
    /* network file systems without locks are common where checkpoints lie */
    fine = fine && H5Pset_file_locking(access, false, true) >= 0;
#endif
    if (!fine) {
        H5Pclose(access);
        return H5I_INVALID_HID;
    }
    return access;
}

static const char *const reserved_attributes[] = {
    "CLASS",
    "NAME",
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
    "_nc3_strict",
};

bool qk_hdf5_attribute_is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof(reserved_attributes) / sizeof(reserved_attributes[0]); i++) {
        if (qk_streq(name, reserved_attributes[i])) {
            return true;
        }
    }
    return false;
}
