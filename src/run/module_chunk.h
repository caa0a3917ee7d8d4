/* Size of the pieces in which a module's tensors are read: fixed, because sums depend on where a tensor is cut. */
#ifndef QK_RUN_MODULE_CHUNK_H
#define QK_RUN_MODULE_CHUNK_H

enum { QK_CHUNK_ELEMENTS = 128 * 1024, QK_CHUNK_BYTES = QK_CHUNK_ELEMENTS * 8 };

#endif
