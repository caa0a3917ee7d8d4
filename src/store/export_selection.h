/* Which arrays an export takes, and the columns that their axes need. Shared by the TSV and JSON forms. */
#ifndef QK_STORE_EXPORT_SELECTION_H
#define QK_STORE_EXPORT_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/str.h"

struct qk_export_array {
    const struct qk_node *node;
    const struct qk_node *state; /* "<path>_state", or NULL */
    const struct qk_node *scales[QK_TABLE_MAX_DIMS];
    size_t columns[QK_TABLE_MAX_DIMS]; /* per axis: index into the selection's columns */
    const char *entry;                 /* the checkpoint's name inside the path, not terminated; NULL = none */
    size_t entry_len;
};

struct qk_export_selection {
    size_t n_arrays, n_columns;
    struct qk_export_array *arrays; /* in table order */
    const char **columns;           /* axis names, in order of first use */
    bool has_text;                  /* an array of strings or of named flags is among them */
    struct qk_arena *arena;
};

/* Arrays that are no scales and match one of globs, separated by commas (NULL = all): against the whole path, the path
 * without its first '/', or the last part alone. A state array comes along with its metric and is taken by itself only
 * without it. A glob that nothing matches is QK_EUSAGE. */
enum qk_code qk_export_select(const struct qk_table *table, const char *globs, struct qk_export_selection *ret,
                              struct qk_err *err) QK_CHECKED;
void qk_export_selection_release(struct qk_export_selection *selection);

/* Cell i of an array: its index along each axis, and whether it holds a value (false: a NaN, or the flag that the
 * attribute "missing" names). */
bool qk_export_cell(const struct qk_export_array *array, size_t i, size_t ret_index[QK_TABLE_MAX_DIMS]);
/* The state's name, or NULL when the array has none. */
const char *qk_export_state(const struct qk_export_array *array, const size_t index[QK_TABLE_MAX_DIMS]);

/* Whether the array holds flags that "flag_values" and "flag_meanings" name. */
bool qk_export_has_meanings(const struct qk_node *node);
/* The word for the flag in cell i; NULL when it has none. Not terminated: *ret_len bytes. */
const char *qk_export_meaning(const struct qk_node *node, size_t i, size_t *ret_len);

#endif
