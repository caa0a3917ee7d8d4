/* The attributes by which HDF5 ties the axes of arrays to dimension scales (HDF5 Dimension Scale Specification):
 * DIMENSION_LIST on the array points at the scales, REFERENCE_LIST on the scale points back.
 *
 * Each is written once with all its entries: the library's H5DSattach_scale rewrites the list of a scale for every
 * array and leaves the old ones behind in the file (33 MB for 2000 arrays). */
#ifndef QK_STORE_DIMENSION_SCALE_H
#define QK_STORE_DIMENSION_SCALE_H

#include "hdf5_handle.h"

/* One axis of an array: where a scale points back to. Laid out as the library does. */
struct qk_axis_reference {
    hobj_ref_t array;
    int32_t axis;
    int32_t padding; /* zero */
};

/* All false on failure, with the reason on HDF5's error stack. */
bool qk_reference_make(hid_t file, const char *path, hobj_ref_t *ret);
/* array gets n axes, each with one scale. */
bool qk_dimension_list_write(hid_t array, hobj_ref_t *scales, size_t n);
bool qk_reference_list_write(hid_t scale, const struct qk_axis_reference *references, size_t n);

#endif
