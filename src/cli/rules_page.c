/* docs/checkpoint-rules.md: the rules that opening enforces and `inspect --validate` reports, from their table. */
#include "catalogue.h"
#include "ckpt/rules.h"
#include "pages.h"

enum qk_code qk_markdown_rules(struct qk_str *out, struct qk_err *err)
{
    (void)err;
    qk_str_add(out, "# Rules of a checkpoint on disk\n\n"
                    "Written by `qkscope docs rules` from the table in src/ckpt/rules.c. Opening a checkpoint stops at "
                    "the first rule that is broken; `qkscope inspect --validate` reports all of them, by the ids below "
                    "(scripts may match them), and exits with status 4.\n\n"
                    "| id | exit status when opening | what holds in a good checkpoint |\n|---|---|---|\n");
    for (size_t i = 0; i < QK_N_RULES; i++) {
        qk_str_addf(out, "| `%s` | %d | ", qk_rules[i].id, qk_exit_status(qk_rules[i].code));
        qk_add_markdown(out, qk_rules[i].statement);
        qk_str_add(out, " |\n");
    }
    return QK_OK;
}
