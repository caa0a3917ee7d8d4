/* Names of tensors in an adapter: see adapter_key.h. */
#include "adapter_key.h"

#include <string.h>

#include "base/str.h"

static const char prefix[] = "base_model.model.";

static const struct key_form {
    const char *part; /* a component of the name */
    enum qk_adapter_key_kind kind;
} forms[] = {
    {"lora_A", QK_ADAPTER_A},
    {"lora_B", QK_ADAPTER_B},
    {"lora_embedding_A", QK_ADAPTER_EMBEDDING_A},
    {"lora_embedding_B", QK_ADAPTER_EMBEDDING_B},
    {"lora_magnitude_vector", QK_ADAPTER_MAGNITUDE},
};

/* Components that other kinds of adapters have. */
static const char *const foreign[] = {
    "token_adapter", "trainable_tokens",  "lora_",     "vera_", "hada_",     "lokr_", "ia3_", "boft_",
    "oft_",          "prompt_embeddings", "adaption_", "hra_",  "fourierft_"};

/* Exchanged at the start of a name, in this order. */
static const char *const prefixes[][2] = {
    {"model.language_model.", "language_model.model."},
    {"language_model.model.", "model.language_model."},
    {"model.", "model.language_model."},
    {"model.", "language_model.model."},
    {"model.language_model.", "model."},
    {"language_model.model.", "model."},
    {"model.", ""},
    {"transformer.", ""},
    {"gpt_neox.", ""},
    {"backbone.", ""},
    {"", "model."},
    {"", "transformer."},
};

/* Where `part` stands as a whole component (or as the start of one), the last time; NULL: nowhere. */
static const char *find_component(const char *name, const char *part, bool whole)
{
    size_t n = strlen(part);
    const char *found = NULL;
    for (const char *at = name; (at = strstr(at, part)) != NULL; at++) {
        bool starts = at == name || at[-1] == '.', ends = at[n] == 0 || at[n] == '.';
        found = starts && (ends || !whole) ? at : found;
    }
    return found;
}

static bool is_field(const char *s)
{
    return qk_streq(s, "weight") || qk_streq(s, "bias");
}

/* What stands behind the kind's component: nothing, a field, the adapter's name, or both. */
static enum qk_code parse_rest(const char *rest, const struct key_form *form, struct qk_arena *arena,
                               struct qk_adapter_key *key, struct qk_err *err)
{
    const char *field = strrchr(rest, '.');
    field = field == NULL ? rest : field + 1;
    key->kind = form->kind;
    if (qk_streq(field, "bias")) {
        if (form->kind != QK_ADAPTER_B) {
            return qk_fail(err, QK_EUNSUPPORTED, "a bias of %s is not known", form->part);
        }
        key->kind = QK_ADAPTER_B_BIAS;
    }
    size_t n = is_field(field) ? (size_t)(field - rest) : strlen(rest);
    n -= n > 0 && rest[n - 1] == '.';
    char *adapter = qk_arena_strndup(arena, rest, n);
    key->adapter = adapter;
    key->tensor = qk_arena_printf(arena, "%s.%s", key->module, key->kind == QK_ADAPTER_B_BIAS ? "bias" : "weight");
    if (adapter == NULL || key->tensor == NULL) {
        return qk_fail_nomem(err, rest);
    }
    return strchr(adapter, '.') == NULL
               ? QK_OK
               : qk_fail(err, QK_EUNSUPPORTED, "'%s' behind %s is not known", rest, form->part);
}

/* "X.modules_to_save.NAME.weight", "X.modules_to_save.weight" and "X.base_layer.weight" mean "X.weight". */
static enum qk_code parse_saved(const char *name, struct qk_arena *arena, struct qk_adapter_key *key,
                                struct qk_err *err)
{
    static const char *const wrappers[] = {".modules_to_save.", ".base_layer.", ".original_module."};
    char *tensor = qk_arena_strdup(arena, name);
    if (tensor == NULL) {
        return qk_fail_nomem(err, name);
    }
    key->kind = QK_ADAPTER_SAVED;
    key->adapter = "";
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
        char *at = strstr(tensor, wrappers[i]);
        if (at != NULL) {
            const char *field = strrchr(tensor, '.');
            key->kind = i == 2 ? QK_ADAPTER_IGNORED : key->kind;
            memmove(at, field, strlen(field) + 1);
        }
    }
    const char *dot = strrchr(tensor, '.');
    key->tensor = tensor;
    key->module = qk_arena_strndup(arena, tensor, dot == NULL ? strlen(tensor) : (size_t)(dot - tensor));
    return key->module == NULL ? qk_fail_nomem(err, name) : QK_OK;
}

enum qk_code qk_adapter_key_parse(const char *name, struct qk_arena *arena, struct qk_adapter_key *ret,
                                  struct qk_err *err)
{
    struct qk_adapter_key key = {.adapter = ""};
    name += qk_str_starts(name, prefix) ? sizeof prefix - 1 : 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *at = find_component(name, forms[i].part, true);
        if (at == NULL || at == name) {
            continue;
        }
        const char *rest = at + strlen(forms[i].part);
        key.module = qk_arena_strndup(arena, name, (size_t)(at - name) - 1);
        if (key.module == NULL) {
            return qk_fail_nomem(err, name);
        }
        QK_TRY(parse_rest(*rest == '.' ? rest + 1 : rest, &forms[i], arena, &key, err));
        *ret = key;
        return QK_OK;
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (find_component(name, foreign[i], false) != NULL) {
            return qk_fail(err, QK_EUNSUPPORTED, "'%s' belongs to another kind of adapter than LoRA", foreign[i]);
        }
    }
    QK_TRY(parse_saved(name, arena, &key, err));
    *ret = key;
    return QK_OK;
}

enum qk_code qk_adapter_key_find(const struct qk_ckpt *base, const char *tensor, struct qk_arena *arena,
                                 const struct qk_tensor **ret, struct qk_err *err)
{
    const struct qk_tensor *found = qk_ckpt_find(base, tensor);
    for (size_t i = 0; found == NULL && i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (!qk_str_starts(tensor, prefixes[i][0])) {
            continue;
        }
        const char *name = qk_arena_printf(arena, "%s%s", prefixes[i][1], tensor + strlen(prefixes[i][0]));
        if (name == NULL) {
            return qk_fail_nomem(err, tensor);
        }
        found = qk_ckpt_find(base, name);
    }
    *ret = found;
    return QK_OK;
}
