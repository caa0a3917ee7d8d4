/* Selection of arrays for an export. */
#include "export_selection.h"

#include <math.h>
#include <string.h>

#include "entry_group.h"

static const char *leaf_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* What is wanted; n = 0: everything. */
struct globs {
    size_t n;
    const char *const *glob;
};

static bool matches_one(const char *glob, const char *path)
{
    return qk_glob_match(glob, path) || qk_glob_match(glob, path + 1) || qk_glob_match(glob, leaf_name(path));
}

static bool matches(const struct globs *globs, const char *path)
{
    bool found = globs->n == 0;
    for (size_t i = 0; !found && i < globs->n; i++) {
        found = matches_one(globs->glob[i], path);
    }
    return found;
}

static const char state_suffix[] = "_state";

/* The node whose path is the first len bytes of path and then suffix. */
static const struct qk_node *find_joined(const struct qk_table *table, const char *path, size_t len, const char *suffix)
{
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *candidate = table->nodes[i]->path;
        if (strncmp(candidate, path, len) == 0 && qk_streq(candidate + len, suffix)) {
            return table->nodes[i];
        }
    }
    return NULL;
}

/* A state array comes along with its metric when that is selected too. */
static bool is_selected(const struct qk_table *table, const struct qk_node *node, const struct globs *globs)
{
    if (node->is_group || node->is_scale || !matches(globs, node->path)) {
        return false;
    }
    const struct qk_node *metric = NULL;
    if (node->type == QK_TYPE_U8 && qk_str_ends(node->path, state_suffix)) {
        metric = find_joined(table, node->path, strlen(node->path) - strlen(state_suffix), "");
    }
    return metric == NULL || !matches(globs, metric->path);
}

/* The state array's axes must be the metric's first ones. */
static const struct qk_node *state_of(const struct qk_table *table, const struct qk_node *node)
{
    const struct qk_node *state = find_joined(table, node->path, strlen(node->path), state_suffix);
    if (state == NULL || state->is_group || state->type != QK_TYPE_U8 || state->n_dims > node->n_dims) {
        return NULL;
    }
    for (size_t i = 0; i < state->n_dims; i++) {
        if (!qk_streq(state->dims[i], node->dims[i])) {
            return NULL;
        }
    }
    return state;
}

/* The column of axis i: its scale's name, numbered when the array has that name twice. */
static enum qk_code add_column(struct qk_export_selection *s, struct qk_export_array *array, size_t axis,
                               struct qk_err *err)
{
    const char *name = leaf_name(array->node->dims[axis]);
    size_t n_before = 0;
    for (size_t i = 0; i < axis; i++) {
        n_before += qk_streq(leaf_name(array->node->dims[i]), name);
    }
    const char *column = n_before == 0 ? name : qk_arena_printf(s->arena, "%s_%zu", name, n_before + 1);
    if (column == NULL) {
        return qk_fail_nomem(err, "export");
    }
    size_t i = 0;
    while (i < s->n_columns && !qk_streq(s->columns[i], column)) {
        i++;
    }
    s->columns[i] = column;
    s->n_columns += i == s->n_columns;
    array->columns[axis] = i;
    return QK_OK;
}

static enum qk_code add_array(const struct qk_table *table, const struct qk_node *node, struct qk_export_selection *s,
                              struct qk_err *err)
{
    struct qk_export_array *array = &s->arrays[s->n_arrays++];
    array->node = node;
    array->state = state_of(table, node);
    s->has_text = s->has_text || node->type == QK_TYPE_STR || qk_export_has_meanings(node);
    for (size_t i = 0; i < node->n_dims; i++) {
        array->scales[i] = qk_table_find(table, node->dims[i]);
        QK_TRY(add_column(s, array, i, err));
    }
    const struct qk_entry_group *group = qk_entry_group_of(node->path);
    if (group != NULL && node->path[qk_entry_length(group, node->path)] == '/') {
        size_t start = strlen(group->group) + 1;
        array->entry = node->path + start;
        array->entry_len = qk_entry_length(group, node->path) - start;
    }
    return QK_OK;
}

/* Names the nearest array when the glob has no match. */
static enum qk_code fail_no_match(const struct qk_table *table, const char *glob, struct qk_arena *arena,
                                  struct qk_err *err)
{
    const char **names = qk_arena_alloc(arena, 2 * table->n_nodes, sizeof(*names));
    size_t n = 0;
    for (size_t i = 0; names != NULL && i < table->n_nodes; i++) {
        if (!table->nodes[i]->is_group && !table->nodes[i]->is_scale) {
            names[n++] = table->nodes[i]->path;
            names[n++] = leaf_name(table->nodes[i]->path);
        }
    }
    enum qk_code code = qk_fail(err, QK_EUSAGE, "no dataset matches '%s'", glob == NULL ? "*" : glob);
    const char *nearest = names == NULL || glob == NULL ? NULL : qk_nearest(glob, names, n);
    if (nearest != NULL) {
        qk_err_hint(err, "did you mean '%s'? --list shows them all", nearest);
    } else {
        qk_err_hint(err, "--list shows them all");
    }
    return code;
}

