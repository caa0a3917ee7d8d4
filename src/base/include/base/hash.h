/* SHA-256 (FIPS 180-4), for provenance: header_sha256, config_sha256, configuration hashes. */
#ifndef QK_BASE_HASH_H
#define QK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct qk_sha256 {
    uint32_t h[8];
    uint64_t n_bytes;
    uint8_t block[64];
};

void qk_sha256_init(struct qk_sha256 *sha);
void qk_sha256_add(struct qk_sha256 *sha, const void *data, size_t n);
/* The n_bytes (at most 8) low bytes of number, the lowest first. */
void qk_sha256_add_number(struct qk_sha256 *sha, uint64_t number, size_t n_bytes);
/* 64 lower-case hex digits and a NUL. */
void qk_sha256_hex(struct qk_sha256 *sha, char ret[65]);

#endif
