/* The manifest of malformed checkpoints (tests/data/malformed/cases.txt): parsing it, writing a case to disk. */
#ifndef QK_TEST_CASE_MANIFEST_H
#define QK_TEST_CASE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>

enum { max_files = 8 };

struct case_file {
    char kind; /* s safetensors or framed, t text, z sparse, p fifo, d directory, l link, n none */
    char *name;
    char *bytes; /* content, or a link's target */
    size_t n;
    size_t sparse;
};

struct malformed_case {
    char *name;
    struct case_file files[max_files];
    size_t n_files;
    char *at;
    bool passes;
    char *code, *text; /* expected error */
    char *hint;
    char *rules; /* space-separated ids */
};

/* All cases of a manifest; aborts the test run on a malformed one. */
struct malformed_case *case_manifest_load(const char *path, size_t *ret_n);
void case_manifest_free(struct malformed_case *cases, size_t n);
/* Writes the case's files into an existing, empty directory. */
void case_write(const struct malformed_case *c, const char *dir);

#endif
