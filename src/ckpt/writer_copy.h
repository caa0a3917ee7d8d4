/* One file copied. Private to the writer. */
#ifndef QK_CKPT_WRITER_COPY_H
#define QK_CKPT_WRITER_COPY_H

#include "writer_tree.h"

/* Copies the regular file from to the new file to; adds the bytes to copy->done. */
enum qk_code qk_file_copy(struct qk_tree_copy *copy, const char *from, const char *to, struct qk_err *err) QK_CHECKED;

#endif
