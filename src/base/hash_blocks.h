/* SHA-256 over whole blocks, in plain C and with the CPU's own instructions. Private to the layer. */
#ifndef QK_BASE_HASH_BLOCKS_H
#define QK_BASE_HASH_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

/* n blocks of 64 bytes into the state. */
typedef void (*qk_sha256_blocks_fn)(uint32_t h[8], const uint8_t *p, size_t n);

extern const uint32_t qk_sha256_constants[64];

void qk_sha256_blocks_plain(uint32_t h[8], const uint8_t *p, size_t n);
/* The fastest that this CPU has besides the plain one; NULL when it has none. */
qk_sha256_blocks_fn qk_sha256_blocks_fast(void);

#endif
