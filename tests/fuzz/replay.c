/* Runs a fuzz target over every file of the directories given, once each: the committed corpus as a regression test. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "both_ways.h"

static size_t replay(const char *dir)
{
    size_t n = 0;
    DIR *stream = opendir(dir);
    qk_fuzz_require(stream != NULL, "the corpus is there");
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *path = qk_path_join(dir, entry->d_name), *text;
        size_t len;
        struct qk_err err;
        qk_fuzz_require(path != NULL && qk_file_slurp(path, (size_t)1 << 24, &text, &len, &err) == QK_OK,
                        "it can be read");
        uint8_t *exact = malloc(len + (len == 0));
        qk_fuzz_require(exact != NULL, "memory");
        for (size_t i = 0; i < len; i++) {
            exact[i] = (uint8_t)text[i];
        }
        (void)LLVMFuzzerTestOneInput(exact, len);
        free(exact);
        qk_free(text);
        qk_free(path);
        n++;
    }
    closedir(stream);
    return n;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        n += replay(argv[i]);
    }
    printf("%zu inputs\n", n);
    return n == 0;
}
