/* Opening a PEFT LoRA directory over its base: see ckpt/adapter.h. */
#include "ckpt/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "adapter_config.h"
#include "adapter_parts.h"
#include "adapter_values.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "layout.h"
#include "overlay_read.h"
#include "shards.h"

static const char config_file[] = "adapter_config.json", weights_file[] = "adapter_model.safetensors",
                  pickle_file[] = "adapter_model.bin";

struct open_adapter {
    struct qk_adapter adapter; /* first: the public part */
    struct qk_arena *arena;
    struct qk_adapter_config config;
    struct qk_opened_shard opened;
    struct qk_adapter_values *values; /* n_parts */
    size_t n_values;
    struct qk_ckpt *own_base; /* NULL: borrowed */
};

static bool has_file(const char *dir, const char *name)
{
    char *path = qk_path_join(dir, name);
    bool there = path != NULL && qk_layout_present(path);
    qk_free(path);
    return there;
}

bool qk_adapter_present(const char *path)
{
    return qk_path_is_dir(path) && has_file(path, config_file) && !has_file(path, "model.safetensors") &&
           !has_file(path, "model.safetensors.index.json");
}

enum qk_code qk_adapter_read(const struct qk_adapter *adapter, const struct qk_tensor *t, uint64_t at, size_t n,
                             void *buf, struct qk_err *err)
{
    return qk_file_read_at(adapter->file->fd, adapter->file->path, t->offset + at, n, buf, err);
}

void qk_adapter_files(const struct qk_adapter *adapter, struct qk_ckpt *ret)
{
    *ret = (struct qk_ckpt){.name = adapter->path,
                            .path = adapter->path,
                            .dir = adapter->path,
                            .config_path = adapter->config_path,
                            .n_tensors = adapter->n_tensors,
                            .tensors = adapter->tensors,
                            .n_shards = 1,
                            .shards = adapter->file};
    memcpy(ret->header_sha256, adapter->file->header_sha256, sizeof ret->header_sha256);
    for (size_t i = 0; i < adapter->n_tensors; i++) {
        ret->total_bytes += adapter->tensors[i].n_bytes;
    }
}

static void release(void *ctx)
{
    struct open_adapter *open = ctx;
    for (size_t i = 0; i < open->n_values; i++) {
        qk_adapter_values_release(&open->values[i]);
    }
    qk_free(open->values);
    if (open->opened.shard.path != NULL) {
        qk_shard_release(&open->opened);
    }
    qk_adapter_config_release(&open->config);
    qk_ckpt_close(open->own_base);
    qk_arena_free(open->arena);
    qk_free(open);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static enum qk_code open_weights(struct open_adapter *open, struct qk_err *err)
{
    struct qk_check check = {0};
    const char *dir = open->adapter.path;
    const char *path = qk_arena_printf(open->arena, "%s/%s", dir, weights_file);
    if (path == NULL) {
        return qk_fail_nomem(err, dir);
    }
    if (!qk_layout_present(path)) {
        bool pickle = has_file(dir, pickle_file);
        (void)qk_fail(err, pickle ? QK_EUNSUPPORTED : QK_EFORMAT,
                      "%s: adapter weights are missing (expected %s, found %s)", dir, weights_file,
                      pickle ? pickle_file : "none");
        if (pickle) {
            qk_err_hint(err, "load the adapter with PEFT and call save_pretrained(DIR, safe_serialization=True)");
        }
        return pickle ? QK_EUNSUPPORTED : QK_EFORMAT;
    }
    QK_TRY(qk_shard_open(&check, path, weights_file, open->arena, &open->opened, err));
    open->adapter.file = &open->opened.shard;
    open->adapter.n_tensors = open->opened.contents.n_tensors;
    open->adapter.tensors = open->opened.contents.tensors;
    return QK_OK;
}

static enum qk_code no_base(const struct open_adapter *open, struct qk_err *err)
{
    const char *named = open->config.base_model;
    (void)qk_fail(err, QK_EUSAGE,
                  "%s: base_model_name_or_path: the adapter's base is needed (expected a local "
                  "directory, found %s%s%s)",
                  open->adapter.config_path, named == NULL ? "" : "'", named == NULL ? "none" : named,
                  named == NULL ? "" : "'");
    qk_err_hint(err, "name the base with --base-model DIR, or as BASE where a command takes one");
    return QK_EUSAGE;
}

static bool is_model(const char *path)
{
    return qk_path_is_dir(path) ? has_file(path, "config.json") : qk_path_exists(path);
}

/* A relative name is looked for where PEFT would (from the working directory), then beside the adapter. */
static enum qk_code open_base(struct open_adapter *open, const char *given, struct qk_err *err)
{
    const char *named = open->config.base_model, *path = named;
    if (given != NULL) {
        QK_TRY(qk_ckpt_open(given, &open->own_base, err));
        open->adapter.base = open->own_base;
        return QK_OK;
    }
    if (named == NULL || named[0] == 0) {
        return no_base(open, err);
    }
    if (!is_model(path) && named[0] != '/') {
        path = qk_arena_printf(open->arena, "%s/%s", open->adapter.path, named);
        if (path == NULL) {
            return qk_fail_nomem(err, named);
        }
    }
    if (!is_model(path) || qk_adapter_present(path)) {
        return no_base(open, err);
    }
    QK_TRY(qk_ckpt_open(path, &open->own_base, err));
    open->adapter.base = open->own_base;
    return QK_OK;
}

static enum qk_code read_files(struct open_adapter *open, const char *path, const struct qk_adapter_options *options,
                               struct qk_err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    open->adapter.path = qk_arena_strndup(open->arena, path, n);
    open->adapter.config_path =
        open->adapter.path == NULL ? NULL : qk_arena_printf(open->arena, "%s/%s", open->adapter.path, config_file);
    if (open->adapter.config_path == NULL) {
        return qk_fail_nomem(err, path);
    }
    QK_TRY(qk_adapter_config_read(open->adapter.config_path, open->arena, &open->config, err));
    QK_TRY(open_weights(open, err));
    open->adapter.base = options->base;
    open->adapter.named_base = open->config.base_model;
    open->adapter.as_stored = options->as_stored;
    return options->base == NULL ? open_base(open, options->base_path, err) : QK_OK;
}

/* ---- the overlay ------------------------------------------------------------------------------------------------ */

static enum qk_code load_values(struct open_adapter *open, struct qk_err *err)
{
    size_t n = open->adapter.n_parts;
    open->values = qk_calloc(n, sizeof *open->values);
    if (open->values == NULL) {
        return qk_fail_nomem(err, open->adapter.path);
    }
    open->n_values = n;
    for (size_t i = 0; i < n; i++) {
        QK_TRY(qk_adapter_values_load(&open->adapter, &open->adapter.parts[i], &open->values[i], err));
    }
    return QK_OK;
}

/* The base's identity and the adapter's: both files of it count, the factors' bytes as little as a checkpoint's. */
static void hash_headers(const struct open_adapter *open, char ret[65])
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    qk_sha256_add(&sha, open->adapter.base->header_sha256, 64);
    qk_sha256_add(&sha, open->config.sha256, 64);
    qk_sha256_add(&sha, open->adapter.file->header_sha256, 64);
    qk_sha256_hex(&sha, ret);
}

