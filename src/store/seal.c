/* The SHA-256 line behind the HDF5 data of a run file. */
#include "seal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"

static const char seal_head[] = "qkscope-run sha256 ";
enum { HEAD = sizeof(seal_head) - 1, DIGEST = 64, BLOCK = 1 << 16 };
_Static_assert(QK_SEAL_BYTES == HEAD + DIGEST + 1, "the seal's length is part of the format");
static const char signature[8] = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};

/* The digest of the first n bytes. */
static enum qk_code digest_file(int fd, const char *name, uint64_t n, char ret[DIGEST + 1], struct qk_err *err)
{
    char *block = qk_calloc(BLOCK, 1);
    if (block == NULL) {
        return qk_fail_nomem(err, name);
    }
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    enum qk_code code = QK_OK;
    for (uint64_t at = 0; at < n && code == QK_OK; at += BLOCK) {
        size_t len = n - at < BLOCK ? (size_t)(n - at) : BLOCK;
        code = qk_file_read_at(fd, name, at, len, block, err);
        if (code == QK_OK) {
            qk_sha256_add(&sha, block, len);
        }
    }
    qk_free(block);
    if (code == QK_OK) {
        qk_sha256_hex(&sha, ret);
    }
    return code;
}

void qk_seal_line(const void *bytes, size_t n, char ret[QK_SEAL_BYTES + 1])
{
    struct qk_sha256 sha;
    char digest[DIGEST + 1];
    qk_sha256_init(&sha);
    qk_sha256_add(&sha, bytes, n);
    qk_sha256_hex(&sha, digest);
    snprintf(ret, QK_SEAL_BYTES + 1, "%s%s\n", seal_head, digest);
}

static enum qk_code check_open_file(int fd, const char *path, uint64_t size, bool *ret_sealed, struct qk_err *err)
{
    char head[sizeof(signature)], line[QK_SEAL_BYTES + 1] = {0}, digest[DIGEST + 1];
    if (size < sizeof(head)) {
        return qk_fail(err, QK_EFORMAT, "%s: not an HDF5 file (%llu bytes)", path, (unsigned long long)size);
    }
    QK_TRY(qk_file_read_at(fd, path, 0, sizeof(head), head, err));
    if (memcmp(head, signature, sizeof(head)) != 0) {
        return qk_fail(err, QK_EFORMAT, "%s: not an HDF5 file", path);
    }
    *ret_sealed = false;
    if (size < QK_SEAL_BYTES) {
        return QK_OK;
    }
    QK_TRY(qk_file_read_at(fd, path, size - QK_SEAL_BYTES, QK_SEAL_BYTES, line, err));
    if (memcmp(line, seal_head, HEAD) != 0) {
        return QK_OK;
    }
    QK_TRY(digest_file(fd, path, size - QK_SEAL_BYTES, digest, err));
    if (memcmp(line + HEAD, digest, DIGEST) != 0) {
        return qk_fail(err, QK_EFORMAT, "%s: damaged: its bytes do not fit the checksum at its end", path);
    }
    *ret_sealed = true;
    return QK_OK;
}

enum qk_code qk_seal_check(const char *path, uint64_t *ret_size, bool *ret_sealed, struct qk_err *err)
{
    bool sealed = false;
    int fd;
    uint64_t size;
    QK_TRY(qk_file_open(path, &fd, &size, err));
    enum qk_code code = check_open_file(fd, path, size, &sealed, err);
    qk_file_close(fd);
    if (code == QK_OK) {
        *ret_size = size;
        *ret_sealed = sealed;
    }
    return code;
}
