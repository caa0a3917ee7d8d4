/* Unicode normalisation forms of text with origins (UAX 15). */
#ifndef QK_TEXT_UNICODE_FORM_H
#define QK_TEXT_UNICODE_FORM_H

#include "pieces.h"

enum qk_unicode_form {
    QK_FORM_COMPOSED = 1,      /* NFC, NFKC; else NFD, NFKD */
    QK_FORM_COMPATIBILITY = 2, /* NFKC, NFKD */
};

/* Appends the form (bits of enum qk_unicode_form) of bytes [begin, end) of from, valid UTF-8, to ret. Characters that
 * change keep the origin of the shortest stretch around them that normalises on its own. */
enum qk_code qk_unicode_form(const struct qk_aligned *from, size_t begin, size_t end, unsigned form,
                             struct qk_aligned *ret, struct qk_err *err) QK_CHECKED;

#endif
