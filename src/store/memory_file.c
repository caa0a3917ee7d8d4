/* The core driver of HDF5 with its buffer in our hands. */
#include "memory_file.h"

#include <string.h>

#include "base/alloc.h"

enum { INCREMENT = 1 << 20, END_OF_FILE_AT = 28, SUPERBLOCK = 48 };

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *udata)
{
    (void)op;
    (void)udata;
    return qk_calloc(size, 1);
}

static void *image_memcpy(void *dst, const void *src, size_t size, H5FD_file_image_op_t op, void *udata)
{
    (void)op;
    (void)udata;
    return memcpy(dst, src, size);
}

/* Only a file larger than was reserved needs memory here. */
static void *image_realloc(void *p, size_t size, H5FD_file_image_op_t op, void *udata)
{
    (void)p;
    (void)op;
    struct qk_memory_file *file = udata;
    if (size > file->capacity && !qk_memory_file_reserve(file, size)) {
        return NULL;
    }
    return file->bytes;
}

/* Closing the file leaves its bytes to us. */
static herr_t image_free(void *p, H5FD_file_image_op_t op, void *udata)
{
    const struct qk_memory_file *file = udata;
    if (op != H5FD_FILE_IMAGE_OP_FILE_CLOSE || p != file->bytes) {
        qk_free(p);
    }
    return 0;
}

static void *udata_copy(void *udata)
{
    return udata;
}

static herr_t udata_free(void *udata)
{
    (void)udata;
    return 0;
}

bool qk_memory_file_reserve(struct qk_memory_file *file, size_t n)
{
    unsigned char *bytes = qk_calloc(n, 1);
    if (bytes == NULL) {
        return false;
    }
    if (file->bytes != NULL) {
        memcpy(bytes, file->bytes, n < file->capacity ? n : file->capacity);
    }
    qk_free(file->bytes);
    file->bytes = bytes;
    file->capacity = n;
    return true;
}

bool qk_memory_file_use(hid_t access, struct qk_memory_file *file)
{
    H5FD_file_image_callbacks_t callbacks = {.image_malloc = image_malloc,
                                             .image_memcpy = image_memcpy,
                                             .image_realloc = image_realloc,
                                             .image_free = image_free,
                                             .udata_copy = udata_copy,
                                             .udata_free = udata_free,
                                             .udata = file};
    return H5Pset_fapl_core(access, INCREMENT, false) >= 0 && H5Pset_file_image_callbacks(access, &callbacks) >= 0;
}

/* The superblock (version 2) says where the file ends; the buffer is longer. */
size_t qk_memory_file_size(const struct qk_memory_file *file)
{
    uint64_t end = 0;
    for (size_t i = 8; file->capacity >= SUPERBLOCK && i-- > 0;) {
        end = end << 8 | file->bytes[END_OF_FILE_AT + i];
    }
    return end <= file->capacity ? (size_t)end : 0;
}

void qk_memory_file_release(struct qk_memory_file *file)
{
    qk_free(file->bytes);
    *file = (struct qk_memory_file){0};
}
