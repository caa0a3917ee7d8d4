/* Prints "name accepted" or "name refused" for every safetensors file of a directory, for independent_reader.py. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "foreign.h"
#include "safetensors.h"

static bool accepts(const char *text, size_t len)
{
    struct qk_check check = {0};
    struct qk_safetensors st = {0};
    struct qk_err err;
    size_t header;
    bool usable = false;
    struct qk_arena *arena = qk_arena_new();
    bool fine = arena != NULL &&
                qk_safetensors_frame(&check, "f", text, len < qk_foreign_head ? len : qk_foreign_head, len, &header,
                                     &usable, &err) == QK_OK &&
                qk_safetensors_parse(&check, "f", text + 8, header, len, arena, &st, &usable, &err) == QK_OK;
    qk_safetensors_release(&st);
    qk_arena_free(arena);
    return fine;
}

int main(int argc, char **argv)
{
    DIR *stream = argc == 2 ? opendir(argv[1]) : NULL;
    if (stream == NULL) {
        return 2;
    }
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char *text, path[4096];
        size_t len;
        struct qk_err err;
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (qk_file_slurp(path, (size_t)1 << 24, &text, &len, &err) != QK_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 2;
        }
        printf("%s %s\n", entry->d_name, accepts(text, len) ? "accepted" : "refused");
        qk_free(text);
    }
    closedir(stream);
    return 0;
}
