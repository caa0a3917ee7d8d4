/* The match rules on what stands on standard input: lines of rule, answer and expected text between tabs, with \n for a
 * line end inside. Prints 1 or 0 a line; for the rule "word" 0 ends, 1 goes on, 2 open. */
#include <stdio.h>
#include <string.h>

#include "run/answer_match.h"

static void unescape(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++) {
        bool is_newline = s[0] == '\\' && s[1] == 'n';
        *to++ = is_newline ? '\n' : *s;
        s += is_newline ? 1 : 0;
    }
    *to = '\0';
}

int main(void)
{
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        enum qk_match match;
        line[strcspn(line, "\n")] = '\0';
        char *answer = strchr(line, '\t'), *expected = answer == NULL ? NULL : strchr(answer + 1, '\t');
        if (expected == NULL) {
            return 2;
        }
        *answer++ = '\0';
        *expected++ = '\0';
        unescape(answer);
        unescape(expected);
        if (strcmp(line, "word") == 0) {
            printf("%d\n", (int)qk_text_word_end(answer, expected));
        } else if (qk_match_find(line, &match)) {
            printf("%d\n", qk_match_rule(match)->fits(answer, expected) ? 1 : 0);
        } else {
            return 2;
        }
    }
    return 0;
}