/* The directory's own name, as the base's checkpoint would get one. */
static enum qk_code name_of(const struct open_adapter *open, const char **ret, struct qk_err *err)
{
    char *resolved = realpath(open->adapter.path, NULL);
    char *name = qk_path_basename(resolved == NULL ? open->adapter.path : resolved);
    char *kept = name == NULL ? NULL : qk_arena_strdup(open->arena, name[0] == 0 ? "adapter" : name);
    free(resolved);
    qk_free(name);
    if (kept == NULL) {
        return qk_fail_nomem(err, open->adapter.path);
    }
    for (unsigned char *p = (unsigned char *)kept; !qk_name_is_clean(kept) && *p != 0; p++) {
        *p = *p < 0x20 || *p > 0x7e ? '_' : *p;
    }
    *ret = kept;
    return QK_OK;
}

static enum qk_code lay_over(struct open_adapter *open, struct qk_ckpt **ret, struct qk_err *err)
{
    const struct qk_adapter *adapter = &open->adapter;
    struct qk_overlay_patch *patches = qk_arena_alloc(open->arena, adapter->n_parts, sizeof *patches);
    const char *name = NULL;
    if (patches == NULL) {
        return qk_fail_nomem(err, adapter->path);
    }
    QK_TRY(name_of(open, &name, err));
    for (size_t i = 0; i < adapter->n_parts; i++) {
        const struct qk_tensor *t = adapter->parts[i].base;
        enum qk_dtype dtype = open->values[i].dtype;
        patches[i] = (struct qk_overlay_patch){.tensor = t,
                                               .n = t->n_elements * (qk_dtype_info(dtype)->bits / 8),
                                               .dtype = dtype,
                                               .read = qk_adapter_values_read,
                                               .ctx = &open->values[i]};
    }
    QK_TRY(qk_ckpt_overlay(adapter->base, name, adapter->n_parts, patches, ret, err));
    (*ret)->path = adapter->path;
    (*ret)->adapter = adapter;
    hash_headers(open, (*ret)->header_sha256);
    qk_ckpt_own(*ret, release, open);
    return QK_OK;
}

static enum qk_code load(struct open_adapter *open, const char *path, const struct qk_adapter_options *options,
                         struct qk_ckpt **ret, struct qk_err *err)
{
    QK_TRY(read_files(open, path, options, err));
    QK_TRY(qk_adapter_parts_join(&open->config, &open->adapter, open->arena, err));
    QK_TRY(load_values(open, err));
    return lay_over(open, ret, err);
}

enum qk_code qk_adapter_open(const char *path, const struct qk_adapter_options *options, struct qk_ckpt **ret,
                             struct qk_err *err)
{
    static const struct qk_adapter_options none;
    struct open_adapter *open = qk_calloc(1, sizeof *open);
    if (open == NULL || (open->arena = qk_arena_new()) == NULL) {
        qk_free(open);
        return qk_fail_nomem(err, path);
    }
    struct qk_ckpt *ckpt = NULL;
    enum qk_code code = load(open, path, options != NULL ? options : &none, &ckpt, err);
    if (code != QK_OK) {
        release(open);
        return code;
    }
    *ret = ckpt;
    return QK_OK;
}
