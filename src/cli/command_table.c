/* The command table, from the list of names in the build file. */
#include "base/str.h"
#include "cli/command.h"

extern const struct qk_command *const qk_commands[];
extern const unsigned qk_commands_count;

size_t qk_command_count(void)
{
    return qk_commands_count;
}

const struct qk_command *qk_command_at(size_t i)
{
    return i < qk_commands_count ? qk_commands[i] : NULL;
}

const struct qk_command *qk_command_find(const char *name)
{
    for (size_t i = 0; i < qk_commands_count; i++) {
        if (qk_streq(qk_commands[i]->name, name)) {
            return qk_commands[i];
        }
    }
    return NULL;
}
