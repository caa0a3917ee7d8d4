/* Finding the parts of a checkpoint: see layout.h. */
#include "layout.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

static const char model_file[] = "model.safetensors", index_file[] = "model.safetensors.index.json",
                  convert_hint[] = "convert the model to safetensors: load it with transformers and call "
                                   "save_pretrained(DIR)";

bool qk_layout_present(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static const char *join(struct qk_arena *arena, const char *dir, const char *file)
{
    return qk_arena_printf(arena, "%s%s%s", dir, qk_streq(dir, "/") ? "" : "/", file);
}

/* A path without slashes at its end, in the arena. */
static const char *without_slashes(struct qk_arena *arena, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    return qk_arena_strndup(arena, path, n);
}

/* The last part of a path without trailing slashes, in the arena. */
static char *last_part(struct qk_arena *arena, const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    return qk_arena_strndup(arena, path + start, end - start);
}

/* A name for results from a path; parts that say nothing ("", ".", "..") are resolved. NULL when out of memory. */
static const char *name_of(struct qk_arena *arena, const char *path)
{
    char *name = last_part(arena, path);
    if (name != NULL && (name[0] == 0 || qk_streq(name, ".") || qk_streq(name, ".."))) {
        char *resolved = realpath(path, NULL);
        name = last_part(arena, resolved == NULL ? "" : resolved);
        free(resolved);
    }
    if (name == NULL) {
        return NULL;
    }
    if (name[0] == 0) {
        return "checkpoint";
    }
    if (!qk_name_is_clean(name)) {
        for (unsigned char *p = (unsigned char *)name; *p != 0; p++) {
            *p = *p < 0x20 || *p > 0x7e ? '_' : *p;
        }
    }
    return name;
}

/* What lies in a directory without safetensors weights; of each kind the first name in byte order. */
enum kind { SHARD, SAFETENSORS, PICKLE, GGUF, OTHER, N_KINDS };

static const struct {
    const char *pattern;
    enum kind kind;
    const char *what, *hint;
} leftovers[] = {
    {"*-of-*.safetensors", SHARD, "", ""},
    {"*.safetensors", SAFETENSORS, "", ""},
    {"*.bin", PICKLE, "PyTorch weights", convert_hint},
    {"*.pth", PICKLE, "PyTorch weights", convert_hint},
    {"*.pt", PICKLE, "PyTorch weights", convert_hint},
    {"*.ckpt", PICKLE, "PyTorch weights", convert_hint},
    {"*.gguf", GGUF, "GGUF weights", "use the checkpoint that the GGUF file was converted from"},
    {"*.h5", OTHER, "TensorFlow weights", convert_hint},
    {"*.msgpack", OTHER, "Flax weights", convert_hint},
    {"*.onnx", OTHER, "ONNX weights", convert_hint},
};

struct finds {
    const char *name[N_KINDS];
    size_t row[N_KINDS];
};

static enum qk_code look_around(struct qk_arena *arena, const char *dir, struct finds *ret, struct qk_err *err)
{
    struct finds finds = {0};
    DIR *stream = opendir(dir);
    if (stream == NULL) {
        return qk_fail_errno(err, dir, "list");
    }
    enum qk_code code = QK_OK;
    for (const struct dirent *entry; code == QK_OK && (entry = readdir(stream)) != NULL;) {
        size_t row = 0;
        while (row < sizeof leftovers / sizeof leftovers[0] && !qk_glob_match(leftovers[row].pattern, entry->d_name)) {
            row++;
        }
        if (row == sizeof leftovers / sizeof leftovers[0]) {
            continue;
        }
        enum kind kind = leftovers[row].kind;
        if (finds.name[kind] == NULL || strcmp(entry->d_name, finds.name[kind]) < 0) {
            finds.name[kind] = qk_arena_strdup(arena, entry->d_name);
            finds.row[kind] = row;
            code = finds.name[kind] == NULL ? qk_fail_nomem(err, dir) : QK_OK;
        }
    }
    closedir(stream);
    if (code == QK_OK) {
        *ret = finds;
    }
    return code;
}

static enum qk_code report_no_weights(struct qk_check *check, const char *dir, struct qk_arena *arena,
                                      struct qk_layout *layout, struct qk_err *err)
{
    static const char adapter[] = "adapter_config.json";
    const char *adapter_path = join(arena, dir, adapter);
    if (adapter_path == NULL) {
        return qk_fail_nomem(err, dir);
    }
    if (qk_layout_present(adapter_path)) {
        layout->config = NULL;
        return qk_violate(
            check, QK_RULE_UNMERGED_ADAPTER, dir, adapter,
            "merge the adapter into its base first: PeftModel.merge_and_unload(), then save_pretrained(DIR)", err,
            "PEFT adapter without its base model (expected %s, found %s)", model_file, adapter);
    }
    struct finds finds = {0};
    QK_TRY(look_around(arena, dir, &finds, err));
    if (finds.name[SHARD] != NULL) {
        return qk_violate(check, QK_RULE_MISSING_INDEX, dir, index_file,
                          "copy or download the index that belongs to the shards", err,
                          "index is missing (expected it beside the shards, found %s and no index)", finds.name[SHARD]);
    }
    if (finds.name[SAFETENSORS] != NULL) {
        const char *hint =
            qk_arena_printf(arena, "if %s is the model, give the path of that file", finds.name[SAFETENSORS]);
        return qk_violate(check, QK_RULE_MISSING_WEIGHTS, dir, "", hint == NULL ? "" : hint, err,
                          "no weights (expected %s or %s, found %s)", model_file, index_file, finds.name[SAFETENSORS]);
    }
    for (enum kind kind = PICKLE; kind < N_KINDS; kind++) {
        if (finds.name[kind] != NULL) {
            return qk_violate(check, QK_RULE_UNSUPPORTED_WEIGHTS, dir, finds.name[kind],
                              leftovers[finds.row[kind]].hint, err,
                              "weights in another format (expected %s or %s, found %s)", model_file, index_file,
                              leftovers[finds.row[kind]].what);
        }
    }
    return qk_violate(check, QK_RULE_MISSING_WEIGHTS, dir, "", "is this the directory of a model?", err,
                      "no weights (expected %s or %s, found neither)", model_file, index_file);
}

static enum qk_code find_in_dir(struct qk_check *check, const char *path, struct qk_arena *arena,
                                struct qk_layout *layout, struct qk_err *err)
{
    const char *dir = without_slashes(arena, path);
    if (dir == NULL) {
        return qk_fail_nomem(err, path);
    }
    layout->name = name_of(arena, path);
    layout->dir = dir;
    layout->config = join(arena, dir, "config.json");
    const char *weights = join(arena, dir, model_file), *index = join(arena, dir, index_file);
    if (layout->name == NULL || layout->config == NULL || weights == NULL || index == NULL) {
        return qk_fail_nomem(err, path);
    }
    if (qk_layout_present(weights)) {
        layout->weights = weights;
    } else if (qk_layout_present(index)) {
        layout->index = index;
    } else {
        return report_no_weights(check, dir, arena, layout, err);
    }
    return QK_OK;
}

/* "…/model.safetensors" is named for its directory, any other file for itself. */
static enum qk_code find_beside(struct qk_check *check, const char *path, struct qk_arena *arena,
                                struct qk_layout *layout, struct qk_err *err)
{
    const char *slash = strrchr(path, '/');
    layout->dir = slash == NULL ? "." : qk_arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
    layout->weights = qk_arena_strdup(arena, path);
    char *file = last_part(arena, path);
    if (layout->dir == NULL || layout->weights == NULL || file == NULL) {
        return qk_fail_nomem(err, path);
    }
    layout->config = slash == NULL ? "config.json" : join(arena, layout->dir, "config.json");
    if (qk_streq(file, model_file)) {
        layout->name = name_of(arena, layout->dir);
    } else {
        if (qk_str_ends(file, ".safetensors")) {
            file[strlen(file) - strlen(".safetensors")] = 0;
        }
        layout->name = name_of(arena, file);
    }
    if (layout->name == NULL || layout->config == NULL) {
        return qk_fail_nomem(err, path);
    }
    if (qk_str_ends(path, ".index.json")) {
        layout->weights = NULL;
        return qk_violate(check, QK_RULE_FOREIGN_FORMAT, path, "",
                          "give the directory that holds the index and its shards", err,
                          "index file (expected a directory or a safetensors file, found an index)");
    }
    return QK_OK;
}

enum qk_code qk_layout_find(struct qk_check *check, const char *path, struct qk_arena *arena, struct qk_layout *ret,
                            struct qk_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        bool missing = errno == ENOENT;
        enum qk_code code = qk_fail_errno(err, path, "open");
        if (missing) {
            qk_err_hint(err,
                        "a checkpoint is a local directory with config.json and model.safetensors, or a .safetensors "
                        "file; models are not downloaded");
        }
        return code;
    }
    struct qk_layout layout = {0};
    if (S_ISDIR(st.st_mode)) {
        QK_TRY(find_in_dir(check, path, arena, &layout, err));
    } else if (S_ISREG(st.st_mode)) {
        QK_TRY(find_beside(check, path, arena, &layout, err));
    } else {
        return qk_fail(err, QK_EIO,
                       "%s: no checkpoint (expected a directory or a regular file, found another kind of file)", path);
    }
    *ret = layout;
    return QK_OK;
}
