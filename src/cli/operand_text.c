/* What users write inside one word: NAME=PATH, layer lists; and a command line written back. */
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli_state.h"

enum qk_code qk_cli_split_name(struct qk_cli *cli, const char *operand, const char **ret_name, const char **ret_path,
                               struct qk_err *err)
{
    const char *equals = strchr(operand, '=');
    const char *slash = strchr(operand, '/');
    /* a path that has '=' in it stays a path when it is written with a directory or exists */
    bool named = equals != NULL && (slash == NULL || slash > equals) && !qk_path_exists(operand);
    const char *path = named ? equals + 1 : operand;
    if (path[0] == 0) {
        return qk_fail(err, QK_EUSAGE, "'%s': empty path (expected PATH or NAME=PATH)", operand);
    }
    const char *name = NULL;
    if (named) {
        char *copy = qk_arena_strndup(cli->arena, operand, (size_t)(equals - operand));
        if (copy == NULL) {
            return qk_fail_nomem(err, "command line");
        }
        if (strlen(copy) > NAME_MAX) {
            return qk_fail(err, QK_EUSAGE, "a checkpoint's name is too long (expected at most %d bytes, found %zu)",
                           NAME_MAX, strlen(copy));
        }
        if (copy[0] == 0 || !qk_name_is_clean(copy) || qk_streq(copy, ".") || qk_streq(copy, "..")) {
            return qk_fail(err, QK_EUSAGE, "'%s': '%s' cannot name a checkpoint (expected plain text without '/')",
                           operand, copy);
        }
        name = copy;
    }
    *ret_name = name;
    *ret_path = path;
    return QK_OK;
}

/* "5", "5-7", "5-" → first and last (inclusive). */
static bool parse_range(struct qk_arena *arena, const char *item, size_t n, uint64_t *ret_first, uint64_t *ret_last)
{
    const char *dash = strchr(item, '-');
    if (dash == NULL) {
        if (!qk_parse_u64(item, 0, UINT32_MAX, ret_first)) {
            return false;
        }
        *ret_last = *ret_first;
        return true;
    }
    char *head = qk_arena_strndup(arena, item, (size_t)(dash - item));
    if (head == NULL || !qk_parse_u64(head, 0, UINT32_MAX, ret_first)) {
        return false;
    }
    if (dash[1] == 0) {
        *ret_last = n == 0 ? 0 : n - 1;
        return *ret_first <= *ret_last || *ret_first >= n;
    }
    return qk_parse_u64(dash + 1, 0, UINT32_MAX, ret_last) && *ret_first <= *ret_last;
}

enum qk_code qk_cli_layers(struct qk_cli *cli, size_t n, const bool **ret, struct qk_err *err)
{
    const char *const *items;
    size_t n_items = qk_cli_list(cli, "layers", &items);
    if (n_items == 0) {
        *ret = NULL;
        return QK_OK;
    }
    bool *flags = qk_arena_alloc(cli->arena, n, sizeof *flags);
    if (flags == NULL) {
        return qk_fail_nomem(err, "layer list");
    }
    for (size_t i = 0; i < n_items; i++) {
        uint64_t first = 0, last = n == 0 ? 0 : n - 1;
        if (!qk_streq(items[i], "all") && !parse_range(cli->arena, items[i], n, &first, &last)) {
            (void)qk_fail(err, QK_EUSAGE, "--layers: '%s' is not a layer or a range of layers", items[i]);
            qk_err_hint(err, "layers count from 0; write 5, 5-7, 30- (to the end) or all, separated by commas");
            return QK_EUSAGE;
        }
        if (last >= n || first >= n) {
            return qk_fail(err, QK_EUSAGE, "--layers: there is no layer %llu (the model has %zu layers, 0 to %zu)",
                           (unsigned long long)(last >= n ? last : first), n, n == 0 ? 0 : n - 1);
        }
        for (uint64_t l = first; l <= last; l++) {
            flags[l] = true;
        }
    }
    *ret = flags;
    return QK_OK;
}

static bool shell_plain(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%^";
    return word[0] != 0 && strspn(word, plain) == strlen(word);
}

const char *qk_shell_line(struct qk_arena *arena, size_t n, char *const *argv)
{
    struct qk_str line = {0};
    qk_str_add(&line, "qkscope");
    for (size_t i = 1; i < n; i++) {
        qk_str_addc(&line, ' ');
        if (shell_plain(argv[i])) {
            qk_str_add(&line, argv[i]);
            continue;
        }
        qk_str_addc(&line, '\'');
        for (const char *p = argv[i]; *p != 0; p++) {
            if (*p == '\'') {
                qk_str_add(&line, "'\\''");
            } else {
                qk_str_addc(&line, *p);
            }
        }
        qk_str_addc(&line, '\'');
    }
    const char *copy = line.failed ? NULL : qk_arena_strdup(arena, line.s);
    qk_str_release(&line);
    return copy;
}