/* Every glob has to match something. */
static enum qk_code check_globs(const struct qk_table *table, const struct globs *globs, struct qk_arena *arena,
                                struct qk_err *err)
{
    for (size_t g = 0; g < globs->n; g++) {
        const struct globs one = {.n = 1, .glob = &globs->glob[g]};
        size_t i = 0;
        while (i < table->n_nodes && !is_selected(table, table->nodes[i], &one)) {
            i++;
        }
        if (i == table->n_nodes) {
            return fail_no_match(table, globs->glob[g], arena, err);
        }
    }
    return QK_OK;
}

static enum qk_code select_arrays(const struct qk_table *table, const struct globs *globs,
                                  struct qk_export_selection *s, struct qk_err *err)
{
    QK_TRY(check_globs(table, globs, s->arena, err));
    s->arrays = qk_arena_alloc(s->arena, table->n_nodes, sizeof(*s->arrays));
    s->columns = qk_arena_alloc(s->arena, table->n_nodes * QK_TABLE_MAX_DIMS, sizeof(*s->columns));
    if (s->arrays == NULL || s->columns == NULL) {
        return qk_fail_nomem(err, "export");
    }
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (is_selected(table, table->nodes[i], globs)) {
            QK_TRY(add_array(table, table->nodes[i], s, err));
        }
    }
    return s->n_arrays > 0 ? QK_OK : fail_no_match(table, NULL, s->arena, err);
}

/* The globs of a list with commas. One that matches as it stands is a name with commas in it. */
static enum qk_code split_globs(const struct qk_table *table, const char *list, struct qk_arena *arena,
                                struct globs *ret, struct qk_err *err)
{
    size_t n = list == NULL ? 0 : 1;
    bool is_name = false;
    for (size_t i = 0; list != NULL && !is_name && i < table->n_nodes; i++) {
        is_name = matches_one(list, table->nodes[i]->path);
    }
    for (const char *p = list; p != NULL && !is_name && *p != '\0'; p++) {
        n += *p == ',' ? 1 : 0;
    }
    const char **globs = qk_arena_alloc(arena, n, sizeof *globs);
    if (globs == NULL) {
        return qk_fail_nomem(err, "export");
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = is_name ? strlen(list) : strcspn(list, ",");
        globs[i] = qk_arena_strndup(arena, list, len);
        if (globs[i] == NULL) {
            return qk_fail_nomem(err, "export");
        }
        list += len + (list[len] == ',' ? 1 : 0);
    }
    *ret = (struct globs){.n = n, .glob = globs};
    return QK_OK;
}

enum qk_code qk_export_select(const struct qk_table *table, const char *globs, struct qk_export_selection *ret,
                              struct qk_err *err)
{
    struct qk_export_selection s = {.arena = qk_arena_new()};
    struct globs split = {0};
    if (s.arena == NULL) {
        return qk_fail_nomem(err, "export");
    }
    enum qk_code code = split_globs(table, globs, s.arena, &split, err);
    if (code == QK_OK) {
        code = select_arrays(table, &split, &s, err);
    }
    if (code != QK_OK) {
        qk_export_selection_release(&s);
        return code;
    }
    *ret = s;
    return QK_OK;
}

void qk_export_selection_release(struct qk_export_selection *selection)
{
    qk_arena_free(selection->arena);
    *selection = (struct qk_export_selection){0};
}

bool qk_export_cell(const struct qk_export_array *array, size_t i, size_t ret_index[QK_TABLE_MAX_DIMS])
{
    const struct qk_node *node = array->node;
    size_t rest = i;
    for (size_t axis = node->n_dims; axis-- > 0;) {
        ret_index[axis] = rest % node->shape[axis];
        rest /= node->shape[axis];
    }
    if (node->type == QK_TYPE_F64) {
        return !isnan(node->v.f64[i]);
    }
    const struct qk_attr *missing = node->type == QK_TYPE_U8 ? qk_node_attr(node, "missing") : NULL;
    return missing == NULL || missing->type != QK_TYPE_I64 || missing->n != 1 || missing->v.i64[0] != node->v.u8[i];
}

bool qk_export_has_meanings(const struct qk_node *node)
{
    const struct qk_attr *values = qk_node_attr(node, "flag_values");
    return node->type == QK_TYPE_U8 && values != NULL && values->type == QK_TYPE_I64 &&
           qk_node_attr_get_str(node, "flag_meanings") != NULL;
}

const char *qk_export_meaning(const struct qk_node *node, size_t i, size_t *ret_len)
{
    if (!qk_export_has_meanings(node)) {
        return NULL;
    }
    const struct qk_attr *values = qk_node_attr(node, "flag_values");
    const char *word = qk_node_attr_get_str(node, "flag_meanings");
    for (size_t k = 0; k < values->n; k++) {
        word += strspn(word, " ");
        size_t len = strcspn(word, " ");
        if (values->v.i64[k] == node->v.u8[i] && len > 0) {
            *ret_len = len;
            return word;
        }
        word += len;
    }
    return NULL;
}

const char *qk_export_state(const struct qk_export_array *array, const size_t index[QK_TABLE_MAX_DIMS])
{
    if (array->state == NULL) {
        return NULL;
    }
    size_t at = 0;
    for (size_t i = 0; i < array->state->n_dims; i++) {
        at = at * array->state->shape[i] + index[i];
    }
    return qk_state_name((enum qk_state)array->state->v.u8[at]);
}
