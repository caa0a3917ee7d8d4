/* Errors that suggest what may have been meant: see suggest.h. */
#include "suggest.h"

#include "base/alloc.h"
#include "base/str.h"
#include "cli/command.h"

enum qk_code qk_unknown_command(const char *word, struct qk_err *err)
{
    size_t n = 0;
    const char **names = qk_calloc(qk_command_count(), sizeof *names);
    for (size_t i = 0; names != NULL && i < qk_command_count(); i++) {
        if (!qk_command_at(i)->hidden) {
            names[n++] = qk_command_at(i)->name;
        }
    }
    const char *near = names != NULL ? qk_nearest(word, names, n) : NULL;
    (void)qk_fail(err, QK_EUSAGE, "unknown command '%s'", word);
    if (near != NULL) {
        qk_err_hint(err, "did you mean '%s'?", near);
    } else {
        qk_err_hint(err, "'qkscope help' lists the commands");
    }
    qk_free(names);
    return QK_EUSAGE;
}
