/* SHA-256, FIPS 180-4: see base/hash.h. The plain blocks are the reference of those in hash_x86.c. */
#include "base/hash.h"

#include <stdatomic.h>
#include <string.h>

#include "hash_blocks.h"

const uint32_t qk_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int k)
{
    return (x >> k) | (x << (32 - k));
}

static void compress(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 =
            k + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + qk_sha256_constants[i] + w[i];
        uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        k = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const uint32_t add[8] = {a, b, c, d, e, f, g, k};
    for (int i = 0; i < 8; i++) {
        h[i] += add[i];
    }
}

void qk_sha256_blocks_plain(uint32_t h[8], const uint8_t *p, size_t n)
{
    for (; n > 0; n--, p += 64) {
        compress(h, p);
    }
}

static void blocks(uint32_t h[8], const uint8_t *p, size_t n)
{
    static _Atomic(qk_sha256_blocks_fn) chosen; /* the same whoever sets it */
    qk_sha256_blocks_fn fn = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (fn == NULL) {
        fn = qk_sha256_blocks_fast();
        fn = fn == NULL ? qk_sha256_blocks_plain : fn;
        atomic_store_explicit(&chosen, fn, memory_order_relaxed);
    }
    fn(h, p, n);
}

void qk_sha256_init(struct qk_sha256 *sha)
{
    static const uint32_t init[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(sha, 0, sizeof *sha);
    memcpy(sha->h, init, sizeof init);
}

void qk_sha256_add(struct qk_sha256 *sha, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t fill = (size_t)(sha->n_bytes % 64);
    sha->n_bytes += n;
    if (fill > 0) {
        size_t take = 64 - fill < n ? 64 - fill : n;
        memcpy(sha->block + fill, p, take);
        p += take;
        n -= take;
        if (fill + take < 64) {
            return;
        }
        blocks(sha->h, sha->block, 1);
    }
    if (n >= 64) {
        blocks(sha->h, p, n / 64);
        p += n / 64 * 64;
        n %= 64;
    }
    if (n > 0) {
        memcpy(sha->block, p, n);
    }
}

void qk_sha256_add_number(struct qk_sha256 *sha, uint64_t number, size_t n_bytes)
{
    uint8_t bytes[8];
    for (size_t b = 0; b < n_bytes; b++) {
        bytes[b] = (uint8_t)(number >> (8 * b));
    }
    qk_sha256_add(sha, bytes, n_bytes);
}

void qk_sha256_hex(struct qk_sha256 *sha, char ret[65])
{
    uint64_t bits = sha->n_bytes * 8;
    uint8_t pad[72] = {0x80};
    size_t n = 64 - (size_t)((sha->n_bytes + 8) % 64);
    for (int i = 0; i < 8; i++) {
        pad[n + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    qk_sha256_add(sha, pad, n + 8);
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        unsigned byte = sha->h[i / 4] >> (24 - 8 * (i % 4)) & 0xff;
        ret[2 * i] = digits[byte >> 4];
        ret[2 * i + 1] = digits[byte & 15];
    }
    ret[64] = 0;
}
