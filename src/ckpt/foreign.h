/* Files that are not what their name says: Git-LFS pointers, saved web pages, other weight formats. */
#ifndef QK_CKPT_FOREIGN_H
#define QK_CKPT_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "check.h"

enum { qk_foreign_head = 512 }; /* bytes that suffice to tell */

enum qk_expected_content { QK_EXPECT_JSON, QK_EXPECT_WEIGHTS };

/* Reports the file when its first n bytes give it away; *ret_found tells. To be asked only when the file cannot be
 * what it should be, so that no good file is ever taken for another. */
enum qk_code qk_foreign_check(struct qk_check *check, const char *file, const char *head, size_t n,
                              enum qk_expected_content content, bool *ret_found, struct qk_err *err) QK_CHECKED;

#endif
