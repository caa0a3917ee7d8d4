/* Answers of name patterns, for comparison: reads lines "PATTERN<TAB>NAME", prints 1, 0, or the code of a refusal. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "name_pattern.h"

int main(void)
{
    static char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *tab = strchr(line, '\t');
        struct qk_arena *arena = qk_arena_new();
        const struct qk_name_pattern *pattern = NULL;
        bool matches = false;
        if (tab == NULL || arena == NULL) {
            return 2;
        }
        *tab = 0;
        tab[1 + strcspn(tab + 1, "\n")] = 0;
        enum qk_code code = qk_name_pattern_new("(?:", line, ")", arena, &pattern, NULL);
        if (code == QK_OK) {
            code = qk_name_pattern_match(pattern, tab + 1, &matches, NULL);
        }
        if (code == QK_OK) {
            printf("%d\n", matches);
        } else {
            printf("%s\n", code == QK_EFORMAT ? "malformed" : code == QK_EUNSUPPORTED ? "unsupported" : "failed");
        }
        qk_arena_free(arena);
    }
    return 0;
}
