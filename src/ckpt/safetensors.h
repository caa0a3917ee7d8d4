/* One safetensors file: 8 bytes little-endian length n, n bytes of JSON header, then the tensors' data.
 *
 * Source: the format description and the reference reader of the safetensors project. Everything works on memory, so
 * that it can be fuzzed; the caller reads. O(n log n) in the number of tensors. */
#ifndef QK_CKPT_SAFETENSORS_H
#define QK_CKPT_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "check.h"
#include "ckpt/ckpt.h"

enum { qk_safetensors_max_header = 100000000 };

struct qk_safetensors {
    struct qk_tensor *tensors; /* sorted by name; offsets absolute; shard 0; owned */
    size_t n_tensors;
    struct qk_json *metadata; /* owned, may be NULL */
};

/* The header's length from the first bytes of a file (all of head[n_head], at most qk_foreign_head, is looked at to say
 * what the file is when it is no safetensors file). *ret_usable tells whether reading the header makes sense. */
enum qk_code qk_safetensors_frame(struct qk_check *check, const char *file, const char *head, size_t n_head,
                                  uint64_t file_bytes, size_t *ret_header_len, bool *ret_usable,
                                  struct qk_err *err) QK_CHECKED;

/* The tensors of header[len] in a file of file_bytes. Names live in the arena. ret is set in every case but an error,
 * and complete when *ret_usable; violations that were reported may have left tensors out otherwise. */
enum qk_code qk_safetensors_parse(struct qk_check *check, const char *file, const char *header, size_t len,
                                  uint64_t file_bytes, struct qk_arena *arena, struct qk_safetensors *ret,
                                  bool *ret_usable, struct qk_err *err) QK_CHECKED;
void qk_safetensors_release(struct qk_safetensors *st);

#endif
