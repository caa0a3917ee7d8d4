/* Recognising what a broken file really is: see foreign.h. */
#include "foreign.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static const char lfs_magic[] = "version https://git-lfs.github.com/spec/";

static const struct {
    const char *magic;
    size_t n;
    const char *what, *hint;
} formats[] = {
    {"PK\003\004", 4, "a PyTorch checkpoint or another zip archive",
     "convert the model to safetensors: load it and call save_pretrained(DIR)"},
    {"\x80\002", 2, "a Python pickle", "convert the model to safetensors: load it and call save_pretrained(DIR)"},
    {"GGUF", 4, "a GGUF file", "use the checkpoint that the GGUF file was converted from"},
    {"\x89HDF", 4, "an HDF5 file", "convert the model to safetensors"},
    {"\x1f\x8b", 2, "a gzip archive", "decompress it"},
    {"\x28\xb5\x2f\xfd", 4, "a Zstandard archive", "decompress it"},
    {"\x93NUMPY", 6, "a NumPy array", "convert the model to safetensors"},
};

static bool is_web_page(const char *head, size_t n)
{
    static const char *const starts[] = {"<!doctype", "<html", "<?xml", "<head"};
    while (n > 0 && (*head == ' ' || *head == '\n' || *head == '\r' || *head == '\t')) {
        head++;
        n--;
    }
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        size_t m = strlen(starts[i]);
        if (n >= m && strncasecmp(head, starts[i], m) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_text(const char *head, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)head[i];
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return n > 0;
}

/* The number behind "\nsize " in a pointer; 0 when there is none. */
static uint64_t lfs_size(const char *head, size_t n)
{
    static const char field[] = "\nsize ";
    const char *p = memmem(head, n, field, sizeof field - 1);
    uint64_t size = 0;
    if (p != NULL) {
        for (p += sizeof field - 1; p < head + n && *p >= '0' && *p <= '9' && size < UINT64_MAX / 100; p++) {
            size = size * 10 + (uint64_t)(*p - '0');
        }
    }
    return size;
}

static enum qk_code report_lfs(struct qk_check *check, const char *file, const char *head, size_t n, struct qk_err *err)
{
    static const char hint[] = "run 'git lfs install' and 'git lfs pull' in the model's directory";
    uint64_t size = lfs_size(head, n);
    if (size == 0) {
        return qk_violate(check, QK_RULE_LFS_POINTER, file, "", hint, err,
                          "Git-LFS pointer (expected the file itself, found the pointer that stands for it)");
    }
    return qk_violate(check, QK_RULE_LFS_POINTER, file, "", hint, err,
                      "Git-LFS pointer (expected the file of %llu bytes, found the pointer that stands for it)",
                      (unsigned long long)size);
}

enum qk_code qk_foreign_check(struct qk_check *check, const char *file, const char *head, size_t n,
                              enum qk_expected_content content, bool *ret_found, struct qk_err *err)
{
    static const char again[] = "download it again; a gated model needs to be logged in";
    const char *expected = content == QK_EXPECT_JSON ? "JSON" : "a safetensors file";
    *ret_found = true;
    if (n >= sizeof lfs_magic - 1 && memcmp(head, lfs_magic, sizeof lfs_magic - 1) == 0) {
        return report_lfs(check, file, head, n, err);
    }
    if (is_web_page(head, n)) {
        return qk_violate(check, QK_RULE_WEB_PAGE, file, "", again, err, "web page (expected %s, found HTML or XML)",
                          expected);
    }
    if (content == QK_EXPECT_WEIGHTS && n >= 2 && head[0] == '{' && (head[1] == '"' || head[1] == '\n')) {
        return qk_violate(check, QK_RULE_WEB_PAGE, file, "", again, err,
                          "text file (expected %s, found JSON, perhaps a server's error message)", expected);
    }
    for (size_t i = 0; content == QK_EXPECT_WEIGHTS && i < sizeof formats / sizeof formats[0]; i++) {
        if (n >= formats[i].n && memcmp(head, formats[i].magic, formats[i].n) == 0) {
            return qk_violate(check, QK_RULE_FOREIGN_FORMAT, file, "", formats[i].hint, err,
                              "other file format (expected %s, found %s)", expected, formats[i].what);
        }
    }
    if (content == QK_EXPECT_WEIGHTS && is_text(head, n)) {
        return qk_violate(check, QK_RULE_FOREIGN_FORMAT, file, "", "", err,
                          "other file format (expected %s, found a text file)", expected);
    }
    *ret_found = false;
    return QK_OK;
}
